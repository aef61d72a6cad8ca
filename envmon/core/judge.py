"""The verdict of one zone, once a second: how warm, how sure, how long.

Rules
  - Judged on good and fresh readings of points that have a role; the zone temperature is the second-hottest inlet
    (the hottest with two), so one probe that reads high moves nothing.
  - ``unknown`` is its own verdict: blindness neither clears nor completes a quorum, which stands for a while.
  - Hysteresis is the named phase RECOVERING: a warm zone is normal again only below recommended - deadband.

Theory of operation
  readings -> capacity (which units are lost) -> votes -> quorum; inlets -> history -> trend -> time to limit; both
  together -> verdict. What must outlive the tick (phase, onset, quorum, normals) is carried in ZoneState.
"""

from dataclasses import replace

from envmon.core import forecast
from envmon.core.evidence import COOLING_AIR_ROLES, medians, quorum, temperatures, votes
from envmon.core.margin import Capacity, capacity
from envmon.core.world import SECOND, Judgement, Seen, ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import Limits, Policy, ZonePolicy
from envmon.model.reading import Role, UnitState
from envmon.model.verdict import Basis, Kind, Phase, Sight, TimeToLimit, Verdict, Vote

NORMAL_TAU_S = 1800.0  # a room's normal is what it was over the last half hour
INLET = frozenset({Role.RACK_INLET_TEMP})


def judge(policy: Policy, zone: ZonePolicy, state: ZoneState, now: Stamp, out: tuple[str, ...] = ()) -> ZoneState:
    """Judge a zone at ``now`` and return it with its new judgement; ``out`` are its units in maintenance."""
    fresh = _fresh(policy, state, now)
    inlets = temperatures(fresh, INLET)
    temperature = _second_hottest([float(s.reading.value or 0) for s in inlets])
    sighted = temperature is not None and len(inlets) >= zone.min_inlets
    units = capacity(zone, fresh, out)
    cast = votes(zone, _not_of(units.excused, fresh), state.normal, temperature if sighted else None, units)
    agreed = quorum(policy, cast)
    state = _lapse(policy, state, now)
    state = _sense(zone, state, fresh, temperature if sighted else None, now)
    state = _plant(zone, state, cast, fresh, units, now)
    if agreed:
        state = replace(state, quorum_ns=now.mono_ns, witnesses={vote.kind: vote.points for vote in cast})
    worst = _worst(zone, inlets if sighted else list(state.seen.values()), now)
    limit = _time_to_limit(zone, state, units, temperature, worst, now)
    judgement = Judgement(
        verdict=_verdict(state, units, agreed=agreed, sighted=sighted),
        basis=Basis.MEASURED if sighted else Basis.PROJECTED,
        temperature=temperature,
        worst=worst,
        time_to_limit=limit,
        votes=cast,
        quorum=agreed,
        margin_kw=units.margin_kw,
        spare_units=units.spare_units,
        lost_units=units.lost,
    )
    judgement = replace(judgement, why=_why(zone, state, judgement, now))
    if agreed:
        state = replace(state, last_lower=limit.lower)
    same = judgement.verdict is state.judgement.verdict and state.verdict_ns > 0
    return replace(
        state,
        good_since_ns=_good_since(state, judgement, now),
        judged_ns=now.mono_ns,
        verdict_ns=state.verdict_ns if same else now.mono_ns,
        judgement=judgement,
    )


def _lapse(policy: Policy, state: ZoneState, now: Stamp) -> ZoneState:
    """Forget a quorum that was measured too long ago to stand."""
    if state.quorum_ns is None or age_s(now, state.quorum_ns) <= policy.quorum_stands_s:
        return state
    return replace(state, quorum_ns=None, witnesses={}, last_lower=None)


def quorum_stands(policy: Policy, state: ZoneState, now: Stamp) -> bool:
    """A measured quorum stands while it is measured, and for ten minutes when its own witnesses fell silent.

    It falls with the first kind whose witnesses speak and do not vote any more.
    """
    if state.judgement.quorum:
        return True
    if state.quorum_ns is None or age_s(now, state.quorum_ns) > policy.quorum_stands_s:
        return False
    voting = [vote.kind for vote in state.judgement.votes]
    silent = [
        kind
        for kind, points in state.witnesses.items()
        if not any(_speaks(policy, state.seen[point], now) for point in points if point in state.seen)
    ]
    return bool(silent) and all(kind in silent or kind in voting for kind in state.witnesses)


def _fresh(policy: Policy, state: ZoneState, now: Stamp) -> tuple[Seen, ...]:
    """What speaks for now; sorted, for a replay may see the points arrive in another order."""
    return tuple(state.seen[point] for point in sorted(state.seen) if _speaks(policy, state.seen[point], now))


def _speaks(policy: Policy, seen: Seen, now: Stamp) -> bool:
    return seen.reading.good and age_s(now, seen.at_ns) <= policy.stale_s


