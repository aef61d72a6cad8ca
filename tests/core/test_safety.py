"""Ways a failover can go wrong, each told as the story that once made it go wrong."""

from dataclasses import replace

import pytest

from envmon.core.advance import advance
from envmon.core.route_facts import threat
from envmon.core.route_words import Threat
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.world import SECOND
from envmon.model.effect import PollFaster, SetPercent, StampEpoch
from envmon.model.event import Command, EffectReport, LeaseReport, Outcome, PolicyLoaded, Stamp, Tick
from envmon.model.reading import Quality, Reading, Reason
from envmon.model.verdict import Mode, Position
from tests.core.room import START_WALL, Edge, Room, policy
from tests.core.test_failover import moves, repair, storm


def probes_silent(room: Room, *numbers: int) -> None:
    real = room.readings

    def readings(device, zone_name):
        told = real(device, zone_name)
        if device != "hall_a_probes":
            return told
        return tuple(
            Reading(r.point, None, Quality.MISSING, Reason.TIMEOUT) if n in numbers else r for n, r in enumerate(told)
        )

    room.readings = readings  # type: ignore[method-assign]


# --- the mode ----------------------------------------------------------------------------------------------------


def test_hold_in_observe_is_no_way_round_arming():
    room = Room(policy=policy(placement_faults=("the daemon stands in hall_a",))).run(20)
    assert room.order(Command.HOLD).rule == "M32"
    room.edges["edge_1"].percent, room.edges["edge_1"].up_since = 50, 4_000
    room.run(10)
    assert room.order(Command.SHIFT).refused
    assert moves(room) == []
    assert not any(isinstance(effect, StampEpoch) for effect in room.effects)


# --- somebody else's hand ----------------------------------------------------------------------------------------


def test_an_engineers_shift_followed_by_a_restart_of_the_edges_is_not_undone():
    room = Room().armed().run(10)
    for edge in room.edges.values():
        edge.percent, edge.set_epoch, edge.up_since = 100, 7, 9_999
    room.run(10)
    assert [edge.percent for edge in room.edges.values()] == [100, 100]
    assert room.world.mode is Mode.HELD


def test_an_older_memory_does_not_move_calls_home():
    room = Room().armed().run(10)
    old = dump(room.world)
    for edge in room.edges.values():
        edge.percent, edge.set_epoch, edge.fence, edge.up_since = 100, 9, 9, 9_999
    room.world = replace(load(old, room.at), policy=room.world.policy)
    room.take_lease(10)
    room.run(10)
    assert [edge.percent for edge in room.edges.values()] == [100, 100]


def test_a_position_adopted_from_one_edge_is_not_written_to_another():
    room = Room()
    room.edges["edge_2"].silent = True
    room.armed()
    room.edges["edge_2"] = Edge(percent=100)
    room.run(20)
    assert room.edges["edge_2"].percent == 100
    assert moves(room) == []


def test_a_silent_edge_with_another_percent_does_not_blind_the_route():
    room = Room().run(12)
    room.edges["edge_2"].silent = True
    room.run(30)
    room.edges["edge_1"].percent = 100
    room.run(60)
    assert room.route.position is Position.BACKUP
    assert room.rules.count("T01") + room.rules.count("T02") < 4


def test_a_hold_can_be_resumed_while_an_edge_is_silent():
    room = Room().armed()
    room.edges["edge_2"].silent = True
    room.run(30)
    room.edges["edge_1"].percent = 30
    room.run(10)
    assert room.world.mode is Mode.HELD
    assert room.order(Command.RESUME).rule == "M40"


def test_an_edge_that_was_found_elsewhere_and_fell_silent_does_not_stop_a_failover():
    room = Room()
    room.edges["edge_2"] = Edge(percent=100, set_epoch=3, fence=3)
    room.run(12)
    room.edges["edge_2"].silent = True
    room.run(30)
    room.order(Command.ARM)
    storm(room, 300)
    assert moves(room) == [100]


