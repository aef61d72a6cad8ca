"""What the devices of a simulated site measure: plant state to the points of each profile.

Rules
  - Values are in the measures of the profiles (degC, kW, l/s, %, s) and their states' labels; each device server
    turns them into its own registers and objects.
  - A controller hangs on the UPS: it answers while its unit is dead, and says only what that model can say. The
    InRow cards know no "starting": they say running. The LCP says what it was told, running, and names its error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp

from envmon.model.reading import UnitState
from envmon.sim.plant import UnitNow, UnitParams, ZoneParams, fan, rated_stream

Value = float | str
Points = Mapping[str, Value]

_WATER_C = 7.2  # chilled water as it comes
_WATER_TAU_S = 1800.0  # standing water warms to the room like this
_WATER_RISE_K = 5.0
_LITRES = 1000 / (1.19 * 1.006)  # l/s of air per kW/K


@dataclass(frozen=True, slots=True)
class UnitView:
    """One unit and the air around it, at virtual second ``second``; temperatures as its own sensors read them."""

    params: UnitParams
    now: UnitNow
    zone: ZoneParams
    inlet: float
    supply: float
    back: float
    outside: float
    second: float

    @property
    def stopped(self) -> bool:
        """Whether the unit neither runs nor starts."""
        return self.now.state not in (UnitState.RUNNING, UnitState.STARTING)

    @property
    def percent(self) -> float:
        """Output as a share of the rated capacity, %."""
        return round(100 * self.now.output_kw / self.params.sensible_kw, 1)

    @property
    def demand(self) -> float:
        """The unit's part of the cooling the room asks for, kW."""
        return round(
            self.zone.load_kw / len(self.zone.units) * (1 + max(0.0, self.inlet - self.zone.setpoint_c) / 8), 1
        )


def inrow_rc(view: UnitView) -> Points:
    """Profile apc-inrow-rc."""
    entering, flow = _water(view)
    rise = view.now.output_kw / (4.186 * flow) if flow else 0.0
    turning = fan(view.now)
    return {
        "operate_mode": "off" if view.stopped else "running",
        "cool_output": round(view.now.output_kw, 1),
        "cool_demand": view.demand,
        "airflow": round(rated_stream(view.params) * _LITRES) if turning else 0,
        "rack_inlet_temp": view.inlet,
        "supply_air_temp": view.supply,
        "return_air_temp": view.back,
        "filter_dp": 60 if turning else 0,
        "fan_speed": 80.0 if turning else 0.0,
        "valve_position": round(view.percent),
        "fluid_flow": round(flow, 2),
        "entering_fluid_temp": round(entering, 1),
        "leaving_fluid_temp": round(entering + rise, 1),
        "leak": "no_leak",
        "supply_setpoint": 20.0,
        "active_alarms": 2 if view.stopped else 0,
    }


def inrow_sc(view: UnitView) -> Points:
    """Profile apc-inrow-sc-modbus."""
    return {
        "overall_status": "critical" if view.stopped else "none",
        "supply_setpoint": 20.0,
        "model": "ACSC101",
        "operate_mode": "off" if view.stopped else "running",
        "cool_output": round(view.now.output_kw, 1),
        "cool_demand": view.demand,
        "rack_inlet_temp": view.inlet,
        "supply_air_temp": view.supply,
        "return_air_temp": view.back,
        "condenser_temp": round(view.outside + 0.15 * view.percent, 1),
    }


def icom(view: UnitView) -> Points:
    """Profile liebert-icom-modbus."""
    starting = view.now.state is UnitState.STARTING
    return {
        "operating_state": "off" if view.stopped else "running",
        "system_status": "alarm" if view.stopped else "startup" if starting else "normal",
        "return_humidity": 42.0,
        "state_reason": "alarm" if view.stopped else "local_display",
        "outside_air_temp": view.outside,
        "air_setpoint": view.zone.setpoint_c,
        "cooling_capacity": round(view.percent),
        "control_temp": view.back,
        "static_pressure": 25.0 if fan(view.now) else 0.0,
        "fluid_flow": round(_water(view)[1], 2),
        "cooling_load": round(view.now.output_kw, 1),
        "unit_comm": "yes",
        "supply_over_temp": "active" if view.supply > 30 else "clear",
        "fan_issue": "active" if view.stopped else "clear",
        "unit_shutdown": "active" if view.stopped else "clear",
        "external_fire": "clear",
        "airflow_sensor_issue": "clear",
    }


def lcp_dx(view: UnitView) -> Points:
    """Profile rittal-lcp-dx."""
    cooling = view.now.output_kw > 0
    return {
        "unit_on_off": "running",
        "error_code": "ald09_driver_offline" if view.stopped else "none",
        "supply_air_temp": view.supply,
        "return_air_temp": view.back,
        "setpoint": 20.0,
        "compressor": "on" if cooling else "off",
        "discharge_temp": 68.0 if cooling else view.back,
        "evaporator_temp": 9.0 if cooling else view.back,
        "condensing_temp": 44.0 if cooling else view.outside,
        "compressor_current": round(0.15 * view.percent, 1),
        "cooling_capacity": round(view.percent),
        "fan_rpm": 2600 if fan(view.now) else 0,
    }


UNIT_FEEDS: Mapping[str, Callable[[UnitView], Points]] = {
    "apc-inrow-rc": inrow_rc,
    "apc-inrow-sc-modbus": inrow_sc,
    "liebert-icom-modbus": icom,
    "rittal-lcp-dx": lcp_dx,
}

# What a profile knows and these devices do not have; they answer with their sentinel, as the recorded ones do.
NOT_FITTED: Mapping[str, tuple[str, ...]] = {"apc-inrow-rc": ("containment_dp",)}


def probe(inlet: float) -> Points:
    """Profile comet-t-modbus, at a rack inlet: the moisture stays, so the relative humidity falls as the air warms."""
    dew = 9.5
    return {"rack_inlet_temp": inlet, "humidity": round(100 * _pressure(dew) / _pressure(inlet), 1), "dew_point": dew}


def ups(on_battery_s: float, load_percent: float) -> Points:
    """Profile rfc1628-ups; ``on_battery_s`` is 0 while the mains or the generator feed it."""
    left = max(0.0, 900.0 - on_battery_s)
    return {
        "on_battery": "yes" if on_battery_s else "no",
        "battery_status": "normal",
        "time_on_battery": round(on_battery_s),
        "time_remaining": 60.0 * round(left / 60),
        "charge": round(100 * left / 900),
        "load_line_1": round(load_percent),
        "active_alarms": 1 if on_battery_s else 0,
    }


def _water(view: UnitView) -> tuple[float, float]:
    """Chilled water at the unit: entering temperature and flow in l/s. The pumps hang on the unit's feeder."""
    if view.stopped:
        stood = view.second - view.now.stopped_at
        return _WATER_C + (view.back - _WATER_C) * (1 - exp(-stood / _WATER_TAU_S)), 0.0
    return _WATER_C, max(0.2, view.now.output_kw / (4.186 * _WATER_RISE_K))


def _pressure(celsius: float) -> float:
    """Saturation vapour pressure over water, hPa (Magnus, Sonntag 1990)."""
    return 6.112 * exp(17.62 * celsius / (243.12 + celsius))
