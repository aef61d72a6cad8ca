"""What a device told us: points, readings, and how good each reading is.

Rules
  - A reading without a usable value has ``value None``; a missing value is never zero and never healthy.
  - Quality is decided once, at decode; nobody downstream upgrades it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    """How far a reading may be believed."""

    GOOD = "good"
    UNCERTAIN = "uncertain"  # a value, but it may not vote
    BAD = "bad"  # the device answered something that cannot be this quantity
    MISSING = "missing"  # the device did not answer, or has no such point


class Reason(StrEnum):
    """Why a reading is not good; ``NONE`` for a good one."""

    NONE = "none"
    ABSENT = "absent"  # the device says it has no such object or register
    TIMEOUT = "timeout"  # the device did not answer before its deadline
    UNREACHABLE = "unreachable"  # no connection
    GARBAGE = "garbage"  # an answer that is not the protocol
    REFUSED = "refused"  # a protocol error: Modbus exception, SNMP error-status, bad credentials
    SENTINEL = "sentinel"  # the raw value the device uses for "not available"
    INVALID_TEXT = "invalid_text"  # a text where a number was expected
    OUT_OF_RANGE = "out_of_range"  # outside what the quantity can be
    UNLISTED_STATE = "unlisted_state"  # an enumeration value the profile's document does not name
    CROSS_CHECK_FAILED = "cross_check_failed"  # two encodings of one quantity disagree
    UNKNOWN_UNIT = "unknown_unit"  # the unit set on the device could not be read, or is not one the profile lists
    SETTLING = "settling"  # the agent started a moment ago: what it does not report yet may still be there
    NOT_COMMISSIONED = "not_commissioned"  # the profile rests on excerpts and nobody confirmed it on this device


class Severity(StrEnum):
    """What an enumerated state means for the plant, by the device's document."""

    NONE = "none"  # not an enumeration
    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a point means to cooling. A point without a role is published, not judged."""

    SUPPLY_TEMP = "supply_temp"
    RETURN_TEMP = "return_temp"
    RACK_INLET_TEMP = "rack_inlet_temp"
    CHILLED_WATER_SUPPLY_TEMP = "chilled_water_supply_temp"
    CHILLED_WATER_RETURN_TEMP = "chilled_water_return_temp"
    CHILLED_WATER_FLOW = "chilled_water_flow"
    COOLING_OUTPUT = "cooling_output"
    COOLING_DEMAND = "cooling_demand"
    FAN_SPEED = "fan_speed"
    AIRFLOW = "airflow"
    COMPRESSOR = "compressor"
    UNIT_RUNNING = "unit_running"  # value is a UnitState
    ALARM = "alarm"  # severity says how bad
    ALARM_COUNT = "alarm_count"
    ON_BATTERY = "on_battery"  # value is "yes" or "no"
    BATTERY_TIME_LEFT = "battery_time_left"  # s
    ON_GENERATOR = "on_generator"  # "yes": a generator, or a transfer switch's second source, feeds the site
    FUEL_TIME_LEFT = "fuel_time_left"  # s
    SETPOINT = "setpoint"
    HUMIDITY = "humidity"
    LEAK = "leak"
    COMM_OK = "comm_ok"


class UnitState(StrEnum):
    """The states of a cooling unit; the value of every ``UNIT_RUNNING`` reading."""

    RUNNING = "running"
    STANDBY = "standby"  # healthy, would start when asked
    STARTING = "starting"
    OFF = "off"
    FAILED = "failed"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


_GOOD = Quality.GOOD  # looking a member up in its class is slow, and every reading is asked every second


@dataclass(frozen=True, slots=True)
class Point:
    """One measurable thing, resolved once when a device is bound to its profile.

    ``id`` is ``site.zone.unit.name`` (the device id stands for the unit where a device serves none, and the zone
    is left out where it has none). ``path`` names the network path (gateway, switch) its readings come through:
    points that share a path are one witness.
    """

    id: str
    name: str
    device: str
    path: str
    zone: str | None
    unit: str | None
    role: Role | None
    measure: str  # engineering unit: degC, %, kW, Pa, l/s, "" for states


@dataclass(frozen=True, slots=True)
class Reading:
    """One decoded value of one point. Its time is the time of the batch that carries it."""

    point: Point
    value: float | str | None
    quality: Quality = Quality.GOOD
    reason: Reason = Reason.NONE
    severity: Severity = Severity.NONE

    @property
    def good(self) -> bool:
        """Whether this reading may vote."""
        return self.quality is _GOOD
