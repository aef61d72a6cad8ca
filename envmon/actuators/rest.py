"""An edge that is a carrier's own API over HTTPS, spoken to as the configuration's template says.

Rules
  - A write is done when the API, read afterwards, shows the position. It may take a moment until it does: it is read
    again for half of the edge's deadline, whatever it answers, and no other route is.
  - A route that cannot be read is left out of a status, and logged when its fault begins; when none can be, that is an
    error.
  - What is in force already is not written again: such APIs count requests, and log changes.
  - The epochs are ours (``epoch_memory``), for a carrier keeps none: this kind is for sites without a standby.
  - Nothing is executed: a template puts numbers and names into fields (``rest_template``). No call is counted: probe
    calls prove a move.
"""

import asyncio
import logging
from base64 import b64encode
from typing import Self

from yarl import URL

from envmon.actuators.contract import EdgeError
from envmon.actuators.epoch_file import Epochs
from envmon.actuators.epoch_memory import EpochMemory
from envmon.actuators.http_link import HttpLink
from envmon.actuators.rest_template import body_of, percent_of, value_of
from envmon.actuators.told import Voice
from envmon.config.edge_settings import EdgeSettings, RestRoute
from envmon.model.event import EdgeStatus

log = logging.getLogger(__name__)

DONE = frozenset({200, 201, 202, 204})
AGAIN_S = 0.5  # between two looks at an API that has taken an order and does not show it yet
_REFUSALS = {
    401: "it refused our credentials (401)",
    403: "our credentials may not do this (403)",
    404: "there is nothing at this URL (404): compare it with the carrier's documents",
    429: "it takes no more requests for now (429): ask the carrier for a greater limit",
}
_OTHERWISE = "compare the template with the carrier's documents"


class RestEdge:
    """The actuator of kind ``rest``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        if settings.rest is None:
            raise ValueError(f"edge {settings.id} has no rest settings")
        self._settings = settings
        self._rest = settings.rest
        self._routes = {route.route: route for route in settings.rest.routes}
        self._voice = Voice(settings.id, str(URL(settings.rest.routes[0].url).origin()))
        self._link = HttpLink(self._voice, settings.deadline_s)
        self._memory = EpochMemory(settings.rest.memory, self._voice)
        self._writing = asyncio.Lock()
        self._faults: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._link.close()

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the API reports now, one status per route that can be read. Raises EdgeError."""
        async with self._link.guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Store our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        async with self._link.guarded(), self._writing:
            await self._read()
            await self._memory.admit(epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._voice.check(epoch, percent)
        if route not in self._routes:
            raise self._voice.error(f"no such route: {route}")
        target = self._routes[route]
        try:
            value_of(target, percent)
        except ValueError as error:
            raise self._voice.error(str(error)) from None
        async with self._link.guarded(), self._writing:
            await self._memory.admit(epoch, {route: (epoch, 0)})
            if await self._percent(target) != percent:
                await self._write(target, percent, epoch)
            await self._shows(target, percent, epoch)

    async def _write(self, target: RestRoute, percent: int, epoch: int) -> None:
        kind, body = body_of(target, percent, epoch)
        headers = {**await self._headers(), "Content-Type": kind}
        code, answer = await self._link.request(target.method, URL(target.url), headers, body, needed=False)
        if code not in DONE:
            raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)

    async def _shows(self, target: RestRoute, percent: int, epoch: int) -> None:
        """Read the one route until the position is there. Raises EdgeError."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + self._settings.deadline_s / 2
        while True:
            try:
                found = self._status(target.route, await self._percent(target), await self._memory.read())
                return self._voice.must_show([found], target.route, percent, epoch)
            except EdgeError:
                if loop.time() >= patient_until:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _read(self) -> tuple[EdgeStatus, ...]:
        percents: dict[str, int] = {}
        faults: dict[str, str] = {}
        for target in self._rest.routes:
            try:
                percents[target.route] = await self._percent(target)
            except EdgeError as error:
                faults[target.route] = str(error)
                if len(faults) == len(self._rest.routes):
                    raise
        for route, fault in sorted(faults.items() - self._faults.items()):
            log.warning("route %s cannot be read: %s", route, fault)
        self._faults = faults
        epochs = await self._memory.read()
        return tuple(self._status(route, percent, epochs) for route, percent in percents.items())

    def _status(self, route: str, percent: int, epochs: Epochs) -> EdgeStatus:
        return EdgeStatus(
            edge=self._settings.id,
            route=route,
            percent=percent,
            set_epoch=epochs.routes.get(route, (0, 0))[0],
            fence=epochs.fence,
            up_since=0,
            calls_primary=0,
            calls_backup=0,
            active_primary=0,
            active_backup=0,
            counts=False,
        )

    async def _percent(self, target: RestRoute) -> int:
        code, answer = await self._link.request("GET", URL(target.read_url or target.url), await self._headers())
        if code != 200:
            raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)
        try:
            return percent_of(target, answer)
        except ValueError as error:
            raise self._voice.error(f"route {target.route}: {error}") from None

    async def _headers(self) -> dict[str, str]:
        token = await self._voice.secret(self._settings.token, "token")
        if self._rest.header:
            return {self._rest.header: token}
        if self._rest.username:
            login = b64encode(f"{self._rest.username}:{token}".encode()).decode()
            return {"Authorization": f"Basic {login}"}
        return {"Authorization": f"Bearer {token}"}
