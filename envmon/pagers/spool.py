"""The undelivered pages on disk, written by a thread of its own: nobody ever waits for it.

Rules
  - ``put`` and ``remove`` return at once; what waits for the disk is at most what waits for the pagers.
  - A page may be lost in the moment between being offered and being written, and may be delivered twice when we die
    between its delivery and its removal; its number is the same both times.
  - A damaged file is moved aside; while the disk cannot be used pages are in memory only (``durable`` is False).

Theory of operation
  The thread opens the file, and tries again while it cannot: a disk that hangs at the start holds up no page either.
  It takes all changes since its last write and makes them one transaction. A page delivered before it was
  written costs the disk nothing. The rollback journal is kept (PERSIST): opening, reading and forgetting pages need
  no new space, so a full disk holds none of them up.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Envelope

log = logging.getLogger("envmon.pagers")

RUN = 1_000_000  # numbers a run of the daemon starts above the run before
RETRY_S = 5.0
BUSY_S = 2.0  # how long SQLite waits for another program's lock

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
    """An SQLite file of (pager, page) rows, opened by the thread, which then calls ``opened`` (in the thread).

    ``loaded`` is what an earlier run left, ``first_number`` what this run's numbers start above.
    """

    def __init__(self, path: Path, site: str, opened: Callable[[], None]) -> None:
        self._path = path
        self._site = site
        self._opened = opened
        self._changes: Change = {}
        self._writing = False
        self._closing = False
        self._failing = False
        self._wake = threading.Condition()
        self.durable = False
        self.first_number = int(time.time()) * RUN  # until there is a file: above every run that had one
        self.loaded: list[tuple[str, Envelope]] = []
        self._thread = threading.Thread(target=self._run, name="envmon-pages", daemon=True)
        self._thread.start()

    @property
    def saved(self) -> bool:
        """Whether the disk holds everything."""
        with self._wake:
            return self.durable and not self._changes and not self._writing

    def put(self, pager: str, envelope: Envelope) -> None:
        """Keep the page until ``remove``; once, for a page the disk does not have."""
        self._change(pager, envelope.number, envelope)

    def remove(self, pager: str, number: int) -> None:
        """The page is delivered, given up, replaced or dropped."""
        self._change(pager, number, None)

    def close(self, timeout_s: float = 4.0) -> None:
        """Write what is left, unless the disk hangs."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _change(self, pager: str, number: int, envelope: Envelope | None) -> None:
        with self._wake:
            _merge(self._changes, (pager, number), envelope)
            self._wake.notify()

    def _run(self) -> None:
        connection = self._connection()
        last = connection is None
        while connection is not None and not last:
            with self._wake:
                self._wake.wait_for(lambda: self._changes or self._closing)
                last = self._closing
                changes, self._changes, self._writing = self._changes, {}, True
            error = _write(connection, changes) if changes else None
            with self._wake:
                self._writing = False
                self._report(error)
                if error is not None:
                    newer, self._changes = self._changes, changes
                    for name, envelope in newer.items():
                        _merge(self._changes, name, envelope)
                    self._wake.wait_for(lambda: self._closing, RETRY_S)
        if connection is not None:
            connection.close()

    def _connection(self) -> sqlite3.Connection | None:
        """Open the file, sooner or later; None when told to close before."""
        while True:
            try:
                connection = self._loaded(_open(self._path))
            except sqlite3.Error as error:
                if _is_damage(error) and _moved_aside(self._path, error):
                    continue
                self._report(error)
            else:
                self._report(None)
                self._opened()
                return connection
            with self._wake:
                if self._wake.wait_for(lambda: self._closing, RETRY_S):
                    return None

    def _loaded(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Read what an earlier run left. Raises sqlite3.Error, and closes the connection then."""
        try:
            rows = connection.execute(SELECT).fetchall()
            with suppress(sqlite3.OperationalError):  # a full disk: the clock's number is as good
                ((run,),) = connection.execute(NEXT_RUN).fetchall()
                self.first_number = run * RUN
        except sqlite3.Error:
            connection.close()
            raise
        self.loaded = [(pager, item) for pager, *row in rows if (item := self._envelope(pager, row)) is not None]
        return connection

    def _envelope(self, pager: str, row: list[Any]) -> Envelope | None:
        number, wall, key, raised, urgency, summary, detail = row
        if urgency not in set(Urgency):
            log.error("page queue %s: page %s is damaged: dropped", self._path, number)
            self.remove(pager, number)
            return None
        return Envelope(number, wall, self._site, Page(key, bool(raised), Urgency(urgency), summary, detail))

    def _report(self, error: Exception | None) -> None:
        if error is not None and not self._failing:
            log.error("pages are kept in memory only: %s cannot be used: %s", self._path, error)
        elif error is None and self._failing:
            log.info("pages are kept on disk again: %s", self._path)
        self._failing, self.durable = error is not None, error is None


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _moved_aside(path: Path, error: sqlite3.Error) -> bool:
    """Keep a damaged file for whoever wants to look, under another name."""
    log.error("the page queue %s is damaged (%s); moving it aside", path, error)
    try:
        path.replace(path.with_name(path.name + ".damaged"))
        path.with_name(path.name + "-journal").unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a file with our tables. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = PERSIST").fetchone()
        connection.executescript(CREATE)
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
