"""What carries a probe's SIP messages: a UDP socket, a TCP connection or one in TLS, to one place that does not change.

Rules
  - What comes is read only from the place itself: the socket is connected, the certificate is verified.
  - Whole messages go into one inbox with the link they came over, so that what a far end asks is answered there.
  - A connection that ends or cannot be cut into messages is ``over`` and says why; nothing is dialled again.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Protocol

from envmon.config.edge_settings import SipSettings
from envmon.config.tls import client_context
from envmon.host.threads import aside
from envmon.wire.sip_stream import PING, PONG, Stream
from envmon.wire.sip_values import SipError

MOST = 1000  # messages that wait; a flood beyond them is dropped, as a network would
UNREAD = 65_536  # bytes a peer may leave unread before its connection is given up
GOODBYE_S = 1.0

Inbox = asyncio.Queue[tuple["Link", bytes]]


class Link(Protocol):
    """One way to one place. ``fault`` is why nothing comes, "" while it may; ``over``: and nothing ever will."""

    via: str
    reliable: bool
    fault: str
    over: bool
    here: tuple[str, int]
    there: tuple[str, int]

    def send(self, message: bytes) -> None:
        """Send one message; never waits, never fails: what is lost is noticed by the missing answer."""
        ...

    async def close(self) -> None:
        """Let go of the socket, after what was sent has left."""
        ...


async def open_link(way: SipSettings, host: str, port: int, inbox: Inbox) -> Link:
    """Connect. Raises OSError, and ValueError for what is no host at all."""
    loop = asyncio.get_running_loop()
    if way.transport == "udp":
        _, datagrams = await loop.create_datagram_endpoint(lambda: UdpLink(inbox), remote_addr=(host, port))
        return datagrams
    more: dict[str, Any] = {}
    if way.transport == "tls":
        context = await aside(client_context, "probe.tls", way.tls_ca, way.tls_cert, way.tls_key)
        more = {"ssl": context, "server_hostname": way.tls_name or host, "ssl_shutdown_timeout": GOODBYE_S / 2}
    _, stream = await loop.create_connection(lambda: StreamLink(inbox, way.transport.upper()), host, port, **more)
    return stream


def why_not(error: Exception) -> str:
    """Why a link could not be opened, in words for people."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted: {error.verify_message}; see probe.tls"
        case TimeoutError():
            return "cannot send: no connection in time"
        case ConnectionRefusedError():
            return "nothing listens there (connection refused)"
    return f"cannot send: {str(error) or type(error).__name__}"


class UdpLink(asyncio.DatagramProtocol):
    """A ``Link``. A datagram that comes back is remembered, and the call goes on: a restarting edge does that too."""

    via = "UDP"
    reliable = False
    over = False

    def __init__(self, inbox: Inbox) -> None:
        self.fault = ""
        self._inbox = inbox

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Learn both ends."""
        self._transport = transport
        self.here, self.there = _ends(transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002 - connected socket
        """Keep a datagram."""
        with suppress(asyncio.QueueFull):
            self._inbox.put_nowait((self, data))

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - ICMP says no more than that
        """Remember that a datagram of ours came back."""
        self.fault = "nothing listens there (ICMP port unreachable)"

    def send(self, message: bytes) -> None:
        """Send one datagram."""
        self._transport.sendto(message)

    async def close(self) -> None:
        """Close the socket."""
        self._transport.close()


class StreamLink(asyncio.Protocol):
    """A ``Link`` over TCP or TLS."""

    reliable = True

    def __init__(self, inbox: Inbox, via: str) -> None:
        self.via = via
        self.fault = ""
        self.over = False
        self._inbox = inbox
        self._stream = Stream()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Learn both ends."""
        self._transport = transport
        self.here, self.there = _ends(transport)

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages; answer keepalives."""
        if self.over:
            return
        try:
            for message in self._stream.feed(data):
                if message != PING:
                    self._inbox.put_nowait((self, message))
                elif self._transport.get_write_buffer_size() < UNREAD:
                    self._transport.write(PONG)
        except SipError as error:
            self._end(f"its messages cannot be told apart: {error}")
        except asyncio.QueueFull:
            self._end("it sends more than a call can need")

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that nothing more comes."""
        self._end(f"the connection was lost: {exc}" if exc else "it ended the connection")
        self._gone.set()

    def send(self, message: bytes) -> None:
        """Send one message, unless the connection is over."""
        if not self._transport.is_closing():
            self._transport.write(message)

    async def close(self) -> None:
        """End the connection in order, or at once when the peer does not join in."""
        self._transport.close()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()

    def _end(self, why: str) -> None:
        if self.over:
            return
        self.fault, self.over = why, True
        self._transport.abort() if not self._transport.is_closing() else None
        with suppress(asyncio.QueueFull):
            self._inbox.put_nowait((self, b""))  # whoever waits looks up


def _ends(transport: asyncio.BaseTransport) -> tuple[tuple[str, int], tuple[str, int]]:
    here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return (str(here[0]), int(here[1])), (str(there[0]), int(there[1]))
