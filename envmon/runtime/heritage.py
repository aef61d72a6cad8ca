"""What an heir must know is kept under the lease, and no call is moved before it is.

Rules
  - It is stored whenever it differs from what is stored, one write at a time, the newest; nobody waits for that. Its
    date is of its last write: an heir on another machine counts its age from when it first saw it.
  - A traffic effect leaves only when the memory that knows of it is stored (``settled``, a bounded wait). One that does
    not is reported failed, and decided again under the facts of that moment: etcd that does not answer takes the lease
    from us in less than a TTL anyway, and an heir must not find calls moved that it knows nothing of.
  - But when storing has failed for a whole TTL while the lease went on (etcd that can be read but not written), calls
    are moved all the same, and it pages: losing them in a dying room is worse than an heir that starts held. Such an
    heir sees edges that contradict what it inherits, or nothing new at all, never two that act.
  - An order is answered when an heir would know of it, or the answer says that it would not (``known``).
  - Nothing of this concerns a lease that nobody can follow.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from envmon.leases.contract import Lease, LeaseError

log = logging.getLogger(__name__)

WAIT = 0.3  # of the TTL, for a memory to be stored before its effect is withheld
PATIENCE_S = 2.0  # at most
W = TypeVar("W")


class Will(Protocol):
    """``core.memory.Will``: equal where an heir would not know the difference."""

    @property
    def epoch(self) -> int: ...  # noqa: D102 - see core.memory.Will

    @property
    def text(self) -> str: ...  # noqa: D102 - see core.memory.Will


class Heritage(Generic[W]):
    """Keeps what ``will`` makes of the world under the lease."""

    def __init__(self, lease: Lease, will: Callable[[W], Will | None]) -> None:
        self._lease = lease
        self._will = will
        self._patience_s = min(WAIT * lease.ttl_s, PATIENCE_S)
        self._wanted: Will | None = None
        self._stored: Will | None = None
        self._storing: asyncio.Task[None] | None = None
        self._failing_since: float | None = None
        self._failure = ""

    def look(self, world: W) -> None:
        """Store what the world wants kept, if that is not stored yet; returns at once."""
        if self._lease.ttl_s == 0:
            return
        wanted = self._will(world)
        if wanted is None or (self._wanted is not None and wanted.epoch != self._wanted.epoch):
            self._failing_since, self._failure = None, ""
        self._wanted = wanted  # where nothing new was decided, with a new date: what is stored late was not young then
        if self._wanted not in (None, self._stored) and self._storing is None:
            self._storing = asyncio.create_task(self._store(), name="heritage")

    async def settled(self) -> str:
        """Wait until all that was looked at is stored; why effects must be withheld, "" when they need not be."""
        until = time.monotonic() + self._patience_s
        while self._storing is not None and (left := until - time.monotonic()) > 0:
            await asyncio.wait((self._storing,), timeout=left)
        if self._wanted in (None, self._stored) or self.trouble:
            return ""
        why = self._failure or f"etcd has not stored it within {self._patience_s:g} s"
        self._fail(why)
        return f"what an heir must know is not kept under the lease: {why}"

    async def known(self) -> str:
        """Wait as ``settled`` does; why an heir would not know of the last decision, "" when it would."""
        if self._lease.ttl_s and self._wanted is None:
            return "the lease is not held"
        return await self.settled() or self.trouble

    @property
    def trouble(self) -> str:
        """Why nothing could be kept for a whole TTL; "" while it can."""
        since = self._failing_since
        return self._failure if since is not None and time.monotonic() - since >= self._lease.ttl_s else ""

    async def close(self) -> None:
        """Wait as ``settled`` does, so that whoever follows knows the last word; let go of a write that hangs."""
        await self.settled()
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.gather(self._storing, return_exceptions=True)

    async def _store(self) -> None:
        try:
            while (wanted := self._wanted) is not None and wanted != self._stored:
                await self._lease.keep(wanted.epoch, wanted.text)
                self._stored, self._failing_since, self._failure = wanted, None, ""
        except (LeaseError, ValueError) as error:
            self._fail(str(error))
        finally:
            self._storing = None

    def _fail(self, why: str) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("what a standby must know cannot be kept under the lease: %s", why)
        self._failure = why
