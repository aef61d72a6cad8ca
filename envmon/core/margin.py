"""Cooling capacity against load: which units are known to be lost, and how many more may go.

Rules
  - A unit is lost when a good, fresh reading says so; silence is not a loss (it pages as its own class).
  - A unit in maintenance is no capacity. It is no loss either while the rest carries the load: after that it excuses
    nothing, whoever ordered it.
  - Standby counts as capacity: it starts when asked. So does a unit that starts from standby, for as long as a start
    takes: a rotation loses nothing. One that starts from anything else was lost.
  - An alarm loses a unit unless its own state says that it runs: a filter alarm cools as well as none.
  - Chilled units are worth no more than the chillers that feed them, and nothing without flow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from envmon.core.fresh import Fresh
from envmon.core.world import Seen, age_s
from envmon.model.event import Stamp
from envmon.model.policy import UnitPolicy, ZonePolicy
from envmon.model.reading import Role, Severity, UnitState

LOST_STATES = frozenset({UnitState.OFF, UnitState.FAILED, UnitState.MAINTENANCE, UnitState.STARTING})
FLOW = "chilled water flow"
NO_FLOW = 0.1  # of the usual flow


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


def resting(zone: ZonePolicy, fresh: Fresh, before: Mapping[str, int], now: Stamp) -> dict[str, int]:
    """Unit -> when it was last seen in standby, for those that are, or that started from there a while ago."""
    start_s = {unit.id: unit.restart_s or zone.restart_s for unit in (*zone.units, *zone.plant)}
    found = {unit: at for unit, at in before.items() if age_s(now, at) <= start_s.get(unit, 0.0)}
    for seen in fresh.of(Role.UNIT_RUNNING):
        unit = seen.reading.point.unit
        if unit is None:
            continue
        if seen.reading.value == UnitState.STANDBY:
            found[unit] = seen.at_ns
        elif seen.reading.value != UnitState.STARTING:
            found.pop(unit, None)
    return found


def capacity(
    zone: ZonePolicy,
    fresh: Fresh,
    normal: Mapping[Role, float] | None = None,
    out: tuple[str, ...] = (),
    rested: Mapping[str, int] | None = None,
) -> Capacity:
    """Judge the units of a zone on its fresh good readings.

    ``normal`` tells the usual flow of chilled water, ``out`` are the units in maintenance, ``rested`` those that may be
    starting from standby.
    """
    says = _lost(fresh, rested or {})
    if (still := _no_flow(fresh, normal or {})) is not None:
        says[FLOW] = still
    gone = frozenset((*says, *out))
    dry = _alive(tuple(unit for unit in zone.units if not unit.chilled), gone)
    wet = _alive(tuple(unit for unit in zone.units if unit.chilled), gone) if FLOW not in says else []
    plant = _alive(zone.plant, gone)
    available = sum(dry) + (min(sum(wet), sum(plant)) if zone.plant else sum(wet))
    spare = _spare(sorted([*dry, *wet], reverse=True), zone.it_load_kw)
    if zone.plant and wet:
        spare = min(spare, _spare(plant, zone.it_load_kw - sum(dry)))
    excused = out if available >= zone.it_load_kw else ()
    says = {name: seen for name, seen in says.items() if name not in excused}
    lost = tuple(unit.id for unit in (*zone.units, *zone.plant) if unit.id in says)
    lost += (FLOW,) if FLOW in says and any(unit.chilled for unit in zone.units) else ()
    return Capacity(
        available_kw=available,
        margin_kw=available - zone.it_load_kw,
        spare_units=spare if available >= zone.it_load_kw else -1,
        lost=lost,
        witnesses=tuple(says[name] for name in lost),
        excused=excused,
    )


def _lost(fresh: Fresh, rested: Mapping[str, int]) -> dict[str, Seen]:
    """Unit -> the reading that says it is lost."""
    says: dict[str, Seen] = {}
    running: dict[str, bool] = {}
    for seen in fresh.of(Role.UNIT_RUNNING):
        unit, state = seen.reading.point.unit, seen.reading.value
        if unit is None:
            continue
        running[unit] = state == UnitState.RUNNING
        if state in LOST_STATES and not (state == UnitState.STARTING and unit in rested):
            says[unit] = seen
    for seen in fresh.of(Role.ALARM):
        unit = seen.reading.point.unit
        if unit is not None and seen.reading.severity is Severity.CRITICAL:
            says.setdefault(unit, seen)
    return {unit: seen for unit, seen in says.items() if not running.get(unit, False)}


def _no_flow(fresh: Fresh, normal: Mapping[Role, float]) -> Seen | None:
    """The reading that says the chilled water stands still; None where it flows or nobody says."""
    usual = normal.get(Role.CHILLED_WATER_FLOW, 0.0)
    for seen in fresh.of(Role.CHILLED_WATER_FLOW):
        value = seen.reading.value
        if isinstance(value, float) and value <= NO_FLOW * usual:
            return seen
    return None


def _alive(units: tuple[UnitPolicy, ...], gone: Collection[str]) -> list[float]:
    return sorted((unit.sensible_kw for unit in units if unit.id not in gone), reverse=True)


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
