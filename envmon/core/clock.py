"""The one clock of a route: time to evacuate against time to limit, and what fits between the two.

Rules
  - Time to evacuate is drain, verification and a margin. The drain is the longest call the configuration allows until
    drills and real moves have shown it: then the longest of the last few seen, with a reserve, never below the floor
    and never above twice the configured length. A longer one counts at once, a shorter only after ``TRUSTED`` of them.
    Routes with a simulated edge learn nothing.
  - A stage has its share of the verification time. It fits when the lower bound leaves it, and after it an evacuation
    all at once.
  - Going back is safe without a threat, or while the lower bound leaves an evacuation and a dwell.
"""

from envmon.core.judge import quorum_stands
from envmon.core.power import ends_s
from envmon.core.route_words import Pace, Threat
from envmon.core.world import RouteState, World, ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Basis, Sight, TimeToLimit

RESERVE = 1.25  # on what was seen: the longest call of a night is not the longest call
LONGEST = 2.0  # times the configured length
TRUSTED = 3  # moves


def drain_s(route: RoutePolicy, state: RouteState) -> float:
    """How long old calls take to end by themselves."""
    seen = [each.drain_s for each in state.measured if each.drain_s is not None]
    if not route.learns or not seen:
        return route.max_call_s
    floor = min(route.drain_floor_s, route.max_call_s) if len(seen) >= TRUSTED else route.max_call_s
    return min(max(max(seen) * RESERVE, floor), LONGEST * route.max_call_s)


def verify_s(route: RoutePolicy, state: RouteState) -> float:
    """How long the proof of a move takes, all stages together; never less than what the configuration gives it."""
    seen = [each.verify_s for each in state.measured]
    if not route.learns or not seen:
        return route.verify_s
    return min(max(max(seen) * RESERVE, route.verify_s), LONGEST * route.verify_s)


def evacuate_s(route: RoutePolicy, state: RouteState) -> float:
    """Time to evacuate, in seconds."""
    return drain_s(route, state) + verify_s(route, state) + route.margin_s


def stage_s(route: RoutePolicy, state: RouteState) -> float:
    """How long one stage may take to be proven."""
    return verify_s(route, state) / len(route.stages)


def standing(zone: ZoneState, now: Stamp) -> tuple[TimeToLimit, float]:
    """The time to limit that holds now, and its age in seconds.

    A zone that is blind or cannot tell is judged on what was last measured with a quorum.
    """
    measured = zone.judgement.basis is Basis.MEASURED and zone.judgement.time_to_limit.sight is not Sight.CANNOT_TELL
    if measured:
        return zone.judgement.time_to_limit, 0.0
    return zone.last_limit, 0.0 if zone.quorum_ns is None else age_s(now, zone.quorum_ns)


def lower_bound(world: World, policy: Policy, route: RoutePolicy) -> float | None:
    """The least time left to the route's zones by heat, battery or fuel, in seconds; None where no end is in sight."""
    zones = [world.zones[zone] for zone in route.zones]
    found = [_lower(zone, world.now) for zone in zones if quorum_stands(policy, zone, world.now)]
    found.extend(ends_s(zone, world.now) for zone in zones)
    return min((each for each in found if each is not None), default=None)


def _lower(zone: ZoneState, now: Stamp) -> float | None:
    limit, blind_s = standing(zone, now)
    return None if limit.lower is None else limit.lower - blind_s


def pace(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Pace:
    """Whether another stage fits."""
    if len(route.stages) < 2:
        return Pace.URGENT
    lower = lower_bound(world, policy, route)
    stage = stage_s(route, state)
    at_once_s = drain_s(route, state) + stage + route.margin_s
    return Pace.STAGED if lower is None or lower >= stage + at_once_s else Pace.URGENT


def back_is_safe(world: World, policy: Policy, route: RoutePolicy, state: RouteState, threat: Threat) -> bool:
    """Whether the primary can bear the calls for an evacuation and a dwell."""
    if threat is Threat.NONE:
        return True
    lower = lower_bound(world, policy, route)
    return lower is not None and lower > evacuate_s(route, state) + route.dwell_s


def pressed(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> bool:
    """Whether time to limit is below time to evacuate: what is only good to have is waived."""
    lower = lower_bound(world, policy, route)
    return lower is not None and lower <= evacuate_s(route, state)
