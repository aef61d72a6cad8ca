"""Which topics the broker has not yet seen in their newest state: a bounded list of names, never of payloads.

Rules
  - A topic waits at most once: a newer state replaces the older one and keeps its place, so no topic starves.
  - At most one message per topic is in flight, so an old state can never overtake a newer one.
  - Beyond ``limit`` the topic that waits longest goes, and is counted.
"""

from collections.abc import Iterable


class Outbox:
    """Topics to send, oldest first, with the moment (ns) from which their newest state's way is timed; 0: it is not."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self.replaced = 0
        self._limit = max(1, limit)
        self._waiting: dict[str, int] = {}
        self._in_flight: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many topics are sent and not yet answered."""
        return len(self._in_flight)

    def offer(self, topic: str, since_ns: int = 0) -> None:
        """A newer state of ``topic`` exists, and its way is timed from ``since_ns``."""
        if topic in self._waiting:
            self.replaced += 1
        elif len(self._waiting) >= self._limit:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[topic] = since_ns

    def take(self) -> str | None:
        """The topic that waits longest and is not in flight; it is in flight from now on. None: nothing to send."""
        topic = next((name for name in self._waiting if name not in self._in_flight), None)
        if topic is None:
            return None
        self._in_flight[topic] = self._waiting.pop(topic)
        return topic

    def settle(self, topic: str) -> int:
        """The broker answered for ``topic``, one way or the other: since when that state's way was timed, 0 if not."""
        return self._in_flight.pop(topic, 0)

    def restart(self, topics: Iterable[tuple[str, int]]) -> None:
        """A new connection: nothing is in flight, and all of this has to be sent, in this order."""
        self._waiting.clear()
        self._in_flight.clear()
        for topic, since_ns in topics:
            self.offer(topic, since_ns)
