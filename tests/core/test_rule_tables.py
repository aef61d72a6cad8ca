"""Sweeps of every cell of the rule tables: exclusive, reachable, safe, and every order answered."""

import itertools
from collections.abc import Iterator
from enum import StrEnum
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envmon.core.aside_rules import ASIDE_RULES, AsideAsk, AsideFacts
from envmon.core.consent_rules import CONSENT_RULES, ConsentFacts
from envmon.core.door_rules import DOOR_RULES, DoorFacts
from envmon.core.guard import GUARD_RULES
from envmon.core.heir_rules import HEIR_RULES, HeirFacts
from envmon.core.mode_rules import (
    LEASE_RULES,
    MODE_RULES,
    Hand,
    Held,
    LeaseAct,
    LeaseFacts,
    ModeAct,
    ModeAsk,
    ModeFacts,
)
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import (
    Act,
    Ask,
    Edges,
    Episode,
    Errand,
    Pace,
    Proven,
    Ready,
    RouteFacts,
    Stage,
    Threat,
)
from envmon.core.storm_rules import STORM_RULES, StormAct, StormFacts, Weather
from envmon.core.table import Answer, Row, find, matches
from envmon.core.zone_rules import ZONE_RULES
from envmon.model.verdict import Mode, Position, Verdict

BEGINS = {Act.SHIFT_BY_RULE, Act.SHIFT_BY_ORDER, Act.STAGE_BY_RULE, Act.STAGE_BY_ORDER, Act.DRILL}
BY_ITSELF = {Act.SHIFT_BY_RULE, Act.STAGE_BY_RULE}
GOES_ON = {Act.NEXT_STAGE, Act.THE_REST}
COMES_HOME = {Act.RESTORE, Act.STAGE_HOME, Act.ROLL_BACK, Act.DRILL_HOME}
WRITES = {*BEGINS, *GOES_ON, *COMES_HOME, Act.ASSERT}
KINDS: dict[type, dict[str, frozenset[StrEnum]]] = {
    facts: {name: frozenset(kind) for name, kind in get_type_hints(facts).items()}
    for facts in (RouteFacts, ModeFacts, HeirFacts, LeaseFacts, ConsentFacts, StormFacts, AsideFacts, DoorFacts)
}


TABLES = [
    (ROUTE_RULES, RouteFacts),
    (MODE_RULES, ModeFacts),
    (HEIR_RULES, HeirFacts),
    (LEASE_RULES, LeaseFacts),
    (CONSENT_RULES, ConsentFacts),
    (STORM_RULES, StormFacts),
    (ASIDE_RULES, AsideFacts),
    (DOOR_RULES, DoorFacts),
]


def cells(facts: type) -> Iterator[object]:
    return (facts(*values) for values in itertools.product(*(sorted(kind) for kind in KINDS[facts].values())))


def values(row: Row, fact: str) -> frozenset[StrEnum]:
    """What a row lets a fact be."""
    return row.when.get(fact, KINDS[RouteFacts][fact])


def overlap(facts: type, one: Row, other: Row) -> bool:
    """Whether some cell matches both rows: exact, for a row is a product of value sets."""
    kinds = KINDS[facts]
    return all(one.when.get(fact, kind) & other.when.get(fact, kind) for fact, kind in kinds.items())


def uncovered(rows: list[Row], among: dict[str, frozenset[StrEnum]]) -> dict[str, frozenset[StrEnum]] | None:
    """A box of cells among these that no row matches, or None. Splits the box on the facts a row names."""
    for row in rows:
        if all(among[fact] & wanted for fact, wanted in row.when.items()):
            rest = rows[rows.index(row) + 1 :]
            for fact, wanted in row.when.items():
                outside = among[fact] - wanted
                if outside and (hole := uncovered(rest, {**among, fact: outside})):
                    return hole
                among = {**among, fact: among[fact] & wanted}
            return None
    return among


@pytest.mark.parametrize(("rules", "facts"), TABLES)
def test_at_most_one_rule_fires_in_any_cell(rules, facts):
    both = [(a.id, b.id) for a, b in itertools.combinations(rules, 2) if overlap(facts, a, b)]
    assert both == []


@pytest.mark.parametrize(("rules", "facts"), TABLES)
def test_every_rule_is_reachable(rules, facts):
    """Rules exclude each other, so a row that lets every fact it names be something fires somewhere."""
    for row in rules:
        assert row.when.keys() <= KINDS[facts].keys(), row.id
        assert all(wanted and wanted <= KINDS[facts][fact] for fact, wanted in row.when.items()), row.id
        cell = facts(**{fact: min(row.when.get(fact, kind)) for fact, kind in KINDS[facts].items()})
        assert find(rules, cell) is row


def test_the_exact_proof_agrees_with_a_sweep_of_every_cell_of_the_smaller_tables():
    for rules, facts in TABLES[1:]:
        reached = set()
        for cell in cells(facts):
            rows = [row.id for row in rules if matches(row, cell)]
            assert len(rows) <= 1, (rows, cell)
            reached.update(rows)
        assert reached == {row.id for row in rules}


