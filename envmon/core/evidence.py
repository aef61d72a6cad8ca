"""Evidence of a cooling loss: votes of independent kinds, and whether they make a quorum.

Rules
  - Only good, fresh readings vote; silence is no evidence.
  - A quorum needs at least two kinds, each on a device and a network path of its own.
  - A rise over the room's normal temperature votes as inlet air only beside plant evidence: a door, a load step or a
    new set point also warm a room.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from statistics import median

from envmon.core.margin import Capacity
from envmon.core.world import Seen
from envmon.model.policy import Policy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Kind, Vote

FIRST_RISE_K = 1.5  # inlet air over normal, beside plant evidence
COOLING_AIR_RISE_K = 3.0  # return, supply or chilled water over normal
COOLING_AIR_ROLES = frozenset({Role.RETURN_TEMP, Role.SUPPLY_TEMP, Role.CHILLED_WATER_SUPPLY_TEMP})


def temperatures(fresh: Iterable[Seen], roles: frozenset[Role]) -> list[Seen]:
    """Fresh readings of these roles that carry a number."""
    return [seen for seen in fresh if seen.reading.point.role in roles and isinstance(seen.reading.value, float)]


def votes(
    zone: ZonePolicy, fresh: tuple[Seen, ...], normal: Mapping[Role, float], inlet: float | None, units: Capacity
) -> tuple[Vote, ...]:
    """Collect the votes of a zone; ``inlet`` is its temperature in degC."""
    plant = _plant(zone, fresh, units)
    found = [plant, _inlet(zone, fresh, normal, inlet, beside_plant=plant is not None), _cooling_air(fresh, normal)]
    return tuple(vote for vote in found if vote is not None)


def quorum(policy: Policy, cast: tuple[Vote, ...]) -> bool:
    """Whether enough kinds agree, each able to name a device and a path no other kind leans on."""
    if len(cast) < policy.quorum_kinds:
        return False
    return any(
        _distinct([vote.devices for vote in some], policy.quorum_kinds)
        and _distinct([vote.paths for vote in some], policy.quorum_paths)
        for some in combinations(cast, policy.quorum_kinds)
    )


def _distinct(choices: list[tuple[str, ...]], wanted: int, taken: frozenset[str] = frozenset()) -> bool:
    """Whether ``wanted`` different names can be picked, one from each of as many choices (Hall's marriage)."""
    if len(taken) >= wanted or not choices:
        return len(taken) >= wanted
    head, *rest = choices
    return any(_distinct(rest, wanted, taken | {name}) for name in head if name not in taken)


def _vote(kind: Kind, seen: Iterable[Seen], says: str) -> Vote:
    points = [entry.reading.point for entry in seen]
    return Vote(
        kind=kind,
        points=tuple(point.id for point in points),
        paths=tuple(dict.fromkeys(point.path for point in points)),
        devices=tuple(dict.fromkeys(point.device for point in points)),
        says=says,
    )


def _plant(zone: ZonePolicy, fresh: tuple[Seen, ...], units: Capacity) -> Vote | None:
    battery = [s for s in fresh if s.reading.point.role is Role.ON_BATTERY and s.reading.value == "yes"]
    short = units.available_kw < zone.it_load_kw
    if not short and not battery:
        return None
    parts = []
    if short:
        parts.append(f"{', '.join(units.lost)} lost, {units.available_kw:g} kW left for {zone.it_load_kw:g} kW")
    if battery:
        parts.append(f"on battery: {', '.join(s.reading.point.id for s in battery)}")
    return _vote(Kind.PLANT, [*(units.witnesses if short else ()), *battery], "; ".join(parts))


def _inlet(
    zone: ZonePolicy,
    fresh: tuple[Seen, ...],
    normal: Mapping[Role, float],
    inlet: float | None,
    *,
    beside_plant: bool,
) -> Vote | None:
    if inlet is None:
        return None
    usual = normal.get(Role.RACK_INLET_TEMP)
    hot = inlet >= zone.limits.allowable
    risen = beside_plant and usual is not None and inlet >= usual + FIRST_RISE_K
    if not hot and not risen:
        return None
    over = f", {inlet - usual:+.1f} K over normal" if usual is not None else ""
    seen = [s for s in temperatures(fresh, frozenset({Role.RACK_INLET_TEMP})) if float(s.reading.value or 0) >= inlet]
    return _vote(Kind.INLET_AIR, seen, f"rack inlet {inlet:.1f} degC{over}")


def _cooling_air(fresh: tuple[Seen, ...], normal: Mapping[Role, float]) -> Vote | None:
    now = medians(fresh, COOLING_AIR_ROLES)
    risen = {role: now[role] - normal[role] for role in now if role in normal}
    voting = frozenset(role for role, rise in risen.items() if rise >= COOLING_AIR_RISE_K)
    if not voting:
        return None
    says = ", ".join(f"{role} {risen[role]:+.1f} K over normal" for role in now if role in voting)
    return _vote(Kind.COOLING_AIR, temperatures(fresh, voting), says)


def medians(fresh: Iterable[Seen], roles: frozenset[Role]) -> dict[Role, float]:
    """The median temperature of each role that has a fresh reading, degC."""
    by_role: dict[Role, list[float]] = {}
    for seen in temperatures(fresh, roles):
        if seen.reading.point.role is not None:
            by_role.setdefault(seen.reading.point.role, []).append(float(seen.reading.value or 0))
    return {role: median(values) for role, values in by_role.items()}
