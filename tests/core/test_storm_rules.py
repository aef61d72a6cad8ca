"""The storm posture: it watches closer, proves the backup and tells people; it never moves a call."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envmon.core.say import clock, moment, until
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.world import SECOND
from envmon.model.effect import AskProbe, Page, PollFaster, SetPercent, StampEpoch, Urgency
from envmon.model.event import DeviceBatch, WeatherReport
from envmon.model.policy import FeedPolicy
from envmon.model.reading import Point, Reading, Role
from envmon.model.weather import Posture, WeatherWarning
from tests.core.room import START_WALL, Room, policy

FEEDS = (FeedPolicy("nws", 60.0),)
UNTIL = START_WALL + 5_400.0  # 05:00 UTC


def warned(event="Severe Thunderstorm Warning", onset=START_WALL, until=UNTIL, name="w1") -> WeatherWarning:
    return WeatherWarning(name, event, "severe", onset, until, f"{event} issued by the test")


def sky(room: Room, *warnings: WeatherWarning, error: str = "", feed: str = "nws") -> None:
    room.tell(WeatherReport(room.at, feed, warnings, error))


def stormy(*feeds: FeedPolicy) -> Room:
    return Room(policy=policy(feeds=feeds or FEEDS))


def battery(room: Room, value: str, role: Role = Role.ON_BATTERY) -> None:
    point = Point(f"dallas.hall_a.ups.{role}", role, "hall_a_probes", "ups", "hall_a", "ups", role, "")
    room.tell(DeviceBatch(room.at, "hall_a_probes", (*room.readings("hall_a_probes", "hall_a"), Reading(point, value))))


def on_battery(room: Room, seconds: int, role: Role = Role.ON_BATTERY) -> None:
    for _ in range(seconds):
        battery(room, "yes", role)
        room.run(1)


def pages(room: Room, kind: str) -> list[Page]:
    return [e for e in room.effects if isinstance(e, Page) and e.key == f"envmon/dallas/storm/{kind}"]


def test_a_warning_raises_the_posture_polls_faster_proves_and_pages_ahead():
    room = stormy().armed()
    sky(room)
    room.run(2)
    assert room.world.sky.posture is Posture.CALM
    room.effects.clear()
    sky(room, warned())
    room.run(35)
    assert room.world.sky.posture is Posture.STORM
    assert "W10" in room.rules
    assert PollFaster("hall_a", 5.0) in room.effects
    assert 3 <= room.effects.count(AskProbe("outbound")) <= 4
    (page,) = pages(room, "posture")
    assert page.raised
    assert page.urgency is Urgency.WARNING
    assert "Severe Thunderstorm Warning until 05:00 UTC" in page.summary
    assert "outbound: backup proven" in page.summary
    assert "hall_a: ok, 2 of 3 units needed, N+1" in page.summary
    assert page.detail == "Severe Thunderstorm Warning issued by the test"


def test_a_backup_that_is_not_proven_makes_the_page_an_error():
    room = stormy().run(12)
    room.backup_answers = False
    sky(room, warned())
    room.run(10)
    last = pages(room, "posture")[-1]
    assert last.urgency is Urgency.ERROR
    assert "backup NOT proven (probe_call: edge_1: the backup did not answer" in last.summary


def test_the_warnings_own_end_and_the_hold_end_the_storm():
    room = stormy().run(5)
    sky(room, warned(until=room.at.wall + 100))
    room.run(2)
    for _ in range(20):
        room.run(50)
        sky(room, warned(until=START_WALL + 105))  # a feed that never drops what is over
    assert room.world.sky.posture is Posture.CALM
    ended = next(d for d in room.decisions if d.rule == "W20")
    assert ended.subject == "storm"
    assert [page.raised for page in pages(room, "posture")] == [True, False]
    assert PollFaster("hall_a", 0.0) in room.effects


def test_a_feed_that_falls_silent_is_unknown_never_calm():
    room = stormy().run(5)
    sky(room, warned(until=room.at.wall + 300))
    room.run(60)
    for _ in range(120):
        sky(room, error="no answer in 10 s")
        room.run(60)
        assert room.world.sky.posture is not Posture.CALM
    assert room.world.sky.posture is Posture.UNKNOWN
    assert "W21" in room.rules
    assert "W30" not in room.rules
    (page,) = [page for page in pages(room, "unknown") if page.raised]
    assert "weather nws unknown: no answer in 10 s. Unknown is not clear." in page.summary
    sky(room)
    room.run(2)
    assert room.world.sky.posture is Posture.CALM
    assert room.rules[-1] == "W31"


def test_an_answer_that_is_not_whole_takes_no_warning_away():
    room = stormy().run(5)
    sky(room, warned(until=room.at.wall + 3_000))
    room.run(60)
    sky(room, warned("Flood Warning", name="w2", until=room.at.wall + 600), error="1 document could not be read")
    room.run(1_200)
    assert [each.warning.id for each in room.world.sky.feeds["nws"].standing] == ["w1", "w2"]
    assert room.world.sky.posture is Posture.STORM
    assert "Severe Thunderstorm Warning until" in status(room.world)["storm"]["why"]


def test_a_blind_feeds_warning_stands_an_hour_past_its_end():
    room = stormy().run(5)
    sky(room, warned(until=room.at.wall + 60))
    room.run(3_000)
    assert room.world.sky.posture is Posture.STORM
    room.run(1_600)
    assert room.world.sky.posture is Posture.UNKNOWN


def test_a_new_start_knows_nothing_until_the_first_answer():
    room = stormy().run(30)
    assert room.world.sky.posture is Posture.UNKNOWN
    assert status(room.world)["storm"]["feeds"]["nws"] == {"known": False, "error": "not asked yet", "warnings": 0}
    sky(room)
    room.run(1)
    assert room.world.sky.posture is Posture.CALM


def test_a_site_without_feeds_is_calm_and_says_nothing():
    room = Room().run(60)
    assert room.world.sky.posture is Posture.CALM
    assert not [rule for rule in room.rules if rule.startswith("W")]


def test_one_silent_feed_is_enough_to_be_unknown():
    room = stormy(*FEEDS, FeedPolicy("cap", 60.0)).run(5)
    sky(room)
    room.run(5)
    assert room.world.sky.posture is Posture.UNKNOWN
    sky(room, feed="cap")
    room.run(1)
    assert room.world.sky.posture is Posture.CALM


def test_a_warning_for_tomorrow_waits():
    room = stormy().run(5)
    sky(room, warned(onset=room.at.wall + 4_000, until=room.at.wall + 90_000))
    room.run(10)
    assert room.world.sky.posture is Posture.CALM
    for _ in range(8):
        sky(room, warned(onset=START_WALL + 4_005, until=START_WALL + 90_005))
        room.run(60)
    assert room.world.sky.posture is Posture.STORM
    assert "until 30 May 04:30 UTC" in pages(room, "posture")[-1].summary


def test_a_wall_clock_that_jumps_does_not_move_the_end_of_a_warning():
    room = stormy().run(5)
    sky(room, warned(until=room.at.wall + 600))
    room.run(2)
    standing = room.world.sky.feeds["nws"].standing[0]
    later = load(dump(room.world), replace(room.at, wall=room.at.wall + 86_400.0))
    assert later.sky.feeds["nws"].standing[0] == standing


@pytest.mark.parametrize("role", [Role.ON_BATTERY, Role.ON_GENERATOR])
def test_power_alone_raises_the_posture_once_it_lasts(role):
    room = Room().armed()
    on_battery(room, 10, role)
    battery(room, "no", role)
    room.run(60)
    assert room.world.sky.posture is Posture.CALM
    on_battery(room, 20, role)
    assert room.world.sky.posture is Posture.STORM
    assert "W11" in room.rules
    said = "on battery" if role is Role.ON_BATTERY else "on generator"
    assert f"dallas.hall_a.ups.{role}: {said}" in pages(room, "posture")[-1].summary
    battery(room, "no", role)
    room.run(800)
    assert room.world.sky.posture is Posture.STORM
    room.run(150)
    assert room.world.sky.posture is Posture.CALM


def test_power_that_fell_silent_is_no_evidence():
    room = Room().armed()
    battery(room, "yes")
    room.run(60)
    assert room.world.sky.posture is Posture.CALM


def test_the_posture_survives_a_restart():
    room = stormy().run(5)
    sky(room, warned())
    room.run(5)
    world = load(dump(room.world), room.at)
    assert world.sky == room.world.sky


def test_a_reload_forgets_feeds_that_are_gone_and_counts_new_ones_as_unheard():
    from envmon.model.event import PolicyLoaded

    room = stormy().run(5)
    sky(room, warned())
    room.run(2)
    room.tell(PolicyLoaded(room.at, policy(feeds=(FeedPolicy("other"),)), "digest-2", "test"))
    assert set(room.world.sky.feeds) == {"other"}
    sky(room, warned())  # from a feed of before
    assert room.world.sky.feeds["other"].standing == ()


def test_moments_in_words():
    assert clock(START_WALL) == "03:30 UTC"
    assert moment(START_WALL + 5) == "29 May 2015 03:30:05 UTC"
    assert moment(951_782_400.0) == "29 Feb 2000 00:00:00 UTC"
    assert moment(0.0) == "1 Jan 1970 00:00:00 UTC"
    assert until(START_WALL + 86_400, START_WALL) == "30 May 03:30 UTC"


WARNINGS = st.lists(
    st.tuples(
        st.sampled_from(["Tornado Warning", "Severe Thunderstorm Warning", "Dust Storm Warning"]),
        st.floats(-4_000, 8_000),
        st.floats(-4_000, 8_000),
        st.sampled_from(["w1", "w2", "w3"]),
    ),
    max_size=3,
)
SKIES = st.lists(st.tuples(st.integers(1, 250), WARNINGS, st.sampled_from(["", "no answer"])), max_size=8)


@given(SKIES, st.integers(0, 3), st.booleans(), st.floats(0.0, 0.02))
@settings(max_examples=8, deadline=None)
def test_no_weather_changes_any_decision_about_calls(skies, lost, backup_answers, heat):
    """The same site told the same story, once with weather and once without: the same moves at the same moments."""

    def play(reports) -> tuple:
        room = stormy().armed()
        room.backup_answers = backup_answers
        room.lose_units(*range(1, lost + 1))
        by_second: dict[int, list] = {}
        for at, warnings, error in reports:
            by_second.setdefault(at, []).append((warnings, error))
        for second in range(300):
            for warnings, error in by_second.get(second, ()):
                told = [warned(e, room.at.wall + a, room.at.wall + b, name) for e, a, b, name in warnings]
                sky(room, *told, error=error)
            room.run(1, heat=heat)
        writes = [e for e in room.effects if isinstance(e, SetPercent | StampEpoch)]
        told = [d for d in room.decisions if d.subject != "storm"]
        return writes, told, room.world.routes, room.world.zones, room.world.mode, room.world.effects

    assert play(skies) == play([])


def test_the_property_above_would_notice_a_move():
    room = stormy().armed()
    room.lose_units(1, 2, 3)
    room.run(400, heat=0.02)
    assert any(isinstance(e, SetPercent) for e in room.effects)
    assert room.world.now.mono_ns > 400 * SECOND
