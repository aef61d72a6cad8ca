"""The verdict of one zone, once a second: how warm, how sure, how long.

Rules
  - Judged on good and fresh readings of points that have a role; the zone temperature is the second-hottest inlet
    (the hottest with two), so one probe that reads high moves nothing.
  - ``unknown`` is its own verdict: blindness neither clears nor completes a quorum, which stands for a while.
  - Hysteresis is the named phase RECOVERING: a warm zone is normal again only below recommended - deadband.

Theory of operation
  readings -> trust (who has a vote) -> capacity (which units are lost) -> votes -> quorum; inlets -> history -> course
  -> time to limit; both together -> verdict. What must outlive the tick (phase, onset, quorum, normals) is carried in
  ZoneState.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from envmon.core import forecast
from envmon.core.evidence import (
    COOLING_AIR,
    INLET,
    collapsed,
    cooling_air_vote,
    inlet_vote,
    medians,
    plant_vote,
    quorum,
    return_air,
    zone_temperature,
)
from envmon.core.fresh import Fresh, oldest_ns, speaking, speaks
from envmon.core.idlers import idlers
from envmon.core.loss import AIR, corroborate, follow, restart_expected
from envmon.core.margin import Capacity, capacity, resting
from envmon.core.power import Power, power, since
from envmon.core.replacing import replacing
from envmon.core.trust import doubts, middles, suspects
from envmon.core.world import Doubt, Judgement, Sample, Seen, ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import Limits, Policy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Basis, Kind, Phase, Sight, TimeToLimit, Verdict, Vote

NORMAL_TAU_S = 1800.0  # a room's normal is what it was over the last half hour
RAMP_S = 180.0  # units that came back need so long to cool their air again
_agreed = replacing(ZoneState, "quorum_ns", "witnesses", "last_limit")
_judged = replacing(ZoneState, "good_since_ns", "power_ns", "judged_ns", "verdict_ns", "judgement")
_sensed = replacing(
    ZoneState,
    "doubts",
    "suspects_ns",
    "middles",
    "idlers",
    "resting_ns",
    "short_ns",
    "history",
    "course",
    "phase",
    "normal",
)
NORMAL_ROLES = (*COOLING_AIR, INLET, Role.CHILLED_WATER_FLOW)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one tick sees of a zone before it is judged."""

    doubts: Mapping[str, Doubt]
    trusted: Fresh  # numbers of air and water that have a vote
    read: Mapping[Role, float]  # their medians
    idle: Mapping[str, Doubt]  # units that say they run and cool nothing
    rested: Mapping[str, int]  # units that are in standby, or start from there
    back: tuple[tuple[str, float], ...]  # return air by network path
    units: Capacity
    votes: tuple[Vote, ...]
    temperature: float | None
    sighted: bool
    warm_supply: bool  # the air says that nothing cools


def judge(policy: Policy, zone: ZonePolicy, state: ZoneState, now: Stamp, out: tuple[str, ...] = ()) -> ZoneState:
    """Judge a zone at ``now`` and return it with its new judgement; ``out`` are its units in maintenance."""
    fresh = speaking(policy, state, now)
    state = _lapse(policy, state, now)
    look = _look(zone, state, fresh, out, now)
    state = _sense(zone, state, look, now)
    if look.units.excused and state.lost:
        state = replace(state, lost=tuple(name for name in state.lost if name not in look.units.excused))
    state = follow(zone, state, fresh, now, losing=_losing(look), lost=_lost(look))
    agreed = quorum(policy, look.votes)
    limit = _time_to_limit(zone, state, look, now)
    state = corroborate(state, now, agreed=agreed, sighted=look.sighted)
    if agreed:
        witnesses = {vote.kind: vote.points for vote in look.votes}
        state = _agreed(state, now.mono_ns, witnesses, limit)
    judgement = _judgement(zone, state, look, limit, power(policy, fresh), now, agreed=agreed)
    same = judgement.verdict is state.judgement.verdict and state.verdict_ns > 0
    verdict_ns = state.verdict_ns if same else now.mono_ns
    return _judged(
        state, _good_since(state, judgement, now), since(state, fresh, now), now.mono_ns, verdict_ns, judgement
    )


