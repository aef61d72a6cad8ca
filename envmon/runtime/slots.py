"""Which device is polled when: a pure schedule that groups polls into bursts.

Rules
  - Every interval has ``SLOTS`` slots and the devices of one interval are spread evenly over them; devices of one
    slot fall due together, so that wake-ups and writes are shared.
  - A device keeps to its grid: a poll that could not start is skipped, never queued.

Theory of operation
  Due times lie on a grid, ``k * interval + slot * interval / SLOTS``, so devices of one slot fall due at the same
  number and leave the heap in one ``take``. A changed interval puts a device on another grid; its old heap entry
  is recognised by its generation and thrown away.
"""

import heapq
from collections.abc import Mapping

SLOTS = 10


class Schedule:
    """Due times of every device. Times are seconds of one monotonic clock."""

    def __init__(self, intervals: Mapping[str, float], now: float) -> None:
        self._slots: dict[str, int] = {}
        self._intervals: dict[str, float] = {}
        self._generation: dict[str, int] = dict.fromkeys(intervals, 0)
        self._heap: list[tuple[float, int, str]] = []
        for interval in sorted(set(intervals.values())):
            group = [device for device, own in intervals.items() if own == interval]
            self._slots.update((device, index * SLOTS // len(group)) for index, device in enumerate(group))
        for device, interval in intervals.items():
            self._set(device, interval, now)

    def interval(self, device: str) -> float:
        """Seconds between two polls of this device, as in force now."""
        return self._intervals[device]

    def change(self, device: str, interval: float, now: float) -> None:
        """Poll this device every ``interval`` seconds from now on."""
        if interval != self._intervals[device]:
            self._set(device, interval, now)

    def next_due(self) -> float | None:
        """Return when the next slot is due; None without devices."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[tuple[str, int]]:
        """Return every device due by ``now``, with the number of its slots that passed before this one."""
        due: list[tuple[str, int]] = []
        while self._heap and self._heap[0][0] <= now:
            at, generation, device = heapq.heappop(self._heap)
            if generation != self._generation[device]:
                continue
            interval = self._intervals[device]
            missed = int((now - at) // interval)
            due.append((device, missed))
            heapq.heappush(self._heap, (at + interval * (missed + 1), generation, device))
        return due

    def _set(self, device: str, interval: float, now: float) -> None:
        self._intervals[device] = interval
        self._generation[device] += 1
        offset = self._slots[device] * interval / SLOTS
        due = ((now - offset) // interval + 1) * interval + offset
        heapq.heappush(self._heap, (due, self._generation[device], device))

    def _drop_stale(self) -> None:
        while self._heap and self._heap[0][1] != self._generation[self._heap[0][2]]:
            heapq.heappop(self._heap)