def test_a_taken_over_lease_above_the_fence_can_be_resumed():
    room = Room().armed()
    room.edges["edge_1"].fence = 99
    room.run(10)
    assert room.order(Command.RESUME).rule == "M43"
    room.take_lease(100)
    room.run(10)
    assert room.order(Command.RESUME).rule == "M40"


def test_a_restart_does_not_outbid_the_controller_that_held_us():
    room = Room().armed()
    room.edges["edge_1"].fence = 99
    room.run(10)
    room.effects.clear()
    room.take_lease(100)
    room.run(30)
    assert not any(isinstance(effect, StampEpoch) for effect in room.effects)
    assert room.order(Command.RESUME).rule == "M40"
    room.run(5)
    assert any(isinstance(effect, StampEpoch) and effect.epoch == 100 for effect in room.effects)


def test_a_lease_taken_from_another_envmon_starts_held_until_an_operator_resumes():
    room = Room().armed()
    room.tell(LeaseReport(room.at, held=False, epoch=0, detail="lost"))
    room.tell(LeaseReport(room.at, held=True, epoch=9, detail="", former=8))
    room.run(3)
    assert room.world.mode is Mode.HELD
    assert room.world.mode_rule == "M52"
    assert "epoch 8 was not ours" in room.world.mode_why
    room.world = replace(load(dump(room.world), room.at), policy=room.world.policy)
    room.tell(LeaseReport(room.at, held=True, epoch=10, detail="", former=9))
    assert room.world.followed == 8, "a restart forgives nothing"
    assert room.order(Command.RESUME).rule == "M40"
    room.run(3)
    assert room.world.mode is Mode.AUTOMATIC


def test_our_own_lease_taken_again_after_a_restart_holds_nothing():
    room = Room().armed()
    room.world = replace(load(dump(room.world), room.at), policy=room.world.policy)
    room.tell(LeaseReport(room.at, held=True, epoch=8, detail="", former=7))
    room.run(3)
    assert room.world.mode is Mode.AUTOMATIC


# --- restarts ----------------------------------------------------------------------------------------------------


def test_after_a_restart_nothing_is_written_before_the_lease_is_taken_again():
    room = Room().armed()
    room.tell(LeaseReport(room.at, held=False, epoch=0, detail="lost"))
    storm(room, 200)
    assert moves(room) == []
    room.take_lease(7)
    world = replace(load(dump(room.world), room.at), policy=room.world.policy)
    step = advance(world, Tick(replace(room.at, mono_ns=room.now_ns + SECOND)))
    assert not any(isinstance(effect, SetPercent | StampEpoch) for effect in step.effects)


def test_moments_stay_in_their_place_over_two_reboots():
    room = storm(Room().armed(), 100)
    first = load(dump(room.world), Stamp(5 * SECOND, START_WALL + 200, "boot-2"))
    later = replace(first, now=Stamp(3_000_000 * SECOND, first.now.wall + 3e6, "boot-2"))
    second = load(dump(later), Stamp(5 * SECOND, later.now.wall + 60, "boot-3"))
    quorum_ns = second.zones["hall_a"].quorum_ns
    assert quorum_ns is not None
    assert (second.now.mono_ns - quorum_ns) / SECOND > 3_000_000


def test_a_month_old_quorum_does_not_evacuate_a_blind_healthy_room():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    while not room.world.zones["hall_a"].judgement.quorum:
        room.run(1, heat=0.08)
    repair(room)
    for boot, days in (("boot-2", 0), ("boot-3", 30)):
        room.now_ns += days * 86_400 * SECOND
        room.run(120)
        room.world = replace(load(dump(room.world), Stamp(5 * SECOND, room.at.wall + 30, boot)), policy=None)
        room.boot, room.now_ns = boot, 5 * SECOND
        room.tell(PolicyLoaded(room.at, room.policy, "digest", "test"))
        room.take_lease(8)
    room.silent = {device for device in room.policy.devices if device.startswith("hall_a")}
    room.run(60)
    assert moves(room) == []


