"""``envmon explain``: why, now, from the running daemon; or for a decision of the past, from the journal.

Rules
  - A decision is found by its line number, or is the newest of a rule (T10), an order or an effect.
  - Exit code 0: explained; 1: nobody to ask, or no such decision.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from envmon.cli.desk import Desk, chosen
from envmon.core.explain import Part, explain_decision, plain, text
from envmon.journal.chain import Line
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.told import told
from envmon.runtime.ask import AskError


def explain(asked: argparse.Namespace) -> int:
    """Explain what the command line asks for."""
    if asked.decision:
        return decision(asked.path, asked.decision, as_json=asked.json)
    return now(chosen(asked), as_json=asked.json)


def now(desk: Desk, *, as_json: bool) -> int:
    """Print why the daemon behind ``desk`` judges and decides as it does."""
    try:
        parts = desk.status()["explain"]
    except AskError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    _show([Part(part["title"], tuple(part["lines"])) for part in parts], as_json=as_json)
    return 0


def decision(path: Path, wanted: str, *, as_json: bool) -> int:
    """Print why a decision of the journal at ``path`` was taken."""
    try:
        with JournalReader.open(path) as journal:
            line = _find(journal, wanted)
    except JournalError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    if line is None:
        print(f"envmon: {path}: no decision {wanted}; envmon journal show lists the lines", file=sys.stderr)
        return 1
    _show(explain_decision(told(line)), as_json=as_json)
    return 0


def _find(journal: JournalReader, wanted: str) -> Line | None:
    """The line of this number, or the newest decision of this rule, order or effect."""
    if wanted.isascii() and wanted.isdigit():
        line = next(iter(journal.records(int(wanted))), None)
        return line if line is not None and line.seq == int(wanted) and line.record.rule else None
    found = None
    for line in journal.records(0):
        record = line.record
        named = record.order.startswith(wanted) or f'"id":"{wanted}"' in record.effect
        if record.rule and (record.rule == wanted or named):
            found = line
    return found


def _show(parts: Sequence[Part], *, as_json: bool) -> None:
    print(json.dumps(plain(parts), indent=2) if as_json else text(parts))
