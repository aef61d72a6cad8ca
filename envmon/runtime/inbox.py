"""What waits for the engine: everything that must not be lost, and the newest of everything else.

Rules
  - Orders, effect, probe and lease reports and policies are never dropped and keep their order.
  - Of device batches and edge reports only the newest per device and edge waits, of ticks only the newest.
  - What replaces something goes to the end, so that events leave in the order they arrived.
"""

import asyncio

from envmon.model.event import DeviceBatch, EdgeReport, Event, Tick
from envmon.runtime.counters import Counters


class Inbox:
    """A queue that never blocks its writers; one reader takes all of it at once."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._waiting: dict[object, Event] = {}
        self._number = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def post(self, event: Event) -> None:
        """Leave an event; returns at once."""
        key = self._key(event)
        if self._waiting.pop(key, None) is not None:
            self._count_replaced(event)
        self._waiting[key] = event
        self._filled.set()

    def rest(self) -> list[Event]:
        """Take what is here, for the last time."""
        taken, self._waiting = self._waiting, {}
        return list(taken.values())

    async def take(self) -> list[Event]:
        """Wait until something is here and take all of it, in order of arrival."""
        await self._filled.wait()
        self._filled.clear()
        return self.rest()

    def _key(self, event: Event) -> object:
        match event:
            case DeviceBatch(device=device):
                return ("device", device)
            case EdgeReport(edge=edge):
                return ("edge", edge)
            case Tick():
                return ("tick",)
            case _:
                self._number += 1
                return self._number

    def _count_replaced(self, event: Event) -> None:
        match event:
            case DeviceBatch():
                self._counters.coalesced_batches += 1
            case EdgeReport():
                self._counters.coalesced_reports += 1
            case _:
                self._counters.coalesced_ticks += 1
