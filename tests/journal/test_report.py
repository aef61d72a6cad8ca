"""An episode as a report: what the journal tells, nothing else, in a file for people."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import record

from envmon.cli.main import main
from envmon.journal.chain import EMPTY, Head, Line, check, seal
from envmon.journal.document import Heading, Items, Paragraph, Table, html, markdown
from envmon.journal.record import Entry, JournalError, Record
from envmon.journal.report import episodes, report
from envmon.journal.store import Journal

START = 1_432_888_197.0
ROUTE = "route:outbound"
GOLDEN = Path(__file__).parent / "golden"


def line(after: float, entry: Entry, subject: str, text: str, **more: object) -> Record:
    return Record(entry, 0, START + after, "boot", subject, more.pop("who", "envmon"), text, **more)  # type: ignore[arg-type]


STORY = (
    line(-400, Entry.MODE, "mode", "Armed: envmon may move traffic by its rules.", rule="M10",
         facts=(("mode", "observe"), ("placement", "yes"), ("order", "arm"))),
    line(-5_000, Entry.START, "daemon", "envmon 0.1.0 starts"),
    line(
        -60, Entry.VERDICT, "zone:hall_a", "The cooling is being lost.", rule="Z30",
        extra={"why": "rack inlet 24.6 degC; plant: crac_1, crac_2 lost"},
    ),
    line(
        0, Entry.DECISION, ROUTE, "New calls go to the backup.", rule="T10", episode="e1",
        facts=(("position", "primary"), ("mode", "automatic"), ("threat", "act"), ("ready", "yes"), ("lease", "yes"),
               ("calls_primary", "840"), ("calls_backup", "0"), ("calls_left", "37")),
        effect='{"do":"set_percent","edges":["edge_1"],"epoch":7,"percent":100}',
        extra={"why": "evacuation takes 8 min 0 s"},
    ),
    line(1, Entry.RESULT, "edge:edge_1", "edge_1: done"),
    line(
        18, Entry.DECISION, ROUTE, "The move to the backup is proven.", rule="T20", episode="e1",
        facts=(("position", "shifting"), ("proof", "proven"), ("calls_primary", "840"), ("calls_backup", "31"),
               ("calls_left", "29")),
    ),
    line(120, Entry.ORDER, ROUTE, "order: restore outbound (all is well)", who="ann | <b>bold</b>", order="o1"),
    line(120, Entry.DECISION, ROUTE, "Refused: the room has not soaked.", rule="O25", order="o1", episode="e1",
         facts=(("position", "backup"), ("order", "restore"), ("soaked", "no"), ("threat", "none")),
         extra={"refused": "yes"}),
    line(900, Entry.DECISION, ROUTE, "The episode is over.", rule="T50", episode="e1",
         facts=(("position", "primary"), ("episode", "latched"), ("soaked", "yes"), ("order", "none"))),
    line(5_000, Entry.DECISION, ROUTE, "Another one.", rule="T10", episode="e2"),
)  # fmt: skip


def chained(records: tuple[Record, ...]) -> list[Line]:
    head, lines = EMPTY, []
    for each in records:
        lines.append(seal(each, head))
        head = Head(lines[-1].seq, lines[-1].hash)
    return lines


def told(**more: int) -> str:
    lines = chained(STORY)
    return markdown(report(lines, "e1", check(lines), **more))


def test_the_episodes_of_a_journal_are_listed() -> None:
    assert [(each.id, each.route, each.closed) for each in episodes(chained(STORY))] == [
        ("e1", "outbound", True),
        ("e2", "outbound", False),
    ]


def test_the_report_tells_the_story_and_only_this_one() -> None:
    text = told()
    for words in (
        "10 lines, unbroken",
        "from 2015-05-29 08:29:57 to 2015-05-29 08:44:57 (UTC), 15 min 0 s",
        "+0:00: route:outbound: New calls go to the backup. (T10)",
        "-1:00: zone:hall\\_a: The cooling is being lost. (Z30)",
        "- plant: crac\\_1, crac\\_2 lost",
        "| 2015-05-29 08:29:57 | T10 | 840 | 0 | 37 |",
        "O25 Refused: the room has not soaked.",
        "commanded and not yet proven, for 0 min 18 s",
    ):
        assert words in text, words
    assert "Another one" not in text
    assert "envmon 0.1.0 starts" not in text, "too long before"
    assert "(O25)" not in text.partition("## Timeline")[0], "a refusal changed nothing"


@pytest.mark.parametrize("ending", ["md", "html"])
def test_a_story_reads_as_it_was_approved(ending: str) -> None:
    lines = chained(STORY)
    blocks = report(lines, "e1", check(lines), users=30_000)
    text = markdown(blocks) if ending == "md" else html(blocks, "Incident report, episode e1")
    assert text == (GOLDEN / f"e1.{ending}").read_text(encoding="utf-8")


def test_the_report_explains_each_decision_and_shows_its_proof() -> None:
    text = told()
    decisions, _, proof = text.partition("## Proof")
    assert "it permitted: 100 % of new calls to the backup at edge\\_1, epoch 7" in decisions
    assert "The rule fired because:\n\n- new calls are commanded to the backup, not proven" in decisions
    assert "What would have moved calls instead" not in told().partition("## Timeline")[0]
    assert "| 2015-05-29 08:29:58 | edge:edge\\_1 | edge\\_1: done |" in proof
    assert "| T20 | the move is proven by read-back, counters and probe calls |" in proof


def test_a_move_that_was_never_proven_counts_on() -> None:
    lines = chained(tuple(each for each in STORY if each.rule != "T20"))
    text = markdown(report(lines, "e1", check(lines), users=30_000))
    assert "commanded and never proven" in text
    assert "If none had worked since: 30,000 users x 15.0 min = 450,000 by the last line" in text


def test_the_thresholds_are_arithmetic_for_counsel() -> None:
    text = told(users=30_000)
    assert "With 30,000 users the threshold is 30 minutes without service" in text
    assert "30,000 users x 0.3 min = 9,000" in text
    assert "for counsel" in text
    assert "envmon files nothing" in text


def test_an_unknown_episode_is_refused_with_those_there_are() -> None:
    lines = chained(STORY)
    with pytest.raises(JournalError, match="knows no episode e9; it knows: e1, e2"):
        report(lines, "e9", check(lines))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser gives both
        self.tags.add(tag)


OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "ul", "li", "table", "tr", "th", "td"}


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_out_of_its_place(one: str, other: str) -> None:
    blocks = [Heading(1, one), Paragraph(other), Items([one]), Table(("a", "b"), [(one, other)])]
    parser = Tags()
    parser.feed(html(blocks, one))
    assert parser.tags <= OURS
    *_, row = markdown(blocks).rstrip("\n").splitlines()
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


def test_the_command_writes_a_file_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path, room=0) as journal:
        journal.append([*STORY, record(1)])
    assert main(["report", "--path", str(path)]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()] == ["e1", "e2"]
    out = tmp_path / "report.html"
    assert main(["report", "e1", "--path", str(path), "-o", str(out)]) == 0
    assert "ann | &lt;b&gt;bold&lt;/b&gt;" in out.read_text()
    assert main(["report", "e9", "--path", str(path)]) == 1
    assert "knows no episode e9" in capsys.readouterr().err
    assert main(["report", "e1", "--path", str(path), "-o", str(tmp_path / "none" / "x.md")]) == 1
    assert "cannot be written" in capsys.readouterr().err
