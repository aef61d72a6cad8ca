"""Rules that fire seldom: each in a story of its own, with what is told and what is not moved.

Rules
  - ``stands`` is how a rule that only tells is seen: it fired once, its page is open, and no further move was made.
"""

from dataclasses import replace

import pytest

from envmon.core.route_rules import ROUTE_RULES
from envmon.model.effect import AskProbe, Page, SetPercent
from envmon.model.event import Command, EdgeReport, LeaseReport
from envmon.model.policy import UnitPolicy
from envmon.model.verdict import Mode, Position, Verdict
from tests.core.room import Edge, Room, policy
from tests.core.test_failover import moves, repair, storm
from tests.core.test_set_aside import maintain
from tests.core.test_stages import leave, losing, shifted, staged, until_moved


def unlease(room: Room) -> Room:
    room.tell(LeaseReport(room.at, held=False, epoch=7, detail="the lock file is gone"))
    return room


def silence(room: Room) -> Room:
    for edge in room.edges.values():
        edge.silent = True
    return room.run(20)


def deafen(room: Room, *, deaf: bool = True) -> Room:
    for edge in room.edges.values():
        edge.deaf = deaf
    return room


def stands(room: Room, rule: str, moved: list[int]) -> bool:
    """A rule that only tells: it fired once, its page stands with its own urgency, and nothing else was moved."""
    (row,) = [row for row in ROUTE_RULES if row.id == rule]
    last = [effect for effect in room.effects if isinstance(effect, Page) and effect.key.endswith(f"/{rule}")][-1]
    told = (room.rules.count(rule), last.raised, last.urgency, moves(room))
    assert told == (1, True, row.page, moved), (rule, told, room.rules)
    return True


def forgot(room: Room, percent: int) -> None:
    """An edge starts anew and shows this."""
    room.edges["edge_2"] = Edge(percent=percent, up_since=5_000)


def home(room: Room) -> Room:
    """Moved by rule, repaired, and ordered home."""
    repair(storm(room, 700)).run(90)
    assert room.order(Command.RESTORE).rule == "O20"
    return room


# --- before anything moves ---------------------------------------------------------------------------------------


def test_the_backup_is_called_once_more_before_anything_moves():
    room = Room().armed()
    real, room.probe = room.probe, lambda: None  # type: ignore[method-assign]
    room.lose_units(1, 2, 3)
    while "T09" not in room.rules:
        room.run(1, heat=0.06)
    assert moves(room) == []
    assert any(isinstance(effect, AskProbe) for effect in room.effects)
    real()
    room.run(2)
    assert moves(room) == [100]
    assert "T13" not in room.rules


def test_a_zone_nobody_hears_of_is_unknown_and_moves_nothing():
    room = Room().armed()
    room.silent = {device for device in room.policy.devices if device.startswith("hall_a")}
    room.run(120)
    assert room.rules.count("Z40") == 1
    assert room.world.zones["hall_a"].judgement.verdict is Verdict.UNKNOWN
    assert moves(room) == []


# --- edges that say nothing, or forget ---------------------------------------------------------------------------


def test_a_room_lost_before_any_edge_ever_answered_is_told():
    room = silence(Room())
    room.order(Command.ARM)
    assert {room.order(command).rule for command in (Command.SHIFT, Command.RESTORE)} == {"O16"}
    storm(room)
    assert stands(room, "T05", [])
    assert room.route.position is Position.UNREAD


def test_edges_that_differ_at_the_first_look_are_told_and_left():
    room = Room()
    room.edges["edge_1"].percent = 30
    room.run(12)
    assert stands(room, "T04", [])
    assert room.route.position is Position.UNREAD
    room.edges["edge_1"].percent = 0
    room.run(3)
    assert room.route.position is Position.PRIMARY


def test_an_edge_that_forgets_after_the_return_is_sent_home_again():
    room = home(Room().armed()).run(60)
    assert room.route.position is Position.PRIMARY
    forgot(room, 100)
    room.run(10)
    assert room.rules.count("T31") == 1
    assert room.edges["edge_2"].percent == 0
    assert moves(room) == [100, 0, 0]


