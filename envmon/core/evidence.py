"""Evidence of a cooling loss: votes of independent kinds, and whether they make a quorum.

Rules
  - Only good, fresh, trusted readings vote; silence is no evidence.
  - A vote names the points that show the loss themselves, never their neighbours, and so its paths are real witnesses.
  - A quorum needs at least two kinds, each on a device and a network path of its own.
  - A rise over the room's normal temperature votes as inlet air only beside plant evidence: a door, a load step or a
    new set point also warm a room.
  - Where the inlets of one path are hot and those of another are not, they vote only beside points of a third path that
    show the cooling lost: one of the two gateways lies.
  - Air that comes back from the units as warm as it went in votes as cooling air, whatever the units say of themselves.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from statistics import median

from envmon.core.fresh import Fresh, grouped
from envmon.core.margin import Capacity
from envmon.core.world import Seen
from envmon.model.policy import Policy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Kind, Vote

FIRST_RISE_K = 1.5  # inlet air over normal, beside plant evidence
COOLING_AIR_RISE_K = 3.0  # return, supply or chilled water over normal
SPREAD_K, SPREAD_LEFT = 3.0, 0.3  # a spread worth judging, and how little of it is left when nothing cools
DISSENT_K = 4.0  # inlets of one room differ by less
RETURN_SLACK_K = 1.0  # no inlet is hotter than the air that leaves the racks
COOLING_AIR = (Role.CHILLED_WATER_SUPPLY_TEMP, Role.RETURN_TEMP, Role.SUPPLY_TEMP)
INLET = Role.RACK_INLET_TEMP


def value(seen: Seen) -> float:
    """The number a reading carries."""
    return float(seen.reading.value or 0.0)


def plant_vote(zone: ZonePolicy, fresh: Fresh, units: Capacity) -> Vote | None:
    """Units that cannot carry the load, or power that is on battery."""
    battery = fresh.said(Role.ON_BATTERY, "yes")
    short = units.available_kw < zone.it_load_kw
    if not short and not battery:
        return None
    parts = []
    if short:
        parts.append(f"{', '.join(units.lost)} lost, {units.available_kw:g} kW left for {zone.it_load_kw:g} kW")
    if battery:
        parts.append(f"on battery: {', '.join(s.reading.point.id for s in battery)}")
    return _vote(Kind.PLANT, [*(units.witnesses if short else ()), *battery], "; ".join(parts))


def cooling_air_vote(trusted: Fresh, normal: Mapping[Role, float], warm: list[Seen]) -> Vote | None:
    """Return air, supply air or chilled water well over normal, or ``warm``: supply air as warm as return air."""
    risen = [seen for role in COOLING_AIR for seen in trusted.of(role) if _risen(seen, normal) >= COOLING_AIR_RISE_K]
    if not risen and not warm:
        return None
    risen.sort(key=lambda seen: seen.reading.point.id)
    parts = [f"{role} {rise:+.1f} K over normal" for role, rise in _rises(risen, normal).items()]
    if warm:
        risen = [*risen, *(seen for seen in warm if seen not in risen)]
        parts.append("supply air is as warm as return air")
    return _vote(Kind.COOLING_AIR, risen, ", ".join(parts))


def inlet_vote(
    zone: ZonePolicy, trusted: Fresh, usual: float | None, inlet: float | None, losing: Iterable[Seen]
) -> Vote | None:
    """Inlet air over the allowable limit or, beside points that show cooling lost, over ``usual`` by a first rise."""
    shown = tuple(dict.fromkeys(seen.reading.point.path for seen in losing))
    if inlet is None:
        return None
    bar = zone.limits.allowable
    if shown and usual is not None:
        bar = min(bar, usual + FIRST_RISE_K)
    if inlet < bar:
        return None
    over = f", {inlet - usual:+.1f} K over normal" if usual is not None else ""
    inlets = trusted.of(INLET)
    hot = [s for s in inlets if value(s) >= bar]
    vote = _vote(Kind.INLET_AIR, hot, f"rack inlet {inlet:.1f} degC{over}")
    return vote if hot and (not _dissent(inlets, vote, inlet) or any(p not in vote.paths for p in shown)) else None


def _dissent(inlets: Iterable[Seen], vote: Vote, inlet: float) -> bool:
    """Whether a whole path of inlets, none of them hot, is far below the zone's temperature."""
    rest: dict[str, float] = {}
    for seen in inlets:
        path = seen.reading.point.path
        if path not in vote.paths:
            rest[path] = max(value(seen), rest.get(path, value(seen)))
    return any(best < inlet - DISSENT_K for best in rest.values())


