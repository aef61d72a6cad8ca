"""From the world to the finite facts of a route."""

from envmon.core.bar import astray, bars
from envmon.core.judge import quorum_stands
from envmon.core.loss import for_good, restart_expected
from envmon.core.proof import left, proof
from envmon.core.readiness import Item, reachable, readiness, ready, shown
from envmon.core.route_rules import Ask, Edges, Episode, Left, RouteFacts, Threat
from envmon.core.table import answer
from envmon.core.world import RouteState, World, ZoneState, age_s
from envmon.model.event import EdgeStatus, Stamp
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Basis, Mode, Sight

GRACE_S = 3.0  # a write may be on its way for so long; twice as long after every repetition
GRACE_DOUBLINGS = 4
RELIEF = 1.5  # an acute threat is over only well above its bar: a flap would forget its probe call


def route_facts(world: World, policy: Policy, route: RoutePolicy, order: Ask) -> RouteFacts:
    """Everything the route's rules look at, now."""
    state = world.routes[route.id]
    return RouteFacts(
        mode=world.mode,
        position=state.position,
        threat=threat(world, policy, route),
        ready=ready(world, readiness(world, policy, route), state.act_ns),
        lease=answer(world.lease.held),
        episode=Episode.LATCHED if state.latched else Episode.OPEN if state.episode else Episode.NONE,
        edges=edges(world, policy, route, state),
        proof=proof(world, policy, route, state),
        taken=answer(state.taken),
        whole=answer(len(reachable(world, policy, route)) == len(route.edges)),
        soaked=answer(soaked(world, route)),
        left=Left.NO if state.drain_said else left(world, policy, route, state),
        order=order,
    )


def threat(world: World, policy: Policy, route: RoutePolicy) -> Threat:
    """The worst of the route's zones: does its time to limit still leave an evacuation.

    A threat that was acute stays so until it is clearly over: an estimate that hovers at the bar makes one decision.
    """
    worst = Threat.NONE
    relief = RELIEF if world.routes[route.id].act_ns is not None else 1.0
    for zone in (each for each in policy.zones if each.id in route.zones):
        state = world.zones[zone.id]
        if not quorum_stands(policy, state, world.now):
            continue
        if _pressing(zone, state, route, world.now, relief):
            return Threat.ACT
        worst = Threat.WATCH
    return worst


def _pressing(zone: ZonePolicy, state: ZoneState, route: RoutePolicy, now: Stamp, relief: float) -> bool:
    """Whether waiting any longer is wrong.

    A zone that is blind or cannot tell is judged on what was last measured with a quorum, less the time since. While a
    restart may be expected only the upper estimate counts: the first jump is not held against the room. Otherwise the
    lower bound counts, and earlier once the cooling is lost for good: then waiting gains nothing, and costs the time a
    move may yet need.
    """
    measured = state.judgement.basis is Basis.MEASURED and state.judgement.time_to_limit.sight is not Sight.CANNOT_TELL
    limit = state.judgement.time_to_limit if measured else state.last_limit
    blind_s = 0.0 if measured or state.quorum_ns is None else age_s(now, state.quorum_ns)
    if limit.sight is not Sight.FORECAST or limit.lower is None:
        return False
    if restart_expected(state, now):
        return limit.upper is not None and limit.upper - blind_s <= relief * route.evacuate_s
    early_s = route.early_s if for_good(zone, state, now) else 0.0
    return limit.lower - blind_s <= relief * (route.evacuate_s + early_s)


def edges(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Edges:
    """What the edges that answer show against what was commanded."""
    status = shown(world, policy, route)
    if not status:
        return Edges.UNREAD
    if state.commanded is None:
        return Edges.AGREE if len({now.percent for now in status.values()}) == 1 else Edges.CONTESTED
    found = [_edge(world, state, edge, now) for edge, now in status.items()]
    return next(e for e in (Edges.CONTESTED, Edges.FORGOT, Edges.PENDING, Edges.AGREE) if e in found)


def _edge(world: World, state: RouteState, edge: str, status: EdgeStatus) -> Edges:
    if world.lease.held and status.fence > world.lease.epoch and world.mode is not Mode.OBSERVE:
        return Edges.CONTESTED
    waited = age_s(world.now, state.asserted_ns) > GRACE_S * 2 ** min(state.asserts, GRACE_DOUBLINGS)
    late = Edges.FORGOT if waited else Edges.PENDING
    if status.percent == state.commanded:
        return late if edge in state.unsure and waited else Edges.AGREE
    if (then := state.confirmed.get(edge)) is not None:
        wiped = status.set_epoch < then.set_epoch or (then.up_since != status.up_since and status.set_epoch == 0)
        return Edges.FORGOT if wiped else Edges.CONTESTED
    ours = state.command_epoch > 0 and status.set_epoch <= state.command_epoch
    return late if ours else Edges.CONTESTED


def soaked(world: World, route: RoutePolicy) -> bool:
    """Whether every zone of the route has been good and known for the soak time."""
    return all(
        (since := world.zones[zone].good_since_ns) is not None and age_s(world.now, since) >= route.soak_s
        for zone in route.zones
    )


def explain(world: World, policy: Policy, route: RoutePolicy) -> str:
    """The facts behind a decision on this route, in words."""
    parts = [f"{zone}: {world.zones[zone].judgement.why}" for zone in route.zones]
    parts.extend(bars(world, policy, route))
    parts.extend(astray(world, policy, route))
    items: tuple[Item, ...] = readiness(world, policy, route)
    parts.extend(f"{item.name}: {item.why}" for item in items if item.passed is not True or "partial" in item.why)
    return "; ".join(parts)