@pytest.mark.parametrize(("rule", "there"), [("T33", True), ("T43", False)])
def test_without_the_lease_an_edge_that_forgot_is_not_written(rule: str, there: bool):
    room = storm(Room().armed(), 700) if there else home(Room().armed()).run(60)
    before = moves(room)
    unlease(room)
    forgot(room, 0 if there else 100)
    room.run(20)
    assert stands(room, rule, before)
    assert room.edges["edge_2"].percent == (0 if there else 100)


def held_in_a_storm() -> Room:
    room = home(Room().armed()).run(60)
    assert room.order(Command.HOLD).rule == "M30"
    storm(room, 400)
    assert room.rules[-1] == "T12"
    return room


def test_held_an_edge_that_forgot_in_a_room_being_lost_is_written_again():
    """Where calls are stays where it was held, whatever the room does."""
    room = held_in_a_storm()
    forgot(room, 100)
    room.run(10)
    assert room.rules.count("T32") == 1
    assert (room.edges["edge_2"].percent, moves(room)) == (0, [100, 0, 0])


def test_held_without_the_lease_an_edge_that_forgot_in_a_room_being_lost_is_told():
    room = unlease(held_in_a_storm())
    forgot(room, 100)
    room.run(20)
    assert stands(room, "T34", [100, 0])


def test_a_move_by_rule_that_reached_no_edge_is_written_again():
    room = storm(deafen(Room().armed()), 400)
    assert "T35" in room.rules
    assert moves(room)[:2] == [100, 100]
    assert not room.route.taken
    deafen(room, deaf=False).run(60)
    assert room.route.position is Position.BACKUP


def test_an_ordered_move_that_reached_no_edge_is_written_again_while_the_backup_is_ready():
    room = deafen(Room().armed())
    assert room.order(Command.SHIFT).rule == "O10"
    room.run(20)
    assert "T37" in room.rules
    before = moves(room)
    assert before[:2] == [100, 100]
    room.backup_answers = False
    room.run(20)
    assert stands(room, "T39", moves(room))
    assert len(moves(room)) <= len(before) + 1
    after = moves(room)
    room.run(20)
    assert moves(room) == after, "nothing is written to a backup that is not ready"


# --- the way home ------------------------------------------------------------------------------------------------


def test_heat_on_the_way_home_with_no_backup_to_go_to_is_told():
    room = repair(storm(Room().armed(), 700)).run(90)
    deafen(room)
    assert room.order(Command.RESTORE).rule == "O20"
    room.backup_answers = False
    storm(room, 100)
    assert "T18" in room.rules
    assert 100 not in moves(room)[1:]


def test_heat_on_the_way_home_without_the_lease_is_told():
    room = deafen(repair(storm(Room().armed(), 700)).run(90))
    assert room.order(Command.RESTORE).rule == "O20"
    storm(unlease(room), 100)
    assert "T19" in room.rules
    assert 100 not in moves(room)[1:]
    assert room.route.position is Position.RESTORING


def test_a_return_that_nothing_proves_is_told():
    room = Room().armed()
    repair(storm(room, 700)).run(90)
    room.probe = lambda: None  # type: ignore[method-assign]
    room.calls_per_s = 0
    assert room.order(Command.RESTORE).rule == "O20"
    room.run(90)
    assert stands(room, "T41", [100, 0])
    assert room.route.position is Position.RESTORING


@pytest.mark.parametrize(("stop", "rule"), [(lambda room: room.order(Command.HOLD), "T82"), (unlease, "T83")])
def test_a_return_by_stages_waits_while_held_or_without_the_lease(stop, rule: str):
    room = shifted(staged())
    assert room.order(Command.RESTORE).rule == "O27"
    stop(room)
    room.run(60)
    assert stands(room, rule, [10, 50, 100, 90])
    assert room.route.position is Position.RESTORING


