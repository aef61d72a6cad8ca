"""From the world to the finite facts of a route."""

from envmon.core import clock
from envmon.core.bar import astray, bars
from envmon.core.judge import quorum_stands
from envmon.core.loss import for_good, restart_expected
from envmon.core.power import ends_s
from envmon.core.proof import left, proof, say, stage
from envmon.core.readiness import Item, reachable, readiness, ready, shown
from envmon.core.route_words import Ask, Edges, Episode, Left, Ready, RouteFacts, Threat
from envmon.core.table import answer
from envmon.core.world import Judgement, RouteState, World, ZoneState, age_s
from envmon.model.event import EdgeStatus, Stamp
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Mode, Position, Sight

GRACE_S = 3.0  # a write may be on its way for so long; twice as long after every repetition
GRACE_DOUBLINGS = 4
RELIEF = 1.5  # an acute threat is over only well above its bar: a flap would forget its probe call


def route_facts(world: World, policy: Policy, route: RoutePolicy, order: Ask) -> RouteFacts:
    """Everything the route's rules look at, now."""
    state = world.routes[route.id]
    found = threat(world, policy, route)
    going = world.mode is Mode.AUTOMATIC or (world.mode is Mode.HELD and not state.frozen)
    return RouteFacts(
        mode=world.mode,
        position=state.position,
        threat=found,
        ready=Ready.YES if state.vouched else ready(world, readiness(world, policy, route), state.act_ns),
        lease=answer(world.lease.held),
        episode=Episode.LATCHED if state.latched else Episode.OPEN if state.episode else Episode.NONE,
        edges=edges(world, policy, route, state),
        proof=proof(world, policy, route, state),
        stage=stage(state),
        pace=clock.pace(world, policy, route, state),
        errand=state.errand,
        going=answer(going),
        back=answer(going and world.lease.held and clock.back_is_safe(world, policy, route, state, found)),
        taken=answer(state.taken),
        whole=answer(len(reachable(world, policy, route)) == len(route.edges)),
        soaked=answer(soaked(world, route)),
        spare=answer(all(_to_spare(world.zones[zone].judgement) for zone in route.zones)),
        quiet=answer(_quiet(world, route)),
        left=Left.NO if state.drain_said else left(world, policy, route, state),
        order=order,
    )


def threat(world: World, policy: Policy, route: RoutePolicy) -> Threat:
    """The worst of the route's zones: does the earliest of heat, battery and fuel still leave an evacuation.

    A threat that was acute stays so until it is clearly over: an estimate that hovers at the bar makes one decision.
    """
    worst = Threat.NONE
    relief = RELIEF if world.routes[route.id].act_ns is not None else 1.0
    needed_s = clock.evacuate_s(route, world.routes[route.id])
    for zone in (each for each in policy.zones if each.id in route.zones):
        state = world.zones[zone.id]
        if (ends := ends_s(state, world.now)) is not None:
            if ends <= relief * needed_s:
                return Threat.ACT
            worst = Threat.WATCH
        if not quorum_stands(policy, state, world.now):
            continue
        early_s = route.early_s if for_good(zone, state, world.now) else 0.0
        if _pressing(state, world.now, relief * needed_s, relief * early_s):
            return Threat.ACT
        worst = Threat.WATCH
    return worst


def _pressing(state: ZoneState, now: Stamp, needed_s: float, early_s: float) -> bool:
    """Whether waiting any longer is wrong.

    While a restart may be expected only the upper estimate counts: the first jump is not held against the room.
    Otherwise the lower bound counts, and earlier by ``early_s`` once the cooling is lost for good: then waiting gains
    nothing, and costs the time a move may yet need.
    """
    limit, blind_s = clock.standing(state, now)
    if limit.sight is not Sight.FORECAST or limit.lower is None:
        return False
    if restart_expected(state, now):
        return limit.upper is not None and limit.upper - blind_s <= needed_s
    return limit.lower - blind_s <= needed_s + early_s


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


def power_may_go(world: World, policy: Policy, route: RoutePolicy) -> bool:
    """Whether the primary has no call of this route now and gets none, by every edge."""
    state = world.routes[route.id]
    away = state.position is Position.BACKUP and edges(world, policy, route, state) is Edges.AGREE
    return away and left(world, policy, route, state) is Left.YES


def _to_spare(judgement: Judgement) -> bool:
    """Whether a zone is back at N+1: nothing lost, or one more unit may go."""
    return not judgement.lost_units or judgement.spare_units >= 1


def _quiet(world: World, route: RoutePolicy) -> bool:
    """Whether now is inside the route's window for drills (UTC); a route without one leaves it to who orders."""
    if route.quiet is None:
        return True
    start, end = route.quiet
    minute = int(world.now.wall // 60) % 1440
    return start <= minute < end if start <= end else minute >= start or minute < end


def explain(world: World, policy: Policy, route: RoutePolicy) -> str:
    """The facts behind a decision on this route, in words."""
    parts = [f"{zone}: {world.zones[zone].judgement.why}" for zone in route.zones]
    if counted := say(world, policy, route, world.routes[route.id]):
        parts.append(counted)
    parts.extend(bars(world, policy, route))
    parts.extend(astray(world, policy, route))
    items: tuple[Item, ...] = readiness(world, policy, route)
    parts.extend(f"{item.name}: {item.why}" for item in items if item.passed is not True or "partial" in item.why)
    return "; ".join(parts)
