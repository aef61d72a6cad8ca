"""One pager's pages on their way: the lane, and the task that empties it through the pager.

Rules
  - A failure worth another try is tried for ever, ever less often, with jitter; one that is not is given up, counted
    and logged.
  - Whatever a pager does (raise what it may not, hang, refuse to open), the next page gets its turn.
"""

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass

from envmon.pagers.contract import Envelope, Pager, PagerError
from envmon.pagers.lane import Lane, Waiting
from envmon.pagers.spool import Spool

log = logging.getLogger("envmon.pagers")

SEND_MOST_S = 60.0  # for a pager that forgets its own deadline


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds between attempts: ``first_s``, then twice as long each time, up to ``most_s``."""

    first_s: float = 1.0
    most_s: float = 60.0

    def after(self, attempts: int) -> float:
        """Return a time between half and all of what that many failures cost."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


class Delivery:
    """Counts since it was made: ``delivered``, ``retried``, ``failures`` (given up).

    ``last_error`` is what the pager said last, "" since it took a page.
    """

    def __init__(self, name: str, pager: Pager, limit: int, retry: Retry) -> None:
        self._name = name
        self._pager = pager
        self._retry = retry
        self._wake = asyncio.Event()
        self.lane = Lane(limit)
        self.delivered = 0
        self.retried = 0
        self.failures = 0
        self.last_error = ""

    def take(self, envelope: Envelope, spool: Spool) -> None:
        """Deliver a page once it is its turn, and keep it on disk until then."""
        gone = self.lane.offer(envelope)
        if envelope.number not in gone:
            spool.put(self._name, envelope)
        for number in gone:
            spool.remove(self._name, number)
        self._wake.set()

    def resume(self, left: list[Envelope], spool: Spool) -> None:
        """Take up what an earlier run left on disk, beside what is in memory."""
        here, there = {item.number for item in self.lane}, {item.number for item in left}
        for envelope in self.lane:
            if envelope.number not in there:
                spool.put(self._name, envelope)
        for envelope in left:
            if envelope.number not in here:
                for number in self.lane.offer(envelope):
                    spool.remove(self._name, number)

    async def run(self, spool: Spool) -> None:
        """Keep the pager open and feed it, until cancelled."""
        attempts = 0
        while True:
            try:
                async with self._pager as pager:
                    attempts = 0
                    await self._feed(pager, spool)
            except Exception as error:  # noqa: BLE001 - whatever a pager raises when opened, the pages must go out
                attempts += 1
                self._trouble(f"cannot be opened: {type(error).__name__}: {error}")
                await asyncio.sleep(self._retry.after(attempts))

    async def _feed(self, pager: Pager, spool: Spool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            waiting = self.lane.next(loop.time())
            if waiting is not None:
                await self._attempt(pager, waiting, spool)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self.lane.wait_s(loop.time())):
                    await self._wake.wait()

    async def _attempt(self, pager: Pager, waiting: Waiting, spool: Spool) -> None:
        envelope = waiting.envelope
        self.lane.start(envelope.number)
        error = await self._send(pager, envelope)
        if error is not None and error.retry:
            self.retried += 1
            due = asyncio.get_running_loop().time() + self._retry.after(waiting.attempts + 1)
            for needless in self.lane.failed(envelope.number, due):
                spool.remove(self._name, needless)
            self._trouble(str(error))
            return
        self.lane.done(envelope.number)
        spool.remove(self._name, envelope.number)
        if error is None:
            self._delivered()
        else:
            self._given_up(envelope, error)

    async def _send(self, pager: Pager, envelope: Envelope) -> PagerError | None:
        try:
            async with asyncio.timeout(SEND_MOST_S):
                await pager.send(envelope)
        except PagerError as error:
            return error
        except TimeoutError:
            return PagerError(f"no answer in {SEND_MOST_S:g} s", retry=True)
        except Exception as error:
            log.exception("pager %s has a fault of its own", self._name)
            return PagerError(f"fault in the pager: {type(error).__name__}", retry=True)
        return None

    def _delivered(self) -> None:
        self.delivered += 1
        if self.last_error:
            log.info("pager %s takes pages again", self._name)
        self.last_error = ""

    def _given_up(self, envelope: Envelope, error: PagerError) -> None:
        self.failures += 1
        self.last_error = str(error)
        number, page = envelope.number, envelope.page
        log.error("pager %s refused page %d (%s: %s) for good: %s", self._name, number, page.key, page.summary, error)

    def _trouble(self, text: str) -> None:
        if not self.last_error:
            log.warning("pager %s takes no pages: %s; trying again", self._name, text)
        self.last_error = text
