"""A journal as a file that can leave the host: JSON Lines, one line each, checked again wherever it arrives.

Rules
  - An export holds every field and the hash, as ``show.as_json`` writes them; the chain needs nothing else.
  - It is complete or it is not there: written beside its name, synced, then renamed.
  - What is read back is checked key by key: an export is evidence, and its reader trusts nobody.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from envmon.journal.chain import EMPTY, Expected, Head, Line, Verification, check
from envmon.journal.record import Entry, JournalError, Record
from envmon.journal.show import as_json

_RECORD = {field.name for field in fields_of(Record)}
_KEYS = _RECORD | {"seq", "prev", "hash", "time"}


def write(lines: Iterable[Line], path: Path) -> Head:
    """Write every line to a new file and return the head they end in. Raises JournalError."""
    if path.exists():
        raise JournalError(f"{path} exists; name another file: an export is never written over")
    beside = path.with_name(path.name + ".part")
    head = EMPTY
    try:
        with beside.open("x", encoding="utf-8") as out:
            for line in lines:
                out.write(as_json(line) + "\n")
                head = Head(line.seq, line.hash)
            out.flush()
            os.fsync(out.fileno())
        beside.rename(path)
    except OSError as error:
        raise JournalError(f"{error.filename or beside}: cannot be written: {error.strerror}") from None
    except JournalError:
        beside.unlink(missing_ok=True)
        raise
    return head


def read(path: Path) -> Iterator[Line]:
    """The lines of an export, in their order. Raises JournalError."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                yield _line(f"{path}:{number}", text)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JournalError(f"{path} is neither a journal nor an export of one") from None


def verify(path: Path, expect_head: Head | None = None) -> Verification:
    """Follow the chain of an export; ``expect_head`` is a head published elsewhere, which must be on it."""
    return check(read(path), [Expected(expect_head, "the published head")] if expect_head else [])


def is_export(path: Path) -> bool:
    """Whether a file begins as an export does, and no database."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False


def _line(where: str, text: str) -> Line:
    try:
        given: dict[str, Any] = json.loads(text)
        if given.keys() != _KEYS:
            odd = sorted(given.keys() ^ _KEYS)
            raise JournalError(f"{where}: not a line of a journal: {', '.join(odd)[:100]} missing or unknown")
        record = Record(
            **{
                **{name: given[name] for name in _RECORD},
                "entry": Entry(given["entry"]),
                "facts": tuple((name, value) for name, value in given["facts"]),
                "approvals": tuple(given["approvals"]),
            }
        )
        return Line(given["seq"], given["prev"], given["hash"], record)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise JournalError(f"{where}: not a line of a journal") from None
