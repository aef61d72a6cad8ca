"""Plays cooling-loss scenarios through the real engine and writes what it did.

    python tests/bench/scenarios.py DIR [--seed N] [--only ID ...] [--jobs N] [--tick S] [-o decisions.json]

DIR holds scenario files (``ID.yaml``); ``sim.py`` beside or above DIR turns each into readings. Written is
``{"ID": [[t_s, "alarm" | "failover" | "failback"], ...]}``. ``--detail`` prints every decision and page with its
reason, and how the forecast fared against the room's own course.

Rules
  - The engine sees the readings and what an operator knows of the site (units, kW, limits, drain, gateways); the truth
    and the events of a scenario are never looked at before the run is over.
  - Time is the poller's: readings arrive when they were taken, a tick comes every second. The device's own clock
    travels as wall time only and may jump.
  - The far end mirrors a site that obeys: one edge that does as it is told, and probe calls answered while the backup
    says it answers SIP. An operator's inhibit is an order to hold.
"""

import argparse
import importlib.util
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from calibration import Said, report

from envmon.core.advance import advance
from envmon.core.world import SECOND, World, initial
from envmon.model.effect import AskProbe, Page, SetPercent, StampEpoch, Urgency
from envmon.model.event import (
    Command,
    DeviceBatch,
    EdgeReport,
    EdgeStatus,
    EffectReport,
    Event,
    LeaseReport,
    Order,
    OrderReceived,
    Outcome,
    PolicyLoaded,
    ProbeReport,
    ReadinessReport,
    Stamp,
    Target,
    Tick,
)
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity, UnitState
from envmon.model.verdict import Mode, Sight

ROUTE, EDGE, HERE = "voice", "edge", "primary"
START_NS = 1_000 * SECOND
EPOCH = 7
ARM_AT_S = 5  # once the edge was read
STATES = {
    0: UnitState.OFF, 1: UnitState.RUNNING, 2: UnitState.STANDBY,
    3: UnitState.STARTING, 4: UnitState.FAILED, 5: UnitState.MAINTENANCE,
}  # fmt: skip
SENSOR_ROLES = {
    "inlet": (Role.RACK_INLET_TEMP, "degC"), "return": (Role.RETURN_TEMP, "degC"),
    "supply": (Role.SUPPLY_TEMP, "degC"), "rh": (Role.HUMIDITY, "%"),
}  # fmt: skip
UNIT_ROLES = {
    "state": (Role.UNIT_RUNNING, ""), "alarm": (Role.ALARM, ""), "supply_c": (Role.SUPPLY_TEMP, "degC"),
    "return_c": (Role.RETURN_TEMP, "degC"), "load_pct": (Role.COOLING_OUTPUT, "%"),
}  # fmt: skip
SITE_ROLES = {
    "chw.supply_c": (Role.CHILLED_WATER_SUPPLY_TEMP, "degC"), "chw.flow_pct": (Role.CHILLED_WATER_FLOW, "%"),
    "power.ups_on_battery": (Role.ON_BATTERY, ""),
}  # fmt: skip
RANGES = {"degC": (-40.0, 125.0), "%": (0.0, 100.0)}  # what such a sensor can say at all
CAPACITY_PCT, LIST_AGE_S = 80.0, 3600.0  # the operator's bars for the backup


@dataclass(frozen=True)
class Site:
    """What an operator would write into the configuration, and where each point of the readings belongs."""

    policy: Policy
    points: dict[tuple[str, str], Point]  # (site, point) -> resolved point


