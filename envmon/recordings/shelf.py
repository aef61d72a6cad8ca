"""The files of the recorder on disk: a ring of recent ones, and folders that keep whole episodes.

Rules
  - All files together, each counted once, stay below ``budget`` bytes: the oldest that belongs to no episode goes
    first, then the oldest episode. The file being written never goes.
  - An episode is a folder of hard links: keeping it copies nothing, and the ring moves on without it. At most ``KEPT``
    are kept, and of one no more than half the budget: its beginning.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from envmon.recordings.decode import SUFFIX

KEPT = 20
EPISODE = "episode-"


class Shelf:
    """The folder of the recordings; every method may raise OSError."""

    def __init__(self, folder: Path, budget: int, kept: int = KEPT) -> None:
        self._folder, self._budget, self._kept = folder, budget, kept

    def ring(self) -> list[Path]:
        """The recent files, oldest first."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def episodes(self) -> list[Path]:
        """The kept episodes, oldest first."""
        return sorted(self._folder.glob(f"{EPISODE}*"))

    def new(self, wall: float) -> Path:
        """The name of the next file, which begins at ``wall`` (Unix seconds)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in (*self.ring(), *self._folder.glob(f"{EPISODE}*/*{SUFFIX}"))]
        numbers = [int(name.partition("-")[0]) for name in names if name.partition("-")[0].isdecimal()]
        utc = datetime.fromtimestamp(wall, tz=UTC)
        return self._folder / f"{max(numbers, default=0) + 1:08d}-{utc:%Y%m%dT%H%M%SZ}{SUFFIX}"

    def keep(self, episode: str, since: str) -> None:
        """Keep every file of the ring from ``since`` (a file's name) on under the name of the episode."""
        folder = self._folder / f"{EPISODE}{episode}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.ring():
            if path.name >= since and _size(folder.iterdir()) <= self._budget // 2:
                with suppress(FileExistsError):
                    os.link(path, folder / path.name)

    def prune(self, *, pinned: str = "", episode: str = "") -> None:
        """Let go of what is too much; of files from ``pinned`` (a name) on, and of this episode, last."""
        closed = [folder for folder in self.episodes() if folder.name != f"{EPISODE}{episode}"]
        for folder in closed[: -self._kept]:
            shutil.rmtree(folder)
        for victim in self._victims(closed[-self._kept :], pinned):
            if _size(self._all()) <= self._budget:
                return
            if victim.is_dir():
                shutil.rmtree(victim)
            else:
                victim.unlink()

    def _victims(self, closed: list[Path], pinned: str) -> Iterator[Path]:
        """What may go, in this order; never the newest file."""
        free = [path for path in self.ring()[:-1] if path.stat().st_nlink == 1]
        yield from (path for path in free if not pinned or path.name < pinned)
        yield from closed
        yield from (path for path in self.ring()[:-1] if path.stat().st_nlink == 1)

    def _all(self) -> Iterator[Path]:
        yield from self._folder.glob(f"*{SUFFIX}")
        yield from self._folder.glob(f"{EPISODE}*/*{SUFFIX}")


def _size(paths: Iterable[Path]) -> int:
    """Bytes on disk, every file counted once."""
    statuses = (path.stat() for path in paths)
    return sum({status.st_ino: status.st_size for status in statuses}.values())
