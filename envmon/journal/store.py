"""Writing the journal: an SQLite file with one writer, synced before ``append`` returns.

Rules
  - ``append`` is one transaction: all its lines and the snapshot are on disk when it returns, or none is.
  - One daemon writes a journal. A second one gets a JournalError that names the first.
  - A failed write changes nothing; the same append may be tried again.
  - Synchronous: the runtime calls it in its one-thread executor; one thread at a time.

Theory of operation
  Write-ahead log with synchronous=FULL: a commit is one sequential write and one sync, and readers never block
  the writer. The lock is a file of its own, held with flock(2): the kernel lets go of it however we die, and
  SQLite's own locks stay free for readers. ``room`` keeps the disk space.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from envmon.journal import schema
from envmon.journal.chain import Head, intact, seal
from envmon.journal.reader import JournalReader, check_version, connect, explain, snapshot_hash, sqlite_code
from envmon.journal.record import JournalError, Record
from envmon.journal.room import EPISODE, PAGE, Room

SNAPSHOTS = 3  # kept; older ones go


class Journal(JournalReader):
    """A journal open for writing."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int, room: Room) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._room = room
        self._file = path.stat()
        self.head = self._last_line()

    @classmethod
    def open(cls, path: Path, *, create: bool = True, room: int = EPISODE) -> Self:
        """Open for writing, and make a new journal when there is none and ``create``. Raises JournalError.

        ``room`` is the disk space to own, bytes, in the database and again in its log.
        """
        if not path.parent.is_dir():
            raise JournalError(f"{path.parent} is not a directory; create it for the journal")
        if not create and not path.exists():
            raise JournalError(f"there is no journal at {path}")
        lock = _take_lock(path)
        try:
            space = Room(path, room)
            try:
                connection = _connect(path)
            except sqlite3.Error as error:
                if sqlite_code(error) not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR} or not space.release_spare():
                    raise explain(path, error) from None
                connection = _connect(path)
            try:
                journal = cls(path, connection, lock, space)
                space.prepare(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException as error:
            os.close(lock)
            if isinstance(error, sqlite3.Error):
                raise explain(path, error) from None
            raise
        return journal

    @property
    def has_room(self) -> bool:
        """Whether a full disk would still allow one whole episode."""
        return self._room.ready

    def close(self) -> None:
        """Let go of the file and of the right to write it."""
        super().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, records: Sequence[Record], snapshot: str | None = None) -> Head:
        """Write the lines, and the core's memory after them, and sync. Returns the new head. Raises JournalError."""
        head, lines = self.head, []
        for record in records:
            lines.append(seal(record, head))
            head = Head(lines[-1].seq, lines[-1].hash)
        with self._transaction():
            if lines:
                self._connection.executemany(schema.INSERT, map(schema.to_row, lines))
                self._connection.execute("INSERT OR REPLACE INTO head VALUES (0, ?, ?)", (head.seq, head.hash))
            if snapshot is not None:
                self._put_snapshot(snapshot, head.seq)
        self.head = head
        return head

    def save_snapshot(self, text: str) -> None:
        """Keep the core's memory, JSON, as of the newest line; then top up the room. Raises JournalError."""
        with self._transaction():
            self._put_snapshot(text, self.head.seq)
        try:
            self._room.top_up(self._connection)
        except sqlite3.Error as error:
            raise explain(self.path, error) from None

    def _put_snapshot(self, text: str, seq: int) -> None:
        self._connection.execute(
            "INSERT INTO snapshot (seq, sha256, text) VALUES (?, ?, ?)", (seq, snapshot_hash(text), text)
        )
        self._connection.execute(
            "DELETE FROM snapshot WHERE number <= (SELECT max(number) FROM snapshot) - ?", (SNAPSHOTS,)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, on disk at the end. Raises JournalError."""
        self._must_be_there()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.Error, ValueError, OverflowError) as error:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise explain(self.path, error) from None

    def _must_be_there(self) -> None:
        """A file removed or replaced under us still takes lines that nobody will ever read. Raises JournalError."""
        try:
            if os.path.samestat(self.path.stat(), self._file):
                return
        except OSError:
            pass
        raise JournalError(f"{self.path} was removed or replaced; bring it back, or restart envmon: it will observe")

    def _last_line(self) -> Head:
        """The head to go on from. Raises JournalError when the file's end is not what was last written."""
        head = self.stored_head()
        end = self.records(since=max(head.seq, 0))
        newest = [(line.seq, line.hash) for line in end if intact(line)]
        if newest != ([(head.seq, head.hash)] if head.seq >= 0 else []):
            raise JournalError(
                f"{self.path} does not end in the line it last recorded ({head.seq}): its end was changed; "
                f"keep it as evidence, move it away, and start again in observe"
            )
        return head


def _connect(path: Path) -> sqlite3.Connection:
    """A writing connection to a journal of our version, made when the file is new. Raises sqlite3.Error."""
    fresh = not path.exists() or path.stat().st_size == 0
    if fresh:
        _create_file(path)
    connection = connect(path, "mode=rw")
    try:
        if not fresh:
            _check(path, connection)
        _use_log(path, connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")  # free pages are the room: nothing to overwrite in them
        if fresh or not _has_tables(connection):
            connection.executescript(f"BEGIN IMMEDIATE; {schema.CREATE} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _use_log(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE}")  # of a new file; an old one keeps its own
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(f"{path}: SQLite keeps journal mode {mode}; put the journal on a local file system")


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Our version, or a file whose making was cut short before its first commit."""
    if _has_tables(connection):
        check_version(path, connection)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _create_file(path: Path) -> None:
    """An empty file the group may read; SQLite gives its log the same permissions."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        raise JournalError(f"{path} cannot be made: {error.strerror}; check the directory's owner") from None


def _take_lock(path: Path) -> int:
    """The right to write, until the descriptor is closed or we die. Raises JournalError."""
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise JournalError(f"{lock} cannot be opened: {error.strerror}; check the directory's owner") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalError(f"{path} is written by another envmon (process {holder}); end that one first") from None
    with suppress(OSError):  # a full disk must not stop us; the lock is the flock, the number is for people
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
