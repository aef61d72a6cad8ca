"""Where the values stand in answers that look alike, so that a whole answer is read with one comparison.

Rules
  - A layout reads an answer only when every byte of it is the one the layout was learnt from, but for the request
    identifier and the contents of the values: names, tags, lengths and leading zeros are compared, all of them.
  - A value read by a layout is what ``snmp_pdu.value_of`` says of the same bytes.
  - An answer is learnt when its like is met a second time; what is remembered is bounded.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

from envmon.wire.snmp import Tag
from envmon.wire.snmp_pdu import Value, value_of

Span = tuple[int, int, int]
"""The tag of a value, and where its content begins and ends."""

_MOST: Final = 64  # kinds of answers to one question
_SIGNED: Final = {1: "b", 2: "h", 4: "i", 8: "q"}
_UNSIGNED: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_MOST_BYTES: Final = {Tag.COUNTER32: 4, Tag.GAUGE32: 4, Tag.TIME_TICKS: 4, Tag.COUNTER64: 8}


class Pattern:
    """Bytes that are known but for some places: where they begin and end, and how ``struct`` reads them, in order."""

    __slots__ = ("_fixed", "_mask", "_size", "_unpack")

    def __init__(self, data: bytes, places: Iterable[tuple[int, int, str]]) -> None:
        mask = bytearray(b"\xff" * len(data))
        pattern, done = ">", 0
        for start, end, code in places:
            begin = start + code.count("x")
            mask[begin:end] = bytes(end - begin)
            pattern += f"{start - done}x{code}"
            done = end
        self._size = len(data)
        self._mask = int.from_bytes(mask, "big")
        self._fixed = int.from_bytes(data, "big") & self._mask
        self._unpack = Struct(f"{pattern}{len(data) - done}x").unpack

    def match(self, data: bytes) -> tuple[Any, ...] | None:
        """Return what stands in the places; None where any other byte is not the one known."""
        if len(data) != self._size or int.from_bytes(data, "big") & self._mask != self._fixed:
            return None
        return self._unpack(data)


class Layout:
    """What answers of one kind have in common. ``number_at`` is where the request identifier stands."""

    __slots__ = ("_pattern", "_texts")

    def __init__(self, data: bytes, number_at: int, spans: Sequence[Span], codes: Sequence[str]) -> None:
        values = [(start, end, code) for (_, start, end), code in zip(spans, codes, strict=True)]
        self._pattern = Pattern(data, [(number_at, number_at + 4, "i"), *values])
        self._texts = tuple((at, spans[at][0]) for at, code in enumerate(codes) if code.endswith("s"))

    def read(self, data: bytes, number: int) -> tuple[Value, ...] | None:
        """Return the values of the answer to ``number``; None where it is not, or where it is of another kind."""
        found = self._pattern.match(data)
        if found is None or found[0] != number:
            return None
        if not self._texts:
            return found[1:]
        values = list(found[1:])
        for at, tag in self._texts:
            values[at] = value_of(tag, values[at])
        return tuple(values)


class Layouts:
    """The layouts of the answers to one question, learnt of those that were read."""

    __slots__ = ("_by_size", "_known")

    def __init__(self) -> None:
        self._by_size: dict[int, Layout] = {}
        self._known: dict[tuple[int, tuple[str, ...], bytes], Layout | None] = {}

    def read(self, data: bytes, number: int) -> tuple[Value, ...] | None:
        """Read an answer of a kind that is known; None for every other."""
        layout = self._by_size.get(len(data))
        return None if layout is None else layout.read(data, number)

    def learn(self, data: bytes, number_at: int, spans: Sequence[Span]) -> None:
        """Take note of an answer that no layout could read."""
        codes = tuple([_code(tag, data[start:end]) for tag, start, end in spans])
        kind = len(data), codes, bytes([tag for tag, _, _ in spans])
        if kind not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
                self._by_size.clear()
            self._known[kind] = None
            return
        layout = self._known[kind] or Layout(data, number_at, spans, codes)
        self._known[kind] = self._by_size[len(data)] = layout


def _code(tag: int, content: bytes) -> str:
    """Say how ``struct`` reads a value: a number it knows as such, everything else as bytes."""
    size = len(content)
    if tag == Tag.INTEGER and size in _SIGNED:
        return _SIGNED[size]
    most = _MOST_BYTES.get(tag, 0)  # type: ignore[call-overload]  # an IntEnum is an int
    if size in _UNSIGNED and size <= most:
        return _UNSIGNED[size]
    if 1 < size <= most + 1 and not content[0] and size - 1 in _UNSIGNED:
        return f"x{_UNSIGNED[size - 1]}"
    return f"{size}s"
