"""One episode as a report people can read: what happened, on what evidence, by which rule, and who ordered what. Pure.

Rules
  - Everything is a line of the journal, or arithmetic on two of them; nothing is guessed, what is not known is said.
  - Thresholds of the authorities are for counsel: the report does the arithmetic and files nothing.

Sources
  47 CFR Part 4 (outages of at least 30 minutes and 900,000 user-minutes). Whether it applies, counsel says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from envmon.core.explain import explain_decision
from envmon.core.words import phrase
from envmon.journal.chain import Line, Verification
from envmon.journal.document import Block, Heading, Items, Paragraph, Table
from envmon.journal.record import Entry, JournalError
from envmon.journal.show import verdict
from envmon.journal.told import told as of_line

BEFORE_S, AFTER_S = 600.0, 60.0  # what is shown around an episode
USER_MINUTES, OUTAGE_MIN = 900_000, 30
CLOSED, DRAINED = "T50", ("T23", "T25")
TELLING = ("proven", "overdue", "contradicted", "faltering")
NUMBERS = ("calls_primary", "calls_backup", "calls_left")


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of one route: its id, where it begins and ends in the journal, and whether it has ended."""

    id: str
    route: str
    first: Line
    last: Line
    closed: bool


def episodes(lines: Iterable[Line]) -> list[Episode]:
    """Every episode the lines tell of, oldest first."""
    found: dict[tuple[str, str], Episode] = {}
    for line in lines:
        record = line.record
        if not record.episode:
            continue
        key = (record.episode, record.subject.removeprefix("route:"))
        first = found[key].first if key in found else line
        found[key] = Episode(*key, first, line, record.rule == CLOSED)
    return list(found.values())


def report(lines: Sequence[Line], id_: str, found: Verification, users: int = 0) -> list[Block]:
    """The report of episode ``id_``; ``users`` are those its calls belong to, 0: not told. Raises JournalError."""
    told = [episode for episode in episodes(lines) if episode.id == id_]
    if not told:
        known = ", ".join(dict.fromkeys(episode.id for episode in episodes(lines))) or "none"
        raise JournalError(f"the journal knows no episode {id_}; it knows: {known}")
    start = min(episode.first.record.wall for episode in told)
    end = max(episode.last.record.wall for episode in told)
    around = [line for line in lines if start - BEFORE_S <= line.record.wall <= end + AFTER_S]
    mine = [line for line in around if line.record.episode in ("", id_)]
    return [
        Heading(1, f"Incident report, episode {id_}"),
        Items(list(_head(told, found, start, end))),
        Heading(2, "In short"),
        Items(list(_short(mine, start))),
        Heading(2, "Timeline"),
        Table(("time (UTC)", "after", "line", "what", "rule", "who"), [_row(line, start) for line in mine]),
        Heading(2, "Decisions and their evidence"),
        *_decisions(mine),
        Heading(2, "Calls"),
        *_calls(mine),
        Heading(2, "Proof"),
        *_proof(mine),
        Heading(2, "Who ordered what"),
        *_orders(mine),
        Heading(2, "Reporting thresholds (for counsel)"),
        *_thresholds(mine, start, users),
    ]


def _head(told: Sequence[Episode], found: Verification, start: float, end: float) -> Iterator[str]:
    yield f"routes: {', '.join(episode.route for episode in told)}"
    yield f"from {_at(start)} to {_at(end)} (UTC), {_span(end - start)}" + (
        "" if all(episode.closed for episode in told) else "; not closed"
    )
    yield f"journal: {verdict(found)}"


def _short(lines: Sequence[Line], start: float) -> Iterator[str]:
    """The lines that changed where calls go, or what was known of it, in one sentence each."""
    for line in lines:
        record = line.record
        if record.rule and record.rule[0] in "TOZPG" and not record.extra.get("refused"):
            yield f"{_after(record.wall - start)}: {record.subject}: {record.text} ({record.rule})"


def _row(line: Line, start: float) -> tuple[str, ...]:
    record = line.record
    who = ", ".join(dict.fromkeys((record.who, *record.approvals)))
    return (_at(record.wall), _after(record.wall - start), f"#{line.seq}", f"{record.subject}: {record.text}",
            record.rule, who)  # fmt: skip


def _decisions(lines: Sequence[Line]) -> Iterator[Block]:
    told = [line for line in lines if line.record.rule and line.record.entry is not Entry.LEASE]
    if not told:
        yield Paragraph("None.")
    for line in told:
        record = line.record
        yield Heading(3, f"#{line.seq} {record.rule} {record.subject}, {_at(record.wall)}")
        said, *parts = explain_decision(of_line(line))
        yield Items(said.lines)
        for part in parts:
            yield Paragraph(f"{part.title}:")
            yield Items(part.lines)


