"""The bounded recorder: every input of the engine, written by a thread of its own and never waited for.

Rules
  - ``record`` only leaves the event in a queue. A full queue, a full disk or a disk that hangs costs events of the
    recording, counted, and nothing else: what follows a gap begins a new file with the whole world.
  - A failing disk is paged once; the page is resolved when the recorder has worked again for ``steady_s``.
  - From the first evidence of a cooling loss nothing is let go of; from the episode on its files are kept under the
    episode's name, with the file before it, until it ends.

Theory of operation
  The loop gives the thread the world only when a file is to begin or a snapshot is due: worlds are large and frozen,
  and the thread turns them into text. The thread wakes twice a second, takes all that waits and hands the disk what
  zlib has; killed at any moment, the file is whole up to that.
"""

import logging
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Protocol, Self

from envmon.core.world import World
from envmon.model.effect import Decision, Effect, Page, Urgency
from envmon.model.event import Event, PolicyLoaded, Tick
from envmon.recordings.encode import Encoder, header, sealed
from envmon.recordings.shelf import Shelf

log = logging.getLogger(__name__)

_LEVEL = 2  # of zlib: a fifth of the time its default takes, files up to four tenths larger
SHARE = 16  # a file is no larger than this part of the budget
END_S = 3.0  # a disk that hangs does not hold up the end of the daemon longer


