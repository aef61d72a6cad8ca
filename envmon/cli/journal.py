"""``envmon journal show | verify``: read the journal, also while the daemon runs."""

import os
import sys
from pathlib import Path

from envmon.journal.chain import Head
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.show import as_json, for_people, verdict

JOURNAL = "journal.db"  # in the state directory


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
    """Check the chain, against a published head where one is given."""
    try:
        with JournalReader.open(path) as journal:
            found = journal.verify(Head.parse(head) if head else None)
    except (JournalError, ValueError) as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    print(verdict(found))
    return 0 if found.ok else 1
