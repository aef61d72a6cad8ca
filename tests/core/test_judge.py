"""Judgement of one zone: no number from silence, no verdict from one witness, hysteresis by name."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.core import forecast
from envmon.core.evidence import quorum
from envmon.core.fresh import grouped
from envmon.core.judge import judge, minutes, quorum_stands
from envmon.core.margin import capacity, resting
from envmon.core.world import SECOND, Sample, Seen, ZoneState
from envmon.model.event import Stamp
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity
from envmon.model.verdict import Basis, Kind, Phase, Sight, Verdict, Vote
from tests.core.room import Room, policy, zone

POLICY = policy()
ZONE = zone("hall_a")


def seen(name: str, role: Role, value, *, device: str = "", unit: str | None = None, at_s: float = 0.0, **quality):
    point = Point(f"dallas.hall_a.{name}", name, device or name, device or name, "hall_a", unit, role, "degC")
    reading = Reading(point, value, **quality)
    at_ns = int((1000 + at_s) * SECOND)
    return Seen(reading, at_ns, reading if reading.good else None, at_ns if reading.good else 0)


def state(*entries: Seen, **more) -> ZoneState:
    return ZoneState(seen={entry.reading.point.id: entry for entry in entries}, **more)


def at(seconds: float) -> Stamp:
    return Stamp(int((1000 + seconds) * SECOND), 1e9 + seconds, "b")


def inlets(*values: float, at_s: float = 0.0) -> list[Seen]:
    return [seen(f"inlet_{n}", Role.RACK_INLET_TEMP, value, at_s=at_s) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "expected"), [((22.0,), 22.0), ((22.0, 30.0), 30.0), ((22.0, 23.0, 55.0), 23.0), ((1, 2, 3, 4), 3)]
)
def test_the_zone_temperature_is_the_second_hottest_inlet(values, expected):
    judged = judge(POLICY, ZONE, state(*inlets(*map(float, values))), at(1)).judgement
    assert judged.temperature == expected


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.UNCERTAIN, Quality.MISSING])
def test_only_good_readings_are_judged(quality):
    entry = seen("inlet_0", Role.RACK_INLET_TEMP, 22.0, quality=quality, reason=Reason.SENTINEL)
    judged = judge(POLICY, ZONE, state(entry), at(1)).judgement
    assert judged.verdict is Verdict.UNKNOWN
    assert judged.temperature is None


def test_a_silent_room_is_unknown_and_its_worst_case_grows():
    entries = inlets(24.0, 24.0, 24.0)
    young = judge(POLICY, ZONE, state(*entries), at(40)).judgement
    old = judge(POLICY, ZONE, state(*entries), at(400)).judgement
    assert young.verdict is old.verdict is Verdict.UNKNOWN
    assert young.basis is Basis.PROJECTED
    assert old.worst == pytest.approx(24.0 + 400 * ZONE.slew)
    assert young.time_to_limit.sight is Sight.CANNOT_TELL
    assert not old.quorum


def test_hysteresis_is_a_named_state():
    room = state()
    phases = []
    for second, value in enumerate((26.9, 27.0, 26.9, 27.1, 25.1, 24.9, 26.0)):
        room = judge(POLICY, ZONE, replace(room, seen=state(*inlets(value, value, value)).seen), at(1 + second / 10))
        phases.append(room.phase)
    assert phases == [
        Phase.NORMAL, Phase.WARM, Phase.RECOVERING, Phase.WARM, Phase.RECOVERING, Phase.NORMAL, Phase.NORMAL,
    ]  # fmt: skip


def test_flapping_around_a_limit_makes_two_verdict_changes_not_hundreds():
    room = Room().run(12).run(46, heat=0.1)
    count = len([rule for rule in room.rules if rule[0] == "Z"])
    for second in range(600):
        room.inlets["hall_a"] = 26.9 if second % 20 < 10 else 26.7
        room.run(1)
    assert len([rule for rule in room.rules if rule[0] == "Z"]) - count <= 1


def unit_state(number: int, value: str) -> Seen:
    unit = f"hall_a_crac_{number}"
    return seen(f"{unit}.mode", Role.UNIT_RUNNING, value, device=unit, unit=unit, severity=Severity.OK)


@pytest.mark.parametrize(
    ("lost", "spare", "margin"), [((), 1, 48.0), ((1,), 0, 12.0), ((1, 2), -1, -24.0), ((1, 2, 3), -1, -60.0)]
)
def test_n_plus_k_is_counted_on_known_losses(lost, spare, margin):
    units = capacity(ZONE, grouped(unit_state(n, "failed") for n in lost))
    assert (units.spare_units, units.margin_kw) == (spare, margin)


@pytest.mark.parametrize("word", ["running", "standby", "unknown"])
def test_a_unit_is_not_lost_for_being_quiet_or_on_standby(word):
    assert capacity(ZONE, grouped([unit_state(1, word)])).lost == ()


def rotation(*words: str) -> list[tuple[str, ...]]:
    """What is lost while unit 3 goes through these states, one a minute, beside two units that run."""
    rested: dict[str, int] = {}
    lost = []
    for minute, word in enumerate(words):
        now = at(60 * minute)
        told = grouped([replace(unit_state(3, word), at_ns=now.mono_ns)])
        rested = resting(ZONE, told, rested, now)
        lost.append(capacity(ZONE, told, rested=rested).lost)
    return lost


def test_a_unit_that_starts_from_standby_is_lost_only_when_it_takes_too_long():
    three = ("hall_a_crac_3",)
    assert rotation("standby", "starting", "starting", "running") == [(), (), (), ()]
    assert rotation("running", "starting") == [(), three]
    assert rotation("standby", "failed", "starting") == [(), three, three]
    assert rotation("standby", *["starting"] * 5) == [(), (), (), (), (), three]


def vote(kind: Kind, *devices: str) -> Vote:
    return Vote(kind, devices, devices, devices, "")


@pytest.mark.parametrize(
    ("cast", "agreed"),
    [
        ((), False),
        ((vote(Kind.PLANT, "a", "b"),), False),
        ((vote(Kind.PLANT, "a"), vote(Kind.INLET_AIR, "a")), False),
        ((vote(Kind.PLANT, "a"), vote(Kind.INLET_AIR, "b")), True),
        ((vote(Kind.PLANT, "a", "b"), vote(Kind.COOLING_AIR, "a")), True),
        ((vote(Kind.PLANT, "a"), vote(Kind.INLET_AIR, "a"), vote(Kind.COOLING_AIR, "a")), False),
    ],
)
def test_a_quorum_needs_two_kinds_on_two_devices(cast, agreed):
    assert quorum(POLICY, cast) is agreed


def test_two_probes_behind_one_gateway_are_one_witness():
    one_path = (
        Vote(Kind.PLANT, ("p",), ("gateway",), ("a",), ""),
        Vote(Kind.INLET_AIR, ("q",), ("gateway",), ("b",), ""),
    )
    assert quorum(POLICY, one_path) is False


def test_a_measured_quorum_outlives_its_witnesses_for_ten_minutes_and_no_longer():
    witness = seen("w", Role.RETURN_TEMP, 40.0)
    held = state(witness, quorum_ns=1000 * SECOND, witnesses={Kind.COOLING_AIR: (witness.reading.point.id,)})
    assert not quorum_stands(POLICY, held, at(5)), "the witness speaks and does not agree any more"
    assert quorum_stands(POLICY, held, at(200)), "the witness fell silent"
    assert not quorum_stands(POLICY, held, at(601))


def ramp(rate: float, seconds: int = 300, start: float = 22.0, back: float = 1.0) -> tuple[Sample, ...]:
    return tuple(
        Sample(int((1000 + t) * SECOND), start + rate * t, (("p", start + back + rate * t),))
        for t in range(0, seconds + 1, 10)
    )


def foretell(history: tuple[Sample, ...], *, bound: float = 0.0, onset_s: float | None = None, limit: float = 40.0):
    """The forecast at the last sample; ``onset_s`` seconds into the history the loss began."""
    onset_ns = None if onset_s is None else int((1000 + onset_s) * SECOND)
    now = history[-1] if history else None
    return forecast.time_to_limit(
        temperature=now.value if now else None,
        back=now.back if now else (),
        limit=limit,
        heading=forecast.course(history, onset_ns),
        bound=bound,
        since_s=(now.at_ns - onset_ns) / SECOND if now and onset_ns is not None else None,
    )


@given(rate=st.floats(0.001, 0.1), limit=st.floats(35.0, 60.0))
def test_a_straight_ramp_is_forecast_right(rate, limit):
    history = ramp(rate)
    now = history[-1].value
    said = foretell(history, limit=limit)
    if now >= limit:
        assert said.lower == 0.0
    else:
        assert said.lower == pytest.approx(max(0.0, limit - forecast.READ_K - now) / rate, rel=1e-6)
        assert said.median == pytest.approx((limit - now) / rate, rel=1e-6)


@given(
    st.lists(st.floats(10.0, 60.0), min_size=0, max_size=40),
    st.floats(0.0, 0.1),
    st.one_of(st.none(), st.floats(0.0, 300.0)),
)
def test_a_forecast_is_never_negative_and_the_bound_never_later_than_the_median(values, bound, onset_s):
    history = tuple(Sample((1000 + 10 * n) * SECOND, value, (("p", value + 5.0),)) for n, value in enumerate(values))
    said = foretell(history, bound=bound, onset_s=onset_s)
    if said.sight is Sight.FORECAST:
        assert said.lower is not None
        assert said.lower >= 0.0
        assert said.median is None or said.lower <= said.median
        assert said.upper is None or said.upper >= 0.0
    else:
        assert said.lower is said.median is said.upper is None
    assert values or said.sight is Sight.CANNOT_TELL


def warming(power: float, until: int) -> tuple[Sample, ...]:
    """A room that warms with the time since the onset to this power; 0 stands for its logarithm."""
    return tuple(
        Sample(int((1000 + t) * SECOND), warmed(power, t), (("p", warmed(power, t)),))
        for t in range(until - 300, until + 10, 10)
        if t >= forecast.MIXED_S
    )


def warmed(power: float, t: float) -> float:
    return 30.0 + (2.0 * math.log(t / 60.0) if power == 0 else 6.0 * (t / 600) ** power)


@pytest.mark.parametrize(("power", "estimate"), [(1.0, "lower"), (0.0, "upper")], ids=["straight", "logarithm"])
def test_both_bounds_are_exact_for_the_decay_they_assume(power, estimate):
    """A rate that never decays again, and one that decays as 1/t."""
    history = warming(power, 600)
    reached = next(t for t in range(600, 40_000) if warmed(power, t) >= 38.0)
    said = foretell(history, onset_s=0.0, bound=0.001, limit=38.0)
    slack = forecast.READ_K / 0.01 if power == 1 else 0.0
    assert getattr(said, estimate) == pytest.approx(reached - 600 - slack, rel=0.02, abs=2.0)
    assert said.lower <= said.median <= said.upper * 1.001


@pytest.mark.parametrize(("power", "now"), [(0.25, 400), (0.75, 700)], ids=["mixing", "settled"])
def test_the_median_is_near_for_a_decay_between_two_laws(power, now):
    """While the air mixes, between 1/sqrt(t) and 1/t; later between 1/sqrt(t) and none."""
    limit = warmed(power, now) + 1.5
    reached = next(t for t in range(now, 40_000) if warmed(power, t) >= limit)
    said = foretell(warming(power, now), onset_s=0.0, bound=0.001, limit=limit)
    assert said.median == pytest.approx(reached - now, rel=0.15)


def test_without_a_clear_rise_there_is_a_bound_but_no_median():
    still = tuple(Sample((1000 + 10 * n) * SECOND, 22.0 + 0.1 * (n % 2)) for n in range(30))
    assert foretell(still).sight is Sight.NONE_IN_SIGHT
    said = foretell(still, bound=0.02, onset_s=0.0)
    assert said.sight is Sight.FORECAST
    assert said.median is None


def test_while_the_plant_is_short_the_air_may_come_to_warm_as_fast_as_its_water():
    flat = tuple(Sample((1000 + 10 * n) * SECOND, 22.0, (("p", 29.0),), 7.0 + 0.3 * n) for n in range(30))
    assert foretell(flat, bound=0.02, onset_s=0.0).lower == pytest.approx((18.0 - forecast.READ_K) / 0.03, rel=0.01)
    assert foretell(flat).sight is Sight.NONE_IN_SIGHT


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (450, "7 min 30 s"), (11_100, "3 h 5 min")])
def test_times_are_said_as_people_say_them(seconds, words):
    assert minutes(seconds) == words
