"""What a Modbus poll was answered, and how that becomes readings.

Rules
  - A span is answered by the data of the block it is part of, or by itself where it was asked alone or refused.
  - ``illegal data address`` is ``absent``, any other refusal ``refused``.

Theory of operation
  At nearly every poll every block is answered as a whole. Then one ``struct`` takes all numbers of a block at once
  (``Sweep``), and they go the short way of their points. Everything else is cut span by span.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from typing import assert_never

from envmon.drivers.modbus_plan import Block, Span
from envmon.model.reading import Reading, Reason
from envmon.model.readings import Readings
from envmon.profiles.bind import BoundPoint, bound_points
from envmon.profiles.decode import Beside, Plain, Raw, decode, missing, plain_registers
from envmon.profiles.registers import code, reader
from envmon.profiles.schema_point import Address, CrossCheck, ProfilePoint, Register, UnitFrom, ValidFrom
from envmon.profiles.short_way import short_ways
from envmon.wire.modbus import ExceptionCode, Function, Refusal

_struct = lru_cache(maxsize=1 << 10)(struct.Struct)  # devices of one profile share it

Found = dict[Span, bytes | Refusal]


@dataclass(slots=True)
class Answers:
    """What was answered so far: blocks as a whole, and spans by themselves."""

    whole: list[tuple[Block, bytes]] = field(default_factory=list)
    alone: Found = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.whole or self.alone)

    @property
    def refused(self) -> bool:
        """Whether anything was."""
        return any(isinstance(outcome, Refusal) for outcome in self.alone.values())

    def spans(self) -> Found:
        """Return what is known of every span."""
        return dict(chain(self.alone.items(), *(block.cut_all(data) for block, data in self.whole)))


@dataclass(frozen=True, slots=True)
class Need:
    """The spans a point is decoded from; None for what it does not need. Devices of one profile share it."""

    own: Span
    cross: Span | None
    unit: Span | None
    valid: Span | None
    code: str
    number: Callable[[bytes], Plain]

    @property
    def spans(self) -> Iterator[Span]:
        """Every span, the point's own first."""
        return (span for span in (self.own, self.cross, self.unit, self.valid) if span is not None)

    def reading(self, bound: BoundPoint, found: Found, left: Reason) -> Reading:
        """Decode what was answered; ``left`` is why nothing was."""
        match found.get(self.own):
            case None:
                return missing(bound, left)
            case Refusal(code=ExceptionCode.ILLEGAL_DATA_ADDRESS):
                return missing(bound, Reason.ABSENT)
            case Refusal():
                return missing(bound, Reason.REFUSED)
            case bytes() as data:
                spec = bound.spec
                beside = Beside(
                    cross=_shown(found, self.cross, spec.cross_check),
                    unit=_shown(found, self.unit, spec.unit_from),
                    valid=_shown(found, self.valid, spec.valid_from),
                )
                return decode(bound, plain_registers(spec.address, data), beside)
            case other:
                assert_never(other)


class Sweep:
    """Takes the raw numbers of all points out of the data of whole blocks."""

    def __init__(self, blocks: Sequence[Block], needs: Sequence[Need]) -> None:
        codes: dict[Span, set[str]] = {}
        for need in needs:
            codes.setdefault(need.own, set()).add(need.code)
        shared = {span: some.pop() if len(some) == 1 else "" for span, some in codes.items()}
        self._cuts = tuple(_cut(block, shared) for block in blocks)
        order = {span: at for at, span in enumerate(part for block in blocks for part in block.parts)}
        self._order = tuple(order[need.own] for need in needs)
        self._unread = tuple((at, need.number) for at, need in enumerate(needs) if not shared[need.own])

    def raws(self, answers: Answers) -> list[Raw]:
        """Return them in the order of the points."""
        taken = [number for cut, (_, data) in zip(self._cuts, answers.whole, strict=True) for number in cut(data)]
        raws: list[Raw] = list(map(taken.__getitem__, self._order))
        for at, number in self._unread:
            raws[at] = number(raws[at])  # type: ignore[arg-type]  # those without a code are cut as bytes
        return raws


def _cut(block: Block, codes: dict[Span, str]) -> Callable[[bytes], Sequence[Raw]]:
    """Return what takes a number or the bytes of every part out of a block's data."""
    layout, end = ">", block.span.address
    for part in block.parts:
        if part.address < end or part.function.reads_bits:
            return partial(_cut_singly, block)
        layout += f"{2 * (part.address - end)}x{codes.get(part) or f'{2 * part.count}s'}"
        end = part.end
    return _struct(layout).unpack


def _cut_singly(block: Block, data: bytes) -> list[bytes]:
    return [piece for _, piece in block.cut_all(data)]


_sweep = lru_cache(maxsize=1 << 8)(Sweep)  # devices of one profile share it


class Decoding:
    """How the answers of a device's polls become readings."""

    def __init__(self, points: Sequence[BoundPoint]) -> None:
        self.bound = bound_points(points)
        self._needs = _needs(self.bound.specs)
        self._ways = short_ways(self.bound)
        self._blocks: tuple[Block, ...] = ()
        self._sweep = _sweep((), ())

    @property
    def spans(self) -> frozenset[Span]:
        """Everything the points need."""
        return frozenset(span for need in self._needs for span in need.spans)

    def readings(self, blocks: tuple[Block, ...], answers: Answers, left: Reason) -> Readings:
        """Decode the answers to ``blocks``; ``left`` is why the others are missing."""
        found: Found = {}

        def whole(at: int) -> Reading:
            if not found:
                found.update(answers.spans())
            return self._needs[at].reading(self.bound[at], found, left)

        if answers.alone or len(answers.whole) != len(blocks):
            return self._ways.readings((None for _ in self.bound), whole)
        if blocks is not self._blocks:
            self._blocks, self._sweep = blocks, _sweep(blocks, self._needs)
        return self._ways.readings(self._sweep.raws(answers), whole)


@lru_cache(maxsize=1 << 8)
def _needs(specs: tuple[ProfilePoint, ...]) -> tuple[Need, ...]:
    return tuple(map(_need, specs))


@lru_cache(maxsize=1 << 13)
def _need(spec: ProfilePoint) -> Need:
    register = _register(spec.address)
    return Need(
        _span(spec.address),
        _span(spec.cross_check.address) if spec.cross_check else None,
        _span(spec.unit_from.address) if spec.unit_from else None,
        _span(spec.valid_from.address) if spec.valid_from else None,
        code(register),
        reader(register),
    )


def _shown(found: Found, span: Span | None, at: CrossCheck | UnitFrom | ValidFrom | None) -> Plain:
    data = found.get(span) if span is not None else None
    return plain_registers(at.address, data) if at is not None and isinstance(data, bytes) else None


def _register(address: Address) -> Register:
    if not isinstance(address, Register):
        raise TypeError("a Modbus device was bound to a profile with SNMP addresses")
    return address


@lru_cache(maxsize=1 << 13)
def _span(address: Address) -> Span:
    """Return what must be read at an address; devices of one profile share it."""
    at = _register(address)
    return Span(Function(at.function), at.address, at.registers, at.unit_offset)