def _not_of(excused: tuple[str, ...], fresh: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Leave out the air of units that stand still on purpose; the rack inlets beside them stay."""
    return tuple(s for s in fresh if s.reading.point.unit not in excused or s.reading.point.role in INLET)


def _second_hottest(values: list[float]) -> float | None:
    ranked = sorted(values, reverse=True)
    if not ranked:
        return None
    return ranked[1] if len(ranked) > 2 else ranked[0]


def _worst(zone: ZonePolicy, seen: list[Seen], now: Stamp) -> float | None:
    """What the inlets could have become since each last spoke well: value + age x slew."""
    aged = [
        float(s.good.value) + age_s(now, s.good_ns) * zone.slew
        for s in seen
        if s.good is not None and s.good.point.role in INLET and isinstance(s.good.value, float)
    ]
    return _second_hottest(aged)


def _sense(
    zone: ZonePolicy, state: ZoneState, fresh: tuple[Seen, ...], temperature: float | None, now: Stamp
) -> ZoneState:
    """Carry the trend, the phase and, in a healthy room, the slow normals forward."""
    if temperature is not None:
        state = replace(
            state,
            history=forecast.remember(state.history, now.mono_ns, temperature),
            phase=_phase(state.phase, temperature, zone.limits),
        )
    if state.phase is not Phase.NORMAL or state.onset_ns is not None:
        return state
    gain = min(1.0, max(0.0, age_s(now, state.judged_ns)) / NORMAL_TAU_S)
    read = medians(fresh, COOLING_AIR_ROLES | INLET)
    if temperature is not None:
        read[Role.RACK_INLET_TEMP] = temperature
    settled = {role: value + (1 - gain) * (state.normal.get(role, value) - value) for role, value in read.items()}
    return replace(state, normal={**state.normal, **settled})


def _phase(phase: Phase, temperature: float, limits: Limits) -> Phase:
    if temperature >= limits.allowable:
        return Phase.HOT
    if temperature >= limits.recommended:
        return Phase.WARM
    if phase is Phase.NORMAL or temperature < limits.recommended - limits.deadband:
        return Phase.NORMAL
    return Phase.RECOVERING


def _plant(
    zone: ZonePolicy, state: ZoneState, cast: tuple[Vote, ...], fresh: tuple[Seen, ...], units: Capacity, now: Stamp
) -> ZoneState:
    """Follow the plant's loss: its onset, and the one restart a power transfer lets us expect.

    Silence ends nothing: the loss is over when every unit that was lost has said that it runs.
    """
    if state.restart_until_ns is not None and now.mono_ns > state.restart_until_ns:
        state = replace(state, restart_until_ns=None, restart_spent=True)
    if not any(vote.kind is Kind.PLANT for vote in cast):
        heard = [s.reading.point.unit for s in fresh if s.reading.point.role is Role.UNIT_RUNNING]
        if all(unit in heard for unit in state.lost):
            return replace(state, onset_ns=None, lost=(), restart_until_ns=None, restart_spent=False)
        return state
    state = replace(state, lost=tuple(dict.fromkeys((*state.lost, *units.lost))))
    if state.onset_ns is not None:
        return state
    expected = any(
        s.reading.value == UnitState.STARTING or (s.reading.point.role is Role.ON_BATTERY and s.reading.value == "yes")
        for s in fresh
    )
    until = now.mono_ns + int(zone.restart_s * SECOND) if expected and not state.restart_spent else None
    return replace(state, onset_ns=now.mono_ns, restart_until_ns=until)


def _time_to_limit(
    zone: ZonePolicy,
    state: ZoneState,
    units: Capacity,
    temperature: float | None,
    worst: float | None,
    now: Stamp,
) -> TimeToLimit:
    bound = units.shortfall(zone.it_load_kw) / zone.heat_capacity
    jumping = state.onset_ns is not None and age_s(now, state.onset_ns) < forecast.SETTLE_S
    return forecast.time_to_limit(
        temperature=temperature,
        worst=worst,
        limit=zone.limits.service,
        measured=forecast.trend(state.history),
        bound=bound,
        settled=bound <= 0 or not (jumping or state.restart_until_ns is not None),
    )


def _verdict(state: ZoneState, units: Capacity, *, agreed: bool, sighted: bool) -> Verdict:
    if not sighted:
        return Verdict.UNKNOWN
    if state.phase is Phase.HOT or agreed:
        return Verdict.CRITICAL
    redundancy_gone = bool(units.lost) and units.spare_units < 1
    if state.phase is not Phase.NORMAL or redundancy_gone:
        return Verdict.DEGRADED
    return Verdict.OK


def _good_since(state: ZoneState, judgement: Judgement, now: Stamp) -> int | None:
    """The soak: unbroken time with a known, good verdict."""
    if judgement.verdict is not Verdict.OK:
        return None
    return state.good_since_ns if state.good_since_ns is not None else now.mono_ns


def _why(zone: ZonePolicy, state: ZoneState, judgement: Judgement, now: Stamp) -> str:
    """One sentence an engineer can check against the room."""
    parts: list[str] = []
    if judgement.basis is Basis.PROJECTED:
        worst = f", worst case {judgement.worst:.1f} degC" if judgement.worst is not None else ""
        parts.append(f"blind: fewer than {zone.min_inlets} good rack inlets{worst}")
    elif judgement.temperature is not None:
        parts.append(f"rack inlet {judgement.temperature:.1f} degC ({state.phase})")
    parts.extend(f"{vote.kind}: {vote.says}" for vote in judgement.votes if vote.kind is not Kind.INLET_AIR)
    if not judgement.votes and judgement.lost_units:
        parts.append(f"{', '.join(judgement.lost_units)} lost, {judgement.margin_kw:+g} kW margin")
    if state.restart_until_ns is not None:
        parts.append(f"restart expected within {-age_s(now, state.restart_until_ns):.0f} s")
    parts.append(say_limit(judgement.time_to_limit))
    return "; ".join(parts)


def say_limit(limit: TimeToLimit) -> str:
    """The time to limit in words."""
    match limit.sight:
        case Sight.FORECAST:
            return f"service limit in at least {minutes(limit.lower or 0)}"
        case Sight.NONE_IN_SIGHT:
            return "no limit in sight"
        case Sight.CANNOT_TELL:
            return "cannot tell the time to limit"


def minutes(seconds: float) -> str:
    """Seconds as people say them: 45 s, 7 min 30 s, 3 h 5 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
