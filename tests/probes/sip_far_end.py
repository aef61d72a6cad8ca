"""A SIP far end over UDP that does what a test tells it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from envmon.wire.sip import Headers, Request, Response, build, parse
from envmon.wire.sip_dialog import respond


class FarEnd(asyncio.DatagramProtocol):
    """A SIP far end that does what a test tells it."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self.answers: asyncio.Queue[Response] = asyncio.Queue()
        self.caller: tuple[str, int] = ("", 0)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.caller = addr
        message = parse(data)
        if isinstance(message, Request):
            self.requests.put_nowait(message)
        else:
            self.answers.put_nowait(message)

    async def next(self, method: str) -> Request:
        """The next request, which must be of this method; repetitions of others are passed over."""
        async with asyncio.timeout(20):
            while (request := await self.requests.get()).method != method:
                assert request.method in ("INVITE", "ACK"), request
        return request

    def send(self, message: Request | Response) -> None:
        self.transport.sendto(build(message), self.caller)

    def answer(self, request: Request, status: int, tag: str = "far", extra: Headers = ()) -> None:
        self.send(respond(request, status, "Told So", tag, extra))

    def accept(self, invite: Request, tag: str = "far") -> Response:
        contact = f"<sip:{tag}@127.0.0.1:{self.port}>"
        accepted = respond(invite, 200, "OK", tag, (("Contact", contact),))
        self.send(accepted)
        return accepted


@asynccontextmanager
async def far_end(host: str = "127.0.0.1") -> AsyncIterator[FarEnd]:
    loop = asyncio.get_running_loop()
    transport, end = await loop.create_datagram_endpoint(FarEnd, local_addr=(host, 0))
    try:
        yield end
    finally:
        transport.close()