@given(st.tuples(*(st.sampled_from(sorted(kind)) for kind in KINDS[RouteFacts].values())))
@settings(max_examples=5_000, deadline=None)
def test_no_random_cell_of_the_route_table_matches_two_rows(drawn):
    assert sum(matches(row, RouteFacts(*drawn)) for row in ROUTE_RULES) <= 1


@pytest.mark.parametrize("order", [Ask.SHIFT, Ask.RESTORE, Ask.DRILL])
def test_every_order_is_answered_by_exactly_one_rule(order):
    rows = [row for row in ROUTE_RULES if order in values(row, "order")]
    assert all(row.id[0] == "O" for row in rows)
    assert uncovered(rows, {**KINDS[RouteFacts], "order": frozenset([order])}) is None


def test_an_acute_threat_at_home_is_never_passed_over_in_silence():
    """Wherever calls are or are going to the primary, somebody is told or something is done."""
    home = {Position.PRIMARY, Position.SPLIT, Position.RESTORING, Position.UNREAD}
    among = {
        **KINDS[RouteFacts],
        "order": frozenset([Ask.NONE]),
        "threat": frozenset([Threat.ACT]),
        "position": frozenset(home),
    }
    assert uncovered(list(ROUTE_RULES), among) is None


def test_an_edge_that_forgot_while_calls_are_away_is_never_passed_over_in_silence():
    among = {
        **KINDS[RouteFacts],
        "order": frozenset([Ask.NONE]),
        "position": frozenset([Position.SHIFTING, Position.BACKUP]),
        "edges": frozenset([Edges.FORGOT, Edges.CONTESTED]),
    }
    assert uncovered(list(ROUTE_RULES), among) is None


def test_a_hole_would_be_found():
    rows = [row for row in ROUTE_RULES if row.id != "T16"]
    among = {**KINDS[RouteFacts], "order": frozenset([Ask.NONE]), "threat": frozenset([Threat.ACT])}
    among["position"] = frozenset([Position.PRIMARY])
    hole = uncovered(rows, among)
    assert hole is not None
    assert hole["edges"] == {Edges.UNREAD}


def test_nothing_writes_without_the_lease_or_in_observe():
    for row in ROUTE_RULES:
        if row.action in WRITES:
            assert values(row, "lease") == {Answer.YES}, row.id
            assert Mode.OBSERVE not in values(row, "mode"), row.id
            assert not values(row, "edges") & {Edges.CONTESTED, Edges.UNREAD}, row.id


def test_nothing_moves_to_a_backup_that_is_not_ready():
    for row in ROUTE_RULES:
        onward = row.action in GOES_ON and Position.SHIFTING in values(row, "position")
        if row.action in BEGINS or onward:
            assert values(row, "ready") == {Ready.YES}, row.id
        if row.action is Act.ASSERT and values(row, "position") & {Position.SHIFTING, Position.BACKUP}:
            assert values(row, "taken") == {Answer.YES} or Ready.NO not in values(row, "ready"), row.id


def test_automatic_moves_need_automatic_mode_an_acute_threat_and_an_unspent_episode():
    for row in ROUTE_RULES:
        if row.action in BY_ITSELF:
            assert values(row, "mode") == {Mode.AUTOMATIC}, row.id
            assert values(row, "threat") == {Threat.ACT}, row.id
            assert values(row, "order") == {Ask.NONE}, row.id
            spent = Episode.LATCHED in values(row, "episode")
            assert not spent or values(row, "position") == {Position.RESTORING}, row.id


def test_calls_come_home_only_by_order_from_a_safe_soaked_room():
    for row in ROUTE_RULES:
        if row.action in (Act.RESTORE, Act.STAGE_HOME):
            assert values(row, "order") == {Ask.RESTORE}, row.id
            assert values(row, "threat") == {Threat.NONE}, row.id
            assert values(row, "soaked") == values(row, "spare") == {Answer.YES}, row.id


def test_a_move_under_way_goes_on_only_while_automation_or_the_order_behind_it_drives_it():
    for row in ROUTE_RULES:
        if row.action in GOES_ON | {Act.DRILL_HOME}:
            assert values(row, "going") == {Answer.YES}, row.id
            assert values(row, "stage") == {Stage.PART}, row.id
        if row.action is Act.THE_REST:
            assert Proven.FALTERING not in values(row, "proof"), row.id
        if row.action is Act.NEXT_STAGE:
            assert values(row, "proof") == {Proven.PROVEN}, row.id


def test_calls_are_rolled_back_only_from_an_unfinished_move_into_a_primary_that_can_bear_them():
    rows = [row for row in ROUTE_RULES if row.action is Act.ROLL_BACK]
    assert rows
    for row in rows:
        assert values(row, "back") == {Answer.YES}, row.id
        assert values(row, "position") == {Position.SHIFTING}, row.id
        assert Errand.DRILL not in values(row, "errand"), row.id


