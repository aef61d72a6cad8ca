"""Holds that end by themselves, and holds that are told again: who hears of it, and that nothing moves by it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from room import START_WALL, Room, policy

from envmon.core.advance import advance
from envmon.core.holds import AGAIN_S, LONGEST_S, WARN_S
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.world import SECOND
from envmon.model.effect import Decision, Page, SetPercent, Urgency
from envmon.model.event import Command, LeaseReport, Order, OrderReceived, Stamp, Tick
from envmon.model.verdict import Mode

HOUR = 3_600


def hold(room: Room, lasts_s: float = 0.0, who: str = "ann") -> Decision:
    """Order a hold that ends in ``lasts_s``; 0 gives no end."""
    until = room.at.wall + lasts_s if lasts_s else 0.0
    number = f"{len(room.decisions):08d}"
    (answer,) = room.tell(OrderReceived(room.at, Order(number, Command.HOLD, "", who, "because", until=until)))
    return answer


def later(room: Room, seconds: float) -> Room:
    """Let time pass in which nothing was read, and then a few seconds in which it was."""
    room.now_ns += int(seconds * SECOND)
    room.ask_edges()
    return room.run(2)


def raised(room: Room, rule: str) -> list[Page]:
    """The pages that told of what a rule did."""
    return [e for e in room.effects if isinstance(e, Page) and e.raised and f"/order/{rule}-" in e.key]


def held_for(seconds: float) -> Room:
    room = Room().armed()
    assert hold(room, seconds).rule == "M30"
    return room.run(1)


def test_a_hold_ends_by_itself_and_people_are_told_before_and_at_the_end():
    room = held_for(2 * HOUR)
    assert status(room.world)["hold"] == {
        "who": "ann", "reason": "because", "until": room.world.hold.until, "left_s": 2 * HOUR - 1,
    }  # fmt: skip
    later(room, 2 * HOUR - WARN_S - 10)
    assert "M36" not in room.rules
    later(room, 10)
    (page,) = raised(room, "M36")
    assert "ends soon" in page.summary
    assert "held until 05:" in page.summary
    assert "by ann (because)" in page.summary
    later(room, WARN_S - 30)
    assert room.rules.count("M36") == 1, "it is said once"
    assert room.world.mode is Mode.HELD
    later(room, 60)
    assert room.world.mode is Mode.AUTOMATIC
    assert room.rules.count("M37") == 1
    (page,) = raised(room, "M37")
    assert page.urgency is Urgency.WARNING
    assert status(room.world)["hold"] is None
    assert "envmon/dallas/mode/held" not in room.world.raised
    assert not any(key.startswith("envmon/dallas/order/M36") for key in room.world.raised)


def test_without_an_end_it_is_the_policys():
    room = Room(replace(policy(), hold_s=1_800.0)).armed()
    answer = hold(room)
    assert answer.why.endswith("until 04:00 UTC")
    assert room.world.hold.until == pytest.approx(room.at.wall + 1_800)
    later(room, 1_801)
    assert room.world.mode is Mode.AUTOMATIC


@pytest.mark.parametrize(("lasts_s", "rule"), [(-1.0, "M34"), (LONGEST_S + 1, "M35"), (LONGEST_S, "M30")])
def test_an_end_in_the_past_or_too_far_away_is_refused(lasts_s, rule):
    room = Room().armed()
    answer = hold(room, lasts_s)
    assert (answer.rule, answer.refused) == (rule, rule != "M30")
    assert room.world.mode is (Mode.HELD if rule == "M30" else Mode.AUTOMATIC)
    if rule == "M30":
        assert hold(room, LONGEST_S + 1).rule == "M35", "nor is a hold lengthened beyond it"
        assert room.world.hold.until == pytest.approx(room.at.wall + LONGEST_S)


def test_who_holds_again_and_again_is_paged_each_time():
    room = held_for(HOUR)
    for number in (1, 2, 3):
        later(room, 600)
        answer = hold(room, HOUR, who=f"ann{number}")
        assert (answer.rule, answer.refused) == ("M33", False)
        room.run(1)
        pages = raised(room, "M33")
        assert len(pages) == number
        assert f"ann{number}" in pages[-1].summary
        assert room.world.hold.who == f"ann{number}"
    assert room.world.mode is Mode.HELD


def test_resume_and_hold_within_a_second_is_no_way_round_the_page():
    room = held_for(HOUR)
    assert room.order(Command.RESUME).rule == "M40"
    assert hold(room, HOUR).rule == "M30"
    room.run(1)
    assert len(raised(room, "M30")) == 1


def test_an_extended_hold_is_warned_of_anew():
    room = held_for(HOUR)
    later(room, HOUR - WARN_S + 1)
    assert room.rules.count("M36") == 1
    hold(room, HOUR)
    room.run(1)
    assert not any("/order/M36-" in key for key in room.world.raised), "the old warning is withdrawn"
    later(room, HOUR - WARN_S + 1)
    assert room.rules.count("M36") == 2
    assert room.world.mode is Mode.HELD


def test_a_hold_that_is_resumed_does_not_end_soon_any_more():
    room = held_for(HOUR)
    later(room, HOUR - WARN_S + 1)
    assert any("/order/M36-" in key for key in room.world.raised)
    assert room.order(Command.RESUME).rule == "M40"
    room.run(1)
    assert not any("/order/M36-" in key for key in room.world.raised)


def test_a_short_hold_is_not_warned_of_at_once():
    room = held_for(600)
    room.run(5)
    assert "M36" not in room.rules
    later(room, 300)
    assert "M36" in room.rules


def test_a_hold_does_not_end_into_another_hand():
    """Where a rule would hold, the end of an order's hold changes only who holds."""
    room = held_for(HOUR)
    for edge in room.edges.values():
        edge.percent = 40
    later(room, HOUR + 1)
    assert "M37" not in room.rules
    assert (room.world.mode, room.world.mode_rule) == (Mode.HELD, "M50")
    assert "held until" in room.world.mode_why
    assert room.world.raised["envmon/dallas/mode/held"] == "critical"
    assert status(room.world)["hold"] is None
    assert not [e for e in room.effects if isinstance(e, SetPercent)]


