"""How long a device that failed is left alone: exponential delays with jitter, so that a fleet does not return at once.

Rules
  - The first delay is short: one lost datagram must not cost a second poll at the usual intervals.
  - The longest delay is short too: a room may be warming behind a device that has just come back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from envmon.drivers.contract import DeviceError

_FIRST_S = 1.0
_LONGEST_S = 15.0


@dataclass(slots=True)
class Backoff:
    """The failures of one device in a row. ``clock`` is monotonic seconds, ``jitter`` gives 0.0 up to 1.0."""

    clock: Callable[[], float]
    jitter: Callable[[], float]
    _failures: int = 0
    _until: float = 0.0
    _last: DeviceError | None = None

    def check(self) -> None:
        """Raise the last failure again as long as its delay runs."""
        wait = self._until - self.clock()
        if self._last is not None and wait > 0:
            raise DeviceError(self._last.reason, f"{self._last}; next try in {wait:.1f} s")

    def failed(self, error: DeviceError, least_s: float = 0.0) -> None:
        """Start the next delay: half of it fixed, half of it by chance, ``least_s`` seconds at least."""
        longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._until = self.clock() + max(longest * (0.5 + self.jitter() / 2), least_s)
        self._last = error.anew()

    def succeeded(self) -> None:
        """Forget every failure."""
        self._failures = 0
        self._last = None
