"""What an agent of SNMP v1 or v2c is asked by: a community, on a socket of its own."""

from collections.abc import Callable
from typing import TypeVar

from envmon.drivers.snmp_socket import SnmpSocket
from envmon.wire.snmp_community import Community

T = TypeVar("T")


class CommunityPeer:
    """One agent; see ``snmp_session.Peer``."""

    __slots__ = ("_community", "socket")

    def __init__(self, socket: SnmpSocket, community: Community) -> None:
        self.socket = socket
        self._community = community

    async def log_in(self) -> None:
        """Do nothing: every message brings its community along."""

    async def ask(self, pdu: bytes, read: Callable[[bytes], T | None]) -> T:
        """Ask, and return what ``read`` makes of the PDU of the answer. Raises FrameError and OSError."""
        return await self.socket.ask(self._community.seal(pdu), lambda data: self._opened(data, read))

    def _opened(self, data: bytes, read: Callable[[bytes], T | None]) -> T | None:
        found = self._community.open(data)
        return None if found is None else read(found)
