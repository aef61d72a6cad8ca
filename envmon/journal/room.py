"""Disk space the journal owns before it needs it, so that a full disk still allows one whole episode.

Rules
  - The room lies inside the journal's own files: another program that fills the disk cannot take it.
  - The room is restored when half of it is used, so half of it is the promise.
  - A disk without space for the room is not an error; the journal works, and ``ready`` says it has no room.

Theory of operation
  A commit writes to the write-ahead log, and when a quarter of the log is used SQLite copies it into the database
  and starts the log again. Both must find space. The log is allocated to ``size`` bytes; SQLite never makes it
  smaller while the journal is open. The database keeps ``size`` bytes of pages on its free list: a blob is
  written, copied into the database, and deleted. Closing removes the log, so a spare file of the same size stands
  beside it, given back only when the journal has to open on a full disk. A copy-on-write file system (btrfs, ZFS)
  needs new space even to overwrite; there the promise does not hold.
"""

import errno
import logging
import os
import sqlite3
import time
from pathlib import Path

log = logging.getLogger("envmon.journal")

EPISODE = 8 * 2**20  # bytes; half of it holds 2,000 lines of 1 kB and three snapshots of 256 kB
RETRY_S = 60.0  # between attempts to make room on a disk that had none
PAGE = 4096  # bytes, SQLite's default; every journal is made with it
SLACK = 64 * 1024  # the log's index and directory entries


class Room:
    """The room of one open journal: ``size`` bytes in the log and as many in the database."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._spare = path.with_name(path.name + ".spare")
        self._size = size
        self._next_try = 0.0
        self._complained = False
        self.ready = False

    def release_spare(self) -> bool:
        """Give the spare file's space back to the disk; False when there is none."""
        try:
            self._spare.unlink()
        except OSError:
            return False
        return True

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Take what is missing, at most once a minute when the disk refuses. Never raises for a full disk."""
        now = time.monotonic()
        if now < self._next_try:
            return
        self._next_try = now + RETRY_S
        try:
            connection.execute(f"PRAGMA wal_autocheckpoint = {max(1, self._size // 4 // PAGE)}")
            _allocate(self._wal, self._size)
            if self._free(connection) < self._size // 2:
                self._grow(connection)
            _allocate(self._spare, self._size + SLACK)
        except (OSError, sqlite3.OperationalError) as error:
            if not self._complained:
                log.warning("journal %s: no room for a whole episode: %s; free disk space", self._path, error)
            self.ready, self._complained = False, True
            return
        self._next_try = 0.0
        self.ready, self._complained = True, False

    def top_up(self, connection: sqlite3.Connection) -> None:
        """Now and then, when nobody waits: restore the room when half of the database's is used."""
        if not self.ready or self._free(connection) < self._size // 2:
            self.prepare(connection)

    def _free(self, connection: sqlite3.Connection) -> int:
        (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages) * PAGE

    def _grow(self, connection: sqlite3.Connection) -> None:
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:  # the blob takes the free pages, then new ones; larger than a quarter of the log, it is copied at once
            connection.execute("INSERT INTO room VALUES (zeroblob(?))", (self._size,))
        finally:
            connection.execute("DELETE FROM room")


def _allocate(path: Path, size: int) -> None:
    """Give the file real blocks up to ``size`` bytes; SQLite takes zeros at the log's end for no frames."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        if os.fstat(descriptor).st_blocks * 512 < size:
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
