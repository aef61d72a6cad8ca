"""Whether an order over the network is new: sent just now, and not seen before.

Rules
  - An order carries when it was sent (Unix seconds) and a number of its own; both clocks agree within ``WITHIN_S``.
  - Numbers are remembered for as long as an order can be new, by person; nobody uses up another's.

Theory of operation
  TLS keeps a stranger from repeating what was sent. What is left is a client, a proxy or a daemon that was frozen: an
  order that lies in between must not be carried out minutes later, nor twice because somebody tried again.
"""

from collections.abc import Callable

from envmon.runtime.order_line import LATEST

WITHIN_S = 30.0
LONGEST = 64  # characters of a number


class StaleError(Exception):
    """The order is not new; the text says why."""


class Fresh:
    """Remembers what came in lately. ``now`` is Unix seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[tuple[str, str], float] = {}

    def admit(self, person: str, sent: object, number: object) -> None:
        """Take note of an order. Raises StaleError when it is not new."""
        if isinstance(sent, bool) or not isinstance(sent, int | float) or not abs(sent) < LATEST:
            raise StaleError("sent must be Unix seconds: when the order was sent")
        if not isinstance(number, str) or not 8 <= len(number) <= LONGEST:
            raise StaleError(f"number must be a text of 8 to {LONGEST} characters, new for each order")
        now = self._now()
        if not abs(now - sent) <= WITHIN_S:
            raise StaleError(
                f"the order was sent {now - sent:+.0f} s ago by its clock, at most {WITHIN_S:g} s are taken"
            )
        self._seen = {key: at for key, at in self._seen.items() if abs(now - at) <= WITHIN_S}
        if (person, number) in self._seen:
            raise StaleError("the order came in before, and was answered then")
        self._seen[person, number] = sent
