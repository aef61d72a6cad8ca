"""The lease of a daemon without a standby: a locked file, and an epoch that outlives us.

Rules
  - The epoch is on disk (file and directory synced) before ``acquire`` returns it; it is never given twice.
  - ``held`` is False as soon as the lock file is not the one we locked: removed, replaced, its directory gone.
  - A full disk does not keep us from the lease once: the space for the next epoch is on disk already.
  - Its thread is its own: nothing but the disk keeps us from asking the kernel whether the lease is ours.
  - On a local file system only: flock(2) over NFS is another promise.

Theory of operation
  flock(2) belongs to the open file, so the kernel frees it however we die. It does not stop a process which has
  lost the file under its feet (somebody restored a backup over the directory): ``held`` compares the inode behind
  the path with ours, and whoever locks the new file gets a greater epoch, which the edges prefer.
"""

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from envmon.leases.contract import Kept, LeaseError

END = 2**31  # epochs stay below: an edge keeps them in a signed 32-bit integer
ATTEMPTS = 5  # at locking a file that somebody replaces between our open and our lock


class LocalLease:
    """A lease in ``directory``, for one host. Files: ``lease.lock``, ``lease.epoch`` and its next.

    Who holds it has the journal beside it too, so nobody is ever followed (``former`` stays 0), and what must outlive
    us is in the journal's snapshot: nothing is kept here.
    """

    former = 0
    ttl_s = 0.0
    kept = Kept()

    def __init__(self, directory: Path) -> None:
        self._lock = directory / "lease.lock"
        self._epoch = directory / "lease.epoch"
        self._next_file = directory / "lease.epoch.new"
        self._descriptor = -1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lease")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._release()

    async def acquire(self, above: int) -> int:
        """Take the lease; a holder that asks again gets a new epoch. Raises LeaseError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._acquire, above)

    async def held(self) -> bool:
        """Whether the file we locked is still the one behind the path."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._is_ours)

    async def keep(self, epoch: int, text: str) -> None:
        """Keep nothing: the journal beside us does."""

    def _acquire(self, above: int) -> int:
        if not self._is_ours():
            self._release()
            self._descriptor = self._locked()
        try:
            epoch = self._next(above)
            self._store(epoch)
        except LeaseError:
            self._release()
            raise
        except OSError as error:
            self._release()
            raise LeaseError(f"{self._epoch} cannot be written: {error.strerror}; check the disk") from None
        return epoch

    def _is_ours(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._lock.stat())
        except OSError:
            return False

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _locked(self) -> int:
        """The lock file's descriptor, locked. Raises LeaseError."""
        for _ in range(ATTEMPTS):
            try:
                descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            except OSError as error:
                raise LeaseError(f"{self._lock} cannot be opened: {error.strerror}; check its directory") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), self._lock.stat()):
                    with suppress(OSError):  # the lock is the flock; the number is for people
                        os.pwrite(descriptor, _number(os.getpid()), 0)
                    return descriptor
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise LeaseError(f"the lease {self._lock} is held by process {holder}") from None
            except OSError as error:
                os.close(descriptor)
                raise LeaseError(f"{self._lock} cannot be locked: {error.strerror}; check its directory") from None
            os.close(descriptor)
        raise LeaseError(f"{self._lock} is replaced again and again; find who writes there")

    def _next(self, above: int) -> int:
        epoch = max(above, self._stored(), 0) + 1
        if epoch >= END:
            raise LeaseError(f"no epoch is left above {epoch - 1}: an edge or {self._epoch} holds a wrong number")
        return epoch

    def _stored(self) -> int:
        """The newest epoch ever given here, 0 before the first. Raises LeaseError."""
        try:
            text = self._epoch.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise LeaseError(f"{self._epoch} cannot be read: {error.strerror}; check its permissions") from None
        if not text.isdigit() or len(text) > 10:
            raise LeaseError(
                f"{self._epoch} holds {text[:40]!r}, not an epoch; write the greatest epoch any edge shows"
            )
        return int(text)

    def _store(self, epoch: int) -> None:
        """Replace the epoch file so that a crash leaves the old number or the new one. Raises OSError."""
        _write_synced(self._next_file, epoch)
        self._next_file.replace(self._epoch)
        directory = os.open(self._epoch.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        with suppress(OSError):  # the space for the next epoch
            _write_synced(self._next_file, epoch)


def _write_synced(path: Path, number: int) -> None:
    """Overwrite in place: a file that exists needs no new space. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, _number(number))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(number: int) -> bytes:
    """Always as long, so that it replaces an older one completely."""
    return f"{number:10}\n".encode()
