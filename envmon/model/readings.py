"""One poll's readings as columns, in which a good number needs no object of its own.

Rules
  - ``Readings`` is a sequence of ``Reading`` and equal to any other sequence of the same readings; it never changes.
  - A number in ``numbers`` is finite, of good quality, and has neither reason nor severity; whatever says more than
    that is a ``Reading`` in ``others``.
  - The polls of a device share their ``Sheet`` as long as its points stay what they are: who works something out for
    the points of a device may keep it with their sheet.

Theory of operation
  A fleet answers tens of thousands of numbers a second, and nearly all are good. An object for each costs several times
  what it costs to read it, and most of what is done to it (a name, a label, a unit) is the same at every poll. Whoever
  handles a number at a time uses the sequence; whoever handles all of them (the publishers) uses the columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import overload

from envmon.model.points import Points
from envmon.model.reading import Point, Quality, Reading, Reason, Severity

_NO_OTHERS: Mapping[int, Reading] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The points of a device in the order of its readings, and the positions of those a zone is judged by."""

    points: Sequence[Point]
    judged: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Readings(Sequence[Reading]):
    """What one poll of a device told. ``numbers`` has None where ``others`` has the reading."""

    sheet: Sheet
    numbers: tuple[float | None, ...]
    others: Mapping[int, Reading] = field(default_factory=lambda: _NO_OTHERS)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> Reading: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Reading, ...]: ...

    def __getitem__(self, at: int | slice) -> Reading | tuple[Reading, ...]:
        if isinstance(at, slice):
            return tuple(self)[at]
        number = self.numbers[at]
        return self.others[at % len(self.numbers)] if number is None else Reading(self.sheet.points[at], number)

    def __iter__(self) -> Iterator[Reading]:
        for at, (point, number) in enumerate(zip(self.sheet.points, self.numbers, strict=True)):
            yield self.others[at] if number is None else Reading(point, number)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to sequences that hash otherwise


def sheet_of(points: Sequence[Point]) -> Sheet:
    """Describe the points of a device."""
    judged = [at for at, point in enumerate(points) if point.role is not None and point.zone is not None]
    return Sheet(points if isinstance(points, Points) else tuple(points), tuple(judged))


def arrange(sheet: Sheet, numbers: Sequence[float | None], whole: Callable[[int], Reading]) -> Readings:
    """Make the readings of a poll; ``whole`` is asked for those that have no number."""
    found = list(numbers)
    others: dict[int, Reading] = {}
    for at, number in enumerate(numbers):
        if number is None:
            reading = whole(at)
            found[at] = _number(reading)
            if found[at] is None:
                others[at] = reading
    return Readings(sheet, tuple(found), others or _NO_OTHERS)


def columns(readings: Sequence[Reading]) -> Readings:
    """Arrange readings that came one by one."""
    if isinstance(readings, Readings):
        return readings
    return arrange(sheet_of([reading.point for reading in readings]), [None] * len(readings), readings.__getitem__)


def judged(readings: Sequence[Reading]) -> Iterator[Reading]:
    """Yield the readings a zone is judged by."""
    return map(readings.__getitem__, columns(readings).sheet.judged)


def _number(reading: Reading) -> float | None:
    """The number of a reading that is a good number and nothing else."""
    value = reading.value
    if not isinstance(value, float) or not isfinite(value) or reading.quality is not Quality.GOOD:
        return None
    return value if reading.reason is Reason.NONE and reading.severity is Severity.NONE else None
