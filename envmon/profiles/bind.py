"""Profiles on real devices: every point gets its full name, its place in the plant, and whether it may vote.

Rules
  - A point of an ``excerpt`` profile votes only on a device that somebody commissioned, or when a record says that it
    was compared; a point that was seen to differ never votes.
  - One device may front many plant units: ``units`` says which of its rows is which of ours; a row it does not name is
    published as the device's own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import overload

from envmon.model.points import points_of
from envmon.model.reading import Point, Role
from envmon.model.readings import Sheet, sheet_of
from envmon.profiles.roles import fills
from envmon.profiles.schema import Evidence, Profile
from envmon.profiles.schema_point import Address, Oid, ProfilePoint
from envmon.profiles.schema_rows import Repeat


@dataclass(frozen=True, slots=True)
class BoundPoint:
    """A profile's point on one device; ``votes`` False makes every good reading an uncertain one."""

    point: Point
    spec: ProfilePoint
    votes: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class BoundPoints(Sequence[BoundPoint]):
    """The points of one device as columns, made of single ones by ``bound_points``: thousands of devices keep them."""

    sheet: Sheet
    specs: tuple[ProfilePoint, ...]
    mute: frozenset[int]  # the positions of those that do not vote

    def __len__(self) -> int:
        return len(self.specs)

    @overload
    def __getitem__(self, at: int) -> BoundPoint: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[BoundPoint, ...]: ...

    def __getitem__(self, at: int | slice) -> BoundPoint | tuple[BoundPoint, ...]:
        if isinstance(at, slice):
            return tuple(self)[at]
        return BoundPoint(self.sheet.points[at], self.specs[at], at not in self.mute)

    def __iter__(self) -> Iterator[BoundPoint]:
        for at, (point, spec) in enumerate(zip(self.sheet.points, self.specs, strict=True)):
            yield BoundPoint(point, spec, at not in self.mute)


def bound_points(bounds: Sequence[BoundPoint]) -> BoundPoints:
    """Arrange single bound points."""
    mute = frozenset(at for at, bound in enumerate(bounds) if not bound.votes)
    sheet = sheet_of(points_of([bound.point for bound in bounds]))
    return BoundPoints(sheet, *_same(tuple(bound.spec for bound in bounds), mute))


@lru_cache(maxsize=1 << 8)
def _same(specs: tuple[ProfilePoint, ...], mute: frozenset[int]) -> tuple[tuple[ProfilePoint, ...], frozenset[int]]:
    """What devices of one profile share."""
    return specs, mute


@dataclass(frozen=True, slots=True)
class Compared:
    """What a record of commissioning says, by point id.

    ``confirmed`` points were seen to read what the panel shows, ``differing`` ones not; ``sentinels`` are raw numbers
    that were seen to mean "no value".
    """

    confirmed: frozenset[str] = frozenset()
    differing: frozenset[str] = frozenset()
    sentinels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


NOT_COMPARED = Compared()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device stands and what it serves, and whether it was commissioned.

    ``serves`` is the plant unit's id within its zone, "" for a device that serves none; ``zone`` None or "" leaves
    the zone out of the point ids. ``units`` maps what the device counts (``1``) to (zone, unit). ``roles`` are what the
    site knows of points by name; a role that a point cannot fill is not taken. ``compared`` is what a record of
    commissioning knows.
    """

    site: str
    device: str
    path: str
    zone: str | None
    serves: str = ""
    units: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    votes: bool = True
    roles: Mapping[str, Role] = field(default_factory=dict)
    compared: Compared = NOT_COMPARED

    def bind(self, spec: ProfilePoint, behind: str = "") -> BoundPoint:
        """Give ``spec`` its full name; ``behind`` is the device's own number for the unit behind it."""
        zone, unit = self.units.get(behind, (self.zone, self.serves))
        role, given = spec.role, self.roles.get(spec.name)
        if given is not None and fills(given, spec.measure, [state.label for state in spec.states]):
            role = given
        point = self._point(spec.name, role, spec.measure, zone, unit)
        learned = self.compared.sentinels.get(point.id, ())
        if learned:
            spec = replace(spec, invalid=(*spec.invalid, *learned))
        return BoundPoint(point, spec, self.may_vote(point))

    def may_vote(self, point: Point) -> bool:
        """Whether a good reading of this point counts."""
        if point.id in self.compared.differing:
            return False
        return self.votes or point.id in self.compared.confirmed

    def point(self, name: str, role: Role | None) -> Point:
        """Return a point that has no address of its own."""
        return self._point(name, role, "", self.zone, self.serves)

    def _point(self, name: str, role: Role | None, measure: str, zone: str | None, unit: str) -> Point:
        stem = ".".join(part for part in (self.site, zone, unit or self.device) if part)
        return Point(
            id=f"{stem}.{name}",
            name=name,
            device=self.device,
            path=self.path,
            zone=zone or None,
            unit=unit or None,
            role=role,
            measure=measure,
        )


def place(
    profile: Profile,
    *,
    site: str,
    device: str,
    path: str,
    zone: str | None,
    serves: str = "",
    units: Mapping[str, tuple[str, str]] | None = None,
    commissioned: bool = False,
    roles: Mapping[str, Role] | None = None,
    compared: Compared = NOT_COMPARED,
) -> Place:
    """Return the place of a device of this profile."""
    votes = commissioned or profile.evidence is not Evidence.EXCERPT
    return Place(site, device, path, zone, serves, units or {}, votes, roles or {}, compared)


def bind_at(profile: Profile, at: Place) -> tuple[BoundPoint, ...]:
    """Resolve every point of ``profile`` that has a fixed address, in profile order; tables are the driver's."""
    own = [at.bind(spec) for spec in profile.points]
    return (*own, *(bound for repeat in profile.repeats for bound in _repeated(repeat, at)))


def _repeated(repeat: Repeat, at: Place) -> Iterator[BoundPoint]:
    """Yield the points of every row; of the rows that serve plant units only those the configuration names, if any."""
    for row in range(1, repeat.count + 1):
        behind = str(row) if repeat.serves else ""
        if repeat.serves and at.units and behind not in at.units:
            continue
        for spec in repeat.points:
            name = spec.name if behind in at.units else f"unit_{row}_{spec.name}" if behind else f"{spec.name}_{row}"
            yield at.bind(shift(replace(spec, name=name), repeat, row), behind)


def shift(spec: ProfilePoint, repeat: Repeat, row: int) -> ProfilePoint:
    """Return ``spec`` with every address moved to ``row``, counted from 1."""

    def moved(address: Address) -> Address:
        if isinstance(address, Oid):
            return address
        return replace(
            address,
            address=address.address + (row - 1) * repeat.step,
            unit_offset=address.unit_offset + (row - 1) * repeat.unit_step,
        )

    return relocate(spec, moved)


def relocate(spec: ProfilePoint, moved: Callable[[Address], Address]) -> ProfilePoint:
    """Return ``spec`` with every address it reads replaced by ``moved(address)``."""
    cross, unit, valid = spec.cross_check, spec.unit_from, spec.valid_from
    return replace(
        spec,
        address=moved(spec.address),
        cross_check=replace(cross, address=moved(cross.address)) if cross else None,
        unit_from=replace(unit, address=moved(unit.address)) if unit else None,
        valid_from=replace(valid, address=moved(valid.address)) if valid else None,
        enum_from=moved(spec.enum_from) if spec.enum_from else None,
    )
