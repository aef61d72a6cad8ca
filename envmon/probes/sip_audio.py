"""The audio path of a probe call: a few RTP packets to a far end that echoes, counted when they come back.

Rules
  - Each packet carries random bytes; what comes back is counted once per packet, and only from where it was sent to.
  - Half of them must come back: fewer is no path a caller could talk over.
"""

import asyncio
import secrets

from envmon.wire.sip_media import PACKET_S, PAYLOAD, Audio, packet, payload_of
from envmon.wire.sip_values import SipError

PACKETS = 10
ENOUGH = 5
WAIT_S = 1.0  # for the last of them


class Echo(asyncio.DatagramProtocol):
    """A media socket; ``port`` is where it listens."""

    def __init__(self) -> None:
        self.port = 0
        self._there = ("", 0)
        self._wanted: set[bytes] = set()
        self._all = asyncio.Event()

    @classmethod
    async def open(cls, host: str) -> "Echo":
        """Listen at one of our own addresses. Raises OSError."""
        _, echo = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=(host, 0))
        return echo

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Learn our port."""
        self._transport = transport
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Count what is ours."""
        if addr[:2] != self._there:
            return
        try:
            self._wanted.discard(payload_of(data))
        except SipError:
            return
        if not self._wanted:
            self._all.set()

    async def run(self, to: Audio) -> int:
        """Send ``PACKETS`` packets; how many came back."""
        self._there = (to.host, to.port)
        source = secrets.randbits(32)
        payloads = [secrets.token_bytes(PAYLOAD) for _ in range(PACKETS)]
        self._wanted = set(payloads)
        for number, payload in enumerate(payloads):
            self._transport.sendto(packet(to.kind, number, source, payload), self._there)
            await asyncio.sleep(PACKET_S)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._all.wait()
        except TimeoutError:
            pass
        return PACKETS - len(self._wanted)

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()
