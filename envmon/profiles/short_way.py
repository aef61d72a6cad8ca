"""What nearly every answer takes: a plain number within its range, of a point that needs nothing beside it.

Rules
  - A short way takes only numbers that are certainly good, and says of them what ``decode`` says; every other answer
    goes through ``decode``.

Theory of operation
  A plant repeats its numbers. So a point of a profile has one ``ShortWay`` on all devices: what its raw numbers are
  worth, worked out once each. Devices that answer the same number share its value in memory, too.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from envmon.model.reading import Point, Reading
from envmon.model.readings import Readings, Sheet, arrange, sheet_of
from envmon.profiles.bind import BoundPoints
from envmon.profiles.decode import Raw
from envmon.profiles.schema_point import ProfilePoint

_MOST_REMEMBERED = 1024  # numbers of one point; a counter never repeats its own


class ShortWay(dict[Raw, float | None]):
    """The values of raw numbers that are certainly good, by raw number; None for everything else."""

    __slots__ = ("_spec",)

    def __init__(self, spec: ProfilePoint | None) -> None:
        super().__init__()
        self._spec = spec

    def __missing__(self, raw: Raw) -> float | None:
        """Work out what was not answered before."""
        spec = self._spec
        if spec is None or not isinstance(raw, int | float) or raw in spec.invalid:
            return None
        value = spec.scaling.value(raw)
        low, high = spec.valid_range or (-sys.float_info.max, sys.float_info.max)
        if not low <= value <= high:
            return None
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        self[raw] = value = float(value)
        return value


_NO_SHORT_WAY = ShortWay(None)
_of_spec = lru_cache(maxsize=1 << 13)(ShortWay)


def _way(spec: ProfilePoint) -> ShortWay:
    return _of_spec(spec) if spec.is_number and not spec.beside and spec.bits is None else _NO_SHORT_WAY


@dataclass(frozen=True, slots=True)
class ShortWays:
    """The short ways of all points of a device, in the order of its readings."""

    sheet: Sheet
    ways: tuple[ShortWay, ...]

    def readings(self, raws: Iterable[Raw], whole: Callable[[int], Reading]) -> Readings:
        """Decode the answers of a poll; ``whole`` decodes the one at a position, where its short way does not."""
        numbers = [way[raw] for way, raw in zip(self.ways, raws, strict=True)]
        return arrange(self.sheet, numbers, whole) if None in numbers else Readings(self.sheet, tuple(numbers))


def short_ways(bounds: BoundPoints, beside: Sequence[Point] = ()) -> ShortWays:
    """Return the short ways of a device's points, and of more points after them that have none."""
    sheet = sheet_of([*bounds.sheet.points, *beside]) if beside else bounds.sheet
    return ShortWays(sheet, _ways(bounds.specs, bounds.mute, len(beside)))


@lru_cache(maxsize=1 << 8)
def _ways(specs: tuple[ProfilePoint, ...], mute: frozenset[int], beside: int) -> tuple[ShortWay, ...]:
    """The ways, shared by devices of one profile."""
    ways = [_NO_SHORT_WAY if at in mute else _way(spec) for at, spec in enumerate(specs)]
    return (*ways, *(_NO_SHORT_WAY for _ in range(beside)))
