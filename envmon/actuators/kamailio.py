"""A Kamailio edge that includes deploy/kamailio/envmon.cfg, commanded over HTTP.

Rules
  - A write is done when the edge has answered 200 (stored) and its status, read afterwards, says the same.
  - One connection per request: nothing is sent into a connection that a restarted edge has forgotten.
  - No redirect is followed and no proxy of the environment is used: the token goes to the edge or nowhere.
  - Every error is one sentence: which edge, at which URL, what is wrong.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
from yarl import URL

from envmon.actuators.contract import EdgeError, Fenced
from envmon.config.secret import SecretError
from envmon.config.settings import EdgeSettings
from envmon.model.event import EdgeStatus

_MAX_ANSWER = 65_536  # bytes; one route is 150
_REFUSALS = {
    401: "it refused our token (401): its ENVMON_TOKEN_SHA256 is not the digest of our token",
    403: "it takes no orders from our address (403): see its ENVMON_SOURCES",
}


class KamailioEdge:
    """The actuator of kind ``kamailio``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._root = URL(settings.url) / "envmon" / "v1"
        self._session: aiohttp.ClientSession | None = None
        self._sent = ""  # the token: an answer that repeats it is quoted without it

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the edge reports now, one status per route. Raises EdgeError."""
        async with self._guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Show the edge our epoch; moves no traffic. Raises Fenced, EdgeError."""
        async with self._guarded():
            await self._write(f"fence/{epoch}", epoch)
            await self._read_back(epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        async with self._guarded():
            await self._write(f"routes/{route}/{epoch}/{percent}", epoch)
            found = {status.route: status for status in await self._read_back(epoch)}.get(route)
        if found is None:
            raise self._error(f"it took {percent} % for route {route}, but does not report that route")
        if (found.percent, found.set_epoch) != (percent, epoch):
            raise self._error(
                f"it took {percent} % of epoch {epoch} for route {route}, "
                f"but reports {found.percent} % of epoch {found.set_epoch}"
            )

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Everything one call does ends within the edge's deadline, and its faults are EdgeErrors."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                yield
        except TimeoutError:
            raise self._error(f"no answer within {self._settings.deadline_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise self._error(f"cannot connect: {error.os_error.strerror or error.os_error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._error(f"the connection broke: {str(error) or type(error).__name__}") from None

    async def _read_back(self, epoch: int) -> tuple[EdgeStatus, ...]:
        statuses = await self._read()
        fence = statuses[0].fence
        if fence > epoch:
            raise self._fenced(epoch, fence)
        if fence < epoch:
            raise self._error(f"it took epoch {epoch}, but reports the fence {fence}")
        return statuses

    async def _read(self) -> tuple[EdgeStatus, ...]:
        code, answer = await self._request("GET", "status")
        if code != 200:
            raise self._refused(code, answer)
        try:
            return _statuses(self._settings.id, answer)
        except (KeyError, TypeError, ValueError) as error:
            raise self._error(f"its status is not what envmon.cfg reports: {error}") from None

    async def _write(self, path: str, epoch: int) -> None:
        code, answer = await self._request("PUT", path)
        match code, answer:
            case 200, _:
                return
            case 409, {"fence": int(fence)}:
                raise self._fenced(epoch, fence)
            case _:
                raise self._refused(code, answer)

    async def _request(self, method: str, path: str) -> tuple[int, Any]:
        """One request; the code, and the JSON of the answer (None when it is not JSON)."""
        if self._session is None:
            raise self._error("it is not open")
        async with self._session.request(
            method,
            self._root.joinpath(path),
            headers={"Authorization": f"Bearer {self._token()}"},
            allow_redirects=False,
        ) as response:
            text = await response.content.read(_MAX_ANSWER)
            while text and len(text) < _MAX_ANSWER and (more := await response.content.read(_MAX_ANSWER - len(text))):
                text += more
        try:
            return response.status, json.loads(text)
        except (ValueError, RecursionError):
            return response.status, None

    def _token(self) -> str:
        if self._settings.token is None:
            raise self._error("no token is configured")
        try:
            token = self._settings.token.reveal()
        except SecretError as error:
            raise self._error(str(error)) from None
        if not token.isascii() or not token.isprintable() or not token or " " in token:
            raise self._error("the token is empty or holds a space, a control character or a letter beyond ASCII")
        self._sent = token
        return token

    def _refused(self, code: int, answer: Any) -> EdgeError:
        said = answer.get("error") if isinstance(answer, dict) else None
        if isinstance(said, str) and code not in _REFUSALS:
            return self._error(f"it answered {code}: {said[:200]!r}")
        return self._error(_REFUSALS.get(code, f"it answered {code}: is envmon.cfg included, and the URL right?"))

    def _fenced(self, epoch: int, fence: int) -> Fenced:
        return Fenced(str(self._error(f"it has seen epoch {fence}, ours is {epoch}: somebody else may act")), fence)

    def _error(self, text: str) -> EdgeError:
        if self._sent:
            text = text.replace(self._sent, "<secret>")
        return EdgeError(f"edge {self._settings.id} at {self._settings.url}: {text}")


def _statuses(edge: str, answer: Any) -> tuple[EdgeStatus, ...]:
    """Read the JSON of a status. Raises KeyError, TypeError, ValueError with what is missing or no count."""
    if not isinstance(answer, dict) or not isinstance(answer.get("routes"), dict) or not answer["routes"]:
        raise ValueError("no routes in it")
    fence, up_since = _count(answer, "fence"), _count(answer, "up_since")
    return tuple(
        EdgeStatus(
            edge=edge,
            route=route,
            percent=_count(told, "percent", 100),
            set_epoch=_count(told, "set_epoch"),
            fence=fence,
            up_since=up_since,
            calls_primary=_count(told, "calls_primary"),
            calls_backup=_count(told, "calls_backup"),
            active_primary=_count(told, "active_primary"),
            active_backup=_count(told, "active_backup"),
        )
        for route, told in answer["routes"].items()
    )


def _count(told: Any, name: str, top: int = 2**63) -> int:
    value = told.get(name) if isinstance(told, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= top:
        raise ValueError(f"{name} is {repr(value)[:100]}, not a count")
    return value
