"""Moves by stages: forward while proven, stopped when contradicted, back while the primary can bear it; and drills."""

from dataclasses import replace

import pytest

from envmon.core import clock
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.tally import Tally, refutes
from envmon.core.world import RouteState
from envmon.model.effect import Page, SetPercent
from envmon.model.event import Command, PolicyLoaded, ReadinessReport
from envmon.model.verdict import Mode, Position
from tests.core.room import Room, policy
from tests.core.test_failover import moves


class Creeping(Room):
    """A room that goes on warming by ``creep`` K a second, once it does."""

    creep = 0.0

    def run(self, seconds: int, *, heat: float = 0.0, back: float | None = None) -> "Creeping":
        super().run(seconds, heat=heat + self.creep, back=back)
        return self


def staged(**route: object) -> Room:
    """An armed room whose route moves by stages and whose calls are many."""
    base = policy()
    changed = replace(base.routes[0], **{"stages": (10, 50, 100), "early_s": 0.0, **route})  # type: ignore[arg-type]
    zones = tuple(replace(zone, restart_s=0.0) for zone in base.zones)
    room = Creeping(policy=replace(base, zones=zones, routes=(changed,)))
    room.calls_per_s = 25
    return room.armed().run(60)


def shifted(room: Room) -> Room:
    """Order a shift and let it arrive."""
    assert room.order(Command.SHIFT).rule == "O17"
    room.run(60)
    assert room.route.position is Position.BACKUP
    return room


def losing(room: Room, spare_s: float = 0.0) -> Room:
    """Lose two units of three; ``spare_s`` more than an evacuation is left once a quorum has seen it."""
    leave(room, 0.0, margin_s=-10_000.0)
    room.lose_units(1, 2)
    room.run(60, heat=3 / 60, back=1 / 60)
    room.creep = 0.005  # type: ignore[attr-defined]
    room.run(300)
    assert room.world.zones["hall_a"].judgement.quorum
    return leave(room, spare_s)


def leave(room: Room, spare_s: float, margin_s: float | None = None) -> Room:
    """Change the margin so that time to limit exceeds time to evacuate by this much now."""
    (route,) = room.policy.routes
    if margin_s is None:
        lower = clock.lower_bound(room.world, room.policy, route)
        assert lower is not None
        margin_s = lower - clock.drain_s(route, room.route) - clock.verify_s(route, room.route) - spare_s
    room.policy = replace(room.policy, routes=(replace(route, margin_s=margin_s),))
    room.tell(PolicyLoaded(room.at, room.policy, "digest", "test", approvals=("alice", "bob")))
    return room


def until_moved(room: Room) -> Room:
    for _ in range(20):
        if moves(room):
            return room
        room.run(1)
    raise AssertionError("nothing moved")


def rules(room: Room, *families: str) -> list[str]:
    return [rule for rule in room.rules if rule[:2] in families]


def pages(room: Room, rule: str) -> list[bool]:
    return [effect.raised for effect in room.effects if isinstance(effect, Page) and effect.key.endswith(f"/{rule}")]


# --- forward -----------------------------------------------------------------------------------------------------


def test_an_ordered_shift_goes_by_stages_each_proven_before_the_next():
    room = shifted(staged())
    assert moves(room) == [10, 50, 100]
    room.run(60)
    assert rules(room, "T6", "T2") == ["T61", "T61", "T20", "T23"]


def test_a_loss_with_time_in_hand_moves_by_stages():
    room = losing(staged()).run(60)
    assert moves(room) == [10, 50, 100]
    assert rules(room, "T6", "T2")[:4] == ["T60", "T61", "T61", "T20"]
    assert room.route.latched


def test_a_loss_without_time_for_stages_moves_at_once():
    room = losing(staged(), -60).run(10)
    assert moves(room) == [100]
    assert "T10" in room.rules
    assert "T60" not in room.rules


def test_when_time_runs_out_between_stages_the_rest_moves_at_once():
    room = until_moved(losing(staged()))
    assert moves(room) == [10]
    leave(room, -60).run(2)
    assert moves(room) == [10, 100]
    assert "T62" in room.rules


