"""The journal as the engine sees it: one thread writes, and a disk that hangs or fails never stops the loop.

Rules
  - ``write`` says True only when these lines, and every line before them, are on disk.
  - A line that could not be written is kept and tried again, in order, with the newest snapshot.
  - While the journal fails, ``write`` does not wait for the disk: one attempt a second is made by ``look``.
  - The world is frozen, so the journal's thread turns it into text: a large snapshot costs the loop nothing.
  - A snapshot is a shortcut, the line is the law: where the world cannot be turned into text, the lines are written
    without one, and ``unkept`` says so.

Theory of operation
  At most one append is in flight. It lands (written, or failed with its lines back at the head of the queue) or it
  hangs: after ``patience_s`` the journal counts as failing and nothing new is handed to the thread until the
  append in flight has landed, so no line is ever written twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from envmon.journal.chain import Head
from envmon.journal.reader import snapshot_hash
from envmon.journal.record import JournalError, Record
from envmon.runtime import scribe
from envmon.runtime.counters import Counters

log = logging.getLogger(__name__)

PATIENCE_S = 2.0  # a sync on a healthy disk takes milliseconds
LIMIT = 10_000  # lines kept while the journal cannot be written

Snapshot = Callable[[], str]  # called in the journal's thread


class Journal(Protocol):
    """What the ledger needs of ``journal.store.Journal``; both calls block and raise JournalError."""

    head: Head

    @property
    def has_room(self) -> bool:
        """Whether a full disk would still allow one whole episode."""
        ...

    def append(self, records: Sequence[Record], snapshot: str | None = None) -> Head:
        """Write and sync all of it, or nothing."""
        ...

    def save_snapshot(self, text: str) -> None:
        """Keep the core's memory."""
        ...


@dataclass(frozen=True, slots=True)
class _Flight:
    future: asyncio.Future[object]
    records: tuple[Record, ...]


class Ledger:
    """The only writer of the journal.

    ``failure`` is "" while it can be written, else the reason; ``unkept`` is "" while snapshots go with the lines.
    """

    def __init__(self, journal: Journal, counters: Counters, patience_s: float = PATIENCE_S) -> None:
        self._journal = journal
        self._counters = counters
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: tuple[Record, ...] = ()
        self._flight: _Flight | None = None
        self.failure = ""
        self.unkept = ""

    @property
    def head(self) -> Head:
        """The newest line on disk."""
        return self._journal.head

    async def write(self, records: Sequence[Record], snapshot: Snapshot) -> bool:
        """Append the lines with the snapshot they belong to; whether all of it is on disk."""
        self._queue(records)
        if self.failure:
            return False
        await self._land_within(self._patience_s)
        if self._flight is None:
            self._append(snapshot)
            await self._land_within(self._patience_s)
        return self._flight is None and not self.failure

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot when nobody else needs the disk; nobody waits for it."""
        if self._flight is None and not self.failure:
            self._start(lambda: self._save(snapshot))

    def look(self, snapshot: Snapshot) -> None:
        """Once a second: see what has landed, and try again what failed."""
        self._land()
        if self.failure and self._flight is None:
            self._append(snapshot)

    async def close(self, records: Sequence[Record], snapshot: Snapshot) -> None:
        """Write the last lines if the disk lets us, and let go of the thread. The journal itself stays open."""
        self._queue(records)
        await self._land_within(self._patience_s)
        if self._flight is None:
            self._append(snapshot)
            await self._land_within(self._patience_s)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _queue(self, records: Sequence[Record]) -> None:
        room = LIMIT - len(self._waiting)
        self._waiting += tuple(records[:room])
        self._counters.journal_lost += max(len(records) - room, 0)

    def _append(self, snapshot: Snapshot) -> None:
        records, self._waiting = self._waiting, ()

        def append() -> None:
            text = self._text(snapshot)
            self._journal.append(scribe.with_state(records, "" if text is None else snapshot_hash(text)), text)

        self._start(append, records)

    def _save(self, snapshot: Snapshot) -> None:
        if (text := self._text(snapshot)) is not None:
            self._journal.save_snapshot(text)

    def _text(self, snapshot: Snapshot) -> str | None:
        """The snapshot, in the journal's thread; None where there is none to be had."""
        try:
            text = snapshot()
        except Exception as bug:
            if not self.unkept:
                log.exception("the state cannot be kept, lines are written without it")
            self.unkept = f"{type(bug).__name__}: {bug}"[:300]
            return None
        self.unkept = ""
        return text

    def _start(self, call: Callable[[], object], records: tuple[Record, ...] = ()) -> None:
        loop = asyncio.get_running_loop()
        self._flight = _Flight(loop.run_in_executor(self._thread, call), records)

    async def _land_within(self, seconds: float) -> None:
        if self._flight is None:
            return
        await asyncio.wait({self._flight.future}, timeout=seconds)
        self._land()
        if self._flight is not None:
            self._fail(f"the disk has not answered for {seconds:g} s")

    def _land(self) -> None:
        """Take note of the append in flight if it has ended."""
        if self._flight is None or not self._flight.future.done():
            return
        flight, self._flight = self._flight, None
        error = flight.future.exception()
        if error is not None:
            self._waiting = flight.records + self._waiting
            self._fail(str(error) or type(error).__name__, None if isinstance(error, JournalError) else error)
        elif self._waiting and self.failure:
            return  # lines came while it hung: it has recovered when they are written too
        else:
            if self.failure:
                log.info("the journal can be written again")
            self._counters.journal_failing, self.failure = False, ""

    def _fail(self, reason: str, bug: BaseException | None = None) -> None:
        self._counters.journal_failures += 1
        if not self.failure:
            log.error("the journal cannot be written, no call will be moved: %s", reason, exc_info=bug)
        self._counters.journal_failing, self.failure = True, reason
