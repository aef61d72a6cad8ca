"""The PDUs of SNMP that read, without the message around them: what is asked, and what an answer says, strictly.

Rules
  - Pure bytes in and out: no sockets, no clock, no chance; request identifiers come from the caller.
  - Only the three Gets can be asked, and only a Response or a Report is read; everything else raises ``FrameError``.
  - A number without content, or of more than its type holds, is no number: it is None, as Null and the exceptions are.
    It is never zero. So is whatever else cannot be read, without spoiling the other variables.
  - An unsigned number without its leading zero byte is read as it is meant: many agents send it so.

Sources: RFC 1157 section 4, RFC 3416 sections 3 and 4.2, RFC 2578 section 7.1 (value types), RFC 3412 (Report).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from envmon.wire import ber
from envmon.wire.ber import Oid, Reader
from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag

Value = int | float | str | bytes | None
Variable = tuple[Oid, int, bytes]
"""Name, tag and content."""

REPORT: Final = 0xA8
NO_SUCH_NAME: Final = 2
"""The error-status noSuchName: in v1 there is nothing under a name, or after the last (RFC 1157 section 4.1.3)."""
TOO_BIG: Final = 1
"""The error-status tooBig (RFC 3416 section 3)."""
NOT_ALLOWED: Final = 16
"""The error-status authorizationError (RFC 3416 section 3)."""

_SEQUENCE: Final = 0x30
_UINTEGER32: Final = 0x47  # of RFC 1442, still met
_INT32: Final = (-(2**31), 2**31 - 1)
_NUMBER_BYTES: Final = 9


class NotAllowedError(Exception):
    """The agent says that we may not read: it does not take our login, or not for these objects."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """What is asked or answered. ``kind`` is a ``PduType`` or ``REPORT``; the numbers are those of ``snmp.Message``."""

    kind: int
    number: int
    variables: tuple[Variable, ...]
    error_status: int = 0
    error_index: int = 0


def encode(pdu: Pdu) -> bytes:
    """Write a PDU. Raises ValueError for a kind that does not read."""
    numbers = (pdu.number, pdu.error_status, pdu.error_index)
    variables = (
        ber.encode(_SEQUENCE, ber.encode_oid(Tag.OBJECT_IDENTIFIER, oid) + ber.encode(tag, content))
        for oid, tag, content in pdu.variables
    )
    body = b"".join(ber.encode_integer(Tag.INTEGER, number) for number in numbers)
    return ber.encode(PduType(pdu.kind), body + ber.encode(_SEQUENCE, b"".join(variables)))


def decode(data: bytes) -> Pdu:
    """Read a Response or a Report. Raises FrameError."""
    outer = Reader(data)
    kind, body = outer.next()
    outer.end()
    if kind not in {PduType.RESPONSE, REPORT}:
        raise FrameError(f"PDU type 0x{kind:02x} is no answer")
    pdu = Reader(body)
    numbers = [ber.decode_integer(pdu.expect(Tag.INTEGER), *_INT32) for _ in range(3)]
    variables = Reader(pdu.expect(_SEQUENCE))
    pdu.end()
    found: list[Variable] = []
    while variables.more:
        pair = Reader(variables.expect(_SEQUENCE))
        found.append((ber.decode_oid(pair.expect(Tag.OBJECT_IDENTIFIER)), *pair.next()))
        pair.end()
    return Pdu(kind, numbers[0], tuple(found), numbers[1], numbers[2])


def answered(data: bytes, number: int) -> Pdu | None:
    """Read the answer to request ``number``; None for the answer to another. Raises FrameError and NotAllowedError."""
    pdu = decode(data)
    if pdu.kind != PduType.RESPONSE:
        raise FrameError(f"PDU type 0x{pdu.kind:02x} is no answer")
    if pdu.number != number:
        return None
    if pdu.error_status == NOT_ALLOWED:
        raise NotAllowedError("the agent answers that we may not read this")
    return pdu


def value_of(tag: int, content: bytes) -> Value:
    """Return what one variable holds; None for nothing, and for what cannot be read."""
    read = _READ.get(tag)
    return None if read is None else read(content)


def _signed(content: bytes) -> int | None:
    return int.from_bytes(content, "big", signed=True) if 0 < len(content) < _NUMBER_BYTES else None


def _unsigned(most: int) -> Callable[[bytes], int | None]:
    def read(content: bytes) -> int | None:
        value = int.from_bytes(content, "big")
        return value if 0 < len(content) <= _NUMBER_BYTES and value <= most else None

    return read


@lru_cache(maxsize=1 << 10)
def _oid(content: bytes) -> str | None:
    try:
        return ber.format_oid(ber.decode_oid(content))
    except FrameError:
        return None


def _ip_address(content: bytes) -> str | None:
    return ".".join(map(str, content)) if len(content) == 4 else None


def _nothing(_: bytes) -> None:
    return None


_COUNT32: Final = _unsigned(2**32 - 1)
_READ: Final[Mapping[int, Callable[[bytes], Value]]] = {
    Tag.INTEGER: _signed,
    Tag.OCTET_STRING: bytes,
    Tag.NULL: _nothing,
    Tag.OBJECT_IDENTIFIER: _oid,
    Tag.IP_ADDRESS: _ip_address,
    Tag.COUNTER32: _COUNT32,
    Tag.GAUGE32: _COUNT32,
    Tag.TIME_TICKS: _COUNT32,
    Tag.OPAQUE: bytes,
    Tag.COUNTER64: _unsigned(2**64 - 1),
    _UINTEGER32: _COUNT32,
    Tag.NO_SUCH_OBJECT: _nothing,
    Tag.NO_SUCH_INSTANCE: _nothing,
    Tag.END_OF_MIB_VIEW: _nothing,
}