def _proof(lines: Sequence[Line]) -> Iterator[Block]:
    """What was seen at the edges after each command: how the writes ended, and whether the move was proven."""
    writes = [line.record for line in lines if line.record.entry is Entry.RESULT]
    seen = [(line, dict(line.record.facts).get("proof", "")) for line in lines]
    stages = [(line.record, proof) for line, proof in seen if proof in TELLING]
    if not writes and not stages:
        yield Paragraph("Nothing was written to an edge, so there is nothing to prove.")
    if writes:
        yield Paragraph("How each write ended; done means that the edge reported it when it was read back.")
        yield Table(("time (UTC)", "edge", "write"), [(_at(each.wall), each.subject, each.text) for each in writes])
    if stages:
        yield Paragraph("What read-back, call counters and probe calls said of the move, when a rule asked.")
        rows = [(_at(each.wall), each.rule, phrase("proof", proof), each.text) for each, proof in stages]
        yield Table(("time (UTC)", "rule", "proof", "decision"), rows)


def _calls(lines: Sequence[Line]) -> Iterator[Block]:
    rows = []
    for line in lines:
        facts = dict(line.record.facts)
        if any(name in facts for name in NUMBERS):
            rows.append((_at(line.record.wall), line.record.rule, *(facts.get(name, "not known") for name in NUMBERS)))
    if not rows:
        yield Paragraph("The journal holds no call numbers for this episode.")
        return
    yield Paragraph("As the edges counted since they started, at each decision; calls left are those in progress.")
    yield Table(("time (UTC)", "rule", "new calls to the primary", "to the backup", "calls left at the primary"), rows)


def _orders(lines: Sequence[Line]) -> Iterator[Block]:
    orders = [line for line in lines if line.record.entry is Entry.ORDER]
    answers = {line.record.order: line.record for line in lines if line.record.rule and line.record.order}
    if not orders:
        yield Paragraph("Nobody ordered anything.")
        return
    rows = []
    for line in orders:
        record, answer = line.record, answers.get(line.record.order)
        said = f"{answer.rule} {answer.text}" if answer else "no answer in these lines"
        approvals = ", ".join(answer.approvals) if answer else ""
        rows.append((_at(record.wall), record.who, record.text, said, approvals))
    yield Table(("time (UTC)", "who", "order", "answer", "approved by"), rows)


def _thresholds(lines: Sequence[Line], start: float, users: int) -> Iterator[Block]:
    proven = [line.record.wall for line in lines if line.record.rule in ("T20", "T24")]
    commanded = [line.record.wall for line in lines if '"do":"set_percent"' in line.record.effect]
    yield Paragraph(
        f"An outage is reportable in the United States from {OUTAGE_MIN} minutes and {USER_MINUTES:,} user-minutes on "
        f"(47 CFR Part 4); whether that, or a contract, applies here is for counsel to say. envmon files nothing."
    )
    items = []
    if commanded and proven and proven[0] >= commanded[0]:
        gap = proven[0] - commanded[0]
        items.append(f"New calls were between two sites, commanded and not yet proven, for {_span(gap)}.")
        if users:
            items.append(f"If none of them had worked: {users:,} users x {gap / 60:.1f} min = {users * gap / 60:,.0f}.")
    elif commanded:
        items.append("The move was commanded and never proven: how long calls failed, the carrier's records say.")
        if users:
            gap = max(line.record.wall for line in lines) - commanded[0]
            lost = f"{users:,} users x {gap / 60:.1f} min = {users * gap / 60:,.0f}"
            items.append(f"If none had worked since: {lost} by the last line.")
    else:
        items.append("envmon moved no calls in this episode.")
    if users:
        items.append(f"With {users:,} users the threshold is {USER_MINUTES / users:.0f} minutes without service.")
    begun = datetime.fromtimestamp(start, UTC)
    for what, after in (("notification, wireline", timedelta(minutes=120)), ("notification, VoIP", timedelta(hours=24)),
                        ("initial report", timedelta(hours=72)), ("final report", timedelta(days=30))):  # fmt: skip
        items.append(f"{what}: by {(begun + after).isoformat(' ', 'minutes')}, counted from the first evidence")
    yield Items(items)


def _at(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(" ", "seconds").removesuffix("+00:00")


def _after(seconds: float) -> str:
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{int(abs(seconds)) // 60}:{int(abs(seconds)) % 60:02d}"


def _span(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