def test_a_drill_begins_only_when_everything_is_good():
    (row,) = [row for row in ROUTE_RULES if row.action is Act.DRILL]
    good = {"mode": Mode.AUTOMATIC, "position": Position.PRIMARY, "threat": Threat.NONE, "lease": Answer.YES}
    good |= {"whole": Answer.YES, "soaked": Answer.YES, "quiet": Answer.YES, "ready": Ready.YES}
    good |= {"edges": Edges.AGREE, "episode": Episode.NONE, "pace": Pace.STAGED, "order": Ask.DRILL}
    assert {fact: frozenset([value]) for fact, value in good.items()} == dict(row.when)


@pytest.mark.parametrize("errand", [Errand.RULE, Errand.ORDER, Errand.DRILL])
def test_an_unfinished_stage_is_never_stopped_in_silence(errand):
    """While nothing is wrong a stage waits in silence; proven, overdue or refuted it goes on, back, or is told."""
    among = {
        **KINDS[RouteFacts],
        "order": frozenset([Ask.NONE]),
        "mode": frozenset([Mode.AUTOMATIC, Mode.HELD]),
        "position": frozenset([Position.SHIFTING]),
        "stage": frozenset([Stage.PART]),
        "errand": frozenset([errand]),
        "ready": frozenset([Ready.YES, Ready.NO]),
        "edges": frozenset([Edges.AGREE, Edges.UNREAD]),
        "proof": frozenset([Proven.PROVEN, Proven.OVERDUE, Proven.CONTRADICTED, Proven.FALTERING]),
        # what the facts are made of keeps these together: going back is ours to do only with the lease, while going
        "lease": frozenset([Answer.YES]),
        "going": frozenset([Answer.YES]),
    }
    assert uncovered(list(ROUTE_RULES), among) is None
    stopped = {**among, "back": frozenset([Answer.NO])}
    assert uncovered(list(ROUTE_RULES), {**stopped, "going": frozenset([Answer.NO])}) is None
    assert uncovered(list(ROUTE_RULES), {**stopped, "lease": frozenset([Answer.NO])}) is None
    homeward = {"position": frozenset([Position.RESTORING]), "edges": frozenset([Edges.AGREE])}
    among |= {**homeward, "threat": frozenset([Threat.NONE, Threat.WATCH])}
    assert uncovered(list(ROUTE_RULES), among) is None


def test_refusals_never_act():
    assert all(row.action is Act.SAY for row in ROUTE_RULES if row.refuses)
    assert all(row.action is ModeAct.SAY for row in MODE_RULES if row.refuses)


def test_every_mode_order_is_answered():
    for facts in cells(ModeFacts):
        rows = [row for row in MODE_RULES if matches(row, facts)]
        if facts.order is not ModeAsk.NONE:
            assert len(rows) == 1, facts


def test_automatic_is_entered_only_by_order_or_from_a_hold_that_is_over_with_sound_placement():
    for facts in cells(ModeFacts):
        for row in MODE_RULES:
            if matches(row, facts) and row.action is ModeAct.AUTOMATIC:
                assert facts.order is ModeAsk.ARM
                assert facts.placement is Answer.YES
            if matches(row, facts) and row.action is ModeAct.LIFT:
                assert (facts.order, facts.mode, facts.held) == (ModeAsk.NONE, Mode.HELD, Held.OVER)
                assert (facts.placement, facts.hand) == (Answer.YES, Hand.NONE)


def test_a_hold_that_is_over_is_never_passed_over_in_silence():
    for facts in cells(ModeFacts):
        if (facts.order, facts.mode, facts.held) == (ModeAsk.NONE, Mode.HELD, Held.OVER):
            assert find(MODE_RULES, facts) is not None, facts


def test_stamping_needs_the_lease_and_never_happens_in_observe():
    for facts in cells(LeaseFacts):
        for row in LEASE_RULES:
            if matches(row, facts) and row.action is LeaseAct.STAMP:
                assert facts.lease is Answer.YES
                assert facts.mode is not Mode.OBSERVE


def test_rule_ids_are_unique_over_all_tables_and_sentences_are_sentences():
    rows = [*((row.id, row.sentence) for rules, _ in TABLES for row in rules)]
    rows += [*GUARD_RULES.items(), *ZONE_RULES.values()]
    ids = [identity for identity, _ in rows]
    assert len(ids) == len(set(ids))
    assert all(sentence.endswith(".") and sentence[0].isupper() for _, sentence in rows)
    assert set(ZONE_RULES) == set(Verdict)


def test_the_posture_is_calm_only_where_the_weather_is_known_to_be():
    for row in STORM_RULES:
        if row.action is StormAct.CALM:
            assert row.when["weather"] == {Weather.CLEAR}, row.id
            assert row.when["power"] == {Answer.NO}, row.id


def test_every_order_to_set_aside_is_answered_by_exactly_one_rule():
    for facts in cells(AsideFacts):
        rows = [row for row in ASIDE_RULES if matches(row, facts)]
        if facts.order is not AsideAsk.NONE:
            assert len(rows) == 1, facts
