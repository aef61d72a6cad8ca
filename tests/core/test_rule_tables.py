"""Sweeps of every cell of the rule tables: exclusive, reachable, safe, and every order answered."""

import itertools
from collections.abc import Iterator
from enum import StrEnum
from typing import get_type_hints

import pytest

from envmon.core.mode_rules import LEASE_RULES, MODE_RULES, LeaseAct, LeaseFacts, ModeAct, ModeAsk, ModeFacts
from envmon.core.route_rules import ROUTE_RULES, Act, Ask, Edges, Episode, Ready, RouteFacts, Threat
from envmon.core.table import Answer, Row, matches
from envmon.core.zone_rules import ZONE_RULES
from envmon.model.verdict import Mode, Position, Verdict

WRITES = {Act.SHIFT_BY_RULE, Act.SHIFT_BY_ORDER, Act.RESTORE, Act.ASSERT}


def cells(facts: type) -> Iterator[object]:
    kinds: list[type[StrEnum]] = list(get_type_hints(facts).values())
    return (facts(*values) for values in itertools.product(*kinds))


@pytest.fixture(scope="module")
def swept() -> list[tuple[RouteFacts, list[Row[Act]]]]:
    return [(facts, [row for row in ROUTE_RULES if matches(row, facts)]) for facts in cells(RouteFacts)]


def test_at_most_one_route_rule_fires_in_every_cell(swept):
    overlapping = [([row.id for row in rows], facts) for facts, rows in swept if len(rows) > 1]
    assert overlapping == []


def test_every_route_rule_is_reachable(swept):
    reached = {row.id for _, rows in swept for row in rows}
    assert reached == {row.id for row in ROUTE_RULES}


def test_every_order_is_answered_by_exactly_one_rule(swept):
    unanswered = [facts for facts, rows in swept if facts.order is not Ask.NONE and len(rows) != 1]
    assert unanswered == []
    strays = [row.id for facts, rows in swept for row in rows if row.id[0] == "O" and facts.order is Ask.NONE]
    assert strays == []


def test_nothing_writes_without_the_lease_or_in_observe(swept):
    for facts, rows in swept:
        for row in rows:
            if row.action in WRITES:
                assert facts.lease is Answer.YES, row.id
                assert facts.mode is not Mode.OBSERVE, row.id
                assert facts.edges not in (Edges.CONTESTED, Edges.UNREAD), row.id


def test_nothing_moves_to_a_backup_that_is_not_ready(swept):
    for facts, rows in swept:
        for row in rows:
            if row.action in (Act.SHIFT_BY_RULE, Act.SHIFT_BY_ORDER):
                assert facts.ready is Ready.YES, row.id


def test_automatic_moves_need_automatic_mode_an_acute_threat_and_an_unspent_episode(swept):
    for facts, rows in swept:
        for row in rows:
            if row.action is Act.SHIFT_BY_RULE:
                assert facts.mode is Mode.AUTOMATIC, row.id
                assert facts.threat is Threat.ACT, row.id
                assert facts.order is Ask.NONE, row.id
                assert facts.episode is not Episode.LATCHED or facts.position is Position.RESTORING, row.id


def test_calls_come_home_only_by_order_from_a_safe_soaked_room(swept):
    for facts, rows in swept:
        for row in rows:
            if row.action is Act.RESTORE:
                assert facts.order is Ask.RESTORE, row.id
                assert facts.threat is Threat.NONE, row.id
                assert facts.soaked is Answer.YES, row.id


def test_an_acute_threat_at_home_is_never_passed_over_in_silence(swept):
    """Whatever else is true, somebody is told or something is done."""
    for facts, rows in swept:
        acute = facts.threat is Threat.ACT and facts.position in (Position.PRIMARY, Position.SPLIT)
        if acute and facts.order is Ask.NONE:
            assert rows, facts


def test_refusals_never_act(swept):
    assert all(row.action is Act.SAY for _, rows in swept for row in rows if row.refuses)


@pytest.mark.parametrize(("rules", "facts"), [(MODE_RULES, ModeFacts), (LEASE_RULES, LeaseFacts)])
def test_mode_and_lease_rules_are_exclusive_and_reachable(rules, facts):
    reached = set()
    for cell in cells(facts):
        rows = [row.id for row in rules if matches(row, cell)]
        assert len(rows) <= 1, (rows, cell)
        reached.update(rows)
    assert reached == {row.id for row in rules}


def test_every_mode_order_is_answered():
    for facts in cells(ModeFacts):
        rows = [row for row in MODE_RULES if matches(row, facts)]
        if facts.order is not ModeAsk.NONE:
            assert len(rows) == 1, facts


def test_automatic_is_entered_only_by_order_with_sound_placement():
    for facts in cells(ModeFacts):
        for row in MODE_RULES:
            if matches(row, facts) and row.action is ModeAct.AUTOMATIC:
                assert facts.order is ModeAsk.ARM
                assert facts.placement is Answer.YES


def test_stamping_needs_the_lease_and_never_happens_in_observe():
    for facts in cells(LeaseFacts):
        for row in LEASE_RULES:
            if matches(row, facts) and row.action is LeaseAct.STAMP:
                assert facts.lease is Answer.YES
                assert facts.mode is not Mode.OBSERVE


def test_rule_ids_are_unique_over_all_tables_and_sentences_are_sentences():
    rows = [*((r.id, r.sentence) for r in ROUTE_RULES), *((r.id, r.sentence) for r in MODE_RULES)]
    rows += [*((r.id, r.sentence) for r in LEASE_RULES), *ZONE_RULES.values()]
    ids = [identity for identity, _ in rows]
    assert len(ids) == len(set(ids))
    assert all(sentence.endswith(".") and sentence[0].isupper() for _, sentence in rows)
    assert set(ZONE_RULES) == set(Verdict)
