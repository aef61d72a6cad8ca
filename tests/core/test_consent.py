"""Stories of who may order what: one person, a second one, and broken glass."""

import dataclasses

import pytest
from room import Room

from envmon.core.consent_rules import CONSENT_RULES, Asked, ConsentAct, ConsentFacts
from envmon.core.consent_rules import Step as Stage
from envmon.core.snapshot import dump, load
from envmon.core.table import Answer, find
from envmon.model.effect import Decision, Page, Urgency
from envmon.model.event import Access, Command, Order, OrderReceived
from envmon.model.verdict import Mode, Position


def ask(room: Room, command: Command, who: str, **more: object) -> tuple[Decision, ...]:
    """Give an order; every decision that answers it."""
    route = "outbound" if command in (Command.SHIFT, Command.RESTORE) else ""
    order = Order(f"{len(room.decisions):08d}", command, route, who, "because", person=who, **more)  # type: ignore[arg-type]
    return room.tell(OrderReceived(room.at, order))


def approve(room: Room, request: str, who: str, **more: object) -> tuple[Decision, ...]:
    return ask(room, Command.APPROVE, who, request=request, **more)


def ids(decisions: tuple[Decision, ...]) -> list[str]:
    return [decision.rule for decision in decisions]


def open_pages(room: Room) -> set[str]:
    room.run(1)
    return {key.rpartition("/")[2].partition("-")[0] for key in room.world.raised if "/order/" in key}


def asked_to_disarm() -> tuple[Room, str]:
    room = Room().armed()
    (answer,) = ask(room, Command.DISARM, "ann")
    assert (answer.rule, answer.waits, answer.refused) == ("P20", True, False)
    (request,) = room.world.requests
    assert request in answer.why
    return room, request


def test_one_person_does_not_disarm_and_two_do():
    room, request = asked_to_disarm()
    assert room.world.mode is Mode.AUTOMATIC
    assert open_pages(room) == {"P20"}
    consented, done = approve(room, request, "bob")
    assert ids((consented, done)) == ["P34", "M20"]
    assert consented.approvals == ("ann", "bob")
    assert "ann: because" in done.why
    assert room.world.mode is Mode.OBSERVE
    assert ids(approve(room, request, "bob")) == ["P30"], "an approval is good for one time"


@pytest.mark.parametrize(
    ("who", "access", "rule"),
    [("ann", Access.APPROVER, "P32"), ("bob", Access.OPERATOR, "P31"), ("eve", Access.VIEWER, "P10")],
)
def test_who_may_not_approve_is_refused_and_paged(who, access, rule):
    room, request = asked_to_disarm()
    (answer,) = approve(room, request, who, access=access)
    assert (answer.rule, answer.refused) == (rule, True)
    assert room.world.mode is Mode.AUTOMATIC
    assert open_pages(room) == {"P20", rule}
    assert ids(approve(room, request, "bob")) == ["P34", "M20"], "the request still stands"


def test_an_approval_given_for_another_state_is_refused_and_says_what_changed():
    room, request = asked_to_disarm()
    room.lose_units(1, 2, 3)
    room.run(30, heat=0.05)
    (answer,) = approve(room, request, "bob")
    assert (answer.rule, answer.refused) == ("P33", True)
    assert "zone hall_a degraded (was: zone hall_a ok)" in answer.why
    assert room.world.mode is Mode.AUTOMATIC


def test_a_request_runs_out_and_survives_a_restart_before():
    room, request = asked_to_disarm()
    room.world = dataclasses.replace(load(dump(room.world), room.at), policy=room.policy, lease=room.world.lease)
    assert list(room.world.requests) == [request]
    room.run(601)
    assert room.world.requests == {}
    assert ids(approve(room, request, "bob")) == ["P30"]
    assert room.world.mode is Mode.AUTOMATIC


def test_broken_glass_works_alone_and_tells_everybody():
    room = Room().armed()
    assert ids(ask(room, Command.DISARM, "ann", break_glass=True)) == ["P21", "M20"]
    assert room.world.mode is Mode.OBSERVE
    room.run(1)
    told = [effect for effect in room.effects if isinstance(effect, Page) and "P21" in effect.key]
    assert [(page.raised, page.urgency) for page in told] == [(True, Urgency.CRITICAL)]
    assert "ann orders: disarm" in told[0].summary
    room.run(3_601)
    assert "P21" not in open_pages(room)