def _judgement(
    zone: ZonePolicy, state: ZoneState, look: _Look, limit: TimeToLimit, source: Power, now: Stamp, *, agreed: bool
) -> Judgement:
    worst = _worst(zone, look.trusted.of(INLET) if look.sighted else state.seen.values(), state.doubts, now)
    says = say_power(source)
    return Judgement(
        verdict=_verdict(state, look.units, agreed=agreed, sighted=look.sighted),
        basis=Basis.MEASURED if look.sighted else Basis.PROJECTED,
        temperature=look.temperature,
        worst=worst,
        time_to_limit=limit,
        votes=look.votes,
        quorum=agreed,
        margin_kw=look.units.margin_kw,
        spare_units=look.units.spare_units,
        shortfall=1.0 if look.warm_supply else look.units.shortfall(zone.it_load_kw),
        lost_units=look.units.lost,
        power_left_s=source.left_s,
        power_borne_out=source.borne_out,
        power_says=says,
        why=_why(zone, state, look, worst, (*((says,) if says else ()), *_awaited(state, now), say_limit(limit))),
    )


def _look(zone: ZonePolicy, state: ZoneState, fresh: Fresh, out: tuple[str, ...], now: Stamp) -> _Look:
    rested = resting(zone, fresh, state.resting_ns, now)
    units = capacity(zone, fresh, state.normal, out, rested)
    fresh = _not_of(units.excused, fresh)
    doubted = doubts(fresh, state.doubts, state.middles, now)
    trusted = fresh.numbers(NORMAL_ROLES)
    if doubted:
        trusted = trusted.only(lambda seen: seen.reading.point.id not in doubted)
    read = medians(trusted)
    plant = plant_vote(zone, fresh, units)
    warm = collapsed(trusted, read, state.normal)
    air = cooling_air_vote(trusted, state.normal, warm)
    back = return_air(trusted)
    temperature = zone_temperature(trusted, back, (plant, air))
    sighted = temperature is not None and len(trusted.of(INLET)) >= zone.min_inlets
    usual = state.normal.get(INLET)
    if usual is not None and state.onset_c is not None:
        usual = max(usual, state.onset_c)
    ramping = units.margin_kw >= 0 and state.short_ns is not None and age_s(now, state.short_ns) < RAMP_S
    warm_supply = () if ramping else tuple(warm)
    losing = [*(units.witnesses if units.margin_kw < 0 else ()), *warm_supply, *fresh.said(Role.ON_BATTERY, "yes")]
    inlet = inlet_vote(zone, trusted, usual, temperature if sighted else None, losing)
    return _Look(
        doubts=doubted,
        trusted=trusted,
        read=read,
        idle=idlers(fresh, doubted, state.idlers, now),
        rested=rested,
        back=back,
        units=units,
        votes=tuple(vote for vote in (plant, inlet, air) if vote is not None),
        temperature=temperature,
        sighted=sighted,
        warm_supply=bool(warm_supply),
    )


def _not_of(excused: tuple[str, ...], fresh: Fresh) -> Fresh:
    """Leave out the air of units that stand still on purpose; the rack inlets beside them stay."""
    if not excused:
        return fresh
    return fresh.only(lambda seen: seen.reading.point.unit not in excused or seen.reading.point.role is INLET)


def _losing(look: _Look) -> bool:
    """Too little plant, air that nothing cools, or power on battery while the room warms."""
    kinds = [vote.kind for vote in look.votes]
    return look.units.margin_kw < 0 or look.warm_supply or (Kind.PLANT in kinds and Kind.INLET_AIR in kinds)


def _lost(look: _Look) -> tuple[str, ...]:
    """What has to be heard of again before the loss is over."""
    return (*(look.units.lost if look.units.margin_kw < 0 else ()), *((AIR,) if look.warm_supply else ()))


def _lapse(policy: Policy, state: ZoneState, now: Stamp) -> ZoneState:
    """Forget a quorum that was measured too long ago to stand."""
    if state.quorum_ns is None or age_s(now, state.quorum_ns) <= policy.quorum_stands_s:
        return state
    return replace(state, quorum_ns=None, witnesses={}, last_limit=TimeToLimit(Sight.CANNOT_TELL))


def quorum_stands(policy: Policy, state: ZoneState, now: Stamp) -> bool:
    """A measured quorum stands while it is measured, and for ten minutes when its own witnesses fell silent.

    It falls with the first kind whose witnesses speak and do not vote any more.
    """
    if state.judgement.quorum:
        return True
    if state.quorum_ns is None or age_s(now, state.quorum_ns) > policy.quorum_stands_s:
        return False
    since_ns = oldest_ns(policy, now)
    voting = [vote.kind for vote in state.judgement.votes]
    silent = [
        kind
        for kind, points in state.witnesses.items()
        if not any(speaks(state.seen[point], since_ns) for point in points if point in state.seen)
    ]
    return bool(silent) and all(kind in silent or kind in voting for kind in state.witnesses)


