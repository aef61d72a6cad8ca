"""The rooms of a simulated site, second by second: physics, power, sensors and the service limit.

Rules
  - Deterministic: the same zones, storm and seed give the same temperatures and the same sensor readings.
  - Equipment in a zone shuts down for good when the air at its hottest rack reaches the service limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from envmon.sim.chance import chance
from envmon.sim.plant import ZoneNow, ZoneParams, fail, power, settled, step, supply
from envmon.sim.storm import Do, Draw, Happening

_RACK_SHARE = 0.5  # a probe in more hot air than this does not sit at a rack inlet
_DEAD_LOAD = 0.05  # what a shut down room still gives off, as a share of its load


@dataclass(frozen=True, slots=True)
class AirSensor:
    """A temperature probe: at the outlet of ``unit``, or in air that is to ``share`` hot aisle air.

    A rack inlet draws a small share, return air is all of it (1.0). Offset and noise in K, lag in s.
    """

    id: str
    zone: str
    share: float = 0.0
    unit: str = ""
    offset_k: float = 0.0
    noise_k: float = 0.1
    lag_s: float = 30.0

    @property
    def at_rack(self) -> bool:
        """Whether it sits at a rack inlet."""
        return not self.unit and self.share < _RACK_SHARE


class Rooms:
    """Everything physical of a site and its backup, at one virtual second."""

    def __init__(
        self, zones: Sequence[ZoneParams], sensors: Sequence[AirSensor], storm: Draw, *, zone: str, limit_c: float
    ) -> None:
        """``zone`` is where the storm strikes; ``limit_c`` is the service limit of every zone."""
        self._params = {z.id: _drawn(z, storm) if z.id == zone else z for z in zones}
        self._now = {z.id: settled(z) for z in self._params.values()}
        self._sensors = {s.id: s for s in sensors}
        self._lagged = {s.id: self._air(s) for s in sensors}
        self._noise = {s.id: chance(f"sensor/{s.id}", storm.seed) for s in sensors}
        self._noise_k = {s.id: s.noise_k * storm.sensor_noise for s in sensors}
        self._shown = {s.id: 0.0 for s in sensors}
        self._coming = list(storm.happenings)
        self._struck = zone
        self._limit_c = limit_c
        self._mains, self._generator = True, False
        self.second = 0
        self.limit_reached_at: dict[str, float] = {}
        self._measure()

    @property
    def zones(self) -> Mapping[str, ZoneParams]:
        """The zones as the seed drew them."""
        return self._params

    @property
    def on_battery(self) -> bool:
        """Whether the UPS carries the servers: mains lost and no generator yet."""
        return not (self._mains or self._generator)

    def now(self, zone: str) -> ZoneNow:
        """The zone as it is, without any sensor's error."""
        return self._now[zone]

    def hottest(self, zone: str) -> float:
        """The air at the hottest rack inlet of the zone, degC, as it is."""
        return max(self._air(s) for s in self._sensors.values() if s.zone == zone and s.at_rack)

    def shown(self, sensor: str) -> float:
        """What this sensor reads now, degC."""
        return self._shown[sensor]

    def advance(self, to: float) -> None:
        """Live every whole second up to virtual second ``to``."""
        while self.second < int(to):
            self._second()

    def advance_to_limit(self, zone: str, at_most: float) -> float | None:
        """Live on until the zone reaches its limit; the second it did, or None by ``at_most``."""
        while zone not in self.limit_reached_at and self.second < at_most:
            self._second()
        return self.limit_reached_at.get(zone)

    def _second(self) -> None:
        while self._coming and self._coming[0].at <= self.second:
            self._happen(self._coming.pop(0))
        for zone, params in self._params.items():
            self._now[zone] = step(params, self._now[zone], self.second, 1.0)
        self.second += 1
        for zone in self._params:
            if zone not in self.limit_reached_at and self.hottest(zone) >= self._limit_c:
                self.limit_reached_at[zone] = float(self.second)
                self._params[zone] = replace(self._params[zone], load_kw=self._params[zone].load_kw * _DEAD_LOAD)
        self._measure()

    def _happen(self, event: Happening) -> None:
        match event.do:
            case Do.MAINS_LOST:
                self._mains = False
            case Do.MAINS_BACK:
                self._mains, self._generator = True, False
            case Do.GENERATOR_ON:
                self._generator = True
            case _:
                self._unit(event)

    def _unit(self, event: Happening) -> None:
        params, now = self._params[self._struck], self._now[self._struck]
        units = list(now.units)
        index = next(i for i, unit in enumerate(params.units) if unit.id == event.unit)
        if event.do is Do.UNIT_FAILED:
            units[index] = fail(units[index], event.at)
        else:
            units[index] = power(params.units[index], units[index], event.do is Do.UNIT_POWERED, event.at)
        self._now[self._struck] = replace(now, units=tuple(units))

    def _air(self, sensor: AirSensor) -> float:
        now = self._now[sensor.zone]
        if not sensor.unit:
            return now.mixed(sensor.share)
        params = self._params[sensor.zone].units
        index = next(i for i, unit in enumerate(params) if unit.id == sensor.unit)
        return supply(params[index], now.units[index], now)

    def _measure(self) -> None:
        for id_, sensor in self._sensors.items():
            self._lagged[id_] += (self._air(sensor) - self._lagged[id_]) / sensor.lag_s
            noise = self._noise[id_].gauss(0.0, self._noise_k[id_])
            self._shown[id_] = round(self._lagged[id_] + sensor.offset_k + noise, 1)


def _drawn(zone: ZoneParams, storm: Draw) -> ZoneParams:
    """The zone with the load and the mass this seed gave it; its cooling plant stays what it is."""
    return replace(
        zone,
        load_kw=zone.load_kw * storm.it_load,
        it_mass=zone.it_mass * storm.thermal_mass,
        structure=zone.structure * storm.thermal_mass,
    )