class Step(Protocol):
    """What ``core.advance`` returned."""

    @property
    def world(self) -> World: ...  # noqa: D102 - see core.step.Step

    @property
    def decisions(self) -> tuple[Decision, ...]: ...  # noqa: D102 - see core.step.Step

    @property
    def effects(self) -> tuple[Effect, ...]: ...  # noqa: D102 - see core.step.Step


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in real seconds, and how many events may wait for the disk."""

    wake_s: float = 0.5
    snapshot_s: float = 300.0  # between two worlds in one file
    file_s: float = 3600.0  # a file is no longer than this
    retry_s: float = 30.0  # a disk that failed is left alone for so long
    steady_s: float = 600.0
    queue: int = 20_000


@dataclass(slots=True)
class Counts:
    """What the recorder counts about itself; every number only grows."""

    events: int = 0  # on disk, or on their way
    lost: int = 0  # given up: the queue was full or the disk failed
    bytes: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    event: Event
    decisions: tuple[Decision, ...]
    effects: tuple[Effect, ...]
    world: World | None = None  # where a file begins or a snapshot is due
    loaded: PolicyLoaded | None = None  # the last one, with ``world``
    gap: bool = False  # events before this one were lost
    trouble: "Trouble | None" = None  # on ticks


@dataclass(frozen=True, slots=True)
class Trouble:
    """Whether there is evidence of a cooling loss here, and the open episode, "" for none."""

    evidence: bool
    episode: str


def trouble(world: World) -> Trouble:
    """What a recorder needs to know of a world."""
    here = [zone.id for zone in world.policy.zones if zone.here] if world.policy else []
    open_ones = sorted(route.episode for route in world.routes.values() if route.episode)
    return Trouble(any(world.zones[zone].judgement.votes for zone in here), open_ones[0] if open_ones else "")


@dataclass(slots=True)
class _File:
    """The file being written."""

    name: str
    disk: FileIO
    encoder: Encoder
    begun: float
    packer: Any = field(default_factory=lambda: zlib.compressobj(_LEVEL, zlib.DEFLATED, 31))
    size: int = 0


class Recorder:
    """Records one daemon's engine into ``folder``; a context manager. ``page`` must return at once.

    ``failure`` says why nothing can be written, "" while it can.
    """

    def __init__(
        self,
        folder: Path,
        budget: int,
        engine: str,
        site: str,
        page: Callable[[Page], None],
        pace: Pace = Pace(),
    ) -> None:
        self.counts = Counts()
        self.failure = ""
        self._largest = budget // SHARE
        self._shelf = Shelf(folder, budget - 2 * self._largest)  # the file being written, and what it grows beyond
        self._engine, self._site, self._page, self._pace = engine, site, page, pace
        self._queue: deque[_Entry] = deque()
        self._number = 0
        self._run = ""
        self._loaded: PolicyLoaded | None = None
        self._begin = self._gap = True  # the next event ends a file or a gap: a new file begins after it
        self._worlds_at = 0.0
        self._paged = False
        self._failed_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._file: _File | None = None
        self._since = self._episode = ""
        self._over = False  # an episode has ended: the file being written is its last

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(END_S)

    # --- on the event loop ---------------------------------------------------------------------------------------

    def record(self, event: Event, step: Step) -> None:
        """Leave an event and what it led to for the thread; returns at once."""
        self._number += 1
        if isinstance(event, PolicyLoaded):
            self._loaded = event
        ticked = isinstance(event, Tick)
        if ticked:
            self._tell()
        if len(self._queue) >= self._pace.queue or (
            self.failure and time.monotonic() < self._failed_at + self._pace.retry_s
        ):
            self.counts.lost += 1
            self._begin = self._gap = True
            return
        due = self._begin or (ticked and time.monotonic() >= self._worlds_at)
        if due:
            self._worlds_at = time.monotonic() + self._pace.snapshot_s
        entry = _Entry(
            self._number,
            event,
            step.decisions,
            step.effects,
            step.world if due else None,
            self._loaded if due else None,
            self._gap,
            trouble(step.world) if ticked else None,
        )
        self._begin = self._gap = False
        self._queue.append(entry)

    def _tell(self) -> None:
        """Page once when the disk begins to fail, resolve it once it has worked for a while."""
        failing = bool(self.failure)
        if failing == self._paged or (not failing and time.monotonic() < self._failed_at + self._pace.steady_s):
            return
        self._paged = failing
        says = f"cannot record: {self.failure}" if failing else "records again"
        text = f"{self._site}: envmon {says}. Decisions and calls are not concerned."
        self._page(Page(f"envmon/{self._site}/recorder/failed", failing, Urgency.WARNING, text))

    # --- in the thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            ending = self._stop.wait(self._pace.wake_s)
            try:
                while self._queue:
                    self._take(self._queue.popleft())
                self._flush()
            except (OSError, ValueError) as error:
                self._fail(error)
            except Exception as bug:  # a fault of ours must not end recording for good
                log.exception("the recorder failed")
                self._fail(bug)
            if ending:
                self._close()
                return

    def _take(self, entry: _Entry) -> None:
        if self._file is not None and entry.gap:
            self._close()
        if self._file is not None:
            self._write(self._file.encoder.event(entry.event, entry.decisions, entry.effects))
            self.counts.events += 1
        elif entry.world is None:
            self.counts.lost += 1
            self._begin = self._gap = True
            return
        if entry.trouble is not None:
            self._follow(entry.trouble)
        if entry.world is not None:
            self._snapshot(entry, entry.world)

    def _snapshot(self, entry: _Entry, world: World) -> None:
        """Write the world; into a new file when the one being written is full or there is none."""
        if self._file is None or self._full():
            self._close()
            self._open(entry, world)
        if self._file is not None:
            self._write([self._file.encoder.world(entry.number, world)])

    def _full(self) -> bool:
        file = self._file
        return (
            file is None
            or self._over
            or file.size >= self._largest
            or time.monotonic() - file.begun >= self._pace.file_s
        )

    def _open(self, entry: _Entry, world: World) -> None:
        path = self._shelf.new(world.now.wall)
        self._run = self._run or f"{world.now.boot_id}/{world.now.mono_ns}"
        encoder = Encoder(world.now.boot_id, world.now.mono_ns)
        self._file = _File(path.name, FileIO(path, "x", opener=_private), encoder, time.monotonic())
        lines = [header(self._engine, self._site, self._run, world.now.boot_id, entry.number)]
        self._write([*lines, *([encoder.configuration(entry.loaded)] if entry.loaded else [])])
        if self._episode:
            self._shelf.keep(self._episode, self._since)
        self._shelf.prune(pinned=self._since, episode=self._episode)
        self.failure, self._over = "", False

    def _write(self, lines: Iterable[str]) -> None:
        if self._file is not None:
            self._store(self._file, b"".join(self._file.packer.compress(sealed(line)) for line in lines))

    def _flush(self) -> None:
        if self._file is not None:
            self._store(self._file, self._file.packer.flush(zlib.Z_SYNC_FLUSH))
            if self._full():
                self._begin = True

    def _store(self, file: _File, packed: bytes) -> None:
        """Write all of it. Raises OSError."""
        left = memoryview(packed)
        while left:
            left = left[file.disk.write(left) or 0 :]
        file.size += len(packed)
        self.counts.bytes += len(packed)

    def _close(self) -> None:
        """End the file being written; what the disk refuses now is cut off where the last whole line ends."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            self._store(file, file.packer.flush())
        except OSError as error:
            log.warning("recording %s was cut short: %s", file.name, error)
        finally:
            file.disk.close()

    def _fail(self, error: Exception) -> None:
        self._close()
        self.counts.failures += 1
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        if not self.failure:
            log.error("cannot record, nothing else is concerned: %s", reason)
        self.counts.lost += len(self._queue)
        self._queue.clear()
        self._failed_at, self.failure = time.monotonic(), reason

    def _follow(self, now: Trouble) -> None:
        """Pin the files at the first evidence, keep them from the episode on, let go of them when it is over."""
        if not now.evidence and not now.episode:
            self._over = self._over or bool(self._episode)
            self._since = self._episode = ""
            return
        names = [path.name for path in self._shelf.ring()[-2:]] if not self._since else []
        self._since = self._since or (names[0] if names else "")
        if now.episode and not self._episode:
            self._episode = now.episode
            self._shelf.keep(self._episode, self._since)


def _private(path: str, flags: int) -> int:
    """A file the group may read, as the journal: it holds the configuration."""
    return os.open(path, flags, 0o640)
