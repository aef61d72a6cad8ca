"""HTTP to one edge: one connection per request, one deadline per call, every fault an EdgeError.

Rules
  - One connection per request: nothing is sent into a connection that a restarted edge has forgotten.
  - A command that got no answer in time is taken back from the network: it must not arrive behind a newer one.
  - No redirect is followed and no proxy of the environment is used: credentials go to the edge or nowhere.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from envmon.actuators.contract import EdgeError
from envmon.actuators.told import Voice
from envmon.host.http_body import whole
from envmon.host.http_socket import Revocable

_MAX_ANSWER = 65_536  # bytes; one route is 150


class HttpLink:
    """Requests to one edge. ``open`` it first; every call is made inside ``guarded``."""

    def __init__(self, voice: Voice, deadline_s: float) -> None:
        self._voice = voice
        self._deadline_s = deadline_s
        self._session: aiohttp.ClientSession | None = None
        self._sockets = Revocable()

    async def open(self) -> None:
        """Be ready for requests; connects nowhere."""
        connector = aiohttp.TCPConnector(force_close=True, socket_factory=self._sockets)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def close(self) -> None:
        """End what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """Everything one call does ends within the edge's deadline; silence is an EdgeError."""
        try:
            with self._sockets.answered_or_taken_back():
                async with asyncio.timeout(self._deadline_s):
                    yield
        except TimeoutError:
            raise self._voice.error(f"no answer within {self._deadline_s:g} s") from None

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None = None, *, needed: bool = True
    ) -> tuple[int, Any]:
        """One request; the code, and the JSON of the answer (None when it is not JSON). Raises EdgeError.

        An answer beyond the limit is an error where it is a success and ``needed``; else the code says enough.
        """
        if self._session is None:
            raise self._voice.error("it is not open")
        options: dict[str, Any] = {"headers": headers, "data": body, "allow_redirects": False}
        try:
            async with self._session.request(method, url, **options) as response:
                text = await whole(response, _MAX_ANSWER)
        except aiohttp.ClientConnectorError as error:
            raise self._voice.error(f"cannot connect: {error.os_error.strerror or error.os_error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._voice.error(f"the connection broke: {str(error) or type(error).__name__}") from None
        if text is None and needed and response.status < 300:
            raise self._voice.error(f"its answer is longer than {_MAX_ANSWER} bytes: ask it for less")
        try:
            return response.status, json.loads(text or b"")
        except (ValueError, RecursionError):
            return response.status, None

    def refused(self, code: int, answer: Any, known: Mapping[int, str], otherwise: str) -> EdgeError:
        """Build the error for an answer that is no success: what we know of the code, or what the edge says."""
        said = answer.get("error") if isinstance(answer, dict) else None
        if isinstance(said, str) and code not in known:
            return self._voice.error(f"it answered {code}: {said[:200]!r}")
        return self._voice.error(known.get(code, f"it answered {code}: {otherwise}"))
