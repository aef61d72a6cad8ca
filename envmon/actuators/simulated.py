"""An edge in memory with the semantics of a real one, for rehearsals and tests.

Rules
  - What a real edge stores (fence, percent, epoch) survives ``restart``; what it only remembers (counters) does not.
  - It is its own actuator: entering and leaving change nothing, several holders may command one object.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from envmon.actuators.contract import EdgeError, Fenced
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

_EPOCH_LIMIT = 2**31


@dataclass(slots=True)
class _Route:
    percent: int = 0
    set_epoch: int = 0
    calls_primary: int = 0
    calls_backup: int = 0
    active_primary: int = 0
    active_backup: int = 0


class SimulatedEdge:
    """The actuator of kind ``simulated``; see ``contract.Actuator``. ``now`` gives Unix seconds."""

    def __init__(
        self,
        settings: EdgeSettings,
        routes: tuple[str, ...] = ("outbound",),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._id = settings.id
        self._now = now
        self._fence = 0
        self._up_since = int(now())
        self._routes = {route: _Route() for route in routes}
        self._silent = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the edge reports now, one status per route. Raises EdgeError."""
        self._answer()
        return tuple(
            EdgeStatus(
                edge=self._id,
                route=name,
                percent=route.percent,
                set_epoch=route.set_epoch,
                fence=self._fence,
                up_since=self._up_since,
                calls_primary=route.calls_primary,
                calls_backup=route.calls_backup,
                active_primary=route.active_primary,
                active_backup=route.active_backup,
            )
            for name, route in self._routes.items()
        )

    async def stamp(self, epoch: int) -> None:
        """Show the edge our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._answer()
        self._admit(epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._answer()
        if route not in self._routes:
            raise self._error(f"no such route: {route}")
        if not 0 <= percent <= 100:
            raise self._error(f"the percent must be 0 to 100, not {percent}")
        self._admit(epoch)
        self._routes[route].percent = percent
        self._routes[route].set_epoch = epoch

    def restart(self) -> None:
        """Begin a new life: counters start at 0, the stored position stays."""
        self._up_since = int(self._now())
        for name, route in self._routes.items():
            self._routes[name] = _Route(route.percent, route.set_epoch)

    def wipe(self) -> None:
        """Begin a new life with an empty disk: home position, no fence."""
        self._up_since = int(self._now())
        self._fence = 0
        self._routes = {name: _Route() for name in self._routes}

    def silence(self, silent: bool) -> None:
        """Answer nothing any more, or answer again; calls are carried as before."""
        self._silent = silent

    def foreign_hand(self, route: str, percent: int) -> None:
        """Change the percent as an engineer at the edge's own console would: under no epoch of ours."""
        self._routes[route].percent = percent

    def carry(self, route: str, calls: int) -> None:
        """Carry ``calls`` new calls, split exactly by the percent (to the nearest call)."""
        to = self._routes[route]
        backup = (calls * to.percent + 50) // 100
        to.calls_primary += calls - backup
        to.active_primary += calls - backup
        to.calls_backup += backup
        to.active_backup += backup

    def hang_up(self, route: str) -> None:
        """End every call of the route."""
        self._routes[route].active_primary = self._routes[route].active_backup = 0

    def _answer(self) -> None:
        if self._silent:
            raise self._error("no answer")

    def _admit(self, epoch: int) -> None:
        if not 0 <= epoch < _EPOCH_LIMIT:
            raise self._error(f"the epoch must be below 2^31 and not negative, not {epoch}")
        if epoch < self._fence:
            text = f"it has seen epoch {self._fence}, ours is {epoch}: somebody else may act"
            raise Fenced(str(self._error(text)), self._fence)
        self._fence = epoch

    def _error(self, text: str) -> EdgeError:
        return EdgeError(f"edge {self._id}, simulated: {text}")
