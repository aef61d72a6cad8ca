"""A session of SNMPv3 in a context other than the default one, which the client library cannot ask for.

Rules
  - As the library's: one request at a time on a connected socket, no timeout here, values as Python numbers, bytes and
    texts. What is no value is left out (``wire.snmp_get``).
  - The agent's boots and time are learnt when the session opens and from every authentic answer, and run on with our
    monotonic clock. An agent that finds them wrong says so, authentically, and is asked once more.
  - What an agent refuses any other way is ``SnmpAuthError``: the driver opens a new session.
"""

import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from typing import Self

from gufo.snmp import SnmpAuthError, SnmpVersion, ValueType

from envmon.drivers.snmp_socket import SnmpSocket
from envmon.wire import ber
from envmon.wire.ber import Oid
from envmon.wire.snmp import PduType, Tag
from envmon.wire.snmp_get import NOT_ALLOWED, value_of
from envmon.wire.snmp_usm import REPORT, Engine, Login, Opened, Pdu, open_, seal

_MOST_BYTES = 65_535  # of a datagram
_MOST_STRANGE = 50  # datagrams that are no answer to us, read in one go
_NOT_IN_TIME = (1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0)  # usmStatsNotInTimeWindows (RFC 3414 section 5)
Variable = tuple[Oid, int, bytes]

_END = {Tag.NO_SUCH_OBJECT, Tag.NO_SUCH_INSTANCE, Tag.END_OF_MIB_VIEW}


class ContextSocket(SnmpSocket):
    """One socket to one agent; ``login`` has the keys of the passwords, not yet of the agent's engine."""

    def __init__(self, addr: str, port: int, login: Login, context: str) -> None:
        super().__init__(addr, port, community="", version=SnmpVersion.v2c)  # for its connected socket
        self._login = login
        self._context = context.encode()
        self._at = Engine()
        self._seen = 0.0
        self._keys = Login(login.user)

    async def refresh(self) -> None:
        """Learn the agent's engine (RFC 3414 section 4)."""
        self._at, self._keys = Engine(), Login(b"")
        report = await self._exchange(Pdu(PduType.GET, _number(), ()))
        self._learn(report.engine)
        self._keys = self._login.at(report.engine.identifier)

    async def get_many(self, oids: Iterable[str]) -> dict[str, ValueType]:
        """Read ``oids`` in one request; those without a value are left out."""
        wanted = tuple(oids)
        variables = await self.ask(PduType.GET, tuple(ber.parse_oid(oid) for oid in wanted))
        found = {ber.format_oid(oid): value_of(tag, content) for oid, tag, content in variables}
        return {oid: found[oid] for oid in wanted if found.get(oid) is not None}

    def getnext(self, oid: str) -> AsyncIterator[tuple[str, ValueType]]:
        """Walk below ``oid``, one row a request."""
        return _Below(self, oid, 0)

    def getbulk(self, oid: str, max_repetitions: int | None = None) -> AsyncIterator[tuple[str, ValueType]]:
        """Walk below ``oid``, so many rows a request."""
        return _Below(self, oid, max_repetitions or 1)

    async def ask(self, kind: PduType, oids: tuple[Oid, ...], rows: int = 0) -> tuple[Variable, ...]:
        """Ask and return the variables of the answer; none where the agent failed."""
        pdu = Pdu(kind, _number(), tuple((oid, Tag.NULL, b"") for oid in oids), error_index=rows)
        answer = await self._exchange(pdu)
        if _is_late(answer) and answer.authentic:
            self._learn(answer.engine)
            answer = await self._exchange(pdu)
        if answer.pdu.kind == REPORT or answer.engine.identifier != self._at.identifier:
            raise SnmpAuthError("the agent reports that it does not take our message")
        if answer.authentic:
            self._learn(answer.engine)
        if answer.pdu.error_status == NOT_ALLOWED:
            raise SnmpAuthError("the agent answers that we may not read this")
        return () if answer.pdu.error_status else answer.pdu.variables

    async def _exchange(self, pdu: Pdu) -> Opened:
        number = _number()
        now = Engine(self._at.identifier, self._at.boots, self._at.seconds + int(time.monotonic() - self._seen))
        request = seal(self._keys, now if self._keys.auth else self._at, self._context, number, pdu, os.urandom(8))
        try:
            await self._send(lambda: _write(self._fd, request))
            return await self._recv(lambda: self._receive(number, pdu.number))
        except ConnectionRefusedError:
            raise TimeoutError from None  # as the library tells it

    def _receive(self, number: int, asked: int) -> Opened:
        for _ in range(_MOST_STRANGE):
            answer = open_(os.read(self._fd, _MOST_BYTES), self._keys)
            ours = answer.pdu.kind == REPORT or (answer.pdu.number == asked and answer.context == self._context)
            if answer.number == number and ours:
                return answer
        raise BlockingIOError

    def _learn(self, engine: Engine) -> None:
        self._at, self._seen = engine, time.monotonic()


class _Below:
    """The objects below one column; a step that was cut off is taken again."""

    def __init__(self, socket: ContextSocket, column: str, rows: int) -> None:
        self._socket = socket
        self._below = self._at = ber.parse_oid(column)
        self._kind = PduType.GET_BULK if rows else PduType.GET_NEXT
        self._rows = rows
        self._found: list[Variable] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, ValueType]:
        if not self._found:
            self._found = list(await self._socket.ask(self._kind, (self._at,), self._rows))
        if not self._found:
            raise StopAsyncIteration
        oid, tag, content = self._found.pop(0)
        if oid[: len(self._below)] != self._below or oid <= self._at or tag in _END:
            self._found.clear()
            raise StopAsyncIteration
        self._at = oid
        return ber.format_oid(oid), value_of(tag, content)


def _is_late(answer: Opened) -> bool:
    return answer.pdu.kind == REPORT and any(oid == _NOT_IN_TIME for oid, _, _ in answer.pdu.variables)


def _number() -> int:
    return 1 + secrets.randbits(30)


def _write(fd: int, request: bytes) -> None:
    os.write(fd, request)
