"""Stories of a failover, told to the core event by event."""

from dataclasses import replace

import pytest

from envmon.core.status import status
from envmon.model.effect import Page, SetPercent, StampEpoch, Urgency
from envmon.model.event import Command
from envmon.model.verdict import Mode, Position
from tests.core.room import Edge, Room, policy


def moves(room: Room) -> list[int]:
    return [effect.percent for effect in room.effects if isinstance(effect, SetPercent)]


def storm(room: Room, seconds: int = 400) -> Room:
    """All units die; the inlets jump towards the return air, then the room warms by about 0.6 K a minute."""
    room.lose_units(1, 2, 3)
    room.run(60, heat=4 / 60, back=1 / 60)
    return room.run(seconds - 60, heat=0.01)


def repair(room: Room) -> Room:
    """The units come back and the room cools at 6 K a minute, down to where it was."""
    room.states.clear()
    while room.inlets["hall_a"] > 22.1:
        room.run(1, heat=-0.1)
    return room


def test_a_quiet_site_observes_and_writes_nothing():
    room = Room().run(300)
    assert room.world.mode is Mode.OBSERVE
    assert moves(room) == []
    assert not any(isinstance(effect, StampEpoch) for effect in room.effects)
    assert room.route.position is Position.PRIMARY


def test_an_armed_site_moves_once_proves_it_and_reports_the_last_call():
    room = storm(Room().armed(), 700)
    assert moves(room) == [100]
    assert [rule for rule in room.rules if rule[0] == "T"] == ["T01", "T10", "T20", "T23"]
    assert room.route.position is Position.BACKUP
    assert room.route.latched


def test_observing_says_what_it_would_do_once_and_does_nothing():
    room = storm(Room().run(12))
    assert moves(room) == []
    assert room.rules.count("T11") == 1


def test_held_decides_nothing():
    room = Room().armed()
    room.order(Command.HOLD)
    storm(room)
    assert moves(room) == []
    assert room.rules.count("T12") == 1


def test_a_backup_that_does_not_answer_its_probe_call_stops_the_move_and_says_why():
    room = Room().armed()
    room.backup_answers = False
    storm(room)
    assert moves(room) == []
    refusal = next(decision for decision in room.decisions if decision.rule == "T13")
    assert "did not answer the probe call" in refusal.why
    room.backup_answers = True
    room.run(900, heat=0.01)
    assert moves(room) == [100]


def test_a_backup_answer_from_before_the_threat_proves_nothing():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    room.probe = lambda: None  # type: ignore[method-assign]
    storm(room)
    assert moves(room) == []
    assert "a new one is due" in next(d for d in room.decisions if d.rule == "T13").why


def test_a_hot_backup_stops_the_move():
    room = Room().armed()
    for _ in range(120):
        room.inlets["hall_b"] += 0.1
        room.run(1)
    storm(room)
    assert moves(room) == []
    assert "hall_b is critical" in next(d for d in room.decisions if d.rule == "T13").why


def test_an_unknown_backup_stops_the_move():
    room = Room().armed()
    room.silent = {device for device in room.policy.devices if device.startswith("hall_b")}
    room.run(60)
    storm(room)
    assert moves(room) == []
    assert "hall_b is unknown" in next(d for d in room.decisions if d.rule == "T13").why


def test_no_lease_no_move():
    room = Room().armed()
    room.tell(replace_lease(room, held=False))
    storm(room)
    assert moves(room) == []
    assert "T15" in room.rules


def replace_lease(room: Room, *, held: bool):
    from envmon.model.event import LeaseReport

    return LeaseReport(room.at, held=held, epoch=7, detail="the lock file is gone")


def test_silence_alone_never_moves_calls_and_pages_as_its_own_class():
    room = Room().armed()
    room.silent = {device for device in room.policy.devices if device.startswith("hall_a")}
    room.run(1200)
    assert moves(room) == []
    pages = [effect for effect in room.effects if isinstance(effect, Page) and effect.raised]
    assert any(page.key.endswith("hall_a/telemetry") for page in pages)
    assert not any(page.key.endswith("hall_a/thermal") for page in pages)


def test_a_quorum_measured_before_the_room_went_blind_still_stands():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    while not room.world.zones["hall_a"].judgement.quorum:
        room.run(1, heat=0.08)
    assert moves(room) == []
    room.silent = {device for device in room.policy.devices if device.startswith("hall_a")}
    room.run(400)
    assert moves(room) == [100]


def test_one_lying_probe_moves_nothing():
    room = Room().armed()
    original = room.readings

    def lying(device, zone_name):
        readings = original(device, zone_name)
        if device == "hall_a_probes":
            return tuple(replace(r, value=55.0) for r in readings)
        return readings

    room.readings = lying  # type: ignore[method-assign]
    room.run(600)
    assert moves(room) == []


def test_one_automatic_failover_in_an_episode():
    room = storm(Room().armed(), 700)
    for edge in room.edges.values():
        edge.percent = 0
    room.run(10)
    assert room.order(Command.RESUME).rule == "M40"
    room.run(900, heat=0.01)
    assert room.route.position is Position.PRIMARY
    assert "T14" in room.rules
    assert moves(room) == [100]


