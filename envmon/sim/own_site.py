"""A site made from its own configuration: its zones heat and cool, its devices read them, and both can fail.

Rules
  - Deterministic: one site, one scenario and one seed give the same readings.
  - Readings are built as a driver would have decoded them; nothing is asked over a network.
  - Equipment shuts down for good where the air at its hottest rack reaches the service limit.

Theory of operation
  The physics is ``plant``, scaled to each zone's load. How much heat a room stores nobody knows before it fails: unless
  the scenario says so it is twice the bound the engine is configured with, 60 kJ/K per kW by default, which warms an
  uncooled room by 1 K a minute after the first mixing; published rooms took 0.3 to 1.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp

from envmon.model.event import DeviceBatch, Stamp
from envmon.model.policy import Policy, ZonePolicy
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity, UnitState
from envmon.model.readings import Readings, arrange, sheet_of
from envmon.sim.chance import chance
from envmon.sim.plant import UnitNow, UnitParams, ZoneNow, ZoneParams, fail, fan, power, settled, step, supply
from envmon.sim.scenario import Do, Lie, ScenarioError, Scene

STEP_S = 5.0  # the longest the physics may take
SETPOINT_C = 22.0
WATER_C, WATER_RISE_K, WATER_TAU_S = 7.0, 5.0, 900.0
LAG_S = 30.0
NOISE_K = 0.1
SPIKE_K, SPIKE_EVERY, DRIFT_K_H = 25.0, 20, 3.0
STOPPED = frozenset({UnitState.OFF, UnitState.FAILED})
STARTS = frozenset({Do.UNIT_POWERED, Do.UNIT_REPAIRED})
TEMPERATURES = frozenset({
    Role.RACK_INLET_TEMP, Role.SUPPLY_TEMP, Role.RETURN_TEMP, Role.CHILLED_WATER_SUPPLY_TEMP,
    Role.CHILLED_WATER_RETURN_TEMP,
})  # fmt: skip
_MODEL_KJ_PER_K_KW = 6880 / 60  # what ``plant`` stores at its own size


@dataclass(frozen=True, slots=True)
class Gauge:
    """A point that has a role; ``votes`` False reads as not commissioned, ``labels`` are the states it can say."""

    point: Point
    votes: bool = True
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Instrument:
    """A polled device and its points."""

    device: str
    path: str
    interval_s: float
    gauges: tuple[Gauge, ...]


@dataclass(slots=True)
class _Lying:
    how: Lie
    since: float
    value: float | None = None
    polls: int = 0


class OwnSite:
    """Everything physical of a site and its backup at virtual second ``second``."""

    def __init__(
        self, policy: Policy, instruments: Sequence[Instrument], *, heat_capacity: float | None = None, seed: int = 1
    ) -> None:
        self.second = 0.0
        self.limit_at: dict[str, float] = {}
        self._policies = {zone.id: zone for zone in policy.zones}
        self._params = {zone.id: _params(zone, heat_capacity) for zone in policy.zones}
        self._now = {zone: settled(params) for zone, params in self._params.items()}
        self._instruments = instruments
        gauges = [gauge.point for instrument in instruments for gauge in instrument.gauges]
        self._chilled = {(p.zone, p.unit) for p in gauges if p.role is Role.CHILLED_WATER_SUPPLY_TEMP}
        self._chilled |= {(zone, None) for zone, _ in self._chilled}
        self._share = {p.id: 0.03 + 0.02 * (n % 4) for n, p in enumerate(gauges) if p.role is Role.RACK_INLET_TEMP}
        self._hottest_share: dict[str | None, float] = {}
        for point in gauges:
            if (share := self._share.get(point.id, 0.0)) > self._hottest_share.get(point.zone, 0.0):
                self._hottest_share[point.zone] = share
        self._unit_at = {(zone.id, unit.id): number for zone in policy.zones for number, unit in enumerate(zone.units)}
        self._offset = {p.id: (-0.3, 0.2, 0.1, -0.1, 0.3)[n % 5] for n, p in enumerate(gauges)}
        self._lagged: dict[str, tuple[float, float]] = {}
        self._noise = chance("own site", seed)
        self._battery = False
        self._dry_since: dict[str | None, float] = {}
        self._lies: dict[str, _Lying] = {}
        self._paths: dict[str, Do] = {}
        self._last: dict[str, Readings] = {}

    def hottest(self, zone: str) -> float:
        """The air at the hottest rack inlet, degC, as it is."""
        return self._now[zone].mixed(self._hottest_share.get(zone, 0.09))

    def live(self, to: float) -> None:
        """Let time pass."""
        while self.second < to:
            span = min(STEP_S, to - self.second)
            for zone, params in self._params.items():
                self._now[zone] = self._dry(zone, step(params, self._now[zone], self.second, span), span)
            self.second += span
            for zone, policy in self._policies.items():
                if zone not in self.limit_at and self.hottest(zone) >= policy.limits.service:
                    self.limit_at[zone] = self.second
                    self._params[zone] = replace(self._params[zone], load_kw=self._params[zone].load_kw * 0.05)

    # --- what fails ----------------------------------------------------------------------------------------------

    def happen(self, scene: Scene) -> None:
        """Let one thing happen, now. Raises ScenarioError for what this site has not."""
        match scene.do:
            case Do.UTILITY_LOST:
                self._battery = True
                self._units(scene, Do.UNIT_CUT)
            case Do.GENERATOR_ON:
                self._battery = False
            case Do.WATER_LOST:
                dry = [zone for zone in self._zones(scene) if (zone, None) in self._chilled]
                if not dry:
                    raise ScenarioError(f"{scene.do}: no unit of this site shows chilled water")
                self._dry_since |= dict.fromkeys(dry, self.second)
            case Do.WATER_BACK:
                for zone in self._zones(scene):
                    self._dry_since.pop(zone, None)
            case Do.SENSORS_LIE:
                for point in self._sensors(scene):
                    self._lies[point] = _Lying(scene.lie, self.second)
            case Do.SENSORS_GOOD:
                self._lies.clear()
            case Do.PATH_FROZEN | Do.PATH_SILENT | Do.PATH_GOOD:
                self._paths[self._path(scene)] = scene.do
            case _:
                self._units(scene, scene.do)

    def units(self, scene: Scene) -> list[tuple[str, str]]:
        """The (zone, unit) a scene speaks of. Raises ScenarioError."""
        found = [
            (zone, unit.id)
            for zone in self._zones(scene)
            for unit, now in zip(self._params[zone].units, self._now[zone].units, strict=True)
            if not isinstance(scene.units, int) or (now.state in STOPPED) is (scene.do in STARTS)
        ]
        if isinstance(scene.units, int):
            return found[: scene.units]
        if isinstance(scene.units, list):
            if strange := sorted(set(scene.units) - {unit for _, unit in found}):
                known = ", ".join(unit for _, unit in found)
                raise ScenarioError(f"{scene.do}: there is no unit {', '.join(strange)}; known: {known}")
            return [(zone, unit) for zone, unit in found if unit in scene.units]
        return found

    def _units(self, scene: Scene, do: Do) -> None:
        for zone, unit in self.units(scene):
            state = self._now[zone]
            changed = tuple(
                _switched(do, params, now, self.second) if params.id == unit else now
                for params, now in zip(self._params[zone].units, state.units, strict=True)
            )
            self._now[zone] = replace(state, units=changed)

    def _zones(self, scene: Scene) -> list[str]:
        if scene.zone in ("here", "backup"):
            return [name for name, zone in self._policies.items() if zone.here is (scene.zone == "here")]
        if scene.zone not in self._policies:
            raise ScenarioError(f"{scene.do}: there is no zone {scene.zone}; known: {', '.join(self._policies)}")
        return [scene.zone]

    def _sensors(self, scene: Scene) -> list[str]:
        zones = self._zones(scene)
        points = [g.point for each in self._instruments for g in each.gauges if g.point.zone in zones]
        if isinstance(scene.points, int):
            return [p.id for p in points if p.role is Role.RACK_INLET_TEMP][: scene.points]
        found = [p.id for p in points if p.role in TEMPERATURES and {p.id, p.name} & set(scene.points)]
        if not found:
            raise ScenarioError(f"{scene.do}: no temperature is called {', '.join(scene.points)} in {', '.join(zones)}")
        return found

    def _path(self, scene: Scene) -> str:
        zones = self._zones(scene)
        paths = {each.path: None for each in self._instruments if any(g.point.zone in zones for g in each.gauges)}
        if scene.path and scene.path not in paths:
            raise ScenarioError(f"{scene.do}: there is no path {scene.path}; known: {', '.join(paths)}")
        return scene.path or next(iter(paths))

    def _dry(self, zone: str, now: ZoneNow, span: float) -> ZoneNow:
        """Without chilled water a unit's fan goes on and its coil gives less and less."""
        if zone not in self._dry_since:
            return now
        return replace(now, units=tuple(replace(unit, ready=max(0.0, unit.ready - span / 40)) for unit in now.units))

    # --- what is read --------------------------------------------------------------------------------------------

    def poll(self, instrument: Instrument, at: Stamp) -> DeviceBatch:
        """What the device answers now."""
        fault = self._paths.get(instrument.path, Do.PATH_GOOD)
        if fault is Do.PATH_SILENT:
            missing = tuple(Reading(g.point, None, Quality.MISSING, Reason.TIMEOUT) for g in instrument.gauges)
            return DeviceBatch(at, instrument.device, missing, "no answer")
        if fault is Do.PATH_GOOD or instrument.device not in self._last:
            told = tuple(self._readings(instrument))
            before = self._last.get(instrument.device)
            sheet = before.sheet if before is not None else sheet_of([reading.point for reading in told])
            self._last[instrument.device] = arrange(sheet, [None] * len(told), told.__getitem__)
        return DeviceBatch(at, instrument.device, self._last[instrument.device])

    def _readings(self, instrument: Instrument) -> Iterator[Reading]:
        for gauge in instrument.gauges:
            point = gauge.point
            if point.zone not in self._now or point.role is None:
                continue
            now, params = self._now[point.zone], self._params[point.zone]
            index = self._unit_at.get((point.zone, point.unit or ""))
            unit = None if index is None else (params.units[index], now.units[index])
            if point.role in TEMPERATURES:
                yield self._temperature(gauge, now, unit)
            elif (told := self._state(gauge, params, unit)) is not None:
                yield told if gauge.votes else replace(told, quality=Quality.UNCERTAIN, reason=Reason.NOT_COMMISSIONED)

    def _temperature(self, gauge: Gauge, now: ZoneNow, unit: tuple[UnitParams, UnitNow] | None) -> Reading:
        point = gauge.point
        match point.role:
            case Role.RACK_INLET_TEMP:
                air = now.mixed(self._share[point.id])
            case Role.SUPPLY_TEMP:
                air = supply(*unit, now) if unit else now.cold
            case Role.RETURN_TEMP:
                air = now.hot
            case Role.CHILLED_WATER_RETURN_TEMP:
                air = self._water(point.zone, now) + WATER_RISE_K * (point.zone not in self._dry_since)
            case _:
                air = self._water(point.zone, now)
        value = self._told(point, self._sensed(point, air))
        if not -40.0 <= value <= 125.0:
            return Reading(point, None, Quality.BAD, Reason.OUT_OF_RANGE)
        if not gauge.votes:
            return Reading(point, value, Quality.UNCERTAIN, Reason.NOT_COMMISSIONED)
        return Reading(point, value)

    def _water(self, zone: str | None, now: ZoneNow) -> float:
        if zone not in self._dry_since:
            return WATER_C
        return WATER_C + (now.hot - WATER_C) * (1 - exp(-(self.second - self._dry_since[zone]) / WATER_TAU_S))

    def _sensed(self, point: Point, air: float) -> float:
        """The air through the sensor: late, a little off, a little noisy, in tenths."""
        before, then = self._lagged.get(point.id, (air, self.second))
        lagged = air + (before - air) * exp(-(self.second - then) / LAG_S)
        self._lagged[point.id] = (lagged, self.second)
        return round(lagged + self._offset[point.id] + self._noise.gauss(0.0, NOISE_K), 1)

    def _told(self, point: Point, value: float) -> float:
        lie = self._lies.get(point.id)
        if lie is None:
            return value
        lie.polls += 1
        lie.value = value if lie.value is None else lie.value
        match lie.how:
            case Lie.STUCK:
                return lie.value
            case Lie.SPIKE:
                return round(value + SPIKE_K, 1) if lie.polls % SPIKE_EVERY == 1 else value
            case Lie.DRIFT:
                return round(value + DRIFT_K_H * (self.second - lie.since) / 3600, 1)
            case Lie.X10:
                return round(value * 10, 1)

    def _state(self, gauge: Gauge, zone: ZoneParams, unit: tuple[UnitParams, UnitNow] | None) -> Reading | None:
        """What is not a temperature; None for what the physics knows nothing of."""
        point = gauge.point
        if point.role is Role.ON_BATTERY:
            return Reading(point, "yes" if self._battery else "no")
        if point.role is Role.SETPOINT:
            return Reading(point, SETPOINT_C)
        if unit is None:
            return None
        params, now = unit
        stopped = now.state in STOPPED
        match point.role:
            case Role.UNIT_RUNNING:
                said = now.state if now.state in gauge.labels or not gauge.labels else _nearest(now.state)
                return Reading(point, said.value, severity=Severity.CRITICAL if stopped else Severity.OK)
            case Role.ALARM:
                return Reading(
                    point, "alarm" if stopped else "clear", severity=Severity.CRITICAL if stopped else Severity.OK
                )
            case Role.ALARM_COUNT:
                return Reading(point, float(stopped))
            case Role.COOLING_OUTPUT:
                return Reading(point, round(now.output_kw, 1))
            case Role.COOLING_DEMAND:
                return Reading(point, round(zone.load_kw / len(zone.units), 1))
            case Role.FAN_SPEED:
                return Reading(point, 80.0 if fan(now) else 0.0)
            case Role.CHILLED_WATER_FLOW:
                return Reading(point, round(params.sensible_kw / (4.186 * WATER_RISE_K), 2) if not stopped else 0.0)
            case _:
                return None


