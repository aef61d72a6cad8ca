"""A Kamailio edge that includes deploy/kamailio/envmon.cfg, commanded over HTTP.

Rules
  - A write is done when the edge has answered 200 (stored) and its status, read afterwards, says the same.
  - The token goes with every request, and nowhere but to the edge.
"""

from typing import Any, Self

from yarl import URL

from envmon.actuators.http_link import HttpLink
from envmon.actuators.told import Voice, statuses
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

_REFUSALS = {
    401: "it refused our token (401): its ENVMON_TOKEN_SHA256 is not the digest of our token",
    403: "it takes no orders from our address (403): see its ENVMON_SOURCES",
}


class KamailioEdge:
    """The actuator of kind ``kamailio``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._root = URL(settings.url) / "envmon" / "v1"
        self._voice = Voice(settings.id, settings.url)
        self._link = HttpLink(self._voice, settings.deadline_s)

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._link.close()

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the edge reports now, one status per route. Raises EdgeError."""
        async with self._link.guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Show the edge our epoch; moves no traffic. Raises Fenced, EdgeError."""
        async with self._link.guarded():
            await self._write(f"fence/{epoch}", epoch)
            self._voice.must_show_fence(await self._read(), epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        async with self._link.guarded():
            await self._write(f"routes/{route}/{epoch}/{percent}", epoch)
            found = await self._read()
        self._voice.must_show_fence(found, epoch)
        self._voice.must_show(found, route, percent, epoch)

    async def _read(self) -> tuple[EdgeStatus, ...]:
        code, answer = await self._request("GET", "status")
        if code != 200:
            raise self._link.refused(code, answer, _REFUSALS, "is envmon.cfg included, and the URL right?")
        try:
            return statuses(self._settings.id, answer, counts_needed=True)
        except ValueError as error:
            raise self._voice.error(f"its status is not what envmon.cfg reports: {error}") from None

    async def _write(self, path: str, epoch: int) -> None:
        code, answer = await self._request("PUT", path)
        match code, answer:
            case 200, _:
                return
            case 409, {"fence": int(fence)}:
                raise self._voice.fenced(epoch, fence)
            case _:
                raise self._link.refused(code, answer, _REFUSALS, "is envmon.cfg included, and the URL right?")

    async def _request(self, method: str, path: str) -> tuple[int, Any]:
        token = await self._voice.secret(self._settings.token, "token")
        return await self._link.request(method, self._root.joinpath(path), {"Authorization": f"Bearer {token}"})
