"""Which topics the broker has not yet seen in their newest state: a bounded list of names, never of payloads.

Rules
  - A topic waits at most once: a newer state replaces the older one and keeps its place, so no topic starves.
  - At most one message per topic is in flight, so an old state can never overtake a newer one.
  - Beyond ``limit`` the topic that waits longest goes, and is counted.
"""

from collections.abc import Iterable


class Outbox:
    """Topics to send, oldest first, with the monotonic time (s) at which their newest state was offered."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self.replaced = 0
        self._limit = max(1, limit)
        self._waiting: dict[str, float] = {}
        self._in_flight: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many topics are sent and not yet answered."""
        return len(self._in_flight)

    def offer(self, topic: str, at: float) -> None:
        """A newer state of ``topic`` exists since ``at``."""
        if topic in self._waiting:
            self.replaced += 1
        elif len(self._waiting) >= self._limit:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[topic] = at

    def take(self) -> str | None:
        """The topic that waits longest and is not in flight; it is in flight from now on. None: nothing to send."""
        topic = next((name for name in self._waiting if name not in self._in_flight), None)
        if topic is None:
            return None
        self._in_flight[topic] = self._waiting.pop(topic)
        return topic

    def settle(self, topic: str) -> float | None:
        """The broker answered for ``topic``, one way or the other: when that state was offered, None if unknown."""
        return self._in_flight.pop(topic, None)

    def restart(self, topics: Iterable[tuple[str, float]]) -> None:
        """A new connection: nothing is in flight, and all of this has to be sent, in this order."""
        self._waiting.clear()
        self._in_flight.clear()
        for topic, at in topics:
            self.offer(topic, at)
