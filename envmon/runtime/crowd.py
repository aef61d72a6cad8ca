"""How much of the order socket one person may have: nobody's flood keeps others from it, or costs the loop its time.

Rules
  - A person is who logged in, by number: for who is turned away nothing is looked up.
  - root and the daemon's own user ask as often as they like: they could end the daemon.
  - Orders are bounded closer than looks, for each is journalled and may be paged; closest those of who may give none.
"""

import logging
import os
from collections import Counter

from envmon.model.event import Access
from envmon.runtime.bucket import Buckets
from envmon.runtime.people import Peer, name

log = logging.getLogger(__name__)

EACH = 16  # clients of one person
CLIENTS = 128  # of all
REQUESTS = (60, 4.0)  # at once, and more a second; a connection counts as one, too
ORDERS = (20, 0.5)
VAIN = (5, 1 / 60)  # orders of viewers
TOO_MANY = "too many requests; wait a minute"


class Crowd:
    """Who is connected, and how often they ask. Refusals are a sentence, "" when there is none."""

    def __init__(self) -> None:
        self._connected: Counter[int] = Counter()
        self._requests, self._orders, self._vain = (Buckets({}, size) for size in (REQUESTS, ORDERS, VAIN))
        self._told = Buckets({}, (1, 1 / 60))

    def enter(self, who: Peer) -> str:
        """Why somebody may not connect now; who may must ``leave``."""
        if self._connected[who.login] >= EACH:
            return f"{EACH} clients of yours are connected already; try again"
        if not _free(who) and self._connected.total() >= CLIENTS:
            return f"{CLIENTS} clients are connected already; try again"
        if refused := self.ask(who):
            return refused
        self._connected[who.login] += 1
        return ""

    def leave(self, who: Peer) -> None:
        """A connection ended."""
        self._connected[who.login] -= 1
        self._connected += Counter()  # who has none is forgotten

    def ask(self, who: Peer) -> str:
        """Why somebody may not ask for anything now."""
        return "" if _free(who) else self._taken(self._requests, who)

    def order(self, who: Peer, access: Access) -> str:
        """Why somebody may not give an order now."""
        return "" if _free(who) else self._taken(self._vain if access is Access.VIEWER else self._orders, who)

    def _taken(self, buckets: Buckets, who: Peer) -> str:
        if buckets.take(str(who.login)):
            return ""
        if self._told.take(str(who.login)):
            log.warning("%s asks too much of the order socket and is turned away", name(who.login))
        return TOO_MANY


def _free(who: Peer) -> bool:
    return who.uid in (0, os.geteuid())
