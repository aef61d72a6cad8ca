"""Reading and verifying a journal, also while a daemon writes it.

Rules
  - Reading never writes, never waits for the daemon, and never makes it wait: lines come in short reads.
  - Every fault is a JournalError with one sentence; SQLite's own words come last in it.
  - Synchronous: the runtime calls it in its one-thread executor; one thread at a time.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from envmon.journal import schema
from envmon.journal.chain import EMPTY, Expected, Head, Line, Verification, check
from envmon.journal.record import JournalError

log = logging.getLogger("envmon.journal")

BATCH = 500  # lines in one read
BUSY_S = 2.0  # how long SQLite waits for another connection's lock


class JournalReader:
    """A journal open for reading; ``open`` it, use it in one thread at a time, ``close`` it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing journal read-only. Raises JournalError."""
        if not path.exists():
            raise JournalError(f"there is no journal at {path}")
        try:
            connection = _read_only(path, "mode=ro")
        except sqlite3.Error as error:
            refused = sqlite_code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
            if not refused or path.with_name(path.name + "-wal").exists():
                raise explain(path, error) from None
            connection = _immutable(path)
        return cls(path, connection)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def stored_head(self) -> Head:
        """The newest line's number and hash, as the file says. Raises JournalError."""
        rows = self._rows("SELECT seq, hash FROM head")
        return Head(*rows[0]) if rows else EMPTY

    def records(self, since: int = 0, limit: int | None = None) -> Iterator[Line]:
        """Lines from number ``since`` on, at most ``limit``, oldest first. Raises JournalError."""
        wanted = limit
        while wanted is None or wanted > 0:
            rows = self._rows(schema.SELECT, since, BATCH if wanted is None else min(wanted, BATCH))
            for row in rows:
                yield schema.to_line(row)
            if len(rows) < BATCH:
                return
            since = rows[-1][0] + 1
            wanted = None if wanted is None else wanted - len(rows)

    def verify(self, expect_head: Head | None = None) -> Verification:
        """Follow the whole chain; ``expect_head`` is a head published elsewhere, which must be on it."""
        try:
            expected = [Expected(self.stored_head(), "the newest line it recorded")]
        except JournalError as error:
            return Verification(False, 0, EMPTY, str(error))
        if expect_head is not None:
            expected.append(Expected(expect_head, "the published head"))
        return check(self.records(), expected)

    def latest_snapshot(self) -> str | None:
        """The newest snapshot that is intact; a damaged one is skipped with a warning. Raises JournalError."""
        for number, sha256, text in self._rows("SELECT number, sha256, text FROM snapshot ORDER BY number DESC"):
            if snapshot_hash(text) == sha256:
                return str(text)
            log.warning("journal %s: snapshot %s is damaged; taking the one before it", self.path, number)
        return None

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explain(self.path, error) from None


def _read_only(path: Path, options: str) -> sqlite3.Connection:
    """A checked connection that cannot write. Raises JournalError, sqlite3.Error."""
    connection = connect(path, options)
    try:
        check_version(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _immutable(path: Path) -> sqlite3.Connection:
    """For a journal closed properly in a directory we may not write: SQLite cannot make its index file there."""
    try:
        return _read_only(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise explain(path, error) from None


def connect(path: Path, options: str) -> sqlite3.Connection:
    """A connection in autocommit mode. Raises JournalError.

    Its statements are not kept: each would keep a copy of what it wrote last, megabytes where that was a snapshot.
    """
    uri = f"{path.absolute().as_uri()}?{options}"
    try:
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=0
        )
    except sqlite3.Error as error:
        raise explain(path, error) from None


def check_version(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse what is no journal, or one of another version. Raises JournalError, sqlite3.Error."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION:
        raise JournalError(f"{path} is not an envmon journal; name another file, or move it away")
    if version != schema.VERSION:
        raise JournalError(
            f"{path} has journal version {version}, this envmon reads version {schema.VERSION}; "
            f"run the envmon version that wrote it"
        )


def snapshot_hash(text: str) -> str:
    """SHA-256 of a snapshot's UTF-8 text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sqlite_code(error: sqlite3.Error) -> int:
    """The primary result code (sqlite.org/rescode.html), 0 when there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explain(path: Path, error: Exception) -> JournalError:
    """What SQLite said, as a sentence that tells an operator what to do."""
    code = sqlite_code(error) if isinstance(error, sqlite3.Error) else 0
    match code:
        case sqlite3.SQLITE_FULL:
            text = f"the disk under {path} is full and the journal's own room is used up; free disk space"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            text = f"{path} is damaged; keep it as evidence, move it away, and start again in observe"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            text = f"{path} is locked by another program; end that program"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_AUTH:
            text = f"{path} cannot be opened; check its owner, its permissions and those of its directory"
        case sqlite3.SQLITE_IOERR:
            text = f"the disk under {path} does not read or write; check the disk"
        case _:
            text = f"{path} cannot be used as a journal"
    return JournalError(f"{text} ({error})")
