"""What an agent of SNMPv3 is asked by: a user of the user-based security model, in a context of the agent's.

Rules
  - The agent's boots and time are learnt at the login and from every authentic answer, and run on with our monotonic
    clock. An agent that finds them wrong says so, authentically, and is asked once more.
  - What an agent reports otherwise is ``NotAllowedError``: the driver logs in anew.
  - An answer counts under our message's number, our context, and the engine that was logged in to.
"""

import os
import time
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from envmon.drivers.snmp_socket import SnmpSocket, identifiers
from envmon.wire.snmp import PduType
from envmon.wire.snmp_keys import Engine, Login
from envmon.wire.snmp_pdu import NotAllowedError, Pdu, decode, encode
from envmon.wire.snmp_usm import Opened, Opener, seal

T = TypeVar("T")

_NOT_IN_TIME = (1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0)  # usmStatsNotInTimeWindows (RFC 3414 section 5)
_STRANGER = Login(b"")
_MOST_SALT = 2**64 - 1
_salts = count(int.from_bytes(os.urandom(8), "big"))


class _ReportError(Exception):
    """The agent's security model speaks instead of the agent."""

    def __init__(self, report: Opened) -> None:
        super().__init__("the agent reports that it does not take our message")
        self.report = report

    @property
    def is_late(self) -> bool:
        """Whether the agent finds our boots and time wrong, and it is the agent who says so."""
        return self.report.authentic and any(oid == _NOT_IN_TIME for oid, _, _ in decode(self.report.pdu).variables)


class UserPeer:
    """One agent; see ``snmp_session.Peer``. ``login`` has the keys of the passwords, not yet of the agent's engine."""

    __slots__ = ("_at", "_context", "_keys", "_login", "_opener", "_seen", "socket")

    def __init__(self, socket: SnmpSocket, login: Login, context: bytes) -> None:
        self.socket = socket
        self._login = login
        self._context = context
        self._at = Engine()
        self._seen = 0.0
        self._keys = _STRANGER
        self._opener = Opener(_STRANGER)

    async def log_in(self) -> None:
        """Learn the agent's engine (RFC 3414 section 4). Raises FrameError and OSError."""
        self._at = Engine()
        self._use(_STRANGER)
        try:
            await self._exchange(encode(Pdu(PduType.GET, next(identifiers), ())), bytes)
        except _ReportError as told:
            self._learn(told.report.engine)
        self._use(self._login.at(self._at.identifier))

    async def ask(self, pdu: bytes, read: Callable[[bytes], T | None]) -> T:
        """Ask, and return what ``read`` makes of the PDU of the answer. Raises as it does, and as ``log_in`` does."""
        try:
            return await self._exchange(pdu, read)
        except _ReportError as told:
            if not told.is_late:
                raise NotAllowedError(str(told)) from None
            self._learn(told.report.engine)
        try:
            return await self._exchange(pdu, read)
        except _ReportError as told:
            raise NotAllowedError(str(told)) from None

    async def _exchange(self, pdu: bytes, read: Callable[[bytes], T | None]) -> T:
        number = next(identifiers)
        request = seal(self._keys, self._now(), self._context, number, pdu, _salt())
        return await self.socket.ask(request, lambda data: self._opened(data, number, read))

    def _opened(self, data: bytes, number: int, read: Callable[[bytes], T | None]) -> T | None:
        answer = self._opener.open(data)
        if answer.number != number:
            return None
        if answer.is_report or answer.engine.identifier != self._at.identifier:
            raise _ReportError(answer)
        if answer.authentic:
            self._learn(answer.engine)
        return read(answer.pdu) if answer.context == self._context else None

    def _now(self) -> Engine:
        """Return where the agent's clock must be by ours."""
        if not self._keys.auth:
            return self._at
        passed = int(time.monotonic() - self._seen)
        return Engine(self._at.identifier, self._at.boots, self._at.seconds + passed)

    def _use(self, keys: Login) -> None:
        self._keys, self._opener = keys, Opener(keys)

    def _learn(self, engine: Engine) -> None:
        self._at, self._seen = engine, time.monotonic()


def _salt() -> bytes:
    """Return what no message before had (RFC 3826 section 3.1.2.1)."""
    return (next(_salts) & _MOST_SALT).to_bytes(8, "big")