def _params(zone: ZonePolicy, heat_capacity: float | None) -> ZoneParams:
    """The zone at its own size: masses and surfaces grow with the load."""
    size = zone.it_load_kw / 60.0
    mass = size * (heat_capacity or 2 * zone.heat_capacity) / _MODEL_KJ_PER_K_KW
    usual = ZoneParams(
        zone.id,
        zone.it_load_kw,
        tuple(
            UnitParams(unit.id, unit.sensible_kw, restart_s=15.0 + 10.0 * number)
            for number, unit in enumerate(zone.units)
        ),
        setpoint_c=min(SETPOINT_C, zone.limits.recommended - zone.limits.deadband - 1),
    )
    return replace(
        usual,
        cold_air=usual.cold_air * size,
        hot_air=usual.hot_air * size,
        it_mass=usual.it_mass * mass,
        structure=usual.structure * mass,
        structure_ua=usual.structure_ua * size,
    )


def _switched(do: Do, params: UnitParams, now: UnitNow, at: float) -> UnitNow:
    match do:
        case Do.UNIT_CUT:
            return power(params, now, on=False, at=at)
        case Do.UNIT_POWERED:
            return power(params, now, on=True, at=at)
        case Do.UNIT_FAILED:
            return fail(now, at)
        case _:
            return UnitNow(UnitState.STARTING, ready=0.0, stopped_at=now.stopped_at, start_at=at + params.restart_s)


def _nearest(state: UnitState) -> UnitState:
    """What a device says that has no word for a state."""
    return UnitState.OFF if state in STOPPED else UnitState.RUNNING
