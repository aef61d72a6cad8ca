"""Stories of orders that go no further than the doorstep: no policy, a standby, a route there is not."""

import re
from pathlib import Path

from room import Room

import envmon
from envmon.core.advance import advance
from envmon.core.rules_text import rules_text
from envmon.core.words import rule_of
from envmon.core.world import initial
from envmon.model.event import Command, LeaseReport, Order, OrderReceived, Stamp
from envmon.model.verdict import Mode

KNOWN = set(re.findall(r"^\| ([A-Z]\d\d) ", rules_text(), re.MULTILINE))


def order(command: Command, route: str = "") -> Order:
    return Order("1", command, route, "ann", "because", person="ann")


def test_without_a_policy_every_order_is_refused():
    for command in Command:
        step = advance(initial(), OrderReceived(Stamp(1, 1.0, "b"), order(command)))
        (refused,) = step.decisions
        assert (refused.rule, refused.refused, step.effects) == ("O00", True, ())


def test_an_order_for_a_route_there_is_not_names_those_there_are():
    room = Room().armed()
    for command in (Command.SHIFT, Command.RESTORE, Command.DRILL):
        (refused,) = room.tell(OrderReceived(room.at, order(command, "inbound")))
        assert (refused.rule, refused.refused) == ("O01", True)
        assert refused.why == "no route 'inbound'; routes: outbound"
        assert ("order", command) in refused.facts
    assert room.world.mode is Mode.AUTOMATIC


def test_a_standby_sends_orders_to_the_holder_but_answers_for_its_own_policy():
    room = Room().armed()
    room.tell(LeaseReport(room.at, held=False, epoch=0, detail="held by envmon-b", holder="envmon-b"))
    for command in (Command.SHIFT, Command.HOLD, Command.MAINTENANCE):
        (refused,) = room.tell(OrderReceived(room.at, order(command)))
        assert (refused.rule, refused.refused, refused.why) == ("O02", True, "the lease is held by envmon-b")
    (answered,) = room.tell(OrderReceived(room.at, order(Command.ACCEPT)))
    assert answered.rule == "G31"


def test_every_rule_the_product_names_is_in_the_document_and_can_be_explained():
    """One table for all: what names a rule elsewhere names one there is."""
    sources = sorted(Path(envmon.__file__).parent.rglob("*.py"))
    named = {name for source in sources for name in re.findall(r'"([A-Z]\d\d)"', source.read_text())}
    assert named - KNOWN == set()
    assert {rule for rule in ("O00", "O01", "O02") if rule_of(rule) is None} == set()
