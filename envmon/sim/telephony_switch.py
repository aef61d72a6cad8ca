"""The knob of a simulated edge: where new calls go, who may turn it, what it has counted.

Rules
  - A write of an older epoch than the fence is refused; the fence only grows.
  - A write is stored before it is answered: a restart keeps percent and fence, only ``wipe`` loses them.
  - Counters and calls in progress start at zero with every restart; probe calls are not counted.
"""

import time
from dataclasses import dataclass, field

from envmon.sim.chance import chance
from envmon.sim.telephony import BACKUP, PRIMARY

EPOCH_LIMIT = 2**31


class OlderEpoch(Exception):  # noqa: N818  it names a refusal
    """The write carries an older epoch than the fence."""


@dataclass(slots=True)
class _Route:
    percent: int = 0
    set_epoch: int = 0
    calls: dict[str, int] = field(default_factory=lambda: {PRIMARY: 0, BACKUP: 0})
    active: dict[str, int] = field(default_factory=lambda: {PRIMARY: 0, BACKUP: 0})
    answered: dict[str, int] = field(default_factory=lambda: {PRIMARY: 0, BACKUP: 0})
    refused: dict[str, int] = field(default_factory=lambda: {PRIMARY: 0, BACKUP: 0})
    failed: dict[str, int] = field(default_factory=lambda: {PRIMARY: 0, BACKUP: 0})


class Switch:
    """The state of one edge."""

    def __init__(self, routes: tuple[str, ...], seed: int = 0) -> None:
        self._names = routes
        self._chance = chance("switch", seed)
        self._stored: tuple[int, dict[str, tuple[int, int]]] = (0, {})
        self._up_since = 0
        self._fence = 0
        self.restart()

    @property
    def fence(self) -> int:
        """The newest epoch seen."""
        return self._fence

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes it knows."""
        return self._names

    def percent(self, route: str) -> int:
        """The share of new calls of the route that goes to the backup."""
        return self._routes[route].percent

    def stamp(self, epoch: int) -> None:
        """See an epoch. Raises OlderEpoch."""
        if epoch < self._fence:
            raise OlderEpoch
        self._fence = epoch
        self._store()

    def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Turn the knob. Raises OlderEpoch."""
        self.stamp(epoch)
        self._routes[route].percent, self._routes[route].set_epoch = percent, epoch
        self._store()

    def pick(self, route: str, forced: str = "") -> str:
        """The site of one new call; ``forced`` names it for a probe call, which is not counted."""
        if forced:
            return forced
        site = BACKUP if self._chance.randrange(100) < self._routes[route].percent else PRIMARY
        self._routes[route].calls[site] += 1
        return site

    def began(self, route: str, site: str) -> None:
        """A call was answered."""
        self._routes[route].active[site] += 1
        self._routes[route].answered[site] += 1

    def unanswered(self, route: str, site: str, *, failed: bool) -> None:
        """A call ended without an answer; ``failed`` when the site is at fault."""
        counts = self._routes[route].failed if failed else self._routes[route].refused
        counts[site] += 1

    def ended(self, route: str, site: str) -> None:
        """An answered call ended."""
        self._routes[route].active[site] -= 1

    def restart(self) -> None:
        """Start anew from what is stored."""
        self._up_since = max(int(time.time()), self._up_since + 1)
        self._fence, kept = self._stored
        self._routes = {name: _Route(*kept.get(name, (0, 0))) for name in self._names}

    def wipe(self) -> None:
        """Restart on an empty disk."""
        self._stored = (0, {})
        self.restart()

    def status(self) -> dict[str, object]:
        """What ``GET /envmon/v1/status`` says."""
        routes = {
            name: {
                "percent": route.percent,
                "set_epoch": route.set_epoch,
                "calls_primary": route.calls[PRIMARY],
                "calls_backup": route.calls[BACKUP],
                "active_primary": route.active[PRIMARY],
                "active_backup": route.active[BACKUP],
                "answered_primary": route.answered[PRIMARY],
                "answered_backup": route.answered[BACKUP],
                "refused_primary": route.refused[PRIMARY],
                "refused_backup": route.refused[BACKUP],
                "failed_primary": route.failed[PRIMARY],
                "failed_backup": route.failed[BACKUP],
                "retried": 0,
            }
            for name, route in self._routes.items()
        }
        return {"up_since": self._up_since, "fence": self._fence, "routes": routes}

    def _store(self) -> None:
        self._stored = (self._fence, {name: (r.percent, r.set_epoch) for name, r in self._routes.items()})
