"""A sensor's vote: how it is lost, on what words, and how it is earned back."""

from dataclasses import dataclass, replace

import pytest

from envmon.core.fresh import grouped
from envmon.core.trust import behave, doubts, middles, suspects
from envmon.core.world import SECOND, Doubt, Habit, Seen
from envmon.model.effect import Page
from envmon.model.event import Stamp
from envmon.model.reading import Point, Reading, Role
from tests.core.room import START_NS, Room

POLL_S = 15


class Air:
    """Probes of one role, polled every 15 s."""

    def __init__(self, role: Role = Role.RACK_INLET_TEMP, **paths: str) -> None:
        self.points = {n: Point(n, n, p, p, "hall", None, role, "degC") for n, p in (paths or {"a": "gw_1"}).items()}
        self.seen: dict[str, Seen] = {}
        self.room: dict[Role, float] = {}
        self.doubts: dict = {}
        self.t = 0

    def poll(self, **values: float) -> dict[str, str]:
        """Read the values given, judge, and tell who has no vote and why."""
        self.t += POLL_S
        at_ns = (1000 + self.t) * SECOND
        for name, value in values.items():
            reading, before = Reading(self.points[name], value), self.seen.get(name)
            habit: Habit | None = before.habit if before else None
            last_ns = before.good_ns if before else at_ns
            habit = behave(habit, reading, at_ns, last_ns, self.room.get(self.points[name].role), calm=True)
            self.seen[name] = Seen(reading, at_ns, reading, at_ns, habit)
        now = Stamp(at_ns, 0.0, "b")
        self.doubts = doubts(grouped(self.seen.values()), self.doubts, self.room, now)
        self.room = middles(grouped(s for name, s in self.seen.items() if name not in self.doubts))
        return {name: doubt.why for name, doubt in self.doubts.items()}

    def quiet(self, polls: int = 40, base: float = 22.0) -> "Air":
        for n in range(polls):
            wobble = 0.1 * (n % 3)
            assert self.poll(**dict.fromkeys(self.points, base + wobble)) == {}
        return self


def four() -> Air:
    return Air(a="gw_1", b="gw_2", c="gw_1", d="gw_2").quiet()


@pytest.mark.parametrize("value", [47.0, 85.0, 0.0, 220.0, 2.2, 125.0])
def test_a_jump_loses_the_vote_until_the_value_is_back(value):
    air = four()
    assert "jumped from" in air.poll(a=value, b=22.0, c=22.0, d=22.0)["a"]
    for n in range(60):
        rest = 22.0 + 0.1 * (n % 2)
        assert list(air.poll(a=value, b=rest, c=rest, d=rest)) == ["a"]
    assert air.poll(a=22.1, b=22.0, c=22.0, d=22.0) == {}


def test_a_step_that_air_can_make_in_the_time_is_no_jump():
    air = Air().quiet()
    air.t += 120
    assert air.poll(a=40.0) == {}


def test_points_that_jump_alike_on_two_paths_have_their_votes_back_after_a_minute():
    air = four()
    assert len(air.poll(a=33.0, b=33.0, c=33.0, d=33.0)) == 4
    for _ in range(4):
        left = air.poll(a=33.1, b=33.0, c=33.0, d=33.1)
    assert left == {}


def test_points_that_jump_alike_on_one_path_stay_without_a_vote():
    air = four()
    for n in range(30):
        left = air.poll(a=47.0, b=22.0 + 0.1 * (n % 2), c=47.0, d=22.1 - 0.1 * (n % 2))
    assert sorted(left) == ["a", "c"]


def test_a_point_that_used_to_change_and_stands_still_is_stuck_and_one_that_never_did_is_not():
    air = four()
    for n in range(40):
        left = air.poll(a=22.1, b=22.0 + 0.1 * (n % 3), c=22.0 + 0.1 * (n % 2), d=22.0 + 0.1 * (n % 3))
    assert list(left) == ["a"]
    assert "it used to change every" in left["a"]
    still = Air()
    for _ in range(200):
        assert still.poll(a=22.0) == {}