def test_a_stage_unproven_in_a_room_that_cannot_wait_is_followed_by_all_of_it():
    room = until_moved(losing(staged(), 0.0))
    for edge in room.edges.values():
        edge.truly = 0
    room.calls_per_s = 3
    leave(room, 100).run(25)
    assert moves(room) == [10, 100]
    assert "T63" in room.rules


@pytest.mark.parametrize("stages", [(100,), (50, 100), (5, 25, 75, 100)])
def test_a_route_moves_by_the_stages_it_is_given_and_home_by_their_mirror(stages: tuple[int, ...]):
    room = staged(stages=stages, verify_s=120.0)
    room.order(Command.SHIFT)
    room.run(120)
    assert moves(room) == list(stages)
    room.order(Command.RESTORE)
    room.run(120)
    assert moves(room) == [*stages, *(100 - stage for stage in stages)]
    assert room.route.position is Position.PRIMARY


def test_at_night_three_probe_calls_prove_each_stage():
    room = staged()
    room.calls_per_s = 0
    shifted(room)
    assert moves(room) == [10, 50, 100]


def test_enough_calls_and_none_of_them_at_the_backup_is_no_proof_whatever_the_probe_calls_say():
    room = staged()
    room.calls_per_s = 2
    for edge in room.edges.values():
        edge.truly = 0
    room.order(Command.SHIFT)
    room.run(18)
    assert moves(room) == [10]
    assert "T61" not in room.rules


def test_power_may_go_once_the_last_call_has_left_and_no_longer_when_calls_come_home():
    room = shifted(staged())

    def may_go() -> bool:
        return bool(status(room.world)["routes"]["outbound"]["power_may_go"])

    room.run(60)
    assert may_go()
    assert pages(room, "T23") == [True]
    room.edges["edge_1"].percent, room.edges["edge_1"].set_epoch = 0, 0
    room.edges["edge_1"].up_since += 1
    room.ask_edges()
    assert not may_go(), "an edge forgot, and sends calls to the primary"
    room.run(400)
    assert may_go()
    room.order(Command.RESTORE)
    room.run(1)
    assert not may_go()
    assert pages(room, "T23")[-1] is False


# --- contradicted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truly", [0, 60])
def test_an_edge_that_lies_in_its_read_back_stops_the_move_and_pages(truly: int):
    room = staged()
    room.edges["edge_2"].truly = truly
    room.order(Command.SHIFT)
    room.run(120)
    assert moves(room) == [10]
    assert "T65" in room.rules
    assert pages(room, "T65") == [True]
    why = next(decision.why for decision in room.decisions if decision.rule == "T65")
    assert "edge_2 shows 10 %" in why
    assert room.route.position is Position.SHIFTING
    room.edges["edge_2"].truly = None
    assert room.order(Command.RESTORE).rule == "O27"
    room.run(40)
    assert room.route.position is Position.PRIMARY


def test_a_lying_edge_does_not_keep_the_others_in_a_room_without_time():
    room = until_moved(losing(staged()))
    room.edges["edge_2"].truly = 0
    leave(room, 30).run(40)
    assert moves(room) == [10]
    assert "T65" in room.rules
    leave(room, -60).run(2)
    assert moves(room) == [10, 100]
    assert "T62" in room.rules


def test_chance_alone_refutes_nothing_and_a_lie_is_found_within_150_calls():
    assert not any(refutes(Tally(20 - k, k), 10, ends=True) for k in range(9))
    assert not refutes(Tally(100, 0), 10, ends=True)
    assert refutes(Tally(150, 0), 10, ends=True)
    assert refutes(Tally(0, 10), 10, ends=True)
    assert not refutes(Tally(0, 10), 10, ends=False), "they may have been tried again there"
    assert refutes(Tally(0, 150), 90, ends=True)
    assert refutes(Tally(1, 99), 100, ends=True)
    assert refutes(Tally(99, 1), 0, ends=True)


# --- back --------------------------------------------------------------------------------------------------------


