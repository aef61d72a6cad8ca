"""Polls somebody asked for out of turn: a device said that something happened.

Rules
  - Asked once or a hundred times, a device is looked at once, as soon as ``gap_s`` has passed since its last poll
    began.
  - Any poll that begins after the asking answers it; one that was in flight does not, it may have read what was before.
  - The gap is a share of the device's interval: however loudly it calls, it is polled at most ``SHARE`` times as often.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

SHARE: Final = 5
LEAST_S: Final = 1.0


def gap_s(interval_s: float) -> float:
    """Return the seconds between the beginnings of two polls of which the second was asked for."""
    return max(LEAST_S, interval_s / SHARE)


@dataclass(slots=True)
class Looks:
    """What was asked for. Times are seconds of one monotonic clock."""

    _due: dict[str, float] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """Whether there is a device to look at."""
        return bool(self._due)

    def ask(self, device: str, gap: float, now: float) -> None:
        """Look at a device as soon as it may be."""
        if device not in self._due:
            self._due[device] = max(now, self._began.get(device, now - gap) + gap)

    def began(self, device: str, now: float) -> None:
        """Take note that a poll begins, for whatever reason."""
        self._began[device] = now
        self._due.pop(device, None)

    def next_due(self, busy: Collection[str]) -> float | None:
        """Return when the next look is due, of devices that are not ``busy``; None without one."""
        return min((at for device, at in self._due.items() if device not in busy), default=None)

    def take(self, now: float, busy: Collection[str]) -> list[str]:
        """Return the devices to look at now."""
        return [device for device, at in self._due.items() if at <= now and device not in busy]
