"""The physics of a cooled room: what heats it, what cools it, and how fast it is lost.

Rules
  - Pure: ``step`` is a function of its arguments; noise belongs to the sensors (``sensors.py``), chance to the storm.
  - Temperatures degC, powers kW, heat capacities kJ/K, air streams kW/K (mass flow times specific heat), times s.
  - Energy is conserved exactly: what the four bodies gain is IT heat minus the heat the units carry out.

Theory of operation
  A zone is four bodies: cold aisle air, hot aisle air, the IT equipment and the structure (floor, racks, walls).
  Servers pull ``load / it_rise_k`` of air from the cold aisle and blow it into the hot one. Unit fans pull hot
  aisle air and blow it, cooled, into the cold aisle. Where the two streams differ the rest crosses over: bypass
  while the units blow more than the servers ask, recirculation when they blow less, and all of it once the fans
  have stopped. That gives the two phases seen in real rooms: the aisles mix within minutes (a jump of several K),
  then IT mass and structure follow and the room warms at load over total heat capacity.
  Published rates after the jump are 0.3-1.1 K/min for direct-expansion rooms; the mass used here puts a room
  without any unit at 40 degC after about a quarter of an hour.
"""

from dataclasses import dataclass, replace

from envmon.model.reading import UnitState

_FAN_RISE_K = 11.0  # a unit's fan moves the air that its rated capacity cools by this much
_GAIN = 0.12  # extra cooling asked per K above the set point, as a share of the IT load


@dataclass(frozen=True, slots=True)
class UnitParams:
    """One direct-expansion unit. ``restart_s`` after power returns, never within ``min_off_s`` of its stop."""

    id: str
    sensible_kw: float
    ramp_s: float = 60.0
    min_off_s: float = 180.0
    restart_s: float = 15.0
    auto_restart: bool = True


@dataclass(frozen=True, slots=True)
class ZoneParams:
    """A thermal area. Masses are kJ/K; ``leak`` is the share of server air that crosses the aisles anyhow."""

    id: str
    load_kw: float
    units: tuple[UnitParams, ...]
    setpoint_c: float = 22.0
    it_rise_k: float = 12.0
    leak: float = 0.05
    grip: float = 0.8  # how much of the way to the IT's own temperature the air gets while passing it
    cold_air: float = 290.0
    hot_air: float = 290.0
    it_mass: float = 3600.0
    structure: float = 2700.0
    structure_ua: float = 2.4  # kW/K between the structure and the air of both aisles together

    @property
    def stream(self) -> float:
        """Server air, kW/K."""
        return self.load_kw / self.it_rise_k


@dataclass(frozen=True, slots=True)
class UnitNow:
    """A unit at one moment. ``ready`` is its share of rated capacity, ``at`` when it stopped or will start."""

    state: UnitState = UnitState.RUNNING
    powered: bool = True
    ready: float = 1.0
    stopped_at: float = -1e9
    start_at: float = 0.0
    output_kw: float = 0.0


@dataclass(frozen=True, slots=True)
class ZoneNow:
    """A zone at one moment: its four temperatures and its units."""

    cold: float
    hot: float
    it: float
    structure: float
    units: tuple[UnitNow, ...]

    def mixed(self, share: float) -> float:
        """Air that is to this share hot aisle air, else cold, degC."""
        return self.cold + share * (self.hot - self.cold)


def rated_stream(unit: UnitParams) -> float:
    """The air a unit's fan moves, kW/K."""
    return unit.sensible_kw / _FAN_RISE_K


def supply(unit: UnitParams, now: UnitNow, zone: ZoneNow) -> float:
    """The air at the unit's outlet, degC: cooled hot aisle air, or the room's where its fan stands still."""
    if not fan(now):
        return zone.cold
    return zone.hot - now.output_kw / rated_stream(unit)


def fan(now: UnitNow) -> bool:
    """Whether the unit's fan turns: it does from the start sequence on, and stops with power."""
    return now.powered and now.state in (UnitState.RUNNING, UnitState.STARTING)


