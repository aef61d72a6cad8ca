"""The loop that asks one weather service, gently, and posts what it said.

Rules
  - Never more often than configured: a service that fails is asked at the usual interval once, then at doubled ones up
    to ``LONGEST_S``, and not before it wished to be.
  - Every pause is varied by chance, so that a fleet does not ask at the same moment.
  - Nothing waits for it: its report is an event like any other.
"""

import asyncio
import logging
from collections.abc import Callable
from random import SystemRandom

from envmon.model.event import WeatherReport
from envmon.runtime.clock import Clock
from envmon.weather.contract import Feed, Look

log = logging.getLogger(__name__)

LONGEST_S = 900.0
SPREAD = 0.1  # of a pause, always longer
PATIENCE_S = 120.0  # real seconds; the adapter's own deadlines are shorter

_chance = SystemRandom().random


class WeatherWatch:
    """Asks ``feed`` every ``every_s`` seconds of the clock. ``chance`` gives 0.0 up to 1.0."""

    def __init__(
        self,
        name: str,
        feed: Feed,
        clock: Clock,
        post: Callable[[WeatherReport], None],
        every_s: float,
        chance: Callable[[], float] = _chance,
    ) -> None:
        self._name = name
        self._feed = feed
        self._clock = clock
        self._post = post
        self._every_s = every_s
        self._chance = chance
        self._failures = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        async with self._feed:
            while True:
                at = self._clock.stamp()
                look = await self._look(at.wall)
                self._note(look.error)
                self._post(WeatherReport(at, self._name, look.warnings, look.error))
                await self._clock.sleep(pause_s(self._every_s, self._failures, look.again_s, self._chance()))

    async def _look(self, now: float) -> Look:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._feed.look(now)
        except TimeoutError:
            return Look((), f"no end within {PATIENCE_S:g} s")

    def _note(self, error: str) -> None:
        if error and not self._failures:
            log.warning("weather %s is unknown: %s", self._name, error)
        elif not error and self._failures:
            log.info("weather %s answers again", self._name)
        self._failures = self._failures + 1 if error else 0


def pause_s(every_s: float, failures: int, again_s: float, chance: float) -> float:
    """Seconds until the next asking, after so many failures in a row."""
    longest = max(every_s, LONGEST_S)
    backed_off = min(longest, every_s * 2.0 ** min(max(failures - 1, 0), 10))
    return max(backed_off, again_s) * (1.0 + SPREAD * chance)
