"""How long the judgement of a zone stands: the moment before which time alone can change nothing of it.

Rules
  - Every comparison of an age with a bar that concerns a zone has its moment here. One that is too early costs a look;
    one that is missing would make a decision late: the tests play their stories with rest and without.
  - Never for longer than ``LONGEST_S``: what is shown of ages (a worst case, how long a sensor is stuck) is no older.

Theory of operation
  Between two polls nothing is read, so all that a look could find is that something has grown old. The bars are few and
  known: the next of them is found once, after a poll, instead of looking again every second. A loss that went out of
  sight is looked at every second, for its time to limit runs on.
"""

from collections.abc import Iterable, Iterator

from envmon.core.forecast import FAST_S, MIXED_S
from envmon.core.loss import RAMP_S
from envmon.core.power import HELD_S
from envmon.core.trust import LEFT_BEHIND_S, RIPE_S, STUCK_S, STUCK_TIMES, SUSPECT_S, VOUCH_S
from envmon.core.world import SECOND, Seen, ZoneState
from envmon.model.event import Stamp
from envmon.model.policy import Policy, ZonePolicy
from envmon.model.verdict import Basis

LONGEST_S = 30.0
Moments = Iterable[tuple[int | None, float]]  # what an age is counted from, and the bar it is held against, s


def rest_until_ns(policy: Policy, zone: ZonePolicy, state: ZoneState, now: Stamp) -> int:
    """The next moment at which a zone has to be looked at without news; 0 for the next second."""
    if state.quorum_ns is not None and state.judgement.basis is Basis.PROJECTED:
        return 0
    next_ns = now.mono_ns + int(LONGEST_S * SECOND)
    next_ns = first(_zone(policy, zone, state), now.mono_ns, next_ns)
    return _readings(policy, state.seen.values(), now.mono_ns, next_ns)


def first(moments: Moments, now_ns: int, next_ns: int) -> int:
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


def _zone(policy: Policy, zone: ZonePolicy, state: ZoneState) -> Iterator[tuple[int | None, float]]:
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
