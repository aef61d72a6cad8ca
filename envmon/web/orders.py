"""Takes orders over HTTPS from people with a client certificate: ``POST /v1/orders``, the requests of the socket.

Rules
  - TLS 1.2 or newer; who has no certificate of the people's authority does not get as far as HTTP.
  - A certificate is somebody only by the configuration: it names the system's user, so that a person with a certificate
    and a login is one person. A certificate that is in nobody's name may not even look; its orders are refused as a
    viewer's are, journalled and paged.
  - One request a connection, so that a reload counts from the next request on.
  - An order says when it was sent and has a number of its own: one that is old, or comes twice, is refused.
  - Requests, bodies, times and clients are bounded; a browser's requests (they name their origin) are refused.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from envmon.config.settings import OrdersSettings
from envmon.model.event import Access, Order
from envmon.model.texts import line
from envmon.runtime.bucket import Buckets
from envmon.runtime.counters import Counters
from envmon.runtime.engine import Answer
from envmon.runtime.order_in import Asking, order_of
from envmon.runtime.order_line import LINE, Request, RequestError, answer, encode, error, understood
from envmon.web.certificates import Renewable, names
from envmon.web.fresh import Fresh, StaleError
from envmon.web.server import CANNOT_LISTEN, listen_error

HANDSHAKE_S = 5.0
READ_S = 5.0
WAIT_S = 30.0  # an order counts for so long after it came in
CLIENTS = 16
STRANGERS = "strangers"  # they share one bucket

_LOG = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is not read, or not believed: the HTTP status and one sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class OrderServer:
    """An async context manager that listens while it is entered; ``made`` is its TLS context. Raises ListenError.

    ``submit`` gives an order, with a function that tells whether its client still waits.
    """

    def __init__(
        self,
        settings: OrdersSettings,
        made: ssl.SSLContext,
        submit: Callable[[Order, Callable[[], bool]], Awaitable[Answer]],
        status: Callable[[], Mapping[str, Any]],
        counters: Counters,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._submit = submit
        self._status = status
        self._counters = counters
        self._fresh = Fresh(now)
        self._buckets = Buckets({STRANGERS: (5, 1 / 60)}, (20, 0.5))
        self._busy = 0
        self._context = Renewable(made)
        application = web.Application(client_max_size=LINE)
        application.router.add_post("/v1/orders", self._post)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, keepalive_timeout=READ_S)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port in use, also where the configured one is 0."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    def renew(self, settings: OrdersSettings, made: ssl.SSLContext) -> None:
        """Take new certificates and people, from the next connection on."""
        self._context.current = made
        self._settings = settings

    async def __aenter__(self) -> Self:
        host, port = self._settings.host, self._settings.port
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - set up above
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._runner.server, host, port, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S, backlog=CLIENTS
            )
        except CANNOT_LISTEN as fault:
            await self._runner.cleanup()
            raise listen_error("web.orders", f"{host} port {port}", fault, "listen") from None
        _LOG.info("orders over https: listening on %s port %d", host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self._busy += 1
        try:
            code, told = 200, await self._answer(request)
        except RefusedError as refused:
            self._counters.refused_requests += 1
            code, told = refused.status, error(str(refused))
        finally:
            self._busy -= 1
        response = web.Response(status=code, body=encode(told), content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        response.force_close()
        return response

    async def _answer(self, request: web.Request) -> Mapping[str, Any]:
        if self._busy > CLIENTS:
            raise RefusedError(503, f"{CLIENTS} requests are being answered already; try again")
        by = self._asking(request)
        fields = await _fields(request)
        sent, number = fields.pop("sent", None), fields.pop("number", None)
        try:
            asked = understood(fields)
            if asked.command is not None:
                self._fresh.admit(by.person, sent, number)
        except (RequestError, StaleError) as fault:
            raise RefusedError(400, str(fault)) from None
        if asked.command is None:
            if by.access is Access.VIEWER and not self._known(by):
                raise RefusedError(403, f"{by.who} is in nobody's name; web.orders.people names whose it is")
            return {"ok": True, "status": self._status()}
        return await self._order(request, asked, by)

    async def _order(self, request: web.Request, asked: Request, by: Asking) -> Mapping[str, Any]:
        assert asked.command is not None  # noqa: S101 - the status was answered
        order = order_of(asked.command, asked, by)
        until = time.monotonic() + WAIT_S

        def wanted() -> bool:
            transport = request.transport
            return time.monotonic() < until and transport is not None and not transport.is_closing()

        return answer(await self._submit(order, wanted), order.id)

    def _asking(self, request: web.Request) -> Asking:
        """Who the certificate stands for, once their rate allows. Raises RefusedError."""
        secure = request.transport.get_extra_info("ssl_object") if request.transport else None
        said = names(secure) if secure is not None else ()
        found = [each for each in self._settings.people if each.name in said]
        users = sorted({each.user for each in found})
        if not self._buckets.take(users[0] if users else STRANGERS):
            raise RefusedError(429, "too many requests; wait a minute")
        if len({(each.user, each.access) for each in found}) == 1:
            each = found[0]
            return Asking(f"{each.user} (certificate {each.name})", each.user, each.access)
        what = line(f"certificate {said[0] if said else 'without a name'}", 100)
        if len(users) > 1:
            what = f"{what}, which stands for {' and '.join(users)}"
        _LOG.warning("orders over https: %s is in nobody's name, or in several", what)
        return Asking(what, what, Access.VIEWER)

    def _known(self, by: Asking) -> bool:
        return any(each.user == by.person for each in self._settings.people)


async def _fields(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises RefusedError."""
    if "Origin" in request.headers:
        raise RefusedError(403, "a browser's page may not give orders")
    if request.content_type != "application/json":
        raise RefusedError(415, "expected Content-Type: application/json")
    try:
        async with asyncio.timeout(READ_S):
            body = await request.read()
    except TimeoutError:
        raise RefusedError(408, f"the request was not whole within {READ_S:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError(413, f"a request is at most {LINE} bytes") from None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RefusedError(400, 'expected a JSON object, such as {"command": "status"}')
    return fields
