"""The undelivered pages on disk, written by a thread of its own: nobody ever waits for it.

Rules
  - ``put`` and ``remove`` return at once; what waits for the disk is at most what waits for the pagers.
  - A page may be lost in the moment between being offered and being written, and may be delivered twice when we die
    between its delivery and its removal; its number is the same both times.
  - A damaged file is moved aside; a disk that cannot be written leaves the pages in memory (``durable`` is False).

Theory of operation
  The thread takes all changes since its last write and makes them one transaction. A page delivered before it was
  written costs the disk nothing. The rollback journal is kept (PERSIST): opening, reading and forgetting pages need
  no new space, so a full disk holds none of them up.
"""

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Envelope

log = logging.getLogger("envmon.pagers")

RUN = 1_000_000  # numbers a run of the daemon starts above the run before
RETRY_S = 5.0

CREATE = """
CREATE TABLE IF NOT EXISTS run (only INTEGER PRIMARY KEY CHECK (only = 0), number INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS page (
    pager TEXT NOT NULL, number INTEGER NOT NULL, wall REAL NOT NULL, key TEXT NOT NULL, raised INTEGER NOT NULL,
    urgency TEXT NOT NULL, summary TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (pager, number)
) STRICT;
"""
SELECT = "SELECT pager, number, wall, key, raised, urgency, summary, detail FROM page ORDER BY number"
NEXT_RUN = "INSERT INTO run VALUES (0, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number"

Change = dict[tuple[str, int], Envelope | None]  # (pager, number): the page to keep, None: to forget


class Spool:
    """An SQLite file of (pager, page) rows. Making one reads and writes the disk; the rest does not."""

    def __init__(self, path: Path, site: str) -> None:
        self._path = path
        self._changes: Change = {}
        self._writing = False
        self._closing = False
        self._wake = threading.Condition()
        self.durable = True
        self.first_number = int(time.time()) * RUN  # without a file: above every run that had one
        self.loaded: list[tuple[str, Envelope]] = []
        self._connection = _connect(path)
        self._thread = threading.Thread(target=self._run, name="envmon-pages", daemon=True)
        if self._connection is None:
            self.durable = False
        else:
            self._load(self._connection, site)
            self._thread.start()

    @property
    def saved(self) -> bool:
        """Whether the disk holds everything."""
        with self._wake:
            return self.durable and not self._changes and not self._writing

    def put(self, pager: str, envelope: Envelope) -> None:
        """Keep the page until ``remove``."""
        self._change(pager, envelope.number, envelope)

    def remove(self, pager: str, number: int) -> None:
        """The page is delivered, given up, replaced or dropped."""
        self._change(pager, number, None)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is left, unless the disk hangs."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _change(self, pager: str, number: int, envelope: Envelope | None) -> None:
        with self._wake:
            if self._closing or self._connection is None:
                return
            _merge(self._changes, (pager, number), envelope)
            self._wake.notify()

    def _run(self) -> None:
        assert self._connection is not None  # noqa: S101 - the thread starts only with one
        last = False
        while not last:
            with self._wake:
                self._wake.wait_for(lambda: self._changes or self._closing)
                last = self._closing  # nothing is added any more: this write is the last
                changes, self._changes, self._writing = self._changes, {}, True
            error = _write(self._connection, changes) if changes else None
            with self._wake:
                self._writing = False
                self._report(error)
                if error is not None:
                    newer, self._changes = self._changes, changes
                    for name, envelope in newer.items():
                        _merge(self._changes, name, envelope)
                    self._wake.wait_for(lambda: self._closing, RETRY_S)
        self._connection.close()

    def _report(self, error: Exception | None) -> None:
        if error is not None and self.durable:
            log.error("pages are kept in memory only: %s cannot be written: %s", self._path, error)
        elif error is None and not self.durable:
            log.info("pages are kept on disk again: %s", self._path)
        self.durable = error is None

    def _load(self, connection: sqlite3.Connection, site: str) -> None:
        """What an earlier run left, and the number this one starts above."""
        for pager, number, wall, key, raised, urgency, summary, detail in connection.execute(SELECT).fetchall():
            if urgency not in set(Urgency):
                log.error("page queue %s: page %s is damaged: dropped", self._path, number)
                self._changes[pager, number] = None
                continue
            page = Page(key, bool(raised), Urgency(urgency), summary, detail)
            self.loaded.append((pager, Envelope(number, wall, site, page)))
        try:
            ((run,),) = connection.execute(NEXT_RUN).fetchall()
        except sqlite3.Error as error:
            self._report(error)
        else:
            self.first_number = run * RUN


def _connect(path: Path) -> sqlite3.Connection | None:
    """A file we can use; None when there is none to be had: pages matter more than their file."""
    for _ in range(2):
        try:
            return _open(path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                log.error("pages are kept in memory only: %s cannot be opened: %s", path, error)  # noqa: TRY400 - a sentence
                return None
            log.error("the page queue %s is damaged (%s); moving it aside", path, error)  # noqa: TRY400 - a sentence
            with suppress(OSError):
                path.replace(path.with_name(path.name + ".damaged"))
                path.with_name(path.name + "-journal").unlink(missing_ok=True)
    return None


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a sound file of our version. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = PERSIST").fetchone()
        connection.executescript(CREATE)
        connection.execute(SELECT).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _merge(changes: Change, name: tuple[str, int], envelope: Envelope | None) -> None:
    """Add a change; forgetting a page the disk has not seen leaves nothing to do."""
    if envelope is None and changes.get(name) is not None:
        del changes[name]
    else:
        changes[name] = envelope


def _write(connection: sqlite3.Connection, changes: Change) -> sqlite3.Error | None:
    """All changes in one transaction; the error when there is one."""
    gone = [name for name, envelope in changes.items() if envelope is None]
    kept = [(pager, *_row(envelope)) for (pager, _), envelope in changes.items() if envelope is not None]
    newest = max(number for _, number in changes)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM page WHERE pager = ? AND number = ?", gone)
        connection.executemany("INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
        connection.execute("UPDATE run SET number = max(number, ?)", (newest // RUN,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return error
    return None


def _row(envelope: Envelope) -> tuple[int, float, str, bool, str, str, str]:
    page = envelope.page
    texts = (_text(page.key), page.raised, page.urgency.value, _text(page.summary), _text(page.detail))
    return (envelope.number, envelope.wall, *texts)


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
