"""SNMPv1 and SNMPv2c messages that read: Get, GetNext, GetBulk and their Response.

Rules
  - Pure bytes in and out: no sockets, no clock.
  - Reading is all this codec can express: it knows four PDU types, and refuses every other when it arrives.
  - Every malformed message raises ``FrameError``; encoding raises ``ValueError`` for a caller's mistake.

Sources: RFC 1157 section 4 (v1), RFC 1901 and RFC 3416 section 3 (v2c), RFC 2578 section 7.1 (value types).
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from envmon.wire import ber
from envmon.wire.ber import Oid, Reader
from envmon.wire.frame import FrameError

_SEQUENCE = 0x30


class Version(IntEnum):
    """The version field of a message."""

    V1 = 0
    V2C = 1


class PduType(IntEnum):
    """The PDUs that read, and the answer to them (RFC 3416 section 3)."""

    GET = 0xA0
    GET_NEXT = 0xA1
    RESPONSE = 0xA2
    GET_BULK = 0xA5


class Tag(IntEnum):
    """What a variable can hold (RFC 2578 section 7.1; exceptions from RFC 3416 section 3)."""

    INTEGER = 0x02
    OCTET_STRING = 0x04
    NULL = 0x05
    OBJECT_IDENTIFIER = 0x06
    IP_ADDRESS = 0x40
    COUNTER32 = 0x41
    GAUGE32 = 0x42
    TIME_TICKS = 0x43
    OPAQUE = 0x44
    COUNTER64 = 0x46
    NO_SUCH_OBJECT = 0x80
    NO_SUCH_INSTANCE = 0x81
    END_OF_MIB_VIEW = 0x82


_RANGE: Final = {
    Tag.INTEGER: (-(2**31), 2**31 - 1),
    Tag.COUNTER32: (0, 2**32 - 1),
    Tag.GAUGE32: (0, 2**32 - 1),
    Tag.TIME_TICKS: (0, 2**32 - 1),
    Tag.COUNTER64: (0, 2**64 - 1),
}
_EMPTY: Final = frozenset({Tag.NULL, Tag.NO_SUCH_OBJECT, Tag.NO_SUCH_INSTANCE, Tag.END_OF_MIB_VIEW})
_NOT_IN_V1: Final = (_EMPTY - {Tag.NULL}) | {Tag.COUNTER64}


class ErrorStatus(IntEnum):
    """Why a whole request failed. v1 knows these; v2c adds more, which only writing can meet."""

    NO_ERROR = 0
    TOO_BIG = 1
    NO_SUCH_NAME = 2
    BAD_VALUE = 3
    READ_ONLY = 4
    GEN_ERR = 5


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value: int for numbers, bytes for strings, addresses and Opaque (kept as it came), Oid, or None."""

    tag: Tag
    content: int | bytes | Oid | None = None


@dataclass(frozen=True, slots=True)
class VarBind:
    """One variable: its name, and its value or ``Value(Tag.NULL)`` in a request."""

    oid: Oid
    value: Value = Value(Tag.NULL)


@dataclass(frozen=True, slots=True)
class Message:
    """One SNMP message.

    ``error_status`` and ``error_index`` (1 is the first variable, 0 none) mean non-repeaters and max-repetitions
    in a GetBulk. ``error_status`` is usually an ``ErrorStatus``.
    """

    version: Version
    community: bytes = field(repr=False)  # a credential
    kind: PduType
    request_id: int
    variables: tuple[VarBind, ...]
    error_status: int = 0
    error_index: int = 0

    def answer(self, variables: tuple[VarBind, ...], error_status: int = 0, error_index: int = 0) -> "Message":
        """Return the Response to this request."""
        return replace(
            self, kind=PduType.RESPONSE, variables=variables, error_status=error_status, error_index=error_index
        )


