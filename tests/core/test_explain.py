"""Explanations as engineers read them: golden texts of ten decisions, and of what is true now in five rooms.

``python -m tests.core.test_explain`` writes them anew; read every line of the difference before you keep it.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from envmon.core.explain import Told, explain_decision, explain_now, plain, text
from envmon.core.words import PHRASES, TABLES, phrase, rule_of
from envmon.core.world import World, initial
from envmon.model.effect import Decision
from envmon.model.event import Command, Order, OrderReceived, WeatherReport
from envmon.model.policy import FeedPolicy
from envmon.model.weather import WeatherWarning
from tests.core.room import Edge, Room, policy
from tests.core.test_failover import storm

GOLDEN = Path(__file__).parent / "golden" / "explain"


def last(room: Room, rule: str) -> tuple[Decision, float]:
    """The newest decision by this rule, and when it was taken."""
    return next((d, room.at.wall) for d in reversed(room.decisions) if d.rule == rule)


def until_rule(room: Room, rule: str, seconds: int, *, heat: float = 0.0) -> tuple[Decision, float]:
    for _ in range(seconds):
        room.run(1, heat=heat)
        if rule in room.rules:
            return last(room, rule)
    raise AssertionError(f"{rule} did not fire; {room.rules[-5:]}")


def told(decision: Decision, wall: float, who: str = "") -> Told:
    return Told(
        decision.rule, decision.subject, decision.sentence, decision.why, decision.facts, wall, decision.refused, who
    )


def moved() -> Room:
    room = Room().armed()
    return storm(room, 700)


def shift_by_rule() -> tuple[Decision, float]:
    room = Room().armed()
    storm(room, 60)
    return until_rule(room, "T10", 900, heat=0.01)


def backup_not_ready() -> tuple[Decision, float]:
    room = Room().armed()
    room.backup_answers = False
    storm(room, 60)
    return until_rule(room, "T13", 900, heat=0.01)


def observing() -> tuple[Decision, float]:
    room = Room().run(12)
    storm(room, 60)
    return until_rule(room, "T11", 900, heat=0.01)


def proven() -> tuple[Decision, float]:
    room = Room().armed()
    storm(room, 60)
    until_rule(room, "T10", 900, heat=0.01)
    return until_rule(room, "T20", 300, heat=0.01)


def partial() -> tuple[Decision, float]:
    room = Room().armed()
    room.edges["edge_2"].silent = True
    storm(room, 60)
    until_rule(room, "T10", 900, heat=0.01)
    return until_rule(room, "T24", 300, heat=0.01)


def restore_refused() -> tuple[Decision, float]:
    room = moved()
    room.order(Command.RESTORE)
    return room.decisions[-1], room.at.wall


def shift_refused_in_observe() -> tuple[Decision, float]:
    room = Room().run(12)
    room.order(Command.SHIFT)
    return room.decisions[-1], room.at.wall


def contested() -> tuple[Decision, float]:
    room = Room().armed()
    room.edges["edge_1"].percent = 40
    return until_rule(room, "M50", 30)


def forgot() -> tuple[Decision, float]:
    room = moved()
    room.edges["edge_2"] = Edge(up_since=5_000)
    return until_rule(room, "T30", 60)


def critical_zone() -> tuple[Decision, float]:
    room = Room().armed()
    room.lose_units(1, 2, 3)
    return until_rule(room, "Z30", 300, heat=4 / 60)


def storm_posture() -> tuple[Decision, float]:
    room = Room(policy=policy(feeds=(FeedPolicy("nws", 300.0),))).armed()
    warning = WeatherWarning("w1", "Severe Thunderstorm Warning", "severe", room.at.wall, room.at.wall + 5_400, "")
    room.tell(WeatherReport(room.at, "nws", (warning,)))
    return until_rule(room, "W10", 5)


def maintenance() -> tuple[Decision, float]:
    room = Room().armed()
    end = room.at.wall + 7_200
    room.tell(
        OrderReceived(
            room.at, Order("o1", Command.MAINTENANCE, "", "bob", "new fan", target="hall_a_crac_3", until=end)
        )
    )
    return room.decisions[-1], room.at.wall


DECISIONS: dict[str, Callable[[], tuple[Decision, float]]] = {
    "T10-shift-by-rule": shift_by_rule,
    "T13-backup-not-ready": backup_not_ready,
    "T11-observing": observing,
    "T20-proven": proven,
    "T24-partial": partial,
    "T30-an-edge-forgot": forgot,
    "O24-restore-refused": restore_refused,
    "O11-shift-refused-in-observe": shift_refused_in_observe,
    "M50-contested": contested,
    "Z30-zone-critical": critical_zone,
    "W10-storm-posture": storm_posture,
    "K10-maintenance": maintenance,
}


def quiet() -> World:
    return Room().armed().world


def losing() -> World:
    room = Room().armed()
    room.lose_units(1, 2, 3)
    return room.run(60, heat=4 / 60).world


def away() -> World:
    return moved().world


def blind() -> World:
    room = Room().armed()
    room.silent.update({"hall_a_probes", "hall_a_crac_1", "hall_a_crac_2", "hall_a_crac_3"})
    return room.run(90).world


def stuck_and_set_aside() -> World:
    room = Room(policy=policy(feeds=(FeedPolicy("nws", 300.0),))).armed()
    end = room.at.wall + 7_200
    room.tell(
        OrderReceived(
            room.at, Order("o1", Command.MAINTENANCE, "", "bob", "new fan", target="hall_a_crac_3", until=end)
        )
    )
    real = room.readings

    def readings(device: str, zone_name: str):
        given = real(device, zone_name)
        lies = device == "hall_a_crac_2"
        return tuple(type(r)(r.point, 85.0) if lies and r.point.name == "inlet_temp" else r for r in given)

    room.readings = readings  # type: ignore[method-assign]
    return room.run(60).world


NOW: dict[str, Callable[[], World]] = {
    "now-quiet": quiet,
    "now-losing": losing,
    "now-away": away,
    "now-blind": blind,
    "now-set-aside": stuck_and_set_aside,
}


def written(name: str) -> str:
    if name in NOW:
        return text(explain_now(NOW[name]())) + "\n"
    return text(explain_decision(told(*DECISIONS[name]()))) + "\n"


@pytest.mark.parametrize("name", [*DECISIONS, *NOW])
def test_an_explanation_reads_as_it_was_approved(name):
    assert written(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_there_is_no_golden_text_without_its_story():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*DECISIONS, *NOW}


@pytest.mark.parametrize("name", DECISIONS)
def test_the_name_of_a_story_is_the_rule_it_tells_of(name):
    assert DECISIONS[name]()[0].rule == name.partition("-")[0]


def test_a_world_without_a_policy_and_a_rule_of_another_version_are_told_plainly():
    assert "No policy is in force" in text(explain_now(initial()))
    strange = explain_decision(Told("X99", "route:r", "Something.", "", (("a", "b"),), 0.0))
    assert "not one of this version's tables" not in text(strange)
    assert "a = b" in text(strange)


def test_every_phrase_is_of_a_value_some_rule_can_have():
    kinds: dict[str, set[str]] = {}
    for table in TABLES:
        for row in table:
            for fact, values in row.when.items():
                kinds.setdefault(fact, set()).update(str(value) for value in values)
    for fact, phrases in PHRASES.items():
        assert kinds[fact] <= {*phrases, "none"} | set(phrases), fact
    assert phrase("threat", "act") != phrase("threat", "watch")
    assert phrase("nothing", "known") == "nothing is known"


def test_every_rule_is_found_with_its_table():
    for table in TABLES:
        for row in table:
            assert rule_of(row.id) == (row, table)
    assert rule_of("X99") is None


def test_machines_read_the_same():
    parts = explain_now(quiet())
    assert [part["title"] for part in plain(parts)] == [part.title for part in parts]


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for each in (*DECISIONS, *NOW):
        (GOLDEN / f"{each}.txt").write_text(written(each), encoding="utf-8")
