"""Which Modbus reads fetch all points of a device in few requests, and how to cut their answers apart again.

Rules
  - A read never crosses more unnamed addresses than the profile's ``max_gap_fill``; a device may answer a hole inside
    a block with zeros, and zero must never become a temperature.
  - A span the device refused is read by itself until it answers, and no block reaches across it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from envmon.profiles.schema import ModbusLimits
from envmon.wire.modbus import Function, slice_bits

_REGISTER_BITS = 16


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``count`` bits or registers of ``function`` from wire address ``address``: what one point needs.

    ``unit`` is added to the device's unit identifier.
    """

    function: Function
    address: int
    count: int
    unit: int = 0

    def __hash__(self) -> int:
        """Tell spans apart well enough: every answer is kept by its span, and Python hashes enumerations slowly."""
        return hash((self.address, self.count, self.unit))

    @property
    def end(self) -> int:
        """The first address after the span."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Block:
    """One request: the span it reads and the points' spans inside it."""

    span: Span
    parts: tuple[Span, ...]

    def cut_all(self, data: bytes) -> list[tuple[Span, bytes]]:
        """Take the bytes of every part out of the block's data; bits come out packed from bit 0."""
        first = self.span.address
        if self.span.function.reads_bits:
            return [(part, slice_bits(data, part.address - first, part.count)) for part in self.parts]
        starts = [(part, 2 * (part.address - first)) for part in self.parts]
        return [(part, data[start : start + 2 * part.count]) for part, start in starts]


def plan(spans: Iterable[Span], limits: ModbusLimits, apart: Collection[Span] = ()) -> tuple[Block, ...]:
    """Merge ``spans`` into as few blocks as the limits allow, those in ``apart`` left alone.

    ``max_read`` counts registers; for bits it bounds the same amount of data.
    """
    blocks: list[Block] = []
    open_block = False
    for span in sorted(set(spans), key=lambda span: (span.unit, span)):
        alone = span in apart
        merged = _join(blocks[-1], span, limits) if open_block and not alone else None
        if merged is not None:
            blocks[-1] = merged
        else:
            blocks.append(Block(span, (span,)))
        open_block = not alone
    return tuple(blocks)


def _join(block: Block, span: Span, limits: ModbusLimits) -> Block | None:
    whole = block.span
    if (span.unit, span.function) != (whole.unit, whole.function) or span.address - whole.end > limits.max_gap_fill:
        return None
    count = max(whole.end, span.end) - whole.address
    per_read = limits.max_read * _REGISTER_BITS if whole.function.reads_bits else limits.max_read
    if count > min(per_read, whole.function.limit):
        return None
    return Block(Span(whole.function, whole.address, count, whole.unit), (*block.parts, span))
