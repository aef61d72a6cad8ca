"""How long the mind may rest: the moment before which time alone can change nothing it would decide.

Rules
  - It rests only after a tick that decided and wanted nothing; news ends the rest at once (``news``).
  - Every comparison of an age with a bar, anywhere in the core, has its moment here. One that is too early costs a look;
    one that is missing would make a decision late: the tests play their stories with rest and without.
  - Never for longer than ``LONGEST_S``: what is shown of ages (a worst case, how long a sensor is stuck) is no older.

Theory of operation
  Between two polls nothing is read, so all that a look could find is that something has grown old. The bars are few and
  known: the next of them is found once, after a poll, instead of looking again every second. Calls that are being moved
  and a loss that went out of sight are looked at every second.
"""

from collections.abc import Iterable, Iterator

from envmon.core.forecast import FAST_S, MIXED_S
from envmon.core.judge import RAMP_S
from envmon.core.modes import STAMP_EVERY_S
from envmon.core.news import MOVING
from envmon.core.pages import SILENT_PAGE_S
from envmon.core.power import HELD_S
from envmon.core.readiness import CALL_S
from envmon.core.route_facts import GRACE_DOUBLINGS, GRACE_S
from envmon.core.sky import Sky
from envmon.core.storm import AHEAD_S, ANSWERS, BLIND_STANDS_S, HOLD_S, PROBE_S, UNKNOWN_PAGE_S
from envmon.core.trust import LEFT_BEHIND_S, RIPE_S, STUCK_S, STUCK_TIMES, SUSPECT_S, VOUCH_S
from envmon.core.world import SECOND, RouteState, Seen, World, ZoneState
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Basis

LONGEST_S = 30.0
Moments = Iterator[tuple[int | None, float]]  # what something is counted from, and the bar its age is held against, s


def until_ns(world: World, policy: Policy) -> int:
    """The next moment that has to be looked at; 0 for the next second."""
    if _restless(world):
        return 0
    now_ns = world.now.mono_ns
    next_ns = now_ns + int(LONGEST_S * SECOND)
    for zone in policy.zones:
        state = world.zones[zone.id]
        next_ns = _next(_zone(policy, zone, state), now_ns, next_ns)
        next_ns = _readings(policy, state.seen.values(), now_ns, next_ns)
    for route in policy.routes:
        next_ns = _next(_route(world, policy, route, world.routes[route.id]), now_ns, next_ns)
    return _next(_site(world, policy), now_ns, next_ns)


def _restless(world: World) -> bool:
    """Whether every second counts."""
    return (
        any(state.position in MOVING for state in world.routes.values())
        or any(
            state.quorum_ns is not None and state.judgement.basis is Basis.PROJECTED for state in world.zones.values()
        )
    )


def _next(moments: Moments, now_ns: int, next_ns: int) -> int:
    """The first moment not yet past; one that is now may still be one by a hair."""
    for at_ns, bar_s in moments:
        if at_ns is not None and now_ns <= (moment := at_ns + int(bar_s * SECOND)) < next_ns:
            next_ns = moment
    return next_ns


def _readings(policy: Policy, seen: Iterable[Seen], now_ns: int, next_ns: int) -> int:
    """Readings that grow stale, and probes that grow still."""
    stale_ns = int(policy.stale_s * SECOND)
    bars = [int(bar_s * SECOND) for bar_s in (STUCK_S, LEFT_BEHIND_S)]
    for each in seen:
        if now_ns <= each.at_ns + stale_ns < next_ns:
            next_ns = each.at_ns + stale_ns
        if (habit := each.habit) is None:
            continue
        for bar_ns in (*bars, int(STUCK_TIMES * habit.every_s * SECOND)):
            if now_ns <= habit.changed_ns + bar_ns < next_ns:
                next_ns = habit.changed_ns + bar_ns
        if habit.jumped_ns and now_ns <= habit.jumped_ns + VOUCH_S * SECOND < next_ns:
            next_ns = habit.jumped_ns + int(VOUCH_S * SECOND)
    return next_ns


def _zone(policy: Policy, zone: ZonePolicy, state: ZoneState) -> Moments:
    yield state.onset_ns, MIXED_S
    yield state.onset_ns, FAST_S
    yield state.short_ns, RAMP_S
    yield state.restart_until_ns, 0.0
    yield state.corroborated_ns, zone.restart_s
    yield state.ended_ns, zone.restart_s
    yield state.quorum_ns, policy.quorum_stands_s
    yield state.power_ns, HELD_S
    yield state.verdict_ns, policy.stale_s
    start_s = {unit.id: unit.restart_s or zone.restart_s for unit in (*zone.units, *zone.plant)}
    yield from ((at_ns, start_s.get(unit, 0.0)) for unit, at_ns in state.resting_ns.items())
    yield from ((doubt.since_ns, RIPE_S) for doubt in state.doubts.values())
    yield from ((at_ns, SUSPECT_S) for at_ns in state.suspects_ns.values())


def _route(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Moments:
    yield from ((view.at_ns, policy.edge_stands_s) for view in state.edges.values())
    yield from ((view.at_ns, policy.probe_stands_s) for view in state.probes.values())
    yield from ((view.at_ns, route.proof_stands_s) for view in state.reports.values())
    yield from ((world.zones[zone].good_since_ns, route.soak_s) for zone in route.zones)
    yield state.asserted_ns, GRACE_S * 2 ** min(state.asserts, GRACE_DOUBLINGS)
    yield state.act_ns, CALL_S
    yield state.rolled_back_ns, route.dwell_s
    yield state.command_ns, route.max_call_s


def _site(world: World, policy: Policy) -> Moments:
    yield from ((since_ns, SILENT_PAGE_S) for since_ns in world.silent_ns.values())
    yield from ((each.until_ns, 0.0) for each in (*world.requests.values(), *world.notices.values()))
    yield from ((each.until_ns, 0.0) for each in (*world.aside.maintenance.values(), *world.aside.shelved.values()))
    yield world.lease.stamped_ns, STAMP_EVERY_S
    yield from _sky(world.sky, policy)


def _sky(sky: Sky, policy: Policy) -> Moments:
    yield sky.asked_ns, PROBE_S
    yield sky.reason_ns, HOLD_S
    yield sky.since_ns, UNKNOWN_PAGE_S
    for feed in policy.feeds:
        view = sky.feeds[feed.id]
        yield view.answered_ns, ANSWERS * feed.every_s
        for each in view.standing:
            yield each.onset_ns, -AHEAD_S
            yield each.until_ns, 0.0
            yield each.until_ns, BLIND_STANDS_S