@pytest.mark.parametrize(("cause", "rule"), [("newer", "M51"), ("memory", "M52"), ("placement", "M60")])
def test_every_reason_to_hold_is_asked_at_the_end(cause, rule):
    room = held_for(HOUR)
    match cause:
        case "newer":
            room.edges["edge_1"].fence = 99
        case "memory":
            room.tell(LeaseReport(room.at, held=True, epoch=9, detail="etcd", former=8))
        case _:
            changed = replace(room.policy, placement_faults=("the lever stands in the room it leaves",))
            room.world = replace(room.world, policy=changed)
    later(room, HOUR + 1)
    assert room.world.mode_rule == rule
    assert room.world.mode is (Mode.OBSERVE if rule == "M60" else Mode.HELD)
    assert "M37" not in room.rules


def test_a_hold_by_rule_has_no_end_and_is_told_again_every_hour():
    room = Room().armed()
    for edge in room.edges.values():
        edge.percent = 40
    room.run(3)
    assert room.world.mode_rule == "M50"
    for hours in (1, 2, 3):
        later(room, AGAIN_S)
        assert room.rules.count("M39") == hours
        assert len(raised(room, "M39")) == hours
        open_now = [key for key in room.world.raised if "/order/M39-" in key]
        assert len(open_now) == 1, "the one before is withdrawn"
    assert (room.world.mode, room.world.mode_rule) == (Mode.HELD, "M50")
    assert hold(room, HOUR).rule == "M31", "an order does not give it an end"
    room.run(2)
    assert room.order(Command.RESUME).rule == "M40"
    assert room.world.hold is None


def test_a_hold_outlives_a_restart_and_ends_on_time_after_a_reboot():
    room = held_for(HOUR)
    away = Stamp(5 * SECOND, room.at.wall + 1_000, "boot-2")
    world = load(dump(room.world), away)
    assert world.hold is not None
    left_s = (world.hold.until_ns - away.mono_ns) / SECOND
    assert left_s == pytest.approx(room.world.hold.until - away.wall)
    early = advance(world, Tick(Stamp(away.mono_ns + int((left_s - 5) * SECOND), away.wall + left_s - 5, "boot-2")))
    assert early.world.mode is Mode.HELD
    after = advance(world, Tick(Stamp(away.mono_ns + int((left_s + 5) * SECOND), away.wall + left_s + 5, "boot-2")))
    assert after.world.mode is Mode.AUTOMATIC


def test_a_wall_clock_that_jumps_neither_ends_nor_lengthens_a_hold():
    room = held_for(HOUR)
    for jump in (-40_000.0, 40_000.0):
        at = Stamp(room.now_ns + SECOND, room.at.wall + jump, room.boot)
        assert advance(room.world, Tick(at)).world.mode is Mode.HELD


def test_a_memory_without_a_hold_is_told_of_and_kept():
    """A hold that an older version began has no end in the memory: it stays, and is told again."""
    room = held_for(HOUR)
    room.world = replace(room.world, hold=None)
    later(room, 5)
    assert "M39" in room.rules
    later(room, 2 * HOUR)
    assert room.world.mode is Mode.HELD


@given(
    heat=st.sampled_from([0.0, 0.02, 0.2]),
    lost=st.sets(st.sampled_from([1, 2, 3])),
    shifted=st.booleans(),
    minutes=st.integers(1, 12),
)
@settings(max_examples=25, deadline=None)
def test_the_end_of_a_hold_moves_nothing_the_rules_would_not_move(heat, lost, shifted, minutes):
    """The tick in which it ends does exactly what it would do if automation had never been held."""
    room = Room().armed()
    if shifted:
        room.order(Command.SHIFT)
        room.run(5)
    assert hold(room, 60.0 * minutes).rule == "M30"
    room.lose_units(*lost)
    room.run(60 * minutes - 2, heat=heat)
    held = [e for e in room.effects if isinstance(e, SetPercent)][1 if shifted else 0 :]
    assert shifted or not held, "while it is held, nothing begins"
    room.run(1)
    at = Stamp(room.now_ns + SECOND, START_WALL + (room.now_ns + SECOND) / SECOND, room.boot)
    ended = advance(room.world, Tick(at))
    free = advance(replace(room.world, mode=Mode.AUTOMATIC, hold=None), Tick(at))
    assert "M37" in [decision.rule for decision in ended.decisions]
    assert [e for e in ended.effects if not isinstance(e, Page)] == [e for e in free.effects if not isinstance(e, Page)]
    assert ended.world.routes == free.world.routes
    assert [d.rule for d in ended.decisions if d.rule != "M37"] == [d.rule for d in free.decisions]