def test_a_primary_that_fails_the_calls_that_come_home_gets_no_more():
    room = shifted(staged())
    tell = room.tell
    good = {name: edge.calls_primary for name, edge in room.edges.items()}

    def failing(event: object):
        if isinstance(event, EdgeReport):
            (now,), ours = event.statuses, good[event.edge]
            told = (replace(now, answered_primary=ours, failed_primary=now.calls_primary - ours),)
            event = replace(event, statuses=told)
        return tell(event)

    room.tell = failing  # type: ignore[method-assign]
    assert room.order(Command.RESTORE).rule == "O27"
    room.run(60)
    assert stands(room, "T84", [10, 50, 100, 90])


# --- stages and drills that stop ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "rule"), [(silence, "T68"), (unlease, "T71")])
def test_a_move_between_stages_waits_without_edges_or_the_lease(stop, rule: str):
    room = staged()
    room.order(Command.SHIFT)
    room.run(2)
    stop(room)
    room.run(60)
    assert stands(room, rule, [10])
    assert room.route.position is Position.SHIFTING


def test_no_time_for_another_stage_and_no_backup_to_finish_at_is_told():
    room = until_moved(losing(staged()))
    room.backup_answers = False
    room.probe()
    leave(room, -60).run(5)
    assert stands(room, "T72", [10])


def test_a_backup_that_warms_is_not_left_for_a_room_that_cannot_bear_the_calls():
    room = until_moved(losing(staged()))
    room.inlets["hall_b"] = 33.0
    leave(room, 100).run(25)
    assert stands(room, "T74", [10])


@pytest.mark.parametrize(("stop", "rule"), [(lambda room: room.order(Command.HOLD), "T95"), (unlease, "T96")])
def test_a_drill_that_the_backup_fails_stays_while_held_or_without_the_lease(stop, rule: str):
    room = staged()
    assert room.order(Command.DRILL, "outbound").rule == "O30"
    room.backup_takes_calls = False
    stop(room)
    room.run(60)
    assert stands(room, rule, [10])


# --- refusals ----------------------------------------------------------------------------------------------------


def refused(room: Room, command: Command, rule: str) -> bool:
    before = moves(room)
    answer = room.order(command, "outbound")
    assert (answer.rule, answer.refused, moves(room)) == (rule, True, before)
    return True


def test_a_second_shift_is_refused():
    assert refused(storm(Room().armed(), 700), Command.SHIFT, "O12")


def test_nothing_is_ordered_through_edges_that_do_not_answer():
    assert refused(silence(Room().armed()), Command.SHIFT, "O15")
    assert refused(silence(repair(storm(Room().armed(), 700))), Command.RESTORE, "O26")


def test_nothing_comes_home_and_nothing_is_drilled_without_the_lease():
    assert refused(unlease(repair(storm(Room().armed(), 700)).run(90)), Command.RESTORE, "O23")
    assert refused(unlease(staged()), Command.DRILL, "O34")


def test_a_drill_waits_until_the_episode_before_it_is_closed():
    room = shifted(staged())
    room.order(Command.RESTORE)
    while room.route.position is not Position.PRIMARY:
        room.run(1)
    assert refused(room, Command.DRILL, "O39")
    room.run(1)
    assert room.rules[-1] == "T50"
    assert room.order(Command.DRILL, "outbound").rule == "O30"


def test_a_hold_over_edges_that_differ_is_not_ended():
    room = storm(Room().armed(), 700)
    room.edges["edge_1"].percent, room.edges["edge_2"].percent = 30, 60
    room.run(10)
    assert room.world.mode is Mode.HELD
    answer = room.order(Command.RESUME)
    assert (answer.rule, answer.refused, room.world.mode) == ("M42", True, Mode.HELD)
    room.edges["edge_2"].percent = 30
    room.run(5)
    assert room.order(Command.RESUME).rule == "M40"
    assert not any(isinstance(effect, SetPercent) and effect.percent != 100 for effect in room.effects)


def test_a_name_that_two_things_have_must_be_given_in_full():
    twins = tuple(replace(zone, units=(UnitPolicy("crac_1", 72.0),), needed=1) for zone in policy().zones)
    room = Room(policy=policy(zones=twins)).run(12)
    answer = maintain(room, "crac_1")
    assert (answer.rule, answer.refused) == ("K12", True)
    assert maintain(room, "hall_a.crac_1").rule == "K10"
