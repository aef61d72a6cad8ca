"""GET requests of SNMP v1 and v2c for names known beforehand, and what their answers say, strictly and quickly.

Rules
  - Pure bytes in and out: no sockets, no clock, no chance; request identifiers come from the caller.
  - An answer is a Response with our version, community and request identifier. Another community or identifier makes
    it somebody else's, or late; anything else that is no answer raises ``FrameError``.
  - An answer that says it failed has no values, whatever stands in its variables (RFC 3416 section 4.2.1).
  - A number without content, or of more than its type holds, is no number: it is left out, as Null and the exceptions
    are. It is never zero. So is whatever else cannot be read, without spoiling the other variables.
  - An unsigned number without its leading zero byte is read as it is meant: many agents send it so.

Theory of operation
  Nearly every answer holds the names asked for, in order, each in its shortest form. Such a one is read with one
  comparison and one slice a variable; where anything else stands the whole answer is read again element by element.

Sources: RFC 1157 section 4, RFC 1901, RFC 3416 sections 3 and 4.2, RFC 2578 section 7.1 (value types).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from envmon.wire import ber
from envmon.wire.ber import Reader
from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag, Version

Value = int | float | str | bytes | None

LEAST_REQUEST: Final = 1 << 24
"""Request identifiers from here to 2^31 - 1 take four bytes."""

NOT_ALLOWED: Final = 16
"""The error-status authorizationError (RFC 3416 section 3)."""

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_UINTEGER32: Final = 0x47  # of RFC 1442, still met
_INT32: Final = (-(2**31), 2**31 - 1)
_NUMBER_BYTES: Final = 9
_SHORT: Final = 0x80  # lengths below it take one byte
_WENT_WELL: Final = b"\x02\x01\x00\x02\x01\x00"  # error-status and error-index


class NotAllowedError(ValueError):
    """The agent answers that we may not read this (RFC 3416 authorizationError)."""


class Question:
    """One GET of ``oids`` in dotted form, each once. Raises ValueError for what is no object identifier."""

    __slots__ = ("_asked", "_community", "_head", "_names", "_ours", "_version")

    def __init__(self, version: Version, community: bytes, oids: tuple[str, ...]) -> None:
        self._version = version
        self._community = community
        names = [ber.encode_oid(Tag.OBJECT_IDENTIFIER, ber.parse_oid(oid)) for oid in oids]
        self._names = tuple((oid, name, len(name) + 4) for oid, name in zip(oids, names, strict=True))
        self._asked = frozenset(oids)
        self._ours = ber.encode_integer(Tag.INTEGER, version) + ber.encode(Tag.OCTET_STRING, community)
        variables = b"".join(ber.encode(_SEQUENCE, name + ber.encode(Tag.NULL, b"")) for name in names)
        rest = _WENT_WELL + ber.encode(_SEQUENCE, variables)
        pdu = ber.encode(PduType.GET, b"\x02\x04" + bytes(4) + rest)
        whole = ber.encode(_SEQUENCE, self._ours + pdu)
        self._head = (whole[: -len(rest) - 4], rest)

    def request(self, number: int) -> bytes:
        """Build the datagram; ``number`` is its request identifier, from ``LEAST_REQUEST``."""
        head, rest = self._head
        return head + number.to_bytes(4, "big") + rest

    def answer(self, data: bytes, number: int) -> dict[str, Value] | None:
        """Read the answer to request ``number``: a value for every OID that has one, none where the agent failed.

        None for an answer that is not to this request. Raises FrameError and NotAllowedError.
        """
        found = self._quickly(data, number)
        return self._slowly(data, number) if found is None else found

    def _quickly(self, data: bytes, number: int) -> dict[str, Value] | None:
        """Read the usual form; None for every other, right or wrong."""
        found: dict[str, Value] = {}
        try:
            at = _into(data, 0, _SEQUENCE)
            if not data.startswith(self._ours, at):
                return None
            at = _into(data, at + len(self._ours), PduType.RESPONSE)
            if data[at : at + 12] != b"\x02\x04" + number.to_bytes(4, "big") + _WENT_WELL:
                return None
            at = _into(data, at + 12, _SEQUENCE)
            for oid, name, size in self._names:
                content = at + size
                end = at + 2 + data[at + 1]
                if data[content - 1] != end - content or data[at] != _SEQUENCE or not data.startswith(name, at + 2):
                    return None
                if data[content - 2] == _INTEGER and 0 < end - content < _NUMBER_BYTES:
                    found[oid] = int.from_bytes(data[content:end], "big", signed=True)
                elif (value := _READ[data[content - 2]](data[content:end])) is not None:
                    found[oid] = value
                at = end
        except (IndexError, KeyError):
            return None
        return found if at == len(data) else None

    def _slowly(self, data: bytes, number: int) -> dict[str, Value] | None:
        outer = Reader(data)
        message = Reader(outer.expect(_SEQUENCE))
        outer.end()
        version = ber.decode_integer(message.expect(Tag.INTEGER), *_INT32)
        if version != self._version:
            raise FrameError(f"version {version} answers, version {int(self._version)} was asked")
        community = message.expect(Tag.OCTET_STRING)
        kind, content = message.next()
        message.end()
        if kind != PduType.RESPONSE:
            raise FrameError(f"PDU type 0x{kind:02x} is no answer")
        pdu = Reader(content)
        given, failed, _ = (ber.decode_integer(pdu.expect(Tag.INTEGER), *_INT32) for _ in range(3))
        if community != self._community or given != number:
            return None
        found = self._values(Reader(pdu.expect(_SEQUENCE)))
        pdu.end()
        if failed == NOT_ALLOWED:
            raise NotAllowedError("the agent answers that we may not read this")
        return {} if failed else found

    def _values(self, variables: Reader) -> dict[str, Value]:
        found: dict[str, Value] = {}
        told: set[str] = set()
        while variables.more:
            pair = Reader(variables.expect(_SEQUENCE))
            oid = ber.format_oid(ber.decode_oid(pair.expect(Tag.OBJECT_IDENTIFIER)))
            tag, content = pair.next()
            pair.end()
            if oid in told:
                raise FrameError(f"the answer has {oid} twice")
            told.add(oid)
            value = value_of(tag, content)
            if oid in self._asked and value is not None:
                found[oid] = value
        return found


def value_of(tag: int, content: bytes) -> Value:
    """Return what one variable holds; None for nothing, and for what cannot be read."""
    return _READ[tag](content) if tag in _READ else None


def _into(data: bytes, at: int, tag: int) -> int:
    """Return where the content of the element at ``at`` begins, which must reach to the end.

    Raises IndexError for every other.
    """
    length = data[at + 1]
    start = at + 2
    if length >= _SHORT:
        start += length - _SHORT
        length = int.from_bytes(data[at + 2 : start], "big")
    if data[at] != tag or start + length != len(data):
        raise IndexError
    return start


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