def test_a_point_that_does_not_move_while_the_room_does_is_left_behind():
    air = Air(a="gw_1", b="gw_2", c="gw_3")
    for _ in range(5):
        air.poll(a=22.0, b=22.0, c=22.0)
    for n in range(12):
        left = air.poll(a=22.0, b=22.0 + 0.3 * n, c=22.0 + 0.3 * n)
    assert "while the room moved" in left["a"]
    assert "b" not in left


def test_noise_loses_the_vote_and_a_ramp_does_not():
    air = four()
    for n in range(20):
        left = air.poll(a=22.0 + (3.0 if n % 2 else -0.5), b=22.0, c=22.0, d=22.1)
    assert "noisy" in left["a"]
    ramp = Air().quiet()
    for n in range(40):
        assert ramp.poll(a=22.0 + 2.0 * n) == {}, "8 K a minute is fast, and a temperature"


def test_a_slow_drift_is_told_by_the_neighbours_of_two_paths():
    air = four()
    for n in range(200):
        left = air.poll(a=22.0 + 0.05 * n, b=22.0 + 0.1 * (n % 2), c=22.1 - 0.1 * (n % 2), d=22.0 + 0.1 * (n % 3))
    assert "from where its neighbours put it" in left["a"]


def test_a_hot_spot_that_was_always_there_keeps_its_vote():
    air = Air(a="gw_1", b="gw_2", c="gw_1", d="gw_2")
    for n in range(200):
        assert air.poll(a=26.0 + 0.1 * (n % 3), b=22.0 + 0.1 * (n % 2), c=22.0, d=22.1) == {}


def test_two_that_stray_together_keep_their_votes():
    air = four()
    for n in range(60):
        left = air.poll(a=22.0 + 0.15 * n, b=22.0 + 0.15 * n, c=22.0 + 0.1 * (n % 2), d=22.0 + 0.1 * (n % 3))
    assert left == {}


def test_supply_air_may_step_with_its_unit():
    air = Air(Role.SUPPLY_TEMP, a="gw_1").quiet(base=14.0)
    assert air.poll(a=26.0) == {}


def test_a_loose_contact_pages_once():
    room = Room().run(12)
    real = room.readings

    def readings(device, zone_name):
        told = real(device, zone_name)
        second = (room.now_ns // SECOND) % 400
        if device != "hall_a_probes" or second < 200:
            return told
        return (replace(told[0], value=told[0].value + (9.0 if second % 10 < 5 else -9.0)), *told[1:])

    room.readings = readings  # type: ignore[method-assign]
    room.run(1_200)
    pages = [effect.raised for effect in room.effects if isinstance(effect, Page) and effect.key.endswith("/trust")]
    assert pages == [True]


def test_a_suspect_is_forgotten_after_an_hour():
    doubt = {"probe": Doubt("noisy", 0)}
    early, ripe = Stamp(60 * SECOND, 0.0, "b"), Stamp(130 * SECOND, 0.0, "b")
    assert suspects(doubt, {}, early) == {}
    told = suspects(doubt, {}, ripe)
    assert suspects({}, told, Stamp(3_700 * SECOND, 0.0, "b")) == told
    assert suspects({}, told, Stamp(3_800 * SECOND, 0.0, "b")) == {}


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0], ids=["a day ahead", "a day back"])
def test_a_wall_clock_that_jumps_changes_no_decision(jump_s):
    def told(by_s: float) -> list[tuple[str, str]]:
        room = JumpingRoom(by_s=by_s)
        room.armed()
        room.lose_units(1, 2, 3)
        room.run(60, heat=4 / 60, back=1 / 60).run(300, heat=0.01)
        return [(decision.rule, decision.why) for decision in room.decisions]

    honest = told(0.0)
    assert ("T10" in dict(honest)) is True
    assert told(jump_s) == honest


@dataclass
class JumpingRoom(Room):
    """A room whose wall clock jumps 30 s into its loss."""

    by_s: float = 0.0

    @property
    def at(self) -> Stamp:
        true = super().at
        jumped = true.mono_ns > START_NS + 45 * SECOND
        return replace(true, wall=true.wall + (self.by_s if jumped else 0.0))
