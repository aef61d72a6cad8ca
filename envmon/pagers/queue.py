"""Every page reaches every pager that wants it, in order, however long it takes: between the mind and the pagers.

Rules
  - ``offer`` never blocks, never raises, never waits for the disk or for a pager.
  - Each pager has a lane and a task of its own: one that is dead or slow never delays another.
  - At least once: after a crash a page may come twice, with the same number.
  - The file is open while ``run`` runs: of two queues on one file (a reload) the second takes up what the first left,
    when it runs after it. What is offered before ``run`` waits for it.

Theory of operation
  The lanes in memory decide; ``spool`` follows them to disk, so that what was not delivered is there after a restart.
  A number is never given twice, over restarts too: each run starts above the one before. A file that opens too late
  is used from then on; what it held is taken up by the next run.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from envmon.host.threads import aside
from envmon.model.effect import Page
from envmon.pagers.contract import Envelope, Pager
from envmon.pagers.delivery import Delivery, Retry
from envmon.pagers.spool import Spool

log = logging.getLogger("envmon.pagers")

LIMIT = 1000  # undelivered pages per pager
OPEN_S = 1.0  # for the disk to show what is left; a slower one is not waited for


class PageQueue:
    """Pages for all ``pagers`` (by id); those left over by an earlier run are at ``path``.

    ``only`` has the kinds of pages that some of them asked for; without it a pager gets every page.
    """

    def __init__(
        self,
        path: Path,
        site: str,
        pagers: Mapping[str, Pager],
        *,
        only: Mapping[str, Collection[str]] | None = None,
        limit: int = LIMIT,
        retry: Retry | None = None,
    ) -> None:
        self._path = path
        self._site = site
        kinds, retry = only or {}, retry or Retry()
        self._deliveries = {
            name: Delivery(name, pager, kinds.get(name, ()), limit, retry) for name, pager in pagers.items()
        }
        self._early: deque[tuple[Page, float]] = deque(maxlen=limit)
        self._spool: Spool | None = None
        self._number = 0

    @property
    def depth(self) -> dict[str, int]:
        """Undelivered pages, by pager."""
        return {name: len(delivery.lane) for name, delivery in self._deliveries.items()}

    @property
    def delivered(self) -> dict[str, int]:
        """Pages taken, by pager."""
        return {name: delivery.delivered for name, delivery in self._deliveries.items()}

    @property
    def retried(self) -> dict[str, int]:
        """Attempts that failed and are made again, by pager."""
        return {name: delivery.retried for name, delivery in self._deliveries.items()}

    @property
    def refused(self) -> dict[str, int]:
        """Pages that wait although they were refused, by pager."""
        return {name: delivery.lane.refused for name, delivery in self._deliveries.items()}

    @property
    def troubles(self) -> dict[str, str]:
        """Why pages wait, for pagers where some do."""
        return {name: delivery.trouble for name, delivery in self._deliveries.items() if delivery.trouble}

    @property
    def failures(self) -> dict[str, int]:
        """Pages given up, by pager: refused for a day, or for ever."""
        return {name: delivery.failures for name, delivery in self._deliveries.items()}

    @property
    def dropped(self) -> dict[str, int]:
        """Pages given up because too many waited, by pager."""
        return {name: delivery.lane.dropped for name, delivery in self._deliveries.items()}

    @property
    def last_error(self) -> dict[str, str]:
        """What a pager said last, for those that have taken no page since."""
        return {name: delivery.last_error for name, delivery in self._deliveries.items() if delivery.last_error}

    @property
    def durable(self) -> bool:
        """Whether the disk takes pages; False outside ``run``."""
        return self._spool is not None and self._spool.durable

    @property
    def saved(self) -> bool:
        """Whether the disk holds every undelivered page now; False outside ``run``."""
        return self._spool is not None and self._spool.saved

    def offer(self, page: Page, wall: float) -> None:
        """Send ``page``, raised at ``wall`` (Unix seconds), to every pager of its kind. From the loop's thread."""
        if self._spool is None:
            self._early.append((page, wall))
            return
        self._number += 1
        envelope = Envelope(self._number, wall, self._site, page)
        for delivery in self._deliveries.values():
            delivery.take(envelope, self._spool)

    async def run(self) -> None:
        """Deliver until cancelled; what is left is on disk then."""
        loop, opened = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(opened.set)

        spool = Spool(self._path, self._site, tell)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPEN_S):
                    await opened.wait()
            self._begin(spool)
            async with asyncio.TaskGroup() as tasks:
                for name, delivery in self._deliveries.items():
                    tasks.create_task(delivery.run(spool), name=f"pager {name}")
                await asyncio.Event().wait()
        finally:
            self._spool = None
            await aside(spool.close)

    def _begin(self, spool: Spool) -> None:
        """Take up what an earlier run left, then what was offered since."""
        for name, delivery in self._deliveries.items():
            delivery.resume([envelope for pager, envelope in spool.loaded if pager == name], spool)
        for pager, envelope in spool.loaded:
            if pager not in self._deliveries:
                log.warning("page %d waits for pager %s, which is configured no more: dropped", envelope.number, pager)
                spool.remove(pager, envelope.number)
        self._spool, self._number = spool, max(self._number, spool.first_number)
        while self._early:
            self.offer(*self._early.popleft())
