"""Which device is polled when: a pure schedule that groups polls into bursts.

Rules
  - Every interval has ``SLOTS`` slots and the devices of one interval are spread evenly over them; devices of one
    slot fall due together, so that wake-ups and writes are shared.
  - A device keeps to its grid: a poll that could not start is skipped, never queued.

Theory of operation
  Due times lie on a grid, ``k * interval + slot * interval / SLOTS``, so devices of one slot fall due at the same
  number: the heap holds that number once, and they leave it in one ``take``. A changed interval puts a device on
  another grid; its old entry is recognised by its generation and thrown away.
"""

import heapq
from collections.abc import Mapping

SLOTS = 5  # a burst finds cold caches, whatever its size: few and large ones cost less


class Schedule:
    """Due times of every device. Times are seconds of one monotonic clock."""

    def __init__(self, intervals: Mapping[str, float], now: float) -> None:
        self._slots: dict[str, int] = {}
        self._intervals: dict[str, float] = {}
        self._generation: dict[str, int] = dict.fromkeys(intervals, 0)
        self._heap: list[float] = []
        self._due: dict[float, list[tuple[str, int]]] = {}  # devices and their generations
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
        return self._heap[0] if self._heap else None

    def take(self, now: float) -> list[tuple[str, int]]:
        """Return every device due by ``now``, with the number of its slots that passed before this one."""
        taken: list[tuple[str, int]] = []
        while self._heap and self._heap[0] <= now:
            at = heapq.heappop(self._heap)
            for device, generation in self._due.pop(at):
                if generation == self._generation[device]:
                    interval = self._intervals[device]
                    missed = int((now - at) // interval)
                    taken.append((device, missed))
                    self._put(at + interval * (missed + 1), device, generation)
        return taken

    def _set(self, device: str, interval: float, now: float) -> None:
        self._intervals[device] = interval
        self._generation[device] += 1
        offset = self._slots[device] * interval / SLOTS
        self._put(((now - offset) // interval + 1) * interval + offset, device, self._generation[device])

    def _put(self, at: float, device: str, generation: int) -> None:
        if at not in self._due:
            self._due[at] = []
            heapq.heappush(self._heap, at)
        self._due[at].append((device, generation))

    def _drop_stale(self) -> None:
        while self._heap and all(stale != self._generation[device] for device, stale in self._due[self._heap[0]]):
            del self._due[heapq.heappop(self._heap)]
