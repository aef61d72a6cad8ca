"""A whole simulated site on loopback sockets: rooms, devices, edges, far ends, callers, and the score of a storm.

Rules
  - Rooms, storm and calls live by the clock given; sockets answer in real time, as their devices would.
  - When a room reaches its service limit its far ends die with every call on them.
  - A run is survived when calls were offered and none failed; lost otherwise. Nothing else is counted as success.

Theory of operation
  Once a virtual second: advance the rooms, show every device its points, kill what the heat kills, look whether the
  run is over. It is over when the calls have left the stricken site for good, or the limit was reached and felt, and
  enough calls were offered; at the latest when the storm's script ends. If the limit was not reached by then, the
  rooms alone go on in pure computation until it is: that second is what the run is measured against.
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Protocol
from envmon.sim.clock import Clock
from envmon.sim.feeds import NOT_FITTED, UNIT_FEEDS, UnitView, probe, ups
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.on_call import OnCall
from envmon.sim.registers import SimulatedDevice
from envmon.sim.rooms import Rooms
from envmon.sim.site_map import (
    BACKUP_HALL,
    DEVICES,
    HALL,
    LIMITS,
    ROUTE,
    ZONES,
    Addresses,
    Around,
    SiteDevice,
    config_yaml,
    sensors,
)
from envmon.sim.snmp_agent import SnmpAgent
from envmon.sim.storm import Draw, Storm, draw
from envmon.sim.telephony import BACKUP, PRIMARY
from envmon.sim.telephony_caller import Caller, CallPlan
from envmon.sim.telephony_edge import SipEdge
from envmon.sim.telephony_far_end import FarEnd

_OUTSIDE_C = 26.0
_FELT_S = 60.0  # the run goes on this long after the limit, so that lost calls are counted
_CLEAR_S = 120.0  # no call at the stricken site for this long: they have left
_NO_LIMIT_S = 6 * 3600.0  # a room that does not reach its limit by then will not


@dataclass(frozen=True, slots=True)
class Score:
    """How a run went. Times are virtual seconds since the start.

    ``late_s`` is how far the rooms ever fell behind the clock: the machine was too slow for the speed asked, and what
    failed may have failed of that.
    """

    seed: int
    cut_at: float
    offered: int
    answered: int
    ended: int
    failed: int
    failures: Mapping[str, int]
    limit_reached_at: float | None
    last_call_left_primary_at: float | None
    late_s: float = 0.0

    @property
    def verdict(self) -> str:
        """``survived`` or ``lost``."""
        return "survived" if self.offered and not self.failed else "lost"

    @property
    def seconds_before_limit(self) -> float | None:
        """How long before the limit the last call left the stricken site; negative: after it."""
        if self.limit_reached_at is None or self.last_call_left_primary_at is None:
            return None
        return self.limit_reached_at - self.last_call_left_primary_at


class SimulatedSite:
    """The site and its backup under one storm; an async context manager. ``run`` lives through the storm."""

    def __init__(
        self,
        clock: Clock,
        storm: Storm,
        seed: int,
        *,
        edges: int = 1,
        plan: CallPlan | None = None,
        calls_at_least: int = 1000,
    ) -> None:
        self.storm = storm
        self.draw: Draw = draw(storm, seed, [unit.id for zone in ZONES if zone.id == HALL for unit in zone.units])
        self.rooms = Rooms(ZONES, tuple(sensors()), self.draw, zone=HALL, limit_c=LIMITS["service_c"])
        self._clock, self._at_least, self._plan = clock, calls_at_least, plan or CallPlan()
        self._token, self._community = secrets.token_hex(16), secrets.token_hex(8)
        profiles = load_builtin()
        self.devices = {device.id: SimulatedDevice(profiles[device.profile]) for device in DEVICES}
        for simulated in self.devices.values():
            for name in NOT_FITTED.get(simulated.profile.name, ()):
                simulated.show_sentinel(name)
        self.far_ends = [FarEnd(site, seed=seed) for site in (PRIMARY, BACKUP)]
        self.edges: dict[str, SipEdge] = {}
        self.callers: list[Caller] = []
        self.on_call = OnCall()
        self._edge_count = edges
        self._ports: dict[str, int] = {}
        self._open = AsyncExitStack()
        self._battery_since: float | None = None
        self._late_s = 0.0
        self._told: dict[tuple[str, str], float | str] = {}

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._open.aclose()

    @property
    def score(self) -> Score:
        """The score so far."""
        tallies = [caller.tally for caller in self.callers]
        left = [t.last_left_primary_at for t in tallies if t.last_left_primary_at is not None]
        failures: dict[str, int] = {}
        for caller in self.callers:
            for why, count in caller.failures.items():
                failures[why] = failures.get(why, 0) + count
        return Score(
            seed=self.draw.seed,
            cut_at=self.draw.cut_at,
            offered=sum(t.offered for t in tallies),
            answered=sum(t.answered for t in tallies),
            ended=sum(t.ended for t in tallies),
            failed=sum(t.failed for t in tallies),
            failures=failures,
            limit_reached_at=self.rooms.limit_reached_at.get(HALL),
            last_call_left_primary_at=max(left, default=None),
            late_s=round(self._late_s, 1),
        )

    @property
    def live_calls(self) -> Mapping[str, int]:
        """Calls in progress by site."""
        return {site: sum(caller.live.get(site, 0) for caller in self.callers) for site in (PRIMARY, BACKUP)}

    def config_yaml(self, state_dir: Path, around: Around | None = None) -> str:
        """Return the configuration of a daemon that watches this site, its secrets written under ``state_dir``.

        Pages go to ``on_call`` unless ``around`` names another pager.
        """
        around = around or Around()
        files = {"edge_token": self._token, "snmp_community": self._community}
        paths = {name: state_dir / name for name in files}
        for name, text in files.items():
            paths[name].touch(mode=0o600)
            paths[name].write_text(text, encoding="utf-8")
        at = Addresses(
            {id_: f"127.0.0.1:{port}" for id_, port in self._ports.items()},
            {id_: (edge.url, edge.where) for id_, edge in self.edges.items()},
        )
        snmp = frozenset(d.profile.name for d in self.devices.values() if d.profile.protocol is Protocol.SNMP)
        return config_yaml(at, state_dir, replace(around, pager=around.pager or self.on_call.url), paths, snmp)

    async def run(self) -> Score:
        """Live through the storm, let every call be judged, and say how it went."""
        self.rooms.advance(self._clock.now())  # until here nobody was late: the site was being built
        placing = [asyncio.create_task(caller.run()) for caller in self.callers]
        try:
            while not self._over():
                await self._clock.sleep(1.0)
                self._live()
        finally:
            for task in placing:
                task.cancel()
            await asyncio.gather(*placing, return_exceptions=True)
        await asyncio.gather(*(caller.hang_up() for caller in self.callers))
        self.rooms.advance_to_limit(HALL, _NO_LIMIT_S)
        return self.score

    async def _start(self) -> None:
        for device in DEVICES:
            simulated = self.devices[device.id]
            if simulated.profile.protocol is Protocol.SNMP:
                agent = await self._open.enter_async_context(SnmpAgent(simulated, community=self._community))
                self._ports[device.id] = agent.port
            else:
                server = await self._open.enter_async_context(ModbusServer({1: simulated}))
                self._ports[device.id] = server.port
        self._show()
        await self._open.enter_async_context(self.on_call)
        for far_end in self.far_ends:
            await self._open.enter_async_context(far_end)
        ends = {far_end.site: [far_end.address] for far_end in self.far_ends}
        sites = {far_end.address[1]: far_end.site for far_end in self.far_ends}
        plan = replace(self._plan, rate=self._plan.rate / self._edge_count)
        for number in range(1, self._edge_count + 1):
            seed = self.draw.seed * 10 + number
            edge = await self._open.enter_async_context(SipEdge(ends, self._token, (ROUTE,), seed))
            self.edges[f"edge_{number}"] = edge
            caller = Caller(self._clock, edge.address, sites, plan, seed)
            self.callers.append(await self._open.enter_async_context(caller))

    def _live(self) -> None:
        now = self._clock.now()
        self._late_s = max(self._late_s, now - self.rooms.second - 2.0)  # a second is slept, a second is its fraction
        self.rooms.advance(now)
        self._show()
        for zone, site in ((HALL, PRIMARY), (BACKUP_HALL, BACKUP)):
            if zone in self.rooms.limit_reached_at:
                self._die(site)

    def _die(self, site: str) -> None:
        for far_end in self.far_ends:
            if far_end.site == site and not far_end.dead:
                far_end.die()
                for caller in self.callers:
                    caller.far_ends_died(site)

    def _over(self) -> bool:
        now, score = self.rooms.second, self.score
        if now >= self.storm.duration_s:
            return True
        if now < score.cut_at or score.offered < self._at_least:
            return False
        if score.limit_reached_at is not None:
            return now >= score.limit_reached_at + _FELT_S
        left = score.last_call_left_primary_at
        return not self.live_calls[PRIMARY] and left is not None and now >= left + _CLEAR_S

    def _show(self) -> None:
        """Show every device what its sensors and its unit say now."""
        battery = self.rooms.on_battery
        if not battery:
            self._battery_since = None
        elif self._battery_since is None:
            self._battery_since = self.rooms.second
        for device in DEVICES:
            simulated = self.devices[device.id]
            if device.unit:
                points = UNIT_FEEDS[device.profile](self._view(device))
            elif device.profile == "rfc1628-ups":
                on = 0.0 if self._battery_since is None else self.rooms.second - self._battery_since + 1
                points = ups(on, self.rooms.zones[device.zone].load_kw)
            else:
                points = probe(self.rooms.shown(f"{device.id}.inlet"))
            for name, value in points.items():
                if self._told.get((device.id, name)) != value:
                    self._told[device.id, name] = value
                    simulated.set(name, value)

    def _view(self, device: SiteDevice) -> UnitView:
        zone, now = self.rooms.zones[device.zone], self.rooms.now(device.zone)
        index = next(i for i, unit in enumerate(zone.units) if unit.id == device.unit)
        shown = self.rooms.shown
        return UnitView(
            params=zone.units[index],
            now=now.units[index],
            zone=zone,
            inlet=shown(f"{device.id}.inlet"),
            supply=shown(f"{device.id}.supply"),
            back=shown(f"{device.id}.back"),
            outside=_OUTSIDE_C,
            second=self.rooms.second,
        )