@dataclass
class Played:
    """What the engine did in one scenario."""

    acts: list[list[Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)


def site_of(scenario: dict[str, Any]) -> Site:
    """The site as its operator would describe it."""
    zones: list[ZonePolicy] = []
    points: dict[tuple[str, str], Point] = {}
    limits = scenario["limits"]
    for name, site in scenario["sites"].items():
        plant = site.get("plant") or {}
        chillers = tuple(_unit(entry, min_off=600, ramp=120) for entry in plant.get("chillers", ()))
        total = sum(zone["it_kw"] for zone in site["zones"])
        for zone in site["zones"]:
            share = zone["it_kw"] / total
            mine = tuple(UnitPolicy(u.id, u.sensible_kw * share, False, u.restart_s) for u in chillers)
            zones.append(_zone(zone, mine, limits, here=name == HERE))
            points.update(_zone_points(name, site, zone, [chiller.id for chiller in chillers]))
    route = RoutePolicy(
        id=ROUTE,
        edges=(EDGE,),
        zones=tuple(zone.id for zone in zones if zone.here),
        backup_zones=tuple(zone.id for zone in zones if not zone.here),
        max_call_s=float(scenario["drain_s"]),
        proofs=("call_capacity", "list_parity", "carrier_route"),
    )
    devices = tuple(dict.fromkeys(point.device for point in points.values()))
    sample_s = float(scenario.get("sample_s", 15))
    policy = Policy(HERE, tuple(zones), (route,), devices, stale_s=max(30.0, 2.5 * sample_s))
    return Site(policy, points)


def _unit(entry: dict[str, Any], *, min_off: float, ramp: float) -> UnitPolicy:
    restart_s = float(entry.get("min_off_s", min_off)) + float(entry.get("ramp_s", ramp))
    return UnitPolicy(entry["id"], float(entry["kw"]), entry.get("type", "dx") == "chw", restart_s)


def _zone(zone: dict[str, Any], plant: tuple[UnitPolicy, ...], limits: dict[str, float], *, here: bool) -> ZonePolicy:
    units = tuple(_unit(entry, min_off=180, ramp=60) for entry in zone["units"])
    needed = next((n for n in range(1, len(units)) if sum(u.sensible_kw for u in units[:n]) >= zone["it_kw"]), 1)
    bounds = Limits(limits["recommended_c"], limits["allowable_c"], limits["service_c"])
    return ZonePolicy(zone["id"], here, float(zone["it_kw"]), bounds, units, needed, plant=plant)


def _zone_points(
    name: str, site: dict[str, Any], zone: dict[str, Any], chillers: list[str]
) -> dict[tuple[str, str], Point]:
    found: dict[tuple[str, str], Point] = {}

    def add(text: str, device: str, path: str, unit: str | None, role: tuple[Role, str]) -> None:
        identity = f"{name}.{zone['id']}.{text}"
        found[name, text] = Point(identity, text, device, path, zone["id"], unit, role[0], role[1])

    for sensor in zone.get("sensors", ()):
        path = sensor.get("gw", f"{name}.gw1")
        add(sensor["id"], path, path, None, SENSOR_ROLES[sensor.get("kind", "inlet")])
    panel = site.get("unit_gw", f"{name}.gw2")
    for unit in zone["units"]:
        for suffix, role in UNIT_ROLES.items():
            add(f"{unit['id']}.{suffix}", f"{name}.{unit['id']}", panel, unit["id"], role)
    for chiller in chillers:
        for suffix in ("state", "alarm"):
            add(f"{chiller}.{suffix}", f"{name}.{chiller}", panel, chiller, UNIT_ROLES[suffix])
    for text, role in SITE_ROLES.items():
        path = f"{name}.gw3" if text.startswith("power") else panel
        if text.startswith("power") or chillers:
            add(text, path if text.startswith("power") else f"{name}.chw", path, None, role)
    return found


def decode(point: Point, value: Any, *, answered: bool) -> Reading:
    """One cell of the readings as the poller's driver would have decoded it."""
    if not answered:
        return Reading(point, None, Quality.MISSING, Reason.TIMEOUT)
    match point.role:
        case Role.UNIT_RUNNING:
            state = STATES.get(int(value))
            if state is None:
                return Reading(point, None, Quality.BAD, Reason.UNLISTED_STATE)
            return Reading(point, state.value, severity=Severity.OK)
        case Role.ALARM:
            return Reading(point, float(value), severity=Severity.CRITICAL if value else Severity.OK)
        case Role.ON_BATTERY:
            return Reading(point, "yes" if value else "no")
    least, most = RANGES[point.measure]
    if not least <= float(value) <= most:
        return Reading(point, None, Quality.BAD, Reason.OUT_OF_RANGE)
    return Reading(point, float(value))


class Play:
    """One scenario, told to the engine second by second."""

    def __init__(self, scenario: dict[str, Any], rows: list[list[Any]], tick_s: int = 1) -> None:
        self.site = site_of(scenario)
        self.world: World = initial()
        self.done = Played()
        self.status: dict[str, Any] = {}
        self.percent = self.set_epoch = self.fence = 0
        self.calls = [0, 0]
        self.t = 0
        self.skew = 0.0
        self.wall = START_NS / SECOND
        self.samples: dict[int, list[list[Any]]] = {}
        for row in rows:
            self.samples.setdefault(int(row[0]), []).append(row)
        self.duration = int(scenario["duration_s"])
        self.tick_s = tick_s

    @property
    def at(self) -> Stamp:
        return Stamp(START_NS + self.t * SECOND, self.wall, "boot")

    def run(self) -> Played:
        self.begin()
        for second in range(self.duration + 1):
            self.wall += 1.0
            self.moment(second, self.samples.get(second, []), edge=second % 2 == 0, tick=second % self.tick_s == 0)
            if second % self.tick_s == 0:
                self._remember()
        return self.done

    def begin(self) -> None:
        """The policy takes force and the lease is held."""
        self.tell(PolicyLoaded(self.at, self.site.policy, "digest", "bench"))
        self.tell(LeaseReport(self.at, held=True, epoch=EPOCH, detail="bench"))

    def moment(self, second: int, rows: list[list[Any]], *, edge: bool, tick: bool) -> None:
        """What happens at one second: a poll that brought ``rows``, the edge's answer, a look at it all."""
        self.t = second
        if rows:
            self._sample(rows)
        if edge:
            self._edge()
        if tick:
            self._operator()
            self.tell(Tick(self.at))

    def tell(self, event: Event) -> None:
        step = advance(self.world, event)
        self.world = step.world
        for decision in step.decisions:
            self.done.told.append(f"{self.t:6d} {decision.rule} {decision.subject}: {decision.why}")
        for effect in step.effects:
            match effect:
                case SetPercent():
                    if bool(effect.percent) is not bool(self.percent):  # the stages of one move are one act
                        self.done.acts.append([self.t, "failover" if effect.percent else "failback"])
                    self.percent, self.set_epoch, self.fence = effect.percent, effect.epoch, effect.epoch
                    self.tell(EffectReport(self.at, effect.id, EDGE, Outcome.DONE, ""))
                case StampEpoch():
                    self.fence = effect.epoch
                    self.tell(EffectReport(self.at, effect.id, EDGE, Outcome.DONE, ""))
                case Page(raised=True) if effect.urgency is not Urgency.INFO:
                    self.done.acts.append([self.t, "alarm"])
                    self.done.told.append(f"{self.t:6d} page {effect.urgency}: {effect.summary}")
                case AskProbe():
                    self._probe()

    def _sample(self, rows: list[list[Any]]) -> None:
        batches: dict[str, list[Reading]] = {}
        for _, wall, site, _, text, value, answer in rows:
            self.wall = datetime.fromisoformat(wall).timestamp()
            point = self.site.points.get((site, text))
            if point is not None:
                batches.setdefault(point.device, []).append(decode(point, value, answered=answer == "ok"))
            elif text.startswith("status.") and (site != HERE or text == "status.inhibit"):
                self.status[text.removeprefix("status.")] = value if answer == "ok" else None
        for device, readings in batches.items():
            dead = all(reading.quality is Quality.MISSING for reading in readings)
            self.tell(DeviceBatch(self.at, device, tuple(readings), "no answer" if dead else ""))
        self._reports()
        self._probe()

    def _reports(self) -> None:
        """What the backup says of itself, as the checks that were configured would report it; silence reports none."""
        says = self.status
        if (used := says.get("calls_capacity_pct")) is not None:
            self._report("call_capacity", float(used) < CAPACITY_PCT, f"{used} % of the call capacity in use")
        if (age := says.get("dnr_list_age_s")) is not None and (same := says.get("dnr_hash_match")) is not None:
            good = bool(same) and float(age) < LIST_AGE_S
            self._report("list_parity", good, f"hash {'equal' if same else 'differs'}, {age} s old")
        if (route := says.get("route_preflight_ok")) is not None:
            self._report("carrier_route", bool(route), "preflight passed" if route else "preflight failed")

    def _report(self, item: str, passed: bool, why: str) -> None:
        self.tell(ReadinessReport(self.at, ROUTE, item, passed, why))

    def _probe(self) -> None:
        for target in Target:
            ok = target is Target.PRIMARY or bool(self.status.get("sip_options_ok"))
            self.tell(ProbeReport(self.at, ROUTE, EDGE, target, ok, target.value, "" if ok else "no answer", 3.0))

    def _edge(self) -> None:
        self.calls[self.percent == 100] += 2
        status = EdgeStatus(
            EDGE, ROUTE, self.percent, self.set_epoch, self.fence, 1, self.calls[0], self.calls[1], 30, 0
        )
        self.tell(EdgeReport(self.at, EDGE, (status,)))

    def _operator(self) -> None:
        if self.t >= ARM_AT_S and self.world.mode is Mode.OBSERVE:
            self._order(Command.ARM)
        inhibited = bool(self.status.get("inhibit"))
        if inhibited and self.world.mode is not Mode.HELD:
            self._order(Command.HOLD)
        elif not inhibited and self.world.mode is Mode.HELD and self.world.mode_rule == "M30":
            self._order(Command.RESUME)

    def _order(self, command: Command) -> None:
        self.tell(OrderReceived(self.at, Order(f"{command}-{self.t}", command, "", "operator", "bench")))

    def _remember(self) -> None:
        states = [self.world.zones[zone.id] for zone in self.site.policy.zones if zone.here]
        state = max(states, key=lambda each: each.judgement.temperature or 0.0)
        limit = state.judgement.time_to_limit
        lost = state.onset_ns is not None and limit.sight is Sight.FORECAST
        self.done.said.append(Said(self.t, state.judgement.temperature, lost, limit.lower, limit.median))


def load_simulator(folder: Path) -> ModuleType:
    """``sim.py`` that stands beside or above the scenarios. SystemExit when there is none."""
    for place in (folder, folder.parent):
        path = place / "sim.py"
        if path.is_file():
            spec = importlib.util.spec_from_file_location("scenario_simulator", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    sys.exit(f"no sim.py in {folder} or in its parent")


def play(path: Path, seed: int | None, tick_s: int) -> tuple[str, Played, float]:
    """Simulate and play one scenario file: its id, what the engine did, and the service limit in degC."""
    simulator = load_simulator(path.parent)
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    ran = simulator.run(scenario, seed)
    kept = {key: scenario[key] for key in ("sites", "limits", "drain_s", "duration_s") if key in scenario}
    played = Play({**kept, "sample_s": scenario.get("sample_s", 15)}, ran["rows"], tick_s).run()
    return scenario["id"], played, float(scenario["limits"]["service_c"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tick", type=int, default=1, help="judge every so many seconds; the product does every one")
    parser.add_argument("--detail", action="store_true")
    parser.add_argument("-o", type=Path, default=Path("decisions.json"))
    asked = parser.parse_args()
    files = sorted(asked.dir.glob("*.yaml"))
    files = [path for path in files if not asked.only or path.stem.startswith(tuple(asked.only))]
    if not files:
        sys.exit(f"no scenario files in {asked.dir}")
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(partial(play, seed=asked.seed, tick_s=asked.tick), files))
    if asked.detail:
        for identity, played, _ in results:
            print(f"== {identity}")
            print("\n".join(played.told))
    report([(identity, played.said, limit_c) for identity, played, limit_c in results], each=asked.detail)
    asked.o.write_text(json.dumps({identity: played.acts for identity, played, _ in results}), encoding="utf-8")


if __name__ == "__main__":
    main()
