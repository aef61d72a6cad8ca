"""One pager's pages on their way: the lane, and the task that empties it through the pager.

Rules
  - A page that nobody took is tried for ever, ever less often, with jitter. One that is refused is tried ever less
    often too, minutes apart in the end, and given up a day after its first refusal: the core raises a page once, so it
    must not be lost by a token that is renewed an hour later. A restart begins that day anew.
  - What its receiver never wants again is given up at once. What is given up is counted and logged.
  - Whatever a pager does (raise what it may not, hang, refuse to open), the next page gets its turn.
"""

import asyncio
import logging
import random
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from envmon.pagers.contract import Again, Envelope, Pager, PagerError
from envmon.pagers.lane import Lane, Waiting
from envmon.pagers.only import concerns
from envmon.pagers.spool import Spool

log = logging.getLogger("envmon.pagers")

SEND_MOST_S = 60.0  # for a pager that forgets its own deadline


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds between attempts: ``first_s``, then twice as long each time, up to ``most_s``, or ``refused_most_s``."""

    first_s: float = 1.0
    most_s: float = 60.0
    refused_most_s: float = 300.0
    give_up_s: float = 86_400.0  # after the first refusal

    def after(self, attempts: int, *, refused: bool = False) -> float:
        """Return a time between half and all of what that many failures cost."""
        most_s = self.refused_most_s if refused else self.most_s
        longest = min(most_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


class Delivery:
    """Counts since it was made: ``delivered``, ``retried``, ``failures`` (given up).

    ``last_error`` is what the pager said last, "" since it took a page. Pages that are not of its ``kinds`` are no
    pages of its (``only``).
    """

    def __init__(self, name: str, pager: Pager, kinds: Collection[str], limit: int, retry: Retry) -> None:
        self._name = name
        self._pager = pager
        self._kinds = frozenset(kinds)
        self._retry = retry
        self._wake = asyncio.Event()
        self.lane = Lane(limit)
        self.delivered = 0
        self.retried = 0
        self.failures = 0
        self.last_error = ""
        self._refusal = ""  # the last one of a page that still waits

    @property
    def trouble(self) -> str:
        """Why pages wait, "" when none does or nothing was tried yet."""
        if self.lane.refused:
            return f"refuses {self.lane.refused} of {len(self.lane)} waiting pages: {self._refusal}"
        return f"takes no pages: {self.last_error}" if len(self.lane) and self.last_error else ""

    def take(self, envelope: Envelope, spool: Spool) -> None:
        """Deliver a page of its kinds once it is its turn, and keep it on disk until then."""
        if not concerns(envelope.page, self._kinds):
            return
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
            if not concerns(envelope.page, self._kinds):  # it asks for less than it did then
                spool.remove(self._name, envelope.number)
            elif envelope.number not in here:
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
        now = asyncio.get_running_loop().time()
        if error is not None and not self._is_over(waiting, error, now):
            self.retried += 1
            due = now + self._retry.after(waiting.attempts + 1, refused=error.again is Again.SLOWLY)
            for needless in self.lane.failed(envelope.number, due):
                spool.remove(self._name, needless)
            return
        self.lane.done(envelope.number)
        spool.remove(self._name, envelope.number)
        if error is None:
            self._delivered()
        else:
            self._given_up(envelope, error)

    def _is_over(self, waiting: Waiting, error: PagerError, now: float) -> bool:
        """Note why a page was not taken; whether it is given up."""
        match error.again:
            case Again.SOON:
                self._trouble(str(error))
                return False
            case Again.SLOWLY:
                return now - self._refused(waiting, error, now) >= self._retry.give_up_s
            case Again.NEVER:
                return True

    async def _send(self, pager: Pager, envelope: Envelope) -> PagerError | None:
        try:
            async with asyncio.timeout(SEND_MOST_S):
                await pager.send(envelope)
        except PagerError as error:
            return error
        except TimeoutError:
            return PagerError(f"no answer in {SEND_MOST_S:g} s")
        except Exception as error:
            log.exception("pager %s has a fault of its own", self._name)
            return PagerError(f"fault in the pager: {type(error).__name__}")
        return None

    def _delivered(self) -> None:
        self.delivered += 1
        if self.last_error and not self.lane.refused:
            log.info("pager %s takes pages again", self._name)
        self.last_error = ""

    def _refused(self, waiting: Waiting, error: PagerError, now: float) -> float:
        """Return since when the page is refused; the first time is told."""
        self._refusal = self.last_error = str(error)
        if waiting.refused_at is not None:
            return waiting.refused_at
        waiting.refused_at = now
        number, page, hours = waiting.envelope.number, waiting.envelope.page, self._retry.give_up_s / 3600
        text = "pager %s refuses page %d (%s: %s), it is offered again and again for %g h: %s"
        log.error(text, self._name, number, page.key, page.summary, hours, error)
        return now

    def _given_up(self, envelope: Envelope, error: PagerError) -> None:
        self.failures += 1
        self.last_error = str(error)
        number, page = envelope.number, envelope.page
        log.error(
            "pager %s: page %d (%s: %s) is given up for good: %s", self._name, number, page.key, page.summary, error
        )

    def _trouble(self, text: str) -> None:
        if not self.last_error:
            log.warning("pager %s takes no pages: %s; trying again", self._name, text)
        self.last_error = text
