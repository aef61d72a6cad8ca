"""The two sites that answer calls, the caller that sees which of them does, and the people on call.

Rules
- A site answers whatever the edge sends it; what it was sent is written down with its time.
- The caller is the probe of the product, but its judge is the site: a call counts where its number was seen.
- A pager that is deaf takes a page and never says so; one that refuses answers 503.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from aiohttp import web
from chaos_history import Call, Taken
from chaos_net import address

from envmon.probes.sip import SipProbe
from envmon.wire.sip import Headers, Request, build, parse
from envmon.wire.sip_dialog import respond
from envmon.wire.sip_values import SipError

PORT = 5070
EDGE_PORT = 5060
PAGER_PORT = 8090
PAUSE_S = 0.35
_SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"


class Site(asyncio.DatagramProtocol):
    """The media server of one site; ``invited`` are the numbers that were called, with the time of the first INVITE."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.invited: dict[str, float] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(address(self.name), PORT))
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(SipError):
            message = parse(data)
            if isinstance(message, Request) and message.method != "ACK" and self._transport is not None:
                self._transport.sendto(build(self._answer(message)), addr)

    def _answer(self, request: Request) -> Any:
        extra: Headers = ()
        if request.method == "INVITE":
            number = request.uri.removeprefix("sip:").partition("@")[0]
            self.invited.setdefault(number, time.monotonic())
            extra = (("Contact", f"<sip:{self.name}@{address(self.name)}:{PORT}>"), ("Content-Type", "application/sdp"))
        bare = respond(request, 200, "OK", self.name, extra)
        return type(bare)(bare.status, bare.reason, bare.headers, _SDP if extra else b"")


class Caller:
    """Calls each edge in turn; ``calls`` is what became of them."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self.calls: list[Call] = []
        self._sites = sites
        self._probe = SipProbe(deadline_s=6.0, hold_s=0.1)
        self._number = 0

    async def run(self) -> None:
        """Call until cancelled; the calls that are up then are waited for."""
        async with asyncio.TaskGroup() as calls:
            for edge in self._turns():
                calls.create_task(self._call(edge))
                await asyncio.sleep(PAUSE_S)

    def _turns(self) -> Iterator[str]:
        while True:
            yield from ("edge0", "edge1")

    async def _call(self, edge: str) -> None:
        self._number += 1
        number, at = f"call-{self._number}", time.monotonic()
        result = await self._probe.call(address(edge), EDGE_PORT, number)
        seen = [site.name for site in self._sites if number in site.invited]
        self.calls.append(Call(at, time.monotonic(), edge, result.answered, seen[-1] if seen else "", result.detail))


class OnCall:
    """The pager's other end; ``taken`` is every page that arrived whole and was accepted."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.refuses = False
        self._hears = asyncio.Event()
        self._hears.set()
        self._runner: web.AppRunner | None = None

    def hear(self, hears: bool = True) -> None:
        """Answer the pages that are taken, or keep their senders waiting."""
        self._hears.set() if hears else self._hears.clear()

    def url(self, daemon: str) -> str:
        """What the pager of a daemon posts to."""
        return f"http://{address('pager')}:{PAGER_PORT}/page/{daemon}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/page/{daemon}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address("pager"), PAGER_PORT).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        page = json.loads(await request.text())
        if self.refuses:
            return web.Response(status=503)
        told = (page["site"], page["dedup_key"], page["event_action"], page["number"], page["summary"])
        self.taken.append(Taken(time.monotonic(), request.match_info["daemon"], *told))
        await self._hears.wait()
        return web.json_response({})
