"""A Kamailio edge whose script cannot be changed: the primary's destinations are disabled by JSON-RPC.

Rules
  - A route is at 0 or at 100 percent: every destination of the primary is enabled, or every one is disabled. Anything
    between is a finding (the share that is disabled), never an order.
  - Only the state ``d`` is used: probing brings a destination back from any other.
  - ``dispatcher.set_state`` answers Ok for what does not exist: nothing is believed that is not read back.
  - The epochs are ours (``epoch_memory``), for Kamailio keeps none: this kind is for sites without a standby.

Theory of operation
  State belongs to (set, URI). A reload of the dispatcher list, a restart and ``ds_mark_dst`` in a failure_route undo
  ``d`` (5.6.3, measured); the status then shows it and the daemon writes again. The life of the proxy (up_since) is
  stored with each write: a percent of an earlier life is under no epoch. No call is counted: probe calls prove a move.
"""

import asyncio
import calendar
import json
import time
from typing import Any, Self

from yarl import URL

from envmon.actuators.epoch_file import Epochs
from envmon.actuators.epoch_memory import EpochMemory
from envmon.actuators.http_link import HttpLink
from envmon.actuators.told import Voice
from envmon.config.edge_settings import DispatcherTargets, EdgeSettings
from envmon.model.event import EdgeStatus

_REFUSALS = {
    401: "it refused our token (401)",
    403: "it takes no orders from our address, or not this method (403)",
    404: "there is no JSON-RPC at this URL (404)",
}
_LATEST = 253_402_300_800  # the year 10000: a calendar ends there
_QUARTER_S = 900  # time zones differ by quarters of an hour


class DispatcherEdge:
    """The actuator of kind ``dispatcher``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        if settings.dispatcher is None:
            raise ValueError(f"edge {settings.id} has no dispatcher settings")
        self._settings = settings
        self._targets = {target.route: target for target in settings.dispatcher.targets}
        self._voice = Voice(settings.id, settings.url)
        self._link = HttpLink(self._voice, settings.deadline_s)
        self._memory = EpochMemory(settings.dispatcher.memory, self._voice)
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._link.close()

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the edge reports now, one status per route. Raises EdgeError."""
        async with self._link.guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Store our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        async with self._link.guarded(), self._writing:
            await self._read()
            await self._memory.admit(epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send all (100) or none (0) of the new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._voice.check(epoch, percent)
        target = self._targets.get(route)
        if target is None:
            raise self._voice.error(f"no such route: {route}")
        if percent not in (0, 100):
            raise self._voice.error(f"the percent must be 0 or 100, not {percent}: a destination is enabled or not")
        async with self._link.guarded(), self._writing:
            await self._memory.admit(epoch)
            await self._memory.admit(epoch, {route: (epoch, await self._life())})
            for uri, disabled in self._disabled(target, await self._flags()).items():
                if disabled is not (percent == 100):
                    state = "d" if percent == 100 else "ap"
                    await self._call("dispatcher.set_state", [state, target.set, uri])
            self._voice.must_show(await self._read(), route, percent, epoch)

    async def _read(self) -> tuple[EdgeStatus, ...]:
        life, flags, epochs = await self._life(), await self._flags(), await self._memory.read()
        return tuple(self._status(target, flags, epochs, life) for target in self._targets.values())

    def _status(
        self, target: DispatcherTargets, flags: dict[tuple[int, str], str], epochs: Epochs, life: int
    ) -> EdgeStatus:
        disabled = self._disabled(target, flags)
        epoch, then = epochs.routes.get(target.route, (0, 0))
        return EdgeStatus(
            edge=self._settings.id,
            route=target.route,
            percent=100 * sum(disabled.values()) // len(disabled),
            set_epoch=epoch if then == life else 0,
            fence=epochs.fence,
            up_since=life,
            calls_primary=0,
            calls_backup=0,
            active_primary=0,
            active_backup=0,
            counts=False,
        )

    def _disabled(self, target: DispatcherTargets, flags: dict[tuple[int, str], str]) -> dict[str, bool]:
        missing = [uri for uri in target.uris if (target.set, uri) not in flags]
        if missing:
            raise self._voice.error(f"its dispatcher set {target.set} has no destination {', '.join(missing)}")
        return {uri: flags[target.set, uri].startswith("D") for uri in target.uris}

    async def _flags(self) -> dict[tuple[int, str], str]:
        """Every destination's flags: A active, I inactive, T trying, D disabled, then P probed or X (dispatcher)."""
        told = await self._call("dispatcher.list", ["short"])
        try:
            return {
                (int(record["SET"]["ID"]), str(each["DEST"]["URI"])): str(each["DEST"]["FLAGS"])
                for record in told["RECORDS"]
                for each in record["SET"]["TARGETS"]
            }
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise self._voice.error("its answer to dispatcher.list is not Kamailio's") from None

    async def _life(self) -> int:
        """When the proxy started, Unix seconds; it tells its local time, and for how long it has been up."""
        told = await self._call("core.uptime", [])
        try:
            start = calendar.timegm(time.strptime(told["up_since"], "%a %b %d %H:%M:%S %Y"))
            ahead = start - (time.time() - int(told["uptime"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise self._voice.error("its answer to core.uptime is not Kamailio's") from None
        life = start - round(ahead / _QUARTER_S) * _QUARTER_S
        if not 0 <= life < _LATEST:
            raise self._voice.error(f"its answer to core.uptime would have it start at {life:.3g} s")
        return life

    async def _call(self, method: str, params: list[Any]) -> Any:
        """Make one call (JSON-RPC 2.0); an error comes with status 500 and a body that says what it is."""
        token = await self._voice.secret(self._settings.token, "token")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()
        code, answer = await self._link.request("POST", URL(self._settings.url), headers, body)
        match code, answer:
            case 200, {"result": result}:
                return result
            case _, {"error": {"message": str(said)}}:
                raise self._voice.error(f"{method}: {said[:200]!r}")
            case _:
                raise self._link.refused(code, answer, _REFUSALS, "is this Kamailio's JSON-RPC?")
