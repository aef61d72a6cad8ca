"""The course of a cooling loss: when it began, how long a restart may be expected, whether it is for good.

Rules
  - A loss begins with too little plant left, or with air that says nothing cools; it ends when both are gone, and
    whatever showed it has been heard to say so: silence ends nothing.
  - A restart may be expected for a while: units come back by themselves after a power transfer or a trip. The window
    suspends extrapolation only, never evidence, and has its own deadline, which runs from the moment a quorum shows the
    loss: a panel that has long said so alone has not used it up.
  - While a unit says that it is starting the window reaches to its own restart time.
  - The next window is earned by success alone: the room normal, and nothing lost, for as long as a window lasts. A
    window that ran out, or a second loss before success, earns none. A loss that no quorum ever showed spends nothing.
  - Where a loss begins or ends the room starts a new course: what it did before says nothing of what it will do.
  - The loss is for good when no window is open, a quorum has shown it for as long as a restart takes, and more of the
    load is uncooled than a room can balance.

Theory of operation
  Compressors keep a minimum off time (180 s for the usual unit, 600 s for a chiller) and ramp for a minute or three, so
  a loss younger than that says little about how it ends; an older one ends by a repair, and no published repair was
  quicker than a room. A small shortfall finds its balance: units give 1-2 % more per K of return air, so a room that
  may warm by 18 K recovers about a quarter of its load.
"""

from dataclasses import replace

from envmon.core.forecast import WINDOW_S
from envmon.core.fresh import Fresh
from envmon.core.margin import FLOW
from envmon.core.world import SECOND, Course, ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import ZonePolicy
from envmon.model.reading import Role, UnitState
from envmon.model.verdict import Phase

AIR = "cooling air"
FOR_GOOD = 0.3  # of the IT load uncooled


def follow(
    zone: ZonePolicy, state: ZoneState, fresh: Fresh, now: Stamp, *, losing: bool, lost: tuple[str, ...]
) -> ZoneState:
    """Carry the loss forward; ``losing`` says whether there is evidence of one now, and ``lost`` by what it shows."""
    if not losing and not _unheard(zone, state, fresh):
        return _over(zone, state, now)
    lost = tuple(dict.fromkeys((*state.lost, *lost)))
    if lost != state.lost:
        state = replace(state, lost=lost)
    if state.onset_ns is None:
        return _begin(zone, state, fresh, now)
    if state.restart_until_ns is None:
        return state
    shown_ns = state.corroborated_ns if state.corroborated_ns is not None else now.mono_ns
    until_ns = shown_ns + int(_window_s(zone, fresh) * SECOND)
    if now.mono_ns >= until_ns:
        return replace(state, restart_until_ns=None, restart_spent=True)
    return state if until_ns == state.restart_until_ns else replace(state, restart_until_ns=until_ns)


def corroborate(state: ZoneState, now: Stamp, *, agreed: bool, sighted: bool) -> ZoneState:
    """Since when a quorum has shown this loss without a break; blindness is no break."""
    if state.onset_ns is None or (sighted and not agreed):
        return state if state.corroborated_ns is None else replace(state, corroborated_ns=None)
    if agreed and state.corroborated_ns is None:
        return replace(state, corroborated_ns=now.mono_ns)
    return state


def restart_expected(state: ZoneState, now: Stamp) -> bool:
    """Whether a window is open."""
    return state.restart_until_ns is not None and now.mono_ns < state.restart_until_ns


def for_good(zone: ZonePolicy, state: ZoneState, now: Stamp) -> bool:
    """Whether the cooling is lost, the room has shown it for as long as a restart takes, and none is expected."""
    return (
        state.corroborated_ns is not None
        and age_s(now, state.corroborated_ns) >= zone.restart_s
        and not restart_expected(state, now)
        and state.judgement.shortfall > FOR_GOOD
    )


def _unheard(zone: ZonePolicy, state: ZoneState, fresh: Fresh) -> bool:
    """Whether something that showed the loss says nothing now. What left the configuration is not waited for."""
    if not state.lost:
        return False
    known = {FLOW, AIR, *(unit.id for unit in (*zone.units, *zone.plant))}
    heard = {seen.reading.point.unit for role in (Role.UNIT_RUNNING, Role.ALARM) for seen in fresh.of(role)}
    if fresh.of(Role.CHILLED_WATER_FLOW):
        heard.add(FLOW)
    if fresh.of(Role.SUPPLY_TEMP) and fresh.of(Role.RETURN_TEMP):
        heard.add(AIR)
    return any(name in known and name not in heard for name in state.lost)


def _begin(zone: ZonePolicy, state: ZoneState, fresh: Fresh, now: Stamp) -> ZoneState:
    spent = state.restart_spent or state.ended_ns is not None
    until_ns = None if spent else now.mono_ns + int(_window_s(zone, fresh) * SECOND)
    past = [sample.value for sample in state.history if age_s(now, sample.at_ns) <= WINDOW_S]
    return replace(
        state,
        onset_ns=now.mono_ns,
        onset_c=min(past, default=None),
        restart_until_ns=until_ns,
        restart_spent=spent,
        ended_ns=None,
        history=state.history[-1:],
        course=Course(),
    )


def _over(zone: ZonePolicy, state: ZoneState, now: Stamp) -> ZoneState:
    if state.onset_ns is not None:
        return replace(
            state,
            onset_ns=None,
            onset_c=None,
            lost=(),
            restart_until_ns=None,
            ended_ns=now.mono_ns if _shown(state) or state.restart_spent else None,
            history=state.history[-1:],
            course=Course(),
        )
    if state.ended_ns is None or state.phase is not Phase.NORMAL:
        return state
    if age_s(now, state.ended_ns) < zone.restart_s:
        return state
    return replace(state, ended_ns=None, restart_spent=False)


def _shown(state: ZoneState) -> bool:
    """Whether a quorum was measured in this loss."""
    return state.onset_ns is not None and state.quorum_ns is not None and state.quorum_ns >= state.onset_ns


def _window_s(zone: ZonePolicy, fresh: Fresh) -> float:
    """How long a restart may take: the zone's patience, or longer where a unit says it is starting, s."""
    starting = [seen.reading.point.unit for seen in fresh.said(Role.UNIT_RUNNING, UnitState.STARTING)]
    own = [unit.restart_s for unit in (*zone.units, *zone.plant) if unit.id in starting]
    return max([zone.restart_s, *own])