def zone_temperature(
    trusted: Fresh, back: tuple[tuple[str, float], ...], others: Iterable[Vote | None]
) -> float | None:
    """The second-hottest inlet (the hottest with two), degC, as far as another path's return air bears it out.

    Where the inlets of one path are far hotter than those of another, one of the two gateways lies: no inlet is hotter
    than the air that leaves the racks. For the same reason a lone hot inlet is believed against many behind one gateway
    when another kind of evidence, on a third path, says that the cooling is lost.
    """
    ranked = sorted(trusted.of(INLET), key=value, reverse=True)
    if not ranked:
        return None
    pick = value(ranked[1] if len(ranked) > 2 else ranked[0])
    lone = ranked[0].reading.point.path
    rest = tuple(dict.fromkeys(s.reading.point.path for s in ranked if s.reading.point.path != lone))
    ceiling = _ceiling(back, (lone,))
    if len(ranked) > 2 and ranked[1].reading.point.path != lone and len(rest) == 1 and ceiling is not None:
        backed = any(path not in (lone, *rest) for vote in others if vote is not None for path in vote.paths)
        return max(pick, min(value(ranked[0]), ceiling)) if backed else pick
    hot = tuple(dict.fromkeys(s.reading.point.path for s in ranked if value(s) >= pick))
    cold = [value(s) for s in ranked if s.reading.point.path not in hot]
    ceiling = _ceiling(back, hot)
    if cold and cold[0] < pick - DISSENT_K and ceiling is not None:
        return max(cold[0], min(pick, ceiling))
    return pick


def _ceiling(back: tuple[tuple[str, float], ...], but: tuple[str, ...]) -> float | None:
    """The hottest return air on any path but these, with some slack, degC."""
    return max((value + RETURN_SLACK_K for path, value in back if path not in but), default=None)


def return_air(trusted: Fresh) -> tuple[tuple[str, float], ...]:
    """The median return air of each network path, degC."""
    by_path: dict[str, list[float]] = {}
    for seen in trusted.of(Role.RETURN_TEMP):
        by_path.setdefault(seen.reading.point.path, []).append(value(seen))
    return tuple((path, median(values)) for path, values in by_path.items())


def quorum(policy: Policy, cast: tuple[Vote, ...]) -> bool:
    """Whether enough kinds agree, each able to name a device and a path no other kind leans on."""
    if len(cast) < policy.quorum_kinds:
        return False
    return any(
        _distinct([vote.devices for vote in some], policy.quorum_kinds)
        and _distinct([vote.paths for vote in some], policy.quorum_paths)
        for some in combinations(cast, policy.quorum_kinds)
    )


def medians(trusted: Fresh) -> dict[Role, float]:
    """The median of each role."""
    return {role: median(map(value, some)) for role, some in trusted.by_role.items()}


def _risen(seen: Seen, normal: Mapping[Role, float]) -> float:
    """How far a point is over its own normal: the room's, and its own distance to it."""
    role = seen.reading.point.role
    if role is None or role not in normal:
        return 0.0
    own = seen.habit.offset if seen.habit is not None and seen.habit.offset is not None else 0.0
    return value(seen) - normal[role] - own


def _rises(risen: list[Seen], normal: Mapping[Role, float]) -> dict[Role, float]:
    return {role: found - normal[role] for role, found in medians(grouped(risen)).items()}


def collapsed(trusted: Fresh, read: Mapping[Role, float], normal: Mapping[Role, float]) -> list[Seen]:
    """The supply points that are as warm as the return air, when the units no longer make a difference between them.

    ``read`` is what each role reads in the middle, degC.
    """
    usual = normal.get(Role.RETURN_TEMP, 0.0) - normal.get(Role.SUPPLY_TEMP, 0.0)
    back, supply = read.get(Role.RETURN_TEMP), read.get(Role.SUPPLY_TEMP)
    if Role.SUPPLY_TEMP not in normal or back is None or supply is None or usual < SPREAD_K:
        return []
    if back - supply > SPREAD_LEFT * usual:
        return []
    bar = normal[Role.SUPPLY_TEMP] + (1 - SPREAD_LEFT) * usual / 2
    return [seen for seen in trusted.of(Role.SUPPLY_TEMP) if value(seen) >= bar]


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
