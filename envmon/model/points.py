"""The points of one device as columns: thousands of devices keep theirs, and few of them are ever asked for singly.

Rules
  - ``Points`` is a sequence of ``Point`` and equal to any other sequence of the same points; it never changes.
  - What tells the points of a device apart is there once for all devices of a profile.
  - A point that was asked for by its position is kept: what is judged, or is no plain number, is asked for at every
    poll. Whoever goes through all of them gets points that are nobody else's.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

from envmon.model.reading import Point, Role

_Row = tuple[str, Role | None, str]
"""The name, role and measure of a point."""


class Points(Sequence[Point]):
    """What ``points_of`` makes of points that are all of one device and unit, and are called alike."""

    __slots__ = ("_like", "_made", "_rows", "_stem")

    def __init__(self, stem: str, like: Point, rows: tuple[_Row, ...]) -> None:
        self._stem = stem
        self._like = like.device, like.path, like.zone, like.unit
        self._rows = rows
        self._made: dict[int, Point] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Point: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Point, ...]: ...

    def __getitem__(self, at: int | slice) -> Point | tuple[Point, ...]:
        if isinstance(at, slice):
            return tuple(self)[at]
        made = self._made.get(at)
        if made is None:
            made = self._made[at] = self._make(self._rows[at])
        return made

    def __iter__(self) -> Iterator[Point]:
        return map(self._make, self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # equal to sequences that hash otherwise

    def _make(self, row: _Row) -> Point:
        name, role, measure = row
        return Point(self._stem + name, name, *self._like, role, measure)


def points_of(points: Sequence[Point]) -> Sequence[Point]:
    """Arrange points as columns; as a tuple where they are not all of one unit, or not called alike."""
    if not points:
        return ()
    like = points[0]
    made = Points(like.id.removesuffix(like.name), like, _same(tuple((p.name, p.role, p.measure) for p in points)))
    return made if made == points else tuple(points)


@lru_cache(maxsize=1 << 8)
def _same(rows: tuple[_Row, ...]) -> tuple[_Row, ...]:
    """The rows that devices of one profile share."""
    return rows
