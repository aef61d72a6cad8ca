"""Decisions in the log: one line each, at the level of their page, and never a flood."""

import logging
from dataclasses import dataclass

import pytest

from envmon.cli.logs import MOST, Narrator, Priority, level_of, line_of
from envmon.core.rules_text import GUARD_RULES
from envmon.core.words import TABLES
from envmon.model.effect import Decision
from envmon.model.event import Stamp, Tick

AT = Tick(Stamp(1, 1.0, "boot"))


class Time:
    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


@dataclass(frozen=True, slots=True)
class Decided:
    decisions: tuple[Decision, ...]


def decision(rule: str, why: str = "", order: str = "") -> Decision:
    return Decision(rule, "mode", "It happened.", why, (), order=order)


@pytest.mark.parametrize(
    ("rule", "level"),
    [
        ("M10", logging.INFO), ("M30", logging.ERROR), ("M37", logging.WARNING), ("M50", logging.CRITICAL),
        ("P10", logging.WARNING), ("P21", logging.CRITICAL), ("T10", logging.CRITICAL), ("M31", logging.INFO),
        ("Z10", logging.INFO), ("Z30", logging.ERROR), ("G20", logging.ERROR), ("no such rule", logging.INFO),
    ],
)  # fmt: skip
def test_a_decision_has_the_level_of_its_page(rule: str, level: int) -> None:
    assert level_of(decision(rule)) == level


def test_every_rule_that_pages_a_warning_or_worse_is_found_by_its_level() -> None:
    rows = [row for table in TABLES for row in table]
    assert len(rows) > 100
    assert all((level_of(decision(row.id)) >= logging.WARNING) is (row.page not in (None, "info")) for row in rows)
    assert all(level_of(decision(rule)) >= logging.INFO for rule in GUARD_RULES)


def test_a_decision_is_one_bounded_line() -> None:
    text = line_of(decision("M30", "ann: two\nlines\t<b>" + "x" * 5_000, order="0123456789abcdef"))
    assert text.startswith("M30 mode: It happened. ann: two lines <b>xxx")
    assert len(text) == 1_000
    assert "\n" not in text
    assert line_of(decision("M30", "ann: x", order="0123456789abcdef")).endswith("ann: x (order 01234567)")


def test_a_flood_is_cut_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Time()
    narrator = Narrator(clock)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "envmon.decisions"):
        for _ in range(MOST + 15):
            narrator.tell(AT, Decided((decision("M30"),)))
        assert len(caplog.records) == MOST
        clock.at = 61.0
        narrator.tell(AT, Decided((decision("M40"),)))
    assert [record.getMessage()[:20] for record in caplog.records[MOST:]] == [
        "15 decisions more in",
        "M40 mode: It happene",
    ]


def test_systemd_reads_the_priority_of_each_line() -> None:
    record = logging.LogRecord("envmon", logging.ERROR, "", 0, "one\ntwo", None, None)
    assert Priority("%(name)s: %(message)s").format(record) == "<3>envmon: one\n<3>two"
