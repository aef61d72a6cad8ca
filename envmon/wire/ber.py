"""The part of BER that SNMP messages are made of: definite lengths, no nesting by recursion.

Rules
  - Encoding is minimal; decoding accepts any definite length form and raises ``FrameError`` for everything else.
  - Integers are bounded: the caller says the range, so a hostile length can never make a huge number.

Sources: ITU-T X.690 section 8, restricted by RFC 3417 section 8; SMI ranges from RFC 2578 section 7.1.
"""

from dataclasses import dataclass, field

from envmon.wire.frame import FrameError

Oid = tuple[int, ...]

_MAX_SUBIDS = 128  # RFC 2578 section 3.5
_MAX_SUBID = 2**32 - 1
_LONG_FORM = 0x80
_MAX_LENGTH_BYTES = 4
_MAX_INTEGER_BYTES = 9  # Counter64 with its sign byte


def parse_oid(text: str) -> Oid:
    """Read ``1.3.6.1`` (a leading dot is allowed). Raises ValueError."""
    try:
        oid = tuple(int(part) for part in text.removeprefix(".").split("."))
    except ValueError:
        raise ValueError(f"{text!r} is not an object identifier such as 1.3.6.1.2.1.1.1.0") from None
    _check_oid(oid)
    return oid


def format_oid(oid: Oid) -> str:
    """Write an object identifier without a leading dot."""
    return ".".join(map(str, oid))


def encode(tag: int, content: bytes) -> bytes:
    """Put ``content`` behind its one-byte ``tag`` and its length."""
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def encode_integer(tag: int, value: int) -> bytes:
    """Encode a two's complement integer; unsigned SMI types get their leading zero byte from this too."""
    magnitude = value if value >= 0 else -value - 1
    return encode(tag, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def decode_integer(content: bytes, low: int, high: int) -> int:
    """Read an integer of ``low`` to ``high``. Raises FrameError."""
    if not 1 <= len(content) <= _MAX_INTEGER_BYTES:
        raise FrameError(f"an integer of {len(content)} bytes; 1 to {_MAX_INTEGER_BYTES} can be")
    value = int.from_bytes(content, "big", signed=True)
    if not low <= value <= high:
        raise FrameError(f"integer {value} is outside {low} to {high}")
    return value


def encode_oid(tag: int, oid: Oid) -> bytes:
    """Encode an object identifier. Raises ValueError when it is none."""
    _check_oid(oid)
    return encode(tag, b"".join(_base128(subid) for subid in (oid[0] * 40 + oid[1], *oid[2:])))


def decode_oid(content: bytes) -> Oid:
    """Read an object identifier. Raises FrameError."""
    if not content or content[-1] & 0x80:
        raise FrameError("an object identifier is empty or ends inside a number")
    subids: list[int] = []
    value = 0
    for byte in content:
        if byte == _LONG_FORM and not value:
            raise FrameError("a number in an object identifier begins with nothing (X.690 8.19.2)")
        value = value << 7 | byte & 0x7F
        if value > _MAX_SUBID:
            raise FrameError("a number in an object identifier is larger than 32 bits")
        if not byte & 0x80:
            subids.append(value)
            value = 0
    if len(subids) >= _MAX_SUBIDS:
        raise FrameError(f"an object identifier has more than {_MAX_SUBIDS} numbers")
    root = min(subids[0] // 40, 2)
    return root, subids[0] - root * 40, *subids[1:]


def inside(data: bytes, at: int, tag: int) -> int:
    """Return where the content of the element at ``at`` begins, if it bears ``tag`` and reaches to the end; else 0."""
    if at + 2 > len(data) or data[at] != tag:
        return 0
    length = data[at + 1]
    start = at + 2
    if length >= _LONG_FORM:
        start += length - _LONG_FORM
        length = int.from_bytes(data[at + 2 : start], "big")
    return start if start + length == len(data) else 0


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of every element that stands side by side in ``data``. Raises FrameError."""
    found, reader, size = [], Reader(data), len(data)
    while reader.position < size:
        found.append(reader.next())
    return found


@dataclass(slots=True)
class Reader:
    """Walks the elements of one BER value from front to back; every step raises FrameError on bad bytes."""

    data: bytes
    position: int = field(default=0)

    @property
    def more(self) -> bool:
        """Whether another element follows."""
        return self.position < len(self.data)

    def next(self) -> tuple[int, bytes]:
        """Return tag and content of the next element."""
        data, at = self.data, self.position
        if len(data) < at + 2:
            raise FrameError("the message ends inside an element")
        tag, length = data[at], data[at + 1]
        if tag & 0x1F == 0x1F:
            raise FrameError(f"tag 0x{tag:02x} has more than one byte, which SNMP never uses")
        start = at + 2
        if length >= _LONG_FORM:
            start, length = self._long(start, length - _LONG_FORM)
        self.position = end = start + length
        if end > len(data):
            raise FrameError(f"an element promises {length} bytes, {len(data) - start} are left")
        return tag, data[start:end]

    def expect(self, tag: int) -> bytes:
        """Return the content of the next element, which must carry ``tag``."""
        found, content = self.next()
        if found != tag:
            raise FrameError(f"tag 0x{found:02x} where 0x{tag:02x} belongs")
        return content

    def end(self) -> None:
        """Refuse bytes after the last element."""
        if self.more:
            raise FrameError(f"{len(self.data) - self.position} bytes too many")

    def _long(self, at: int, size: int) -> tuple[int, int]:
        if not 1 <= size <= _MAX_LENGTH_BYTES:
            raise FrameError(f"length byte 0x{size + _LONG_FORM:02x}: only definite lengths of up to 4 bytes are SNMP")
        if len(self.data) < at + size:
            raise FrameError("the message ends inside an element")
        return at + size, int.from_bytes(self.data[at : at + size], "big")


def _base128(value: int) -> bytes:
    out = bytes((value & 0x7F,))
    while value := value >> 7:
        out = bytes((value & 0x7F | 0x80,)) + out
    return out


def _check_oid(oid: Oid) -> None:
    if not 2 <= len(oid) <= _MAX_SUBIDS:
        raise ValueError(f"an object identifier has 2 to {_MAX_SUBIDS} numbers, not {len(oid)}")
    if not all(0 <= subid <= _MAX_SUBID for subid in oid) or oid[0] > 2 or (oid[0] < 2 and oid[1] >= 40):
        raise ValueError(f"{format_oid(oid)} cannot be an object identifier (X.690 section 8.19)")
    if oid[0] * 40 + oid[1] > _MAX_SUBID:
        raise ValueError(f"{format_oid(oid)} cannot be an object identifier (X.690 section 8.19)")