def _worst(zone: ZonePolicy, seen: Iterable[Seen], doubted: Mapping[str, Doubt], now: Stamp) -> float | None:
    """What the inlets could have become since each last spoke well: the second-hottest value + age x slew."""
    aged = sorted(
        float(s.good.value) + age_s(now, s.good_ns) * zone.slew
        for s in seen
        if s.reading.point.id not in doubted
        and s.good is not None
        and s.good.point.role is INLET
        and isinstance(s.good.value, float)
    )
    return aged[-2] if len(aged) > 2 else aged[-1] if aged else None


def _sense(zone: ZonePolicy, state: ZoneState, look: _Look, now: Stamp) -> ZoneState:
    """Carry what the room agrees on, its course, its phase and, in a healthy room, the slow normals forward."""
    read = dict(look.read)
    history, course, phase, normal = state.history, state.course, state.phase, state.normal
    if look.sighted and look.temperature is not None:
        sample = Sample(
            max(seen.at_ns for seen in look.trusted.of(INLET)),  # when it was read: ticks add nothing
            look.temperature,
            look.back,
            read.get(Role.CHILLED_WATER_SUPPLY_TEMP),
        )
        history = forecast.remember(state.history, sample)
        if history is not state.history:
            course = forecast.course(history, state.onset_ns)
        phase = _phase(state.phase, look.temperature, zone.limits)
        read[INLET] = look.temperature
    if phase is Phase.NORMAL and state.onset_ns is None:
        gain = min(1.0, max(0.0, age_s(now, state.judged_ns)) / NORMAL_TAU_S)
        settled = {role: value + (1 - gain) * (normal.get(role, value) - value) for role, value in read.items()}
        normal = {**normal, **settled}
    return _sensed(
        state,
        look.doubts,
        suspects(look.doubts, state.suspects_ns, now) if look.doubts or state.suspects_ns else {},
        middles(look.trusted),
        look.idle,
        look.rested,
        now.mono_ns if look.units.margin_kw < 0 else state.short_ns,
        history,
        course,
        phase,
        normal,
    )


def _phase(phase: Phase, temperature: float, limits: Limits) -> Phase:
    if temperature >= limits.allowable:
        return Phase.HOT
    if temperature >= limits.recommended:
        return Phase.WARM
    if phase is Phase.NORMAL or temperature < limits.recommended - limits.deadband:
        return Phase.NORMAL
    return Phase.RECOVERING


def _time_to_limit(zone: ZonePolicy, state: ZoneState, look: _Look, now: Stamp) -> TimeToLimit:
    return forecast.time_to_limit(
        temperature=look.temperature if look.sighted else None,
        back=look.back,
        limit=zone.limits.service,
        heading=state.course,
        bound=look.units.shortfall(zone.it_load_kw) / zone.heat_capacity,
        since_s=age_s(now, state.onset_ns) if state.onset_ns is not None else None,
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


def _why(zone: ZonePolicy, state: ZoneState, look: _Look, worst: float | None, more: tuple[str, ...]) -> str:
    """One sentence an engineer can check against the room."""
    parts: list[str] = []
    if not look.sighted:
        case = f", worst case {worst:.1f} degC" if worst is not None else ""
        heard = len(look.trusted.of(INLET))
        parts.append(f"blind: {heard} good rack inlets, at least {zone.min_inlets} needed{case}")
    elif look.temperature is not None:
        inlet = next((vote.says for vote in look.votes if vote.kind is Kind.INLET_AIR), "")
        phase = "" if inlet and state.phase is Phase.NORMAL else f" ({state.phase})"
        parts.append(f"{inlet or f'rack inlet {look.temperature:.1f} degC'}{phase}")
    parts.extend(f"{vote.kind}: {vote.says}" for vote in look.votes if vote.kind is not Kind.INLET_AIR)
    if not look.votes and look.units.lost:
        next_one = "one more failure is critical" if look.units.spare_units < 1 else f"N{look.units.spare_units:+d}"
        parts.append(f"{', '.join(look.units.lost)} lost, {look.units.margin_kw:+g} kW margin, {next_one}")
    return "; ".join((*parts, *more))


def _awaited(state: ZoneState, now: Stamp) -> tuple[str, ...]:
    """The restart that is expected, and the points that have no vote meanwhile."""
    until_ns = state.restart_until_ns if restart_expected(state, now) else None
    restart = () if until_ns is None else (f"restart expected within {-age_s(now, until_ns):.0f} s",)
    names = ", ".join(f"{name} ({doubt.why})" for name, doubt in state.doubts.items())
    return (*restart, *((f"no vote: {names}",) if names else ()))


def say_power(source: Power) -> str:
    """What the zone runs on in words; "" for the utility."""
    if not source.runs_on:
        return ""
    left = "nobody tells for how long" if source.left_s is None else f"{minutes(source.left_s)} left"
    return f"runs on {source.runs_on}, {left}"


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
