"""What a holder leaves under the lease, and what another envmon makes of it when it takes over."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envmon.core.explain import explain_now
from envmon.core.heir import as_heir
from envmon.core.memory import FORMAT, OWN, Memory, found, policy_hash, read, standing_by, will
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.world import SECOND, World
from envmon.model.effect import AskProbe, Page, SetPercent, StampEpoch
from envmon.model.event import Bequest, Command, LeaseReport, Order, OrderReceived, PolicyLoaded, Stamp, Tick
from envmon.model.verdict import Mode, Position
from tests.core.room import START_WALL, Room, policy

STAGED = replace(policy().routes[0], stages=(10, 50, 100))
HOLDER = "host_a, process 1"


def rooms(**changes) -> tuple[Room, Room]:
    """Two envmons of one site: the first is armed and holds the lease, the second stands by on another host."""
    made = policy(**changes)
    first = Room(made).armed()
    second = Room(made, boot="boot-2", edges=first.edges, now_ns=first.now_ns + 77 * SECOND)
    second.world = replace(second.world, last_epoch=0)
    stand_by(second, first)
    second.run(12)
    return first, second


def stand_by(heir: Room, holder: Room) -> None:
    leave(heir, holder)
    heir.tell(LeaseReport(heir.at, held=False, epoch=0, detail=f"held by {HOLDER}", holder=HOLDER))


def leave(heir: Room, holder: Room, **changes) -> Bequest:
    """What the heir reads of what the holder has kept."""
    kept = will(holder.world)
    assert kept is not None
    bequest = replace(Bequest(heir.at, kept.epoch, kept.epoch, kept.text, 0.5), **changes)
    heir.tell(bequest)
    return bequest


def take_over(heir: Room, holder: Room, **changes) -> None:
    former = holder.world.lease.epoch
    leave(heir, holder, **changes)
    heir.effects.clear()
    heir.decisions.clear()
    heir.tell(LeaseReport(heir.at, held=True, epoch=former + 1, detail="", former=former))


def test_every_field_of_the_world_is_kept_or_every_daemons_own():
    kept = {field.name for field in fields(Memory)} - {"format"}
    assert kept - {"now", "policy"} | OWN == {field.name for field in fields(World)}
    assert not (kept - {"now", "policy"}) & OWN


def test_an_heir_goes_on_in_the_inherited_mode_and_stamps_first():
    first, second = rooms()
    assert second.world.mode is Mode.OBSERVE
    take_over(second, first)
    assert second.rules == ["M53"]
    assert second.world.mode is Mode.AUTOMATIC
    second.run(10)
    traffic = [effect for effect in second.effects if isinstance(effect, SetPercent | StampEpoch)]
    assert isinstance(traffic[0], StampEpoch)
    assert set(traffic[0].edges) == {"edge_1", "edge_2"}
    assert second.world.mode is Mode.AUTOMATIC
    assert second.route.position is Position.PRIMARY
    assert any(isinstance(each, Page) and "inherited" in each.summary for each in second.effects)


@pytest.mark.parametrize("percent", [10, 50])
def test_a_move_under_way_is_carried_on_to_its_proof_by_the_heir(percent):
    first, second = rooms(routes=(STAGED,))
    for room in (first, second):
        room.lose_units(1, 2, 3)
        room.policy  # noqa: B018 - the same loss, seen by both
    for _ in range(300):
        first.run(1, heat=0.02)
        second.run(1, heat=0.02)
        if first.route.commanded == percent:
            break
    assert first.route.commanded == percent
    assert first.route.position is Position.SHIFTING
    take_over(second, first)
    assert second.route.position is Position.SHIFTING
    assert second.route.episode == first.route.episode
    assert second.route.command_ns == second.world.now.mono_ns, "the stage has its time again"
    assert second.route.moved_ns < second.route.command_ns, "and the move has not"
    second.run(120, heat=0.02)
    assert second.route.position is Position.BACKUP
    assert {edge.percent for edge in second.edges.values()} == {100}
    assert "T10" not in second.rules and "T60" not in second.rules, "no second failover in one episode"


def test_the_latch_is_inherited():
    first, second = rooms()
    for room in (first, second):
        room.lose_units(1, 2, 3)
    for _ in range(300):
        first.run(1, heat=0.02)
        second.run(1, heat=0.02)
        if first.route.position is Position.BACKUP:
            break
    assert first.route.latched
    take_over(second, first)
    assert second.route.latched
    second.run(5, heat=0.02)
    assert second.route.position is Position.BACKUP


def test_a_hold_its_reason_and_what_is_set_aside_are_inherited():
    first, second = rooms()
    assert first.order(Command.HOLD).rule == "M30"
    order = Order("m1", Command.MAINTENANCE, "", "alice", "filters", target="hall_a_crac_1", until=START_WALL + 9_000)
    first.tell(OrderReceived(first.at, order))
    leave(second, first)
    assert second.world.aside.maintenance.keys() == first.world.aside.maintenance.keys(), "already while it stands by"
    take_over(second, first)
    assert second.world.mode is Mode.HELD
    assert second.world.mode_rule == "M30"
    assert second.world.mode_why == first.world.mode_why
    assert first.world.hold is not None and second.world.hold is not None
    left_s = [(room.world.hold.until_ns - room.at.mono_ns) / SECOND for room in (first, second)]
    assert left_s[1] == pytest.approx(left_s[0] - 0.5), "it ends when it would have ended, never later"
    assert second.world.aside.maintenance
    second.run(5)
    assert second.world.mode is Mode.HELD


def test_an_heir_in_a_loss_moves_the_calls_itself():
    first, second = rooms()
    for room in (first, second):
        room.lose_units(1, 2, 3)
    second.run(5, heat=0.02)
    take_over(second, first)
    second.run(400, heat=0.02)
    assert second.route.position is Position.BACKUP
    assert "T10" in second.rules


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text": ""}, "nothing is kept under the lease"),
        ({"epoch": 6}, "is of epoch 6, not of 7"),
        ({"text": "{}"}, "cannot be read"),
        ({"text": '{"now": 3}'}, "cannot be read"),
        ({"text": "[" * 100_000}, "cannot be read: RecursionError"),
        ({"text": "not even JSON"}, "cannot be read"),
    ],
)
def test_who_cannot_inherit_starts_held_and_says_what_is_wanting(changes, says):
    first, second = rooms()
    take_over(second, first, **changes)
    assert second.rules == ["M52"]
    assert second.world.mode is Mode.HELD
    assert "epoch 7 was not ours" in second.world.mode_why
    assert says in second.world.mode_why
    second.run(3)
    held = [page for page in second.effects if isinstance(page, Page) and page.key.endswith("mode/held")]
    assert says in held[0].summary
    assert not any(isinstance(effect, SetPercent) for effect in second.effects)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"format":1', '"format":2', "format is 2"),
        ('"mode":"automatic"', '"mode":"brave"', "brave"),
        ('"commanded":0', '"commanded":500', "commanded to 500 %"),
        ('"attempts":0', '"attempts":-1', "counts below 0"),
        ('"command_ns":', '"command_ns":1e999,"x":', "cannot be read"),
        ('"outbound":', '"inbound":', "differs from the policy in the routes inbound, outbound"),
        ('"decided":', '"undecided":', "undecided"),
    ],
)
def test_a_memory_that_is_none_of_ours_is_refused_whole(old, new, says):
    first, second = rooms()
    kept = will(first.world)
    assert kept is not None and old in kept.text
    take_over(second, first, text=kept.text.replace(old, new, 1))
    assert second.rules == ["M52"]
    assert says in second.world.mode_why
    assert second.world.aside == World().aside


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_place_is_a_memory_or_a_value_error(value):

    first = Room()
    kept = will(first.world)
    assert kept is not None
    plain = json.loads(kept.text)
    for name in plain:
        try:
            memory = read(Bequest(first.at, 7, 7, json.dumps({**plain, name: value})))
        except ValueError:
            continue
        assert memory.format == FORMAT


def test_another_policy_is_not_gone_on_with_and_an_accepted_one_takes_force():
    first, second = rooms()
    looser = policy(routes=(replace(policy().routes[0], margin_s=1.0),))
    first.policy = looser
    first.tell(PolicyLoaded(first.at, looser, "digest-2", "test", approvals=("alice", "bob")))
    take_over(second, first)
    assert second.rules == ["M52"]
    assert "decided under the policy" in second.world.mode_why

    first, second = rooms()
    second.world = replace(second.world, mode=Mode.AUTOMATIC)
    second.tell(PolicyLoaded(second.at, looser, "digest-b", "test"))
    assert second.world.proposal is not None, "nobody has approved it here"
    first.tell(PolicyLoaded(first.at, looser, "digest-a", "test", approvals=("alice", "bob")))
    take_over(second, first)
    assert second.rules == ["M53"]
    assert second.world.policy == looser
    assert (second.world.digest, second.world.proposal) == ("digest-b", None)


@pytest.mark.parametrize("changed", [{"pagers": ("mine {}",)}, {"groups": ("approver me",)}, {"certified": ("me",)}])
def test_what_was_accepted_elsewhere_does_not_bring_others_to_the_pagers_or_the_orders_here(changed):
    first, second = rooms()
    second.world = replace(second.world, mode=Mode.AUTOMATIC)
    looser = policy(routes=(replace(policy().routes[0], margin_s=1.0),))
    second.tell(PolicyLoaded(second.at, replace(looser, **changed), "digest-b", "test"))
    first.tell(PolicyLoaded(first.at, looser, "digest-a", "test", approvals=("alice", "bob")))
    take_over(second, first)
    assert second.rules == ["M52"]
    assert second.world.policy == policy()


def test_a_policy_is_the_same_on_two_hosts_with_two_places():
    assert policy_hash(replace(policy(), pagers=("here {}",), groups=("operator a",))) == policy_hash(policy())
    here, there = policy(placement_faults=("x",), start_automatic=True), policy()
    assert policy_hash(here) == policy_hash(there)
    assert policy_hash(replace(here, stale_s=31.0)) != policy_hash(there)


def test_moments_are_never_younger_on_the_heirs_clock():
    first, second = rooms()
    for room in (first, second):
        room.lose_units(1, 2, 3)
    while first.route.position is Position.PRIMARY:
        first.run(1, heat=0.02)
    at = first.world.now
    moved = (at.mono_ns - first.route.moved_ns) / SECOND
    kept = will(first.world)
    assert kept is not None

    def age(bequest: Bequest) -> float:
        return (bequest.at.mono_ns - read(bequest).routes["outbound"].moved_ns) / SECOND

    mono = 5 * SECOND  # a host that has just booted
    assert age(Bequest(Stamp(mono, at.wall, "c"), 7, 7, kept.text, 2.0)) == pytest.approx(moved + 2.0)
    assert age(Bequest(Stamp(mono, at.wall + 60.0, "c"), 7, 7, kept.text)) == pytest.approx(moved + 60.0)
    assert age(Bequest(Stamp(mono, at.wall - 60.0, "c"), 7, 7, kept.text)) == pytest.approx(moved), "a clock behind"
    same = Bequest(replace(at, mono_ns=at.mono_ns + 9 * SECOND, wall=0.0), 7, 7, kept.text)
    assert age(same) == pytest.approx(moved + 9.0), "the same boot has one clock, whatever its wall clock says"


def test_while_it_stands_by_it_decides_nothing_and_shows_what_it_would_go_on_with():
    first, second = rooms()
    for room in (first, second):
        room.lose_units(1, 2, 3)
    second.decisions.clear()
    second.effects.clear()
    while first.route.position is not Position.BACKUP:
        first.run(1, heat=0.02)
        second.run(1, heat=0.02)
    assert standing_by(second.world)
    assert {rule for rule in second.rules if rule[0] != "Z"} == set(), "the holder's moves are nobody else's hand"
    assert not any(isinstance(effect, SetPercent | StampEpoch) for effect in second.effects)
    leave(second, first)
    told = status(second.world)
    assert told["standby"] == {"for": HOLDER, "inherits": True, "why": "all that was decided is known here"}
    assert told["mode"] == "automatic"
    assert told["routes"]["outbound"]["position"] == "backup"
    assert told["armed"] == {"now": False, "why": f"the lease is not held: held by {HOLDER}"}
    heads = {part.title: part.lines for part in explain_now(second.world)}
    assert heads[f"Stands by for {HOLDER}"] == ("what it lacks to follow: nothing, it could go on from there",)
    answer = second.order(Command.HOLD)
    assert (answer.rule, answer.refused) == ("O02", True)
    assert HOLDER in answer.why
    assert second.order(Command.SHIFT).rule == "O02"


def test_a_standby_that_would_be_none_pages():
    first, second = rooms()
    second.run(3)
    assert "envmon/dallas/standby" not in second.world.raised
    leave(second, first, text="")
    second.run(2)
    assert "envmon/dallas/standby" in second.world.raised
    assert status(second.world)["standby"]["inherits"] is False
    assert as_heir(second.world) is second.world
    leave(second, first)
    second.run(2)
    assert "envmon/dallas/standby" not in second.world.raised


def test_open_pages_are_told_again_or_resolved_by_the_heir():
    first, second = rooms()
    first.backup_answers = False
    first.run(90)
    (open_page,) = [key for key in first.world.raised if key.endswith("not-ready")]
    take_over(second, first)
    second.run(5)
    resolved = [page.key for page in second.effects if isinstance(page, Page) and not page.raised]
    assert resolved == [open_page], "at the heir the backup answers"

    first, second = rooms()
    assert first.order(Command.HOLD).rule == "M30"
    first.run(2)
    take_over(second, first)
    second.run(2)
    assert "envmon/dallas/mode/held" in [page.key for page in second.effects if isinstance(page, Page) and page.raised]


def test_who_loses_the_lease_leaves_open_pages_to_the_next_holder():
    first, second = rooms()
    first.order(Command.HOLD)
    first.run(2)
    take_over(second, first)
    second.run(2)
    first.effects.clear()
    stand_by(first, second)
    first.run(3)
    assert not [page for page in first.effects if isinstance(page, Page)]
    assert "envmon/dallas/mode/held" not in first.world.raised


def test_an_heir_of_an_acute_threat_calls_the_backup_itself_at_once():
    first, second = rooms()
    first.backup_answers = False
    for room in (first, second):
        room.lose_units(1, 2, 3)
    while first.route.act_ns is None:
        first.run(1, heat=0.02)
        second.run(1, heat=0.02)
    second.run(60, heat=0.02)  # it has called the backup since, for itself
    take_over(second, first)
    assert second.route.act_ns == second.now_ns
    second.tell(Tick(second.at))
    assert AskProbe("outbound") in second.effects
    assert "T13" not in second.rules, "the answer is a second away"
    second.run(6, heat=0.02)
    assert "T10" in second.rules


def test_what_was_raised_cut_off_is_resolved_only_when_the_holder_has_had_time_to_raise_it_too():
    first, second = rooms()
    take_over(second, first)  # and the first has not heard of it
    first.tell(LeaseReport(first.at, held=False, epoch=0, detail="no member answers"))
    first.run(2)
    (raised,) = [key for key in first.world.raised if key.endswith("not-ready")]
    first.effects.clear()
    stand_by(first, second)
    first.run(8)
    assert not [page for page in first.effects if isinstance(page, Page)], "the holder may be about to raise it"
    first.run(5)
    assert [(page.key, page.raised) for page in first.effects if isinstance(page, Page)] == [(raised, False)]

    second.backup_answers = False
    first, second = second, first
    take_over(second, first)
    first.tell(LeaseReport(first.at, held=False, epoch=0, detail="no member answers"))
    second.backup_answers = False
    second.run(90)
    first.run(90)
    assert raised in first.world.raised and raised in second.world.raised
    first.effects.clear()
    stand_by(first, second)
    first.run(30)
    assert not [page for page in first.effects if isinstance(page, Page)], "it is open at the holder"


def test_our_own_memory_is_taken_only_where_it_knows_more_than_the_disk():
    room = Room().armed()
    before = load(dump(room.world), room.at)
    room.order(Command.HOLD)
    kept = will(room.world)
    assert kept is not None
    after = load(dump(room.world), room.at)

    def restarted(world: World) -> Room:
        again = Room()
        again.world = replace(world, policy=room.world.policy)
        again.tell(Bequest(again.at, 7, 7, kept.text))
        again.tell(LeaseReport(again.at, held=True, epoch=8, detail="", former=7))
        again.run(3)
        return again

    assert "M53" in restarted(before).rules
    assert restarted(before).world.mode is Mode.HELD, "the disk had not kept the hold"
    assert "M53" not in restarted(after).rules
    assert restarted(after).world.mode is Mode.HELD
    assert restarted(after).world.bequest is None


def test_an_heir_that_cannot_inherit_repeats_nothing_of_its_own_earlier_life():
    first, second = rooms()
    for room in (first, second):
        room.lose_units(1, 2, 3)
    while first.route.position is not Position.BACKUP:
        first.run(1, heat=0.02)
    take_over(second, first)
    assert second.route.position is Position.BACKUP
    stand_by(first, second)
    for edge in first.edges.values():
        edge.percent, edge.set_epoch, edge.up_since = 0, 0, edge.up_since + 1  # the edges lost what they had
    first.ask_edges()
    take_over(first, second, text="")
    assert first.rules == ["M52"]
    first.run(30)
    assert not any(isinstance(effect, SetPercent) for effect in first.effects)
    assert first.route.commanded == 0


def test_nothing_is_kept_without_the_lease_nor_before_it_was_inherited():
    first, second = rooms()
    assert will(second.world) is None
    kept = will(first.world)
    assert kept is not None and kept.epoch == 7
    assert found(replace(second.world, bequest=Bequest(second.at, 7, 7, kept.text))) is not None
    assert will(replace(first.world, bequest=Bequest(first.at, 7, 7))) is None
    assert len(kept.text) < 10_000
    first.run(1)
    assert will(first.world) == kept, "a quiet second changes nothing"


def test_a_number_that_is_none_is_refused():
    first, second = rooms()
    kept = will(first.world)
    assert kept is not None
    plain = json.loads(kept.text)
    plain["now"]["wall"] = float("inf")
    take_over(second, first, text=json.dumps(plain))
    assert second.rules == ["M52"]
    assert "inf cannot be kept" in second.world.mode_why


def test_an_heir_sees_with_its_own_eyes_and_says_anew_what_stands():
    first, second = rooms()
    for room in (first, second):
        room.backup_answers = False
        room.lose_units(1, 2, 3)
    while first.route.standing != "T13":
        first.run(1, heat=0.02)
        second.run(1, heat=0.02)
    own = second.route
    take_over(second, first)
    assert second.route.edges == own.edges
    assert second.route.probes.keys() == own.probes.keys()
    assert {view.in_a_row for view in second.route.probes.values()} == {0}
    assert second.route.standing == ""
    second.run(2, heat=0.02)
    assert "T13" in second.rules


def test_what_is_set_aside_is_inherited_without_a_holder_to_stand_by_for():
    first, second = rooms()
    order = Order("m1", Command.MAINTENANCE, "", "alice", "filters", target="hall_a_crac_1", until=START_WALL + 9_000)
    first.tell(OrderReceived(first.at, order))
    second.tell(LeaseReport(second.at, held=False, epoch=0, detail="etcd does not answer"))
    assert not standing_by(second.world)
    take_over(second, first)
    assert second.world.aside.maintenance.keys() == first.world.aside.maintenance.keys() != set()
