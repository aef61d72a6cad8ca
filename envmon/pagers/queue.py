"""Every page reaches every pager, in order, however long it takes: the queue between the mind and the pagers.

Rules
  - ``offer`` never blocks, never raises, never waits for the disk or for a pager.
  - Each pager has a lane and a task of its own: one that is dead or slow never delays another.
  - A failure worth another try is tried for ever, ever less often (jitter, at most ``RETRY_MOST_S``); one that is not
    is given up, counted and logged.
  - At least once: after a crash a page may come twice, with the same number.

Theory of operation
  The lanes in memory decide; ``spool`` follows them to disk, so that what was not delivered is there after a restart.
  A number is never given twice, over restarts too: each run of the daemon starts above the one before.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from envmon.model.effect import Page
from envmon.pagers.contract import Envelope, Pager, PagerError
from envmon.pagers.lane import Lane, Waiting
from envmon.pagers.spool import Spool

log = logging.getLogger("envmon.pagers")

LIMIT = 1000  # undelivered pages per pager
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
SEND_MOST_S = 60.0  # a pager that forgets its own deadline


class PageQueue:
    """Pages for all ``pagers`` (by id); making one reads the pages left over at ``path`` from the disk.

    Counters are since the start of this run, by pager: ``delivered``, ``retried``, ``failures`` (given up).
    ``last_error`` is what a pager said last, until it takes a page again.
    """

    def __init__(
        self,
        path: Path,
        site: str,
        pagers: Mapping[str, Pager],
        *,
        limit: int = LIMIT,
        retry_first_s: float = RETRY_FIRST_S,
        retry_most_s: float = RETRY_MOST_S,
    ) -> None:
        self._site = site
        self._pagers = dict(pagers)
        self._retry_first_s, self._retry_most_s = retry_first_s, retry_most_s
        self._lanes = {name: Lane(limit) for name in self._pagers}
        self._wakes = {name: asyncio.Event() for name in self._pagers}
        self.delivered = Counter[str](dict.fromkeys(self._pagers, 0))
        self.retried = Counter[str](dict.fromkeys(self._pagers, 0))
        self.failures = Counter[str](dict.fromkeys(self._pagers, 0))
        self.last_error: dict[str, str] = {}
        self._spool = Spool(path, site)
        self._number = self._spool.first_number
        for name, envelope in self._spool.loaded:
            self._restore(name, envelope)

    @property
    def depth(self) -> dict[str, int]:
        """Undelivered pages, by pager."""
        return {name: len(lane) for name, lane in self._lanes.items()}

    @property
    def dropped(self) -> dict[str, int]:
        """Pages that were too many, by pager."""
        return {name: lane.dropped for name, lane in self._lanes.items()}

    @property
    def durable(self) -> bool:
        """Whether the disk takes pages."""
        return self._spool.durable

    @property
    def saved(self) -> bool:
        """Whether the disk holds every undelivered page now."""
        return self._spool.saved

    def offer(self, page: Page, wall: float) -> None:
        """Send ``page``, raised at ``wall`` (Unix seconds), to every pager. From the loop's thread."""
        self._number += 1
        envelope = Envelope(self._number, wall, self._site, page)
        for name in self._lanes:
            self._put(name, envelope)

    async def run(self) -> None:
        """Deliver until cancelled; what is left is on disk then."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name in self._pagers:
                    tasks.create_task(self._serve(name), name=f"pager {name}")
        finally:
            await asyncio.to_thread(self._spool.close)

    def _restore(self, name: str, envelope: Envelope) -> None:
        """A page of an earlier run."""
        if name not in self._lanes:
            log.warning("page %d waits for pager %s, which is configured no more: dropped", envelope.number, name)
            self._spool.remove(name, envelope.number)
            return
        for number in self._lanes[name].offer(envelope):
            self._spool.remove(name, number)

    def _put(self, name: str, envelope: Envelope) -> None:
        gone = self._lanes[name].offer(envelope)
        if envelope.number not in gone:
            self._spool.put(name, envelope)
        for number in gone:
            if number != envelope.number:
                self._spool.remove(name, number)
        self._wakes[name].set()

    async def _serve(self, name: str) -> None:
        """Keep one pager open and feed it."""
        attempts = 0
        while True:
            try:
                async with self._pagers[name] as pager:
                    attempts = 0
                    await self._feed(name, pager)
            except Exception as error:  # noqa: BLE001 - whatever a pager raises when opened, the page must go out
                attempts += 1
                self._troubled(name, f"cannot be opened: {type(error).__name__}: {error}")
                await asyncio.sleep(self._backoff(attempts))

    async def _feed(self, name: str, pager: Pager) -> None:
        lane, wake, loop = self._lanes[name], self._wakes[name], asyncio.get_running_loop()
        while True:
            wake.clear()
            waiting = lane.next(loop.time())
            if waiting is not None:
                await self._attempt(name, pager, waiting)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(lane.wait_s(loop.time())):
                    await wake.wait()

    async def _attempt(self, name: str, pager: Pager, waiting: Waiting) -> None:
        lane, envelope = self._lanes[name], waiting.envelope
        lane.start(envelope.number)
        try:
            async with asyncio.timeout(SEND_MOST_S):
                await pager.send(envelope)
        except PagerError as error:
            self._refused(name, waiting, error)
        except TimeoutError:
            self._refused(name, waiting, PagerError(f"no answer in {SEND_MOST_S:g} s", retry=True))
        except Exception as error:
            log.exception("pager %s has a fault", name)
            self._refused(name, waiting, PagerError(f"fault in the pager: {type(error).__name__}", retry=True))
        except BaseException:
            lane.stop()
            raise
        else:
            self._settle(name, envelope)
            self.delivered[name] += 1
            if self.last_error.pop(name, ""):
                log.info("pager %s takes pages again", name)

    def _refused(self, name: str, waiting: Waiting, error: PagerError) -> None:
        page, number = waiting.envelope.page, waiting.envelope.number
        if error.retry:
            self.retried[name] += 1
            due = asyncio.get_running_loop().time() + self._backoff(waiting.attempts + 1)
            for needless in self._lanes[name].failed(number, due):
                self._spool.remove(name, needless)
            self._troubled(name, str(error))
            return
        self.failures[name] += 1
        self.last_error[name] = str(error)
        self._settle(name, waiting.envelope)
        log.error("pager %s refused page %d (%s: %s) for good: %s", name, number, page.key, page.summary, error)

    def _settle(self, name: str, envelope: Envelope) -> None:
        self._lanes[name].done(envelope.number)
        self._spool.remove(name, envelope.number)

    def _troubled(self, name: str, text: str) -> None:
        if name not in self.last_error:
            log.warning("pager %s takes no pages: %s; trying again", name, text)
        self.last_error[name] = text

    def _backoff(self, attempts: int) -> float:
        """Seconds to wait after that many failures: doubling, between half and all of it."""
        longest = min(self._retry_most_s, self._retry_first_s * 2.0 ** min(attempts - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
