"""The journal's tables: their SQL, and rows to lines and back.

Rules
  - ``VERSION`` grows with any change of the tables; a file of another version is refused, never guessed at.
  - A row that cannot be a line raises JournalError with its number; it is never skipped.
"""

import json
from typing import Any

from envmon.journal.chain import Line
from envmon.journal.record import Entry, JournalError, Record

APPLICATION = 0x454E564D  # "ENVM" in the SQLite header: file(1) and we can tell whose file it is
VERSION = 1

CREATE = f"""
CREATE TABLE line (
    seq INTEGER PRIMARY KEY,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL,
    entry TEXT NOT NULL,
    mono_ns INTEGER NOT NULL,
    wall REAL NOT NULL,
    boot_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    who TEXT NOT NULL,
    text TEXT NOT NULL,
    rule TEXT NOT NULL,
    facts TEXT NOT NULL,
    effect TEXT NOT NULL,
    "order" TEXT NOT NULL,
    approvals TEXT NOT NULL,
    deadline REAL NOT NULL,
    state_hash TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    episode TEXT NOT NULL,
    extra TEXT NOT NULL
) STRICT;
CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 0), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TABLE snapshot (number INTEGER PRIMARY KEY, seq INTEGER NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL)
    STRICT;
CREATE TABLE room (bytes BLOB NOT NULL) STRICT;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""

COLUMNS = (
    "seq, prev, hash, entry, mono_ns, wall, boot_id, subject, who, text, rule, facts, effect, "
    '"order", approvals, deadline, state_hash, epoch, episode, extra'
)
INSERT = f"INSERT INTO line ({COLUMNS}) VALUES ({', '.join('?' * 20)})"  # noqa: S608 - two constants of this file
SELECT = f"SELECT {COLUMNS} FROM line WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608 - a constant of this file


def to_row(line: Line) -> tuple[object, ...]:
    """A line as the values of ``INSERT``."""
    r = line.record
    return (
        line.seq,
        line.prev,
        line.hash,
        r.entry.value,
        r.mono_ns,
        r.wall,
        r.boot_id,
        r.subject,
        r.who,
        r.text,
        r.rule,
        _json([list(fact) for fact in r.facts]),
        r.effect,
        r.order,
        _json(list(r.approvals)),
        r.deadline,
        r.state_hash,
        r.epoch,
        r.episode,
        _json(r.extra),
    )


def to_line(row: tuple[Any, ...]) -> Line:
    """A row of ``SELECT`` as a line. Raises JournalError."""
    seq, prev, digest, entry, mono_ns, wall, boot_id, subject, who, text, rule, facts, effect = row[:13]
    order, approvals, deadline, state_hash, epoch, episode, extra = row[13:]
    try:
        record = Record(
            entry=Entry(entry),
            mono_ns=mono_ns,
            wall=wall,
            boot_id=boot_id,
            subject=subject,
            who=who,
            text=text,
            rule=rule,
            facts=tuple((name, value) for name, value in json.loads(facts)),
            effect=effect,
            order=order,
            approvals=tuple(json.loads(approvals)),
            deadline=deadline,
            state_hash=state_hash,
            epoch=epoch,
            episode=episode,
            extra=dict(json.loads(extra)),
        )
    except (ValueError, TypeError) as error:
        raise JournalError(f"line {seq} was changed after it was written: {error}") from None
    return Line(seq, prev, digest, record)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