def test_a_backup_that_fails_calls_is_left_at_once_where_the_primary_is_good():
    room = staged()
    room.backup_takes_calls = False
    room.order(Command.SHIFT)
    room.run(20)
    assert moves(room) == [10, 0]
    assert "T66" in room.rules
    assert room.route.position is Position.PRIMARY
    assert pages(room, "T66")[0] is True


def test_a_backup_that_fails_calls_is_not_left_for_a_room_that_cannot_bear_them():
    room = until_moved(losing(staged()))
    room.backup_takes_calls = False
    room.run(60)
    assert moves(room) == [10]
    assert "T67" in room.rules
    assert pages(room, "T67") == [True]


def test_a_stage_nobody_can_prove_goes_home_in_a_room_that_can_wait():
    room = staged()
    room.probe = lambda: None  # type: ignore[method-assign]
    room.calls_per_s = 0
    assert room.order(Command.SHIFT).rule == "O17"
    room.run(40)
    assert moves(room) == [10, 0]
    assert "T64" in room.rules


def test_a_backup_that_warms_during_a_stage_stops_the_move():
    room = staged()
    room.order(Command.SHIFT)
    room.inlets["hall_b"] = 33.0
    room.run(30)
    assert moves(room) == [10, 0]
    assert "T73" in room.rules


def rolled_back(room: Room) -> Room:
    """The backup fails calls while the room still has an evacuation and a dwell to spare."""
    room.backup_takes_calls = False
    leave(room, 500).run(20)
    assert room.route.position is Position.PRIMARY
    return room


def test_a_rolled_back_move_leaves_one_more_and_not_two():
    room = rolled_back(until_moved(losing(staged())))
    assert moves(room) == [10, 0]
    assert not room.route.latched
    leave(room, 0).run(10)
    assert moves(room) == [10, 0, 10]
    rolled_back(room)
    assert room.route.latched
    leave(room, 0).run(60)
    assert moves(room) == [10, 0, 10, 0]
    told = [rule for rule in rules(room, "T6", "T1") if rule not in {"T67", "T13"}]
    assert told == ["T60", "T66", "T60", "T66", "T14"]


def test_after_a_roll_back_an_older_probe_call_proves_nothing():
    room = until_moved(losing(staged()))
    room.backup_takes_calls = False
    leave(room, 500)
    while "T66" not in room.rules:
        room.run(1)
        assert room.route.position is not Position.BACKUP
    room.probe = lambda: None  # type: ignore[method-assign]
    leave(room, 0).run(40)
    assert moves(room) == [10, 0]
    assert "T13" in room.rules


def test_a_rolled_back_move_waits_for_its_dwell_while_there_is_time():
    room = rolled_back(until_moved(losing(staged(dwell_s=120.0))))
    room.backup_takes_calls = True
    leave(room, 100).run(60)
    assert moves(room) == [10, 0]
    why = next(decision.why for decision in room.decisions if decision.rule == "T13")
    assert "dwell: a move was rolled back" in why


# --- readiness from outside --------------------------------------------------------------------------------------


def report(room: Room, item: str, passed: bool = True, value: float | None = None) -> None:
    room.tell(ReadinessReport(room.at, "outbound", item, passed, "as told", value))


def test_spare_calls_are_compared_with_the_calls_in_progress_and_waived_when_time_is_up():
    room = staged(proofs=("call_capacity", "parity"))
    report(room, "parity")
    report(room, "call_capacity", value=71.0)
    items = status(room.world)["routes"]["outbound"]["readiness"]
    assert items["call_capacity"]["pass"] is False, "60 calls x 1.2 are 72"
    assert "60 calls now need 72" in items["call_capacity"]["why"]
    assert room.order(Command.SHIFT).rule == "O14"
    report(room, "call_capacity", value=72.0)
    assert status(room.world)["routes"]["outbound"]["readiness"]["call_capacity"]["pass"] is True
    report(room, "call_capacity", value=10.0)
    losing(room, 500)
    report(room, "parity")
    report(room, "call_capacity", value=10.0)
    leave(room, 0).run(10)
    assert moves(room)[:1] == [10], "too few, but there is no time to be choosy"
    assert any(effect.key.endswith("outbound/waived") for effect in room.effects if isinstance(effect, Page))


