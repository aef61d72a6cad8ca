"""What the simulated telephones share: a UDP endpoint that speaks SIP, and the ids its messages need.

Rules
  - A datagram that is not SIP is counted and dropped; nothing a stranger sends stops a simulated telephone.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, Self

from envmon.sim.chance import chance
from envmon.wire.sip import Message, build, parse
from envmon.wire.sip_values import SipError

PRIMARY: Final = "primary"
BACKUP: Final = "backup"

COOKIE: Final = "z9hG4bK"  # RFC 3261 8.1.1.7
T1: Final = 0.5  # RFC 3261 17.1.1.1, real seconds
T2: Final = 4.0

Address = tuple[str, int]


class SipSocket(asyncio.DatagramProtocol, ABC):
    """One UDP socket. An async context manager; ``received`` is for the telephone that inherits it."""

    def __init__(self, host: str = "127.0.0.1", seed: int = 0) -> None:
        self.address: Address = (host, 0)
        self.garbage = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._ids = chance(f"ids/{type(self).__name__}", seed)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.address)
        self._transport = transport
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = (host, port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._transport:
            self._transport.close()
            self._transport = None

    @property
    def where(self) -> str:
        """Its own host:port, as SIP writes it."""
        return f"{self.address[0]}:{self.address[1]}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Read one datagram and pass it on; the event loop calls this."""
        try:
            message = parse(data)
            self.received(message, (addr[0], addr[1]))
        except SipError:
            self.garbage += 1

    def error_received(self, exc: Exception) -> None:
        """An earlier datagram met a closed port (ICMP); the timers of its transaction deal with it."""

    @abstractmethod
    def received(self, message: Message, source: Address) -> None:
        """One SIP message arrived."""

    def send(self, message: Message | bytes, to: Address) -> None:
        """Send one message; a closed socket sends nothing, and none sends to another host."""
        if self._transport and to[0] == self.address[0]:
            self._transport.sendto(message if isinstance(message, bytes) else build(message), to)

    def token(self) -> str:
        """A fresh tag, branch tail or Call-ID head."""
        return f"{self._ids.getrandbits(64):016x}"

    def hop(self, branch: str) -> str:
        """A Via entry of ours."""
        return f"SIP/2.0/UDP {self.where};branch={branch}"
