"""Serves ``/metrics``, ``/healthz``, ``/status`` and the status page; read-only.

Rules
  - GET and HEAD only: no order ever arrives here; those over HTTPS have a port of their own.
  - Every answer is written within ``SEND_S`` or its connection is cut, so a reader that stops reading holds nothing.
  - What is shown is asked for at request time; nothing is computed for nobody.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from envmon.config.settings import HttpSettings
from envmon.web.page import STYLE, page

SEND_S = 10.0
CHUNK = 1 << 17  # bytes of a body handed to the transport at once
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CANNOT_LISTEN = (OSError, OverflowError, UnicodeError)  # what an address that will not do raises

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_LOG = logging.getLogger(__name__)


class ListenError(Exception):
    """The address cannot be listened on; the text says which, why, and what to do."""


def listen_error(what: str, where: str, fault: Exception, key: str) -> ListenError:
    """Say that ``what`` cannot listen, why, and which ``key`` would change it."""
    errno = fault.errno if isinstance(fault, OSError) else None
    reason = os.strerror(errno) if errno and errno > 0 else str(fault)
    return ListenError(f"{what}: cannot listen on {where}: {reason}; stop the other program or change {key}")


class WebServer:
    """An async context manager that listens while it is entered.

    ``metrics`` gives the page for Prometheus, ``status`` the loop's status (``core.status``), ``health`` what is
    wrong by part, empty when healthy. Raises ListenError on entry.
    """

    def __init__(
        self,
        settings: HttpSettings,
        metrics: Callable[[], bytes | bytearray],
        status: Callable[[], Mapping[str, Any]],
        health: Callable[[], Mapping[str, str]],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._status = status
        self._health = health
        application = web.Application()
        application.router.add_get("/", self._get_page)
        application.router.add_get("/style.css", self._get_style)
        application.router.add_get("/favicon.ico", self._get_favicon)
        application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/healthz", self._get_health)
        application.router.add_get("/status", self._get_status)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    @property
    def port(self) -> int:
        """The port in use, also where the configured one is 0."""
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        host, port = self._settings.host, self._settings.port
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except CANNOT_LISTEN as fault:
            await self._runner.cleanup()
            raise listen_error("http", f"{host} port {port}", fault, "publish.http.listen") from None
        _LOG.info("http: listening on %s port %d", host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _get_page(self, request: web.Request) -> web.StreamResponse:
        shown = page(self._status(), self._health()).encode("utf-8", "replace")
        return await _send(request, shown, "text/html; charset=utf-8")

    async def _get_style(self, request: web.Request) -> web.StreamResponse:
        return await _send(request, STYLE.encode(), "text/css; charset=utf-8")

    async def _get_favicon(self, request: web.Request) -> web.StreamResponse:
        return await _send(request, b"", "image/x-icon", 204)

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        return await _send(request, self._metrics(), METRICS_TYPE)

    async def _get_health(self, request: web.Request) -> web.StreamResponse:
        why = dict(self._health())
        return await _send(request, _json({"healthy": not why, "why": why}), "application/json", 503 if why else 200)

    async def _get_status(self, request: web.Request) -> web.StreamResponse:
        return await _send(request, _json(self._status()), "application/json")


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n").encode("utf-8", "backslashreplace")


async def _send(
    request: web.Request, body: bytes | bytearray, content_type: str, status: int = 200
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=_HEADERS | {"Content-Type": content_type})
    response.content_length = len(body)
    try:
        async with asyncio.timeout(SEND_S):
            await response.prepare(request)
            if request.method != "HEAD":
                for start in range(0, len(body), CHUNK):  # a transport moves all that waits at every partial send
                    await response.write(body[start : start + CHUNK])
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
