"""How often somebody may ask: a bucket each that fills by itself, and no more buckets than people.

Rules
  - Who has not asked for long has a full bucket; full buckets are forgotten.
"""

import time
from collections.abc import Callable, Mapping

MOST = 1_000  # buckets remembered


class Buckets:
    """``take`` one for each request. A size is (how many at once, how many more a second)."""

    def __init__(
        self,
        sizes: Mapping[str, tuple[float, float]],
        size: tuple[float, float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sizes = sizes
        self._size = size
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}  # who -> what was left, when

    def take(self, who: str) -> bool:
        """Whether ``who`` may ask now."""
        most, each_s = self._sizes.get(who, self._size)
        now = self._now()
        left, at = self._left.get(who, (most, now))
        left = min(most, left + (now - at) * each_s)
        if who not in self._left and len(self._left) >= MOST:
            self._left = {name: entry for name, entry in self._left.items() if now - entry[1] < most / each_s}
        if left < 1 or len(self._left) > MOST:
            return False
        self._left[who] = (left - 1, now)
        return True
