"""Journal lines: who, what, why, and which effect is permitted by which line."""

import json

from runtime_rig import STAMP

from envmon.journal.record import Entry
from envmon.model.effect import Decision, SetPercent, StampEpoch
from envmon.model.event import (
    Command,
    DeviceBatch,
    EffectReport,
    LeaseReport,
    Order,
    OrderReceived,
    Outcome,
    PolicyLoaded,
    Tick,
)
from envmon.model.policy import Policy
from envmon.runtime import scribe

MOVE = SetPercent("7.1", "outbound", ("edge_1", "edge_2"), 100, 7)
SHOW = StampEpoch("7.2", ("edge_1",), 7)


def decision(subject: str, effects: tuple[str, ...] = (), *, refused: bool = False) -> Decision:
    return Decision("T10", subject, "It moves.", "it is hot", (("threat", "act"),), effects, "o1", refused)


def test_an_order_and_its_decision_are_two_lines() -> None:
    order = Order("o1", Command.SHIFT, "outbound", "ann", "drill", ("bob",))
    asked, decided = scribe.lines(OrderReceived(STAMP, order), (MOVE,), (decision("route:outbound", ("7.1",)),))
    assert (asked.entry, asked.subject, asked.who, asked.order, asked.approvals) == (
        Entry.ORDER,
        "route:outbound",
        "ann",
        "o1",
        ("bob",),
    )
    assert asked.text == "order: shift outbound (drill)"
    assert asked.effect == ""
    assert (decided.entry, decided.rule, decided.who, decided.order) == (Entry.DECISION, "T10", "envmon", "o1")
    assert decided.facts == (("threat", "act"),)
    assert decided.extra == {"why": "it is hot"}
    assert (decided.epoch, decided.deadline) == (7, STAMP.wall + 30)
    assert json.loads(decided.effect) == {
        "do": "set_percent",
        "id": "7.1",
        "route": "outbound",
        "edges": ["edge_1", "edge_2"],
        "percent": 100,
        "epoch": 7,
    }


def test_every_effect_is_permitted_by_exactly_one_line() -> None:
    lines = scribe.lines(Tick(STAMP), (MOVE, SHOW), (decision("lease", ("7.2", "7.1")), decision("mode")))
    assert [json.loads(line.effect)["id"] for line in lines if line.effect] == ["7.2", "7.1"]
    orphans = scribe.lines(Tick(STAMP), (MOVE, SHOW), ())
    assert [(line.entry, line.subject, json.loads(line.effect)["do"]) for line in orphans] == [
        (Entry.DECISION, "route:outbound", "set_percent"),
        (Entry.LEASE, "lease", "stamp_epoch"),
    ]


def test_the_subject_names_the_entry() -> None:
    decisions = [decision(s) for s in ("mode", "lease", "zone:hall_a", "route:outbound", "order")]
    entries = [line.entry for line in scribe.lines(Tick(STAMP), (), decisions)]
    assert entries == [Entry.MODE, Entry.LEASE, Entry.VERDICT, Entry.DECISION, Entry.DECISION]
    refused = scribe.lines(Tick(STAMP), (), (decision("mode", refused=True),))
    assert refused[0].extra["refused"] == "yes"


def test_reports_and_policies_have_lines_and_readings_have_none() -> None:
    result = scribe.lines(EffectReport(STAMP, "7.1", "edge_1", Outcome.FENCED, "epoch 9"), (), ())[0]
    assert (result.entry, result.subject, result.text) == (Entry.RESULT, "edge:edge_1", "edge_1: fenced, epoch 9")
    assert result.extra == {"effect": "7.1", "outcome": "fenced"}
    lease = scribe.lines(LeaseReport(STAMP, True, 7, ""), (), ())[0]
    assert (lease.entry, lease.epoch, lease.text) == (Entry.LEASE, 7, "the lease is held, epoch 7")
    policy = scribe.lines(PolicyLoaded(STAMP, Policy("dallas", (), (), ()), "abc", "envmon", "site: x"), (), ())[0]
    assert (policy.entry, policy.extra) == (Entry.POLICY, {"sha256": "abc", "text": "site: x"})
    assert scribe.lines(DeviceBatch(STAMP, "crac_1", ()), (), ()) == []
    assert scribe.lines(Tick(STAMP), (), ()) == []
