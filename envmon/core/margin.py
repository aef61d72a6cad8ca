"""Cooling capacity against load: which units are known to be lost, and how many more may go.

Rules
  - A unit is lost when a good, fresh reading says so; silence is not a loss (it pages as its own class).
  - Standby counts as capacity: it starts when asked.
  - A unit in maintenance is no capacity. It is no loss either while the rest carries the load: after that it excuses
    nothing, whoever ordered it.
"""

from dataclasses import dataclass

from envmon.core.world import Seen
from envmon.model.policy import ZonePolicy
from envmon.model.reading import Role, Severity, UnitState

LOST_STATES = frozenset({UnitState.OFF, UnitState.FAILED, UnitState.MAINTENANCE, UnitState.STARTING})


@dataclass(frozen=True, slots=True)
class Capacity:
    """Sensible kW not known to be lost, the margin over the IT load, and k of N+k (-1: the load is not met)."""

    available_kw: float
    margin_kw: float
    spare_units: int
    lost: tuple[str, ...]
    witnesses: tuple[Seen, ...]
    excused: tuple[str, ...] = ()  # in maintenance, and the rest carries the load

    def shortfall(self, load_kw: float) -> float:
        """The part of the IT load nothing cools, 0 to 1."""
        return 0.0 if load_kw <= 0 else min(1.0, max(0.0, 1.0 - self.available_kw / load_kw))


def capacity(zone: ZonePolicy, fresh: tuple[Seen, ...], out: tuple[str, ...] = ()) -> Capacity:
    """Judge the units of a zone on its fresh good readings; ``out`` are those in maintenance."""
    says: dict[str, Seen] = {}
    for seen in fresh:
        point = seen.reading.point
        if point.unit is None:
            continue
        stopped = point.role is Role.UNIT_RUNNING and seen.reading.value in LOST_STATES
        tripped = point.role is Role.ALARM and seen.reading.severity is Severity.CRITICAL
        if stopped or tripped:
            says.setdefault(point.unit, seen)
    alive = sorted((unit.sensible_kw for unit in zone.units if unit.id not in {*says, *out}), reverse=True)
    available = sum(alive)
    if available >= zone.it_load_kw:
        says = {unit: seen for unit, seen in says.items() if unit not in out}
    return Capacity(
        available_kw=available,
        margin_kw=available - zone.it_load_kw,
        spare_units=_spare(alive, zone.it_load_kw),
        lost=tuple(unit.id for unit in zone.units if unit.id in says),
        witnesses=tuple(says[unit.id] for unit in zone.units if unit.id in says),
        excused=out if available >= zone.it_load_kw else (),
    )


def _spare(alive: list[float], load_kw: float) -> int:
    """How many of the largest units may fail before the rest is too little."""
    left = sum(alive)
    if left < load_kw:
        return -1
    for count, kilowatts in enumerate(alive):
        left -= kilowatts
        if left < load_kw:
            return count
    return len(alive)
