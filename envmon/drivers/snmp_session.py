"""A session with an SNMP agent: name resolution, login, one GET or one step of a walk at a time.

Rules
  - One way for v1, v2c and v3: who asks (``Peer``) differs, what is asked and how answers are read does not.
  - Whatever an agent sends, only ``DeviceError`` comes out, and what was not answered is never zero.
  - Every request has an identifier that cannot be guessed, and only an answer that repeats it counts.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, TypeVar

from envmon.config.settings import SnmpSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_login import peer
from envmon.drivers.snmp_socket import SnmpSocket, identifiers
from envmon.host.names import addresses
from envmon.model.reading import Reason
from envmon.wire import ber
from envmon.wire.ber import Oid
from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag
from envmon.wire.snmp_get import Question
from envmon.wire.snmp_pdu import NO_SUCH_NAME, TOO_BIG, NotAllowedError, Pdu, Value, answered, encode

T = TypeVar("T")

_MOST_ROWS = 4096
_END = {Tag.NO_SUCH_OBJECT, Tag.NO_SUCH_INSTANCE, Tag.END_OF_MIB_VIEW}
_question = lru_cache(maxsize=1 << 12)(Question)  # devices of one profile share their requests


class Peer(Protocol):
    """Who asks one agent: a community or a user, on a socket of its own; one request at a time."""

    socket: SnmpSocket

    async def log_in(self) -> None:
        """Learn what there is to learn of the agent before it can be asked."""
        ...

    async def ask(self, pdu: bytes, read: Callable[[bytes], T | None]) -> T:
        """Ask, and return what ``read`` makes of the PDU of the answer; None there means: not ours."""
        ...


class TooBigError(Exception):
    """The agent cannot carry the answer in one datagram, or answers nothing for the sake of one object."""


class Session:
    """A logged-in session with one agent. ``where`` names the device in every error."""

    def __init__(self, asks: Peer, where: str) -> None:
        self._peer = asks
        self._where = where

    def close(self) -> None:
        """Let go of the socket."""
        self._peer.socket.close()

    def end_by(self, deadline: float) -> None:
        """Let what is asked from now on raise TimeoutError at ``deadline``, by the loop's clock."""
        self._peer.socket.deadline = deadline

    async def get(self, oids: tuple[str, ...]) -> tuple[Value, ...]:
        """Read ``oids`` in one request: the value of each, None for those the agent does not have.

        Raises DeviceError, TimeoutError, and TooBigError when fewer OIDs may succeed: the agent answered nothing at
        all, as it does with tooBig, or in v1 when a single object is missing (noSuchName, RFC 1157 section 4.1.2).
        """
        question = _question(oids)
        number = next(identifiers)
        try:
            found = await self._peer.ask(question.request(number), lambda pdu: question.answer(pdu, number))
        except Exception as error:  # noqa: BLE001 - told apart there
            raise _told(error, self._where) from None
        if found[0] is None and len(oids) > 1 and not any(value is not None for value in found):
            raise TooBigError
        return found

    async def after(self, oid: Oid, rows: int) -> Pdu:
        """Read what follows ``oid``, by GETBULK so many ``rows`` or by GETNEXT for 0.

        Raises DeviceError and TimeoutError.
        """
        number = next(identifiers)
        kind = PduType.GET_BULK if rows else PduType.GET_NEXT
        request = encode(Pdu(kind, number, ((oid, Tag.NULL, b""),), error_index=rows))
        try:
            return await self._peer.ask(request, lambda pdu: answered(pdu, number))
        except Exception as error:  # noqa: BLE001 - told apart there
            raise _told(error, self._where) from None

    async def has_below(self, oid: str) -> bool:
        """Whether the agent has anything below ``oid``. Raises DeviceError."""
        column = ber.parse_oid(oid)
        told = await self.after(column, 0)
        return not told.error_status and any(_is_below(name, column, tag) for name, tag, _ in told.variables)

    def walk(self, column: str, max_repetitions: int) -> "Walk":
        """Prepare to find the rows of ``column``: by GETBULK, or by GETNEXT where ``max_repetitions`` is 0."""
        return Walk(self, ber.parse_oid(column), max_repetitions, self._where)


class Walk:
    """The indexes under one column. A walk that was cut off goes on where it stood.

    An agent whose identifiers do not increase would never come to an end: a repeated one ends the walk, and so do
    ``_MOST_ROWS``. A step that failed is no end: rows would be taken for gone that are there.
    """

    def __init__(self, session: Session, column: Oid, rows: int, where: str) -> None:
        self._session = session
        self._column = self._at = column
        self._rows = rows
        self._where = where
        self._indexes: dict[str, None] = {}
        self._ended = False

    async def indexes(self) -> tuple[str, ...]:
        """Walk to the end. Raises DeviceError, TimeoutError."""
        while not self._ended:
            told = await self._session.after(self._at, self._rows)
            if told.error_status == TOO_BIG and self._rows > 1:
                self._rows //= 2
            elif told.error_status == NO_SUCH_NAME:
                self._ended = True
            elif told.error_status:
                text = f"{self._where}: the agent answers error-status {told.error_status} where a table is looked up"
                raise DeviceError(Reason.GARBAGE, text)
            else:
                self._take(told)
        return tuple(self._indexes)

    def _take(self, told: Pdu) -> None:
        self._ended = not told.variables
        for oid, tag, _ in told.variables:
            index = ber.format_oid(oid[len(self._column) :])
            if not _is_below(oid, self._column, tag) or index in self._indexes or len(self._indexes) >= _MOST_ROWS:
                self._ended = True
                return
            self._indexes[index] = None
            self._at = oid


async def open_session(host: str, port: int, settings: SnmpSettings, where: str) -> Session:
    """Resolve the name, log in, and for v3 learn the agent's engine. Raises DeviceError."""
    address = await _resolve(host, where)
    try:
        asks = peer(address, port, settings, where)
    except OSError as error:
        raise _told(error, where) from None
    try:
        await asks.log_in()
    except Exception as error:  # noqa: BLE001 - told apart there
        asks.socket.close()
        raise _told(error, where) from None
    except BaseException:
        asks.socket.close()
        raise
    return Session(asks, where)


async def _resolve(host: str, where: str) -> str:
    try:
        return (await addresses(host))[0]
    except OSError as error:
        raise DeviceError(Reason.UNREACHABLE, f"{where}: cannot resolve the name: {error.strerror or error}") from None


def _is_below(oid: Oid, column: Oid, tag: int) -> bool:
    return len(oid) > len(column) and oid[: len(column)] == column and tag not in _END


def _told(error: Exception, where: str) -> Exception:
    """Return what is to be said of an agent's fault or its network's; a fault of ours as it is."""
    match error:
        case NotAllowedError():
            text = "the agent refused the login; check user, protocols, passwords and the agent's access list"
            return DeviceError(Reason.REFUSED, f"{where}: {text}")
        case FrameError():
            return DeviceError(Reason.GARBAGE, f"{where}: the answer is not SNMP: {error}")
        case ConnectionRefusedError():  # ICMP: port unreachable
            return DeviceError(Reason.UNREACHABLE, f"{where}: nothing listens there")
        case OSError() if not isinstance(error, TimeoutError):
            return DeviceError(Reason.UNREACHABLE, f"{where}: cannot send: {error.strerror or error}")
    return error