def encode_message(message: Message) -> bytes:
    """Build the datagram. Raises ValueError when a value does not fit its type."""
    _check_version(message)
    variables = b"".join(
        ber.encode(_SEQUENCE, ber.encode_oid(Tag.OBJECT_IDENTIFIER, variable.oid) + _encode_value(variable.value))
        for variable in message.variables
    )
    pdu = ber.encode(
        message.kind,
        ber.encode_integer(Tag.INTEGER, message.request_id)
        + ber.encode_integer(Tag.INTEGER, message.error_status)
        + ber.encode_integer(Tag.INTEGER, message.error_index)
        + ber.encode(_SEQUENCE, variables),
    )
    return ber.encode(
        _SEQUENCE,
        ber.encode_integer(Tag.INTEGER, message.version) + ber.encode(Tag.OCTET_STRING, message.community) + pdu,
    )


def decode_message(data: bytes) -> Message:
    """Read a datagram. Raises FrameError, for SNMPv3 and for every PDU that does not read, too."""
    outer = Reader(data)
    body = Reader(outer.expect(_SEQUENCE))
    outer.end()
    version = _known_version(ber.decode_integer(body.expect(Tag.INTEGER), *_RANGE[Tag.INTEGER]))
    community = body.expect(Tag.OCTET_STRING)
    tag, content = body.next()
    body.end()
    pdu = Reader(content)
    numbers = [ber.decode_integer(pdu.expect(Tag.INTEGER), *_RANGE[Tag.INTEGER]) for _ in range(3)]
    variables = _decode_variables(pdu.expect(_SEQUENCE))
    pdu.end()
    message = Message(version, community, _known_pdu(tag), numbers[0], variables, numbers[1], numbers[2])
    try:
        _check_version(message)
    except ValueError as error:
        raise FrameError(str(error)) from None
    return message


def _decode_variables(content: bytes) -> tuple[VarBind, ...]:
    reader = Reader(content)
    variables: list[VarBind] = []
    while reader.more:
        pair = Reader(reader.expect(_SEQUENCE))
        oid = ber.decode_oid(pair.expect(Tag.OBJECT_IDENTIFIER))
        tag, value = pair.next()
        pair.end()
        variables.append(VarBind(oid, _decode_value(tag, value)))
    return tuple(variables)


def _decode_value(raw_tag: int, content: bytes) -> Value:
    try:
        tag = Tag(raw_tag)
    except ValueError:
        raise FrameError(f"value tag 0x{raw_tag:02x} is no SNMP type") from None
    if tag in _RANGE:
        return Value(tag, ber.decode_integer(content, *_RANGE[tag]))
    if tag is Tag.OBJECT_IDENTIFIER:
        return Value(tag, ber.decode_oid(content))
    if tag in _EMPTY and content:
        raise FrameError(f"{tag.name} carries no content, this one {len(content)} bytes")
    if tag is Tag.IP_ADDRESS and len(content) != 4:
        raise FrameError(f"an IpAddress has 4 bytes, this one {len(content)}")
    return Value(tag, None if tag in _EMPTY else content)


def _encode_value(value: Value) -> bytes:
    tag = value.tag
    match value.content:
        case int(number) if tag in _RANGE and _RANGE[tag][0] <= number <= _RANGE[tag][1]:
            return ber.encode_integer(tag, number)
        case tuple(oid) if tag is Tag.OBJECT_IDENTIFIER:
            return ber.encode_oid(tag, oid)
        case bytes(content) if tag in {Tag.OCTET_STRING, Tag.OPAQUE} or (tag is Tag.IP_ADDRESS and len(content) == 4):
            return ber.encode(tag, content)
        case None if tag in _EMPTY:
            return ber.encode(tag, b"")
    raise ValueError(f"{value.content!r} is not a {tag.name}")


def _known_version(number: int) -> Version:
    try:
        return Version(number)
    except ValueError:
        raise FrameError(f"message version {number}; this codec speaks 0 (v1) and 1 (v2c)") from None


def _known_pdu(tag: int) -> PduType:
    try:
        return PduType(tag)
    except ValueError:
        raise FrameError(f"PDU type 0x{tag:02x} is not one that reads") from None


def _check_version(message: Message) -> None:
    """RFC 1157 has no GetBulk, no Counter64 and no exceptions."""
    if message.version is not Version.V1:
        return
    if message.kind is PduType.GET_BULK:
        raise ValueError("SNMPv1 has no GetBulk")
    for variable in message.variables:
        if variable.value.tag in _NOT_IN_V1:
            raise ValueError(f"SNMPv1 has no {variable.value.tag.name}")