def test_a_name_that_ends_like_a_moment_is_a_name():
    base = policy()
    route = replace(base.routes[0], edges=("edge_ns",))
    room = Room(policy=replace(base, routes=(route,)), edges={"edge_ns": Edge()}).armed()
    world = load(dump(room.world), Stamp(5 * SECOND, room.at.wall + 60, "boot-2"))
    assert world.routes["outbound"].confirmed.keys() == {"edge_ns"}


def test_poll_hints_are_given_again_after_a_restart():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    room.run(10)
    room.world = load(dump(room.world), room.at)
    room.effects.clear()
    room.tell(PolicyLoaded(room.at, room.policy, "digest", "test"))
    room.run(10)
    assert any(isinstance(effect, PollFaster) and effect.zone == "hall_a" for effect in room.effects)


def test_devices_polled_in_any_order_replay_to_the_same_world():
    backwards = tuple(reversed(policy().devices))
    room = Room(policy=replace(policy(), devices=backwards)).armed()
    world = replace(load(dump(room.world), room.at), policy=room.world.policy, lease=room.world.lease)
    world = replace(world, faster=room.world.faster)
    events = []
    tell = room.tell
    room.tell = lambda event: (events.append(event), tell(event))[1]  # type: ignore[method-assign]
    storm(room, 100)
    for event in events:
        world = advance(world, event).world
    assert dump(world) == dump(room.world)


# --- what the room says ------------------------------------------------------------------------------------------


def test_one_broken_witness_does_not_keep_a_quorum_in_a_room_that_recovered():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    while not room.world.zones["hall_a"].judgement.quorum:
        room.run(1, heat=0.08)
    repair(room)
    probes_silent(room, 2)
    room.run(20)
    assert threat(room.world, room.policy, room.policy.routes[0]) is Threat.NONE
    assert moves(room) == []


def test_two_dead_probes_do_not_bring_the_limit_nearer():
    def moved_at(*dead: int) -> int:
        room = Room().armed()
        probes_silent(room, *dead)
        room.run(1_200)
        room.lose_units(1, 2)
        seconds = 0
        while not moves(room) and seconds < 4_000:
            room.run(1, heat=0.005)
            seconds += 1
        return seconds

    assert moved_at(0, 1) == pytest.approx(moved_at(), rel=0.05)


def test_a_device_that_left_the_configuration_leaves_no_worst_case_behind():
    room = Room().armed()
    room.policy = replace(room.policy, devices=tuple(d for d in room.policy.devices if d != "hall_a_probes"))
    room.tell(PolicyLoaded(room.at, room.policy, "digest-2", "test"))
    room.run(1_200)
    worst = room.world.zones["hall_a"].judgement.worst
    assert worst is not None
    assert worst < 25.0


@pytest.mark.parametrize("state", ["failed", "starting"])
def test_silence_neither_ends_a_plant_loss_nor_earns_another_restart(state):
    room = Room().armed()
    room.states.update({f"hall_a_crac_{n}": state for n in (1, 2, 3)})
    room.run(400, heat=0.02)
    before = room.world.zones["hall_a"]
    room.silent = {device for device in room.policy.devices if device.startswith("hall_a_crac")}
    room.run(60, heat=0.002)
    room.silent = set()
    room.run(10)
    after = room.world.zones["hall_a"]
    assert (after.onset_ns, after.restart_spent) == (before.onset_ns, before.restart_spent)
    assert after.restart_until_ns is None
    assert after.normal == before.normal


# --- carrying it out ---------------------------------------------------------------------------------------------


def test_a_move_that_reached_no_edge_is_not_made_hours_later():
    room = Room().armed()
    for edge in room.edges.values():
        edge.deaf = True
    storm(room)
    repair(room)
    room.backup_answers = False
    room.run(3_600)
    for edge in room.edges.values():
        edge.deaf = False
    room.run(60)
    assert [edge.percent for edge in room.edges.values()] == [0, 0]
    assert "T38" in room.rules
    assert room.route.position is Position.PRIMARY
    assert not room.route.latched