def test_heat_on_the_way_home_sends_calls_back():
    room = storm(Room().armed(), 700)
    repair(room).run(90)
    for edge in room.edges.values():
        edge.deaf = True
    assert room.order(Command.RESTORE).rule == "O20"
    storm(room, 100)
    for edge in room.edges.values():
        edge.deaf = False
    room.run(60)
    assert "T17" in room.rules
    assert room.route.position is Position.BACKUP


def test_restore_needs_a_safe_and_soaked_room():
    room = storm(Room().armed(), 700)
    assert room.order(Command.RESTORE).rule == "O24"
    repair(room)
    assert room.order(Command.RESTORE).rule == "O25"
    room.run(90)
    assert room.order(Command.RESTORE).rule == "O20"
    room.run(60)
    assert room.route.position is Position.PRIMARY
    room.run(90)
    assert room.rules[-1] == "T50"
    assert not room.route.latched


@pytest.mark.parametrize("crash", [False, True])
def test_an_edge_that_forgot_is_written_again(crash):
    room = storm(Room().armed(), 700)
    room.edges["edge_2"] = Edge(up_since=5_000 if crash else 1_000)
    room.run(6)
    assert room.edges["edge_2"].percent == 100
    assert room.rules.count("T30") == 1
    assert room.world.mode is Mode.AUTOMATIC


def test_an_engineers_hand_is_not_fought():
    room = storm(Room().armed(), 700)
    room.edges["edge_1"].percent = room.edges["edge_2"].percent = 30
    room.run(30)
    assert room.edges["edge_1"].percent == 30
    assert room.world.mode is Mode.HELD
    assert "M50" in room.rules
    assert room.order(Command.RESUME).rule == "M40"
    room.run(10)
    assert room.edges["edge_1"].percent == 30
    assert room.route.position is Position.SPLIT


def test_a_newer_epoch_at_an_edge_holds_and_is_never_outbid():
    room = Room().armed()
    room.edges["edge_1"].fence = 99
    room.run(10)
    assert room.world.mode is Mode.HELD
    assert "M51" in room.rules
    assert room.order(Command.RESUME).rule == "M43"
    assert room.edges["edge_1"].fence == 99


def test_taking_the_lease_stamps_the_epoch_on_every_edge_before_anything_moves():
    room = Room().armed()
    stamps = [effect for effect in room.effects if isinstance(effect, StampEpoch)]
    assert [(stamp.edges, stamp.epoch) for stamp in stamps] == [(("edge_1", "edge_2"), 7)]
    assert [edge.fence for edge in room.edges.values()] == [7, 7]


def test_a_silent_edge_counts_as_gone_and_the_others_move():
    room = Room().armed()
    room.edges["edge_2"].silent = True
    room.run(30)
    storm(room, 700)
    assert room.edges["edge_1"].percent == 100
    assert room.route.position is Position.BACKUP
    pages = [effect for effect in room.effects if isinstance(effect, Page)]
    assert any("edge edge_2 does not answer" in page.summary for page in pages)


def test_an_edge_that_takes_the_write_but_keeps_calling_the_primary_contradicts_the_move():
    room = Room().armed()
    run, edge = room.second, room.edges["edge_1"]

    def second():
        if edge.percent == 100:
            edge.calls_primary += 1
        run()

    room.second = second  # type: ignore[method-assign]
    storm(room)
    assert "T22" in room.rules
    assert room.route.position is Position.SHIFTING


def test_at_night_three_probe_calls_replace_the_counters():
    room = Room()
    room.calls_per_s = 0
    storm(room.armed(), 500)
    assert "T20" in room.rules


def test_a_deaf_edge_is_commanded_unproven_and_written_again():
    room = Room().armed()
    room.edges["edge_2"].deaf = True
    storm(room, 500)
    assert room.route.position is Position.SHIFTING
    assert 3 < room.rules.count("T30") < 15
    pages = [e for e in room.effects if isinstance(e, Page) and e.key.endswith("/T21")]
    assert [page.raised for page in pages] == [True]
    room.edges["edge_2"].deaf = False
    room.run(60)
    assert room.route.position is Position.BACKUP


@pytest.mark.parametrize("command", list(Command))
def test_every_order_is_answered_in_every_mode(command):
    for setup in ((), (Command.ARM,), (Command.HOLD,)):
        room = Room().run(12)
        for earlier in setup:
            room.order(earlier)
        answer = room.order(command)
        assert answer.sentence


def test_an_order_for_an_unknown_route_names_the_routes():
    answer = Room().run(12).order(Command.SHIFT, route="inbound")
    assert answer.refused
    assert "outbound" in answer.why


def test_arming_is_refused_when_losing_a_zone_loses_the_lever():
    room = Room(policy=policy(placement_faults=("the daemon stands in hall_a",))).run(12)
    answer = room.order(Command.ARM)
    assert answer.rule == "M11"
    assert "the daemon stands in hall_a" in answer.why


def test_pages_are_raised_once_and_resolved_when_gone():
    room = Room().armed()
    room.lose_units(1)
    room.run(30)
    room.states.clear()
    room.run(30)
    pages = [e for e in room.effects if isinstance(e, Page) and e.key.endswith("hall_a/redundancy")]
    assert [(page.raised, page.urgency) for page in pages] == [(True, Urgency.ERROR), (False, Urgency.ERROR)]


def test_status_says_why_it_is_not_armed():
    room = Room().run(12)
    assert status(room.world)["armed"] == {"now": False, "why": "the mode is observe"}
    room.order(Command.ARM)
    room.run(3)
    assert status(room.world)["armed"]["now"] is True