@pytest.mark.parametrize(("passed", "value"), [(False, None), (False, 50.0), (True, 0.0)])
def test_a_full_backup_is_not_waived_however_late_it_is(passed, value):
    """Calls that find no place there are as lost as calls that stay, and its own callers lose theirs."""
    room = staged(proofs=("call_capacity",))
    report(room, "call_capacity", passed, value)
    losing(room, 500)
    report(room, "call_capacity", passed, value)
    leave(room, 0).run(60)
    assert moves(room) == []
    assert status(room.world)["routes"]["outbound"]["readiness"]["call_capacity"]["waived"] is False


def test_list_parity_yields_to_no_hurry():
    room = staged(proofs=("parity",))
    report(room, "parity")
    losing(room, 500)
    report(room, "parity", passed=False)
    leave(room, -60).run(20)
    assert moves(room) == []
    assert "T13" in room.rules
    report(room, "parity")
    room.run(5)
    assert moves(room) == [100], "it clears by itself"


def test_a_report_that_is_old_is_no_proof():
    room = staged(proofs=("parity",))
    report(room, "parity")
    room.run(119)
    assert status(room.world)["armed"]["now"] is True
    room.run(3)
    assert "parity: reported 12" in status(room.world)["armed"]["why"]


# --- held --------------------------------------------------------------------------------------------------------


def test_a_hold_stops_the_stages_and_a_resume_lets_them_go_on():
    room = staged()
    room.order(Command.SHIFT)
    room.run(2)
    assert room.order(Command.HOLD).rule == "M30"
    room.run(60)
    assert moves(room) == [10]
    assert "T70" in room.rules
    assert room.order(Command.RESUME).rule == "M40"
    room.run(60)
    assert moves(room) == [10, 50, 100]


def test_an_order_given_while_held_is_carried_through_its_stages():
    room = staged()
    room.order(Command.HOLD)
    shifted(room)
    assert room.world.mode is Mode.HELD
    assert moves(room) == [10, 50, 100]


def test_a_restart_between_stages_continues_where_it_was():
    room = staged()
    room.order(Command.SHIFT)
    room.run(4)
    world = replace(load(dump(room.world), room.at), policy=room.world.policy)
    room.world = world
    room.take_lease(8)
    room.run(60)
    assert moves(room) == [10, 50, 100]
    assert [e.epoch for e in room.effects if isinstance(e, SetPercent)] == [7, 8, 8]


# --- home --------------------------------------------------------------------------------------------------------


def test_home_by_stages_waits_when_the_room_shows_evidence_again():
    room = shifted(staged())
    assert room.order(Command.RESTORE).rule == "O27"
    real = room.probe
    room.probe = lambda: None  # type: ignore[method-assign]
    room.calls_per_s = 0
    losing(room, 5_000.0)
    room.probe = real  # type: ignore[method-assign]
    room.run(30)
    assert moves(room) == [10, 50, 100, 90]
    assert "T81" in room.rules
    leave(room, -60).run(5)
    assert moves(room) == [10, 50, 100, 90, 100]
    assert "T17" in room.rules


def test_home_is_refused_without_a_unit_to_spare():
    room = shifted(staged())
    room.lose_units(1)
    room.run(10)
    assert room.order(Command.RESTORE).rule == "O28"
    room.states.clear()
    room.run(90)
    assert room.order(Command.RESTORE).rule == "O27"


# --- drills ------------------------------------------------------------------------------------------------------


def drilled(room: Room) -> Room:
    answer = room.order(Command.DRILL, "outbound")
    assert answer.rule == "O30", answer
    return room.run(120)