def settled(zone: ZoneParams) -> ZoneNow:
    """The steady state with every unit running, in closed form."""
    blown = sum(rated_stream(unit) for unit in zone.units)
    cold = zone.setpoint_c
    hot = cold + zone.load_kw / (max(blown, zone.stream) + zone.leak * zone.stream + zone.structure_ua / 4)
    rated = sum(unit.sensible_kw for unit in zone.units)
    units = tuple(UnitNow(output_kw=zone.load_kw * unit.sensible_kw / rated) for unit in zone.units)
    return ZoneNow(cold, hot, cold + zone.load_kw / (zone.grip * zone.stream), (cold + hot) / 2, units)


def power(unit: UnitParams, now: UnitNow, on: bool, at: float) -> UnitNow:
    """The unit's feeder is switched at virtual second ``at``."""
    if on == now.powered:
        return now
    if not on:
        return UnitNow(UnitState.OFF, powered=False, ready=0.0, stopped_at=at)
    if not unit.auto_restart:
        return replace(now, powered=True, state=UnitState.FAILED)
    start = max(at + unit.restart_s, now.stopped_at + unit.min_off_s)
    return replace(now, powered=True, state=UnitState.STARTING, start_at=start)


def fail(now: UnitNow, at: float) -> UnitNow:
    """The unit stops on a fault of its own and stays so; its controller still answers."""
    return replace(now, state=UnitState.FAILED, ready=0.0, output_kw=0.0, stopped_at=at)


def step(zone: ZoneParams, now: ZoneNow, at: float, dt: float) -> ZoneNow:
    """The zone ``dt`` seconds (at most 5) after virtual second ``at``."""
    units = _outputs(zone, now, tuple(_sequence(p, u, at, dt) for p, u in zip(zone.units, now.units, strict=True)))
    blown = sum(rated_stream(p) for p, u in zip(zone.units, units, strict=True) if fan(u))
    cooling = sum(unit.output_kw for unit in units)
    # Air that crosses from hot to cold: recirculation and leaks; what is blown too much crosses back as bypass.
    crossing = max(blown, zone.stream) + zone.leak * zone.stream
    warmed = zone.grip * zone.stream * (now.it - now.cold)
    to_cold = zone.structure_ua / 2 * (now.structure - now.cold)
    to_hot = zone.structure_ua / 2 * (now.structure - now.hot)
    exchange = crossing * (now.hot - now.cold)
    return ZoneNow(
        cold=now.cold + dt / zone.cold_air * (exchange - cooling + to_cold),
        hot=now.hot + dt / zone.hot_air * (warmed - exchange + to_hot),
        it=now.it + dt / zone.it_mass * (zone.load_kw - warmed),
        structure=now.structure - dt / zone.structure * (to_cold + to_hot),
        units=units,
    )


def _sequence(unit: UnitParams, now: UnitNow, at: float, dt: float) -> UnitNow:
    if now.state is UnitState.STARTING and at >= now.start_at:
        now = replace(now, state=UnitState.RUNNING)
    if now.state is UnitState.RUNNING and now.ready < 1.0:
        return replace(now, ready=min(1.0, now.ready + dt / unit.ramp_s))
    return now


def _outputs(zone: ZoneParams, now: ZoneNow, units: tuple[UnitNow, ...]) -> tuple[UnitNow, ...]:
    """Share the asked cooling over what the units can give; no unit cools its air below freezing."""
    can = [
        min(p.sensible_kw * u.ready, rated_stream(p) * max(0.0, now.hot)) if u.state is UnitState.RUNNING else 0.0
        for p, u in zip(zone.units, units, strict=True)
    ]
    asked = zone.load_kw * (1 + _GAIN * (now.cold - zone.setpoint_c))
    share = min(1.0, max(0.0, asked) / total) if (total := sum(can)) > 0 else 0.0
    return tuple(
        u if u.output_kw == give * share else replace(u, output_kw=give * share)
        for u, give in zip(units, can, strict=True)
    )