@pytest.mark.parametrize("access", [Access.OPERATOR, Access.APPROVER])
def test_an_operator_alone_does_what_the_rules_allow(access):
    room = Room().armed()
    assert ids(ask(room, Command.HOLD, "ann", access=access)) == ["M30"]
    assert ids(ask(room, Command.RESUME, "ann", access=access)) == ["M40"]
    assert ids(ask(room, Command.SHIFT, "ann", access=access)) == ["O10"]


def test_a_viewer_orders_nothing():
    room = Room().armed()
    for command in set(Command) - {Command.APPROVE}:
        for glass in (False, True):
            answers = ask(room, command, "eve", access=Access.VIEWER, break_glass=glass)
            assert ids(answers) == ["P10"]
    assert room.world.mode is Mode.AUTOMATIC
    assert room.route.position is Position.PRIMARY


def test_a_move_into_a_backup_that_is_not_ready_takes_two_people():
    room = Room().armed()
    room.backup_answers = False
    room.run(10)
    assert ids(ask(room, Command.SHIFT, "ann")) == ["O14"]
    (answer,) = ask(room, Command.SHIFT, "ann", override=True)
    assert answer.rule == "P20"
    assert room.route.position is Position.PRIMARY
    (request,) = room.world.requests
    assert ids(approve(room, request, "bob")) == ["P34", "O10"]
    assert room.route.position is Position.SHIFTING


def test_two_people_do_not_replace_the_lease():
    room = Room().armed()
    room.world = dataclasses.replace(room.world, lease=dataclasses.replace(room.world.lease, held=False))
    ask(room, Command.SHIFT, "ann", override=True)
    (request,) = room.world.requests
    assert ids(approve(room, request, "bob")) == ["P34", "O13"]
    assert room.route.position is Position.PRIMARY


def test_home_before_the_soak_takes_two_people():
    room = Room().armed()
    ask(room, Command.SHIFT, "ann")
    room.run(20)
    room.states["hall_a_crac_1"] = room.states["hall_a_crac_2"] = "failed"
    room.run(10, heat=0.05)
    assert ids(ask(room, Command.RESTORE, "ann"))[0] in ("O24", "O25", "O28")
    assert ids(ask(room, Command.RESTORE, "ann", override=True, break_glass=True)) == ["P21", "O20"]


def test_in_observe_nothing_needs_a_second_person():
    room = Room().run(12)
    assert ids(ask(room, Command.DISARM, "ann")) == ["M21"]
    assert ids(ask(room, Command.SHIFT, "ann", override=True)) == ["O11"]


def test_every_approval_is_answered():
    for access in Access:
        for asked in Asked:
            for other in Answer:
                for late in Answer:
                    facts = ConsentFacts(Stage.APPROVAL, access, "one", Answer.NO, asked, other, late)  # type: ignore[arg-type]
                    assert find(CONSENT_RULES, facts) is not None, facts


def test_an_order_nobody_waits_for_changes_nothing_whoever_gave_it():
    room, request = asked_to_disarm()
    for command in Command:
        for access in Access:
            (answer,) = ask(room, command, "bob", access=access, request=request, late=True, break_glass=True)
            assert (answer.rule, answer.refused, answer.effects) == ("P11", True, ())
    assert room.world.mode is Mode.AUTOMATIC
    assert ids(approve(room, request, "bob")) == ["P34", "M20"], "what waits for a second person still waits"


def test_nothing_that_needs_two_is_carried_out_on_one_word_but_by_broken_glass():
    for entry in CONSENT_RULES:
        if entry.action is ConsentAct.CARRY_OUT:
            broken = entry.when.get("glass") == {Answer.YES}
            approved = entry.when.get("other") == {Answer.YES} and entry.when.get("asked") == {Asked.STANDS}
            assert broken or (approved and entry.when["access"] == {Access.APPROVER})
            assert entry.page is not None