def test_a_drill_moves_a_tenth_and_back_and_tells_what_it_took():
    room = drilled(staged())
    assert moves(room) == [10, 0]
    assert rules(room, "T9") == ["T90", "T94"]
    done = next(dict(decision.facts) for decision in room.decisions if decision.rule == "T94")
    assert 5 <= float(done["seen_verify_s"]) <= 60
    assert 20 <= float(done["seen_drain_s"]) <= 60
    assert room.route.position is Position.PRIMARY
    assert not room.route.latched
    assert status(room.world)["routes"]["outbound"]["drills"][-1]["drain_s"] == float(done["seen_drain_s"])
    assert room.order(Command.DRILL, "outbound").rule == "O30", "the episode of the drill is closed"


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda room: room.order(Command.HOLD), "O31"),
        (shifted, "O32"),
        (lambda room: losing(room, 5_000.0), "O33"),
        (lambda room: [setattr(edge, "silent", True) for edge in room.edges.values()], "O35"),
        (lambda room: setattr(room.edges["edge_1"], "silent", True), "O36"),
        (lambda room: setattr(room, "backup_answers", False), "O37"),
        (lambda room: room.lose_units(1), "O38"),
    ],
)
def test_a_drill_is_refused_when_anything_is_not_good(spoil, rule: str):
    room = staged()
    spoil(room)
    room.run(20)
    before = moves(room)
    assert room.order(Command.DRILL, "outbound").rule == rule
    assert moves(room) == before


def test_a_drill_keeps_to_its_quiet_window():
    """It is 03:30 UTC."""
    assert staged(quiet=(4 * 60, 5 * 60)).order(Command.DRILL, "outbound").rule == "O41"
    assert staged(quiet=(3 * 60, 5 * 60)).order(Command.DRILL, "outbound").rule == "O30"
    assert staged(quiet=(23 * 60, 4 * 60)).order(Command.DRILL, "outbound").rule == "O30"
    assert staged(quiet=(23 * 60, 2 * 60)).order(Command.DRILL, "outbound").rule == "O41"


def test_a_route_that_moves_all_or_nothing_has_no_drill():
    assert staged(stages=(100,)).order(Command.DRILL, "outbound").rule == "O40"


def test_a_drill_that_is_not_proven_comes_home_and_teaches_nothing():
    room = staged()
    room.backup_takes_calls = False
    drilled(room)
    assert moves(room) == [10, 0]
    assert "T91" in room.rules
    assert room.route.measured == ()
    assert room.route.position is Position.PRIMARY


def test_a_room_that_is_lost_during_a_drill_is_left():
    room = staged()
    room.lose_units(1, 2, 3)
    zone = room.world.zones["hall_a"]
    assert zone.judgement.verdict == "ok"
    room.order(Command.DRILL, "outbound")
    room.run(60, heat=0.2)
    assert room.edges["edge_1"].percent == 100
    assert room.route.latched
    assert {"T92", "T93", "T17"} & set(room.rules)


def test_a_second_order_during_a_drill_is_answered():
    room = staged()
    room.order(Command.DRILL, "outbound")
    room.run(1)
    assert room.order(Command.SHIFT).rule == "O18"
    assert room.order(Command.DRILL, "outbound").rule == "O32"
    assert room.order(Command.RESTORE).rule == "O27"


# --- the clock ---------------------------------------------------------------------------------------------------


def test_time_to_evacuate_is_learnt_slowly_downwards_and_at_once_upwards():
    room = staged()
    route = room.policy.routes[0]
    assert clock.evacuate_s(route, room.route) == 480.0
    for _ in range(2):
        drilled(room)
    assert clock.drain_s(route, room.route) == 300.0
    drilled(room)
    assert clock.drain_s(route, room.route) == route.drain_floor_s, "a night's calls of 30 s are no floor"
    assert clock.verify_s(route, room.route) == 60.0
    long = replace(room.route.measured[-1], drain_s=450.0)
    assert clock.drain_s(route, RouteState(measured=(long,))) == 562.5
    assert clock.drain_s(route, RouteState(measured=(replace(long, drain_s=9_000.0),))) == 600.0


def test_a_route_of_simulated_calls_learns_nothing():
    room = drilled(staged(learns=False))
    assert "T94" in room.rules
    assert room.route.measured == ()
