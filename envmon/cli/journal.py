"""``envmon journal show | verify | export`` and ``envmon report``: read the journal, also while the daemon runs."""

import os
import sys
from pathlib import Path

from envmon.journal.chain import Head
from envmon.journal.document import html, markdown
from envmon.journal.export import is_export
from envmon.journal.export import verify as verify_export
from envmon.journal.export import write as write_export
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.report import episodes
from envmon.journal.report import report as report_of
from envmon.journal.show import as_json, clock, for_people, verdict


def show(path: Path, *, as_lines: bool, since: int) -> int:
    """Print every line from number ``since`` on."""
    try:
        with JournalReader.open(path) as journal:
            for line in journal.records(since):
                print(as_json(line) if as_lines else for_people(line))
        sys.stdout.flush()
    except JournalError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
    return 0


def verify(path: Path, head: str | None) -> int:
    """Check the chain of a journal or of an export, against a published head where one is given."""
    try:
        published = Head.parse(head) if head else None
        if is_export(path):
            found = verify_export(path, published)
        else:
            with JournalReader.open(path) as journal:
                found = journal.verify(published)
    except (JournalError, ValueError) as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    held = f"; the published head is its line {published.seq}" if found.ok and published else ""
    print(f"{verdict(found)}{held}")
    return 0 if found.ok else 1


def export(path: Path, out: Path) -> int:
    """Write the whole journal to a file that can be verified elsewhere; a broken one is exported as it is, and said."""
    try:
        with JournalReader.open(path) as journal:
            found = journal.verify()
            head = write_export(journal.records(), out)
    except JournalError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    print(f"{out}: head {head}\n{verdict(found)}")
    return 0 if found.ok else 1


def report(path: Path, episode: str, out: Path | None, users: int) -> int:
    """Write the report of an episode, Markdown or (FILE.html) HTML; without an episode, list those there are."""
    try:
        with JournalReader.open(path) as journal:
            lines, found = list(journal.records()), journal.verify()
        if not episode:
            for each in episodes(lines):
                ended = "closed" if each.closed else "open"
                print(f"{each.id}  route {each.route}  since {clock(each.first.record.wall, None)}  {ended}")
            return 0
        blocks = report_of(lines, episode, found, users)
        page = out is not None and out.suffix == ".html"
        text = html(blocks, f"Incident report, episode {episode}") if page else markdown(blocks)
        if out is None:
            print(text, end="")
        else:
            out.write_text(text, encoding="utf-8")
            print(out)
    except JournalError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"envmon: {out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0 if found.ok else 1
