"""An edge that is a carrier's own API over HTTPS, spoken to as the configuration's template says.

Rules
  - A write is done when the API, read afterwards, shows the position. It may take a moment until it does: it is read
    again for half of the edge's deadline.
  - What is in force already is not written again: such APIs count requests, and log changes.
  - The epochs are ours (``epoch_file``), for a carrier keeps none: this kind is for sites without a standby.
  - Nothing is executed: a template puts numbers and names into fields (``rest_template``). No call is counted: probe
    calls prove a move.
"""

import asyncio
from base64 import b64encode
from dataclasses import replace
from typing import Self

from yarl import URL

from envmon.actuators.contract import EdgeError
from envmon.actuators.epoch_file import Epochs, load, store
from envmon.actuators.http_link import HttpLink
from envmon.actuators.rest_template import body_of, percent_of, value_of
from envmon.actuators.told import Voice
from envmon.config.edge_settings import EdgeSettings, RestRoute
from envmon.model.event import EdgeStatus

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
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._link.close()

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the API reports now, one status per route. Raises EdgeError."""
        async with self._link.guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Store our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        async with self._link.guarded(), self._writing:
            await self._read()
            self._admit(epoch)

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
            self._admit(epoch)
            epochs = self._epochs()
            self._store(replace(epochs, routes={**epochs.routes, route: (epoch, 0)}))
            if await self._percent(target) != percent:
                await self._write(target, percent, epoch)
            await self._shows(route, percent, epoch)

    async def _write(self, target: RestRoute, percent: int, epoch: int) -> None:
        kind, body = body_of(target, percent, epoch)
        headers = {**self._headers(), "Content-Type": kind}
        code, answer = await self._link.request(target.method, URL(target.url), headers, body)
        if code not in DONE:
            raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)

    async def _shows(self, route: str, percent: int, epoch: int) -> None:
        """Read until the position is there. Raises EdgeError."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + self._settings.deadline_s / 2
        while True:
            found = await self._read()
            try:
                return self._voice.must_show(found, route, percent, epoch)
            except EdgeError:
                if loop.time() >= patient_until:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _read(self) -> tuple[EdgeStatus, ...]:
        percents = [await self._percent(target) for target in self._rest.routes]
        epochs = self._epochs()
        return tuple(
            EdgeStatus(
                edge=self._settings.id,
                route=target.route,
                percent=percent,
                set_epoch=epochs.routes.get(target.route, (0, 0))[0],
                fence=epochs.fence,
                up_since=0,
                calls_primary=0,
                calls_backup=0,
                active_primary=0,
                active_backup=0,
                counts=False,
            )
            for target, percent in zip(self._rest.routes, percents, strict=True)
        )

    async def _percent(self, target: RestRoute) -> int:
        code, answer = await self._link.request("GET", URL(target.read_url or target.url), self._headers())
        if code != 200:
            raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)
        try:
            return percent_of(target, answer)
        except ValueError as error:
            raise self._voice.error(f"route {target.route}: {error}") from None

    def _headers(self) -> dict[str, str]:
        token = self._voice.secret(self._settings.token, "token")
        if self._rest.header:
            return {self._rest.header: token}
        if self._rest.username:
            login = b64encode(f"{self._rest.username}:{token}".encode()).decode()
            return {"Authorization": f"Basic {login}"}
        return {"Authorization": f"Bearer {token}"}

    def _admit(self, epoch: int) -> None:
        """Refuse an epoch older than the stored one; store a newer one. Raises Fenced, EdgeError."""
        epochs = self._epochs()
        if epoch < epochs.fence:
            raise self._voice.fenced(epoch, epochs.fence)
        if epoch > epochs.fence:
            self._store(replace(epochs, fence=epoch))

    def _epochs(self) -> Epochs:
        memory = self._rest.memory
        try:
            return load(memory)
        except (OSError, ValueError) as error:
            text = f"{memory} cannot be read: {error}; write the greatest epoch the journal shows"
            raise self._voice.error(f'{text} as {{"fence": N, "routes": {{}}}}') from None

    def _store(self, epochs: Epochs) -> None:
        try:
            store(self._rest.memory, epochs)
        except OSError as error:
            raise self._voice.error(
                f"{self._rest.memory} cannot be written: {error.strerror}; check the disk"
            ) from None