def test_a_move_that_reached_no_edge_waits_for_the_backup_while_the_room_is_lost():
    room = Room().armed()
    for edge in room.edges.values():
        edge.deaf = True
    storm(room)
    assert moves(room)
    room.backup_answers = False
    room.run(30, heat=0.03)
    for edge in room.edges.values():
        edge.deaf = False
    room.run(60, heat=0.03)
    assert [edge.percent for edge in room.edges.values()] == [0, 0]
    assert "T36" in room.rules
    room.backup_answers = True
    room.run(60, heat=0.03)
    assert [edge.percent for edge in room.edges.values()] == [100, 100]


def test_an_edge_that_lost_sight_of_its_calls_does_not_let_the_power_go():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    while "T20" not in room.rules:
        room.run(1, heat=0.06)
    for edge in room.edges.values():
        edge.up_since, edge.active_primary, edge.calls_primary, edge.calls_backup = 5_000, 0, 0, 0
    room.run(10)
    assert "T23" not in room.rules
    room.run(400)
    assert "T23" in room.rules


def test_a_silent_edge_does_not_let_the_power_go():
    room = Room().armed()
    room.lose_units(1, 2, 3)
    while "T10" not in room.rules:
        room.run(1, heat=0.06)
    room.edges["edge_2"].percent = 0
    room.edges["edge_2"].silent = True
    room.run(200, heat=0.01)
    assert "T24" in room.rules
    assert "T25" in room.rules
    assert not {"T20", "T23"} & set(room.rules)


def test_one_stray_call_contradicts_a_return_for_a_while_only():
    room = storm(Room().armed(), 700)
    repair(room)
    room.run(90)
    assert room.order(Command.RESTORE).rule == "O20"
    while not room.route.baseline:
        room.run(1)
    room.edges["edge_1"].calls_backup += 1
    room.run(5)
    assert "T42" in room.rules
    room.run(120)
    assert room.route.position is Position.PRIMARY


def test_an_edge_that_could_not_store_the_move_does_not_prove_it():
    room = Room().armed()
    report = room.tell

    def tell(event):
        if isinstance(event, EffectReport) and event.edge == "edge_1" and room.route.position is Position.SHIFTING:
            event = replace(event, outcome=Outcome.FAILED, detail="in force, but not stored on disk")
        return report(event)

    room.tell = tell  # type: ignore[method-assign]
    storm(room, 300)
    assert room.route.position is Position.SHIFTING
    assert room.rules.count("T30") >= 2
    room.tell = report  # type: ignore[method-assign]
    room.run(120)
    assert room.route.position is Position.BACKUP


def test_a_noisy_room_does_not_page_at_every_breath():
    room = Room().run(12)
    real = room.readings
    count = 0

    def readings(device, zone_name):
        nonlocal count
        count += 1
        shake = (((count * 2_654_435_761) % 1_000) / 1_000 - 0.5) * 0.5
        return tuple(
            replace(r, value=r.value + shake) if isinstance(r.value, float) else r for r in real(device, zone_name)
        )

    room.readings = readings  # type: ignore[method-assign]
    room.run(300)
    room.lose_units(1, 2)
    room.run(1_500, heat=0.006)
    assert room.rules.count("T11") <= 3


def test_status_does_not_call_an_adopted_position_proven():
    room = storm(Room().armed(), 700)
    for percent in (0, 100):
        for edge in room.edges.values():
            edge.percent = percent
        room.run(10)
        assert room.order(Command.RESUME).rule == "M40"
    room.run(2)
    assert room.route.position is Position.BACKUP
    assert status(room.world)["routes"]["outbound"]["proof"] != "proven"


def test_a_repaired_edge_closes_its_page():
    room = storm(Room().armed(), 700)
    room.edges["edge_2"] = Edge(up_since=5_000)
    room.run(30)
    assert "T30" in room.rules
    assert not [key for key in room.world.raised if key.endswith("T30")]
