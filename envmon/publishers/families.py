"""Every metric family that speaks of the plant and of the loop: the one list of names, meanings and labels.

Rules
  - Base units as suffix, ratios from 0 to 1, one quantity per name; the unit is never a label.
  - A family is added here, described in one sentence, and then shows up in deploy/prometheus/METRICS.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from envmon.model.reading import Role

POINT = ("site", "zone", "unit", "point", "role")
DEVICE = ("site", "zone", "device")
ZONE = ("site", "zone")
ROUTE = ("site", "route")
SITE = ("site",)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family of the text exposition format 0.0.4."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]

    @property
    def header(self) -> str:
        """The HELP and TYPE lines."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(f"envmon_{name}", "gauge", text, labels)


TEMPERATURE = _gauge("temperature_celsius", POINT, "A temperature, or a temperature difference, in degrees Celsius.")
HUMIDITY = _gauge("relative_humidity_ratio", POINT, "A relative humidity, 0 to 1.")
RATIO = _gauge("ratio", POINT, "A share of full scale (fan speed, valve position, cooling demand), 0 to 1.")
POWER = _gauge("power_watts", POINT, "A thermal or electrical power in watts.")
APPARENT_POWER = _gauge("apparent_power_volt_amperes", POINT, "An apparent electrical power in volt-amperes.")
ENERGY = _gauge("energy_joules", POINT, "An electrical energy counted by the device, in joules.")
PRESSURE = _gauge("pressure_pascals", POINT, "A pressure or a pressure difference in pascals.")
FLOW = _gauge("flow_cubic_meters_per_second", POINT, "A volume flow of air or water in cubic meters per second.")
DURATION = _gauge("duration_seconds", POINT, "A duration (run time, time remaining) in seconds.")
VOLTAGE = _gauge("voltage_volts", POINT, "An electrical potential in volts.")
CURRENT = _gauge("current_amperes", POINT, "An electrical current in amperes.")
FREQUENCY = _gauge("frequency_hertz", POINT, "A frequency in hertz.")
ROTATION = _gauge("rotation_hertz", POINT, "A rotational speed in revolutions per second.")
NUMBER = _gauge("number", POINT, "A number without a unit, such as a count of alarms.")
OTHER = _gauge("other", (*POINT, "measure"), "A number in an engineering unit that has no family of its own.")
STATE = _gauge(
    "state",
    (*POINT, "state", "severity"),
    "1 for the state a point is in now; the states it is not in have no series.",
)
FAULT = _gauge(
    "reading_fault",
    (*POINT, "quality", "reason"),
    "1 for a point whose reading is uncertain, bad or missing, and why; bad and missing readings have no value series.",
)

MEASURES: Mapping[str, tuple[Family, float]] = {  # measure -> family, and what one measure is worth in its base unit
    "degC": (TEMPERATURE, 1.0),
    "%": (RATIO, 0.01),
    "kW": (POWER, 1000.0),
    "kVA": (APPARENT_POWER, 1000.0),
    "kWh": (ENERGY, 3_600_000.0),
    "Pa": (PRESSURE, 1.0),
    "l/s": (FLOW, 0.001),
    "s": (DURATION, 1.0),
    "V": (VOLTAGE, 1.0),
    "A": (CURRENT, 1.0),
    "Hz": (FREQUENCY, 1.0),
    "rpm": (ROTATION, 1 / 60),
    "": (NUMBER, 1.0),
}

DEVICE_UP = _gauge("device_up", DEVICE, "1 when the last poll of the device was answered, else 0.")
LAST_SUCCESS = _gauge(
    "device_last_success_timestamp_seconds", DEVICE, "When the device last answered, in Unix seconds."
)

VERDICT = _gauge("zone_verdict", (*ZONE, "verdict"), "1 for the verdict on the zone's cooling, 0 for the others.")
PHASE = _gauge("zone_phase", (*ZONE, "phase"), "1 for the zone's place between its limits, 0 for the others.")
PROJECTED = _gauge(
    "zone_projected", ZONE, "1 when the verdict rests on what a silent room could have become, 0 when it is measured."
)
ZONE_TEMPERATURE = _gauge("zone_temperature_celsius", ZONE, "The temperature the zone is judged by.")
WORST = _gauge(
    "zone_worst_celsius", ZONE, "The temperature the zone could have by now: silent sensors age towards the worst."
)
LOST = _gauge("zone_lost_units", ZONE, "Units that should cool the zone now and do not.")
HERE = _gauge("zone_here", ZONE, "1 for a zone of this site, 0 for a zone of the backup site.")
SIGHT = _gauge("zone_forecast", (*ZONE, "sight"), "1 for what the forecast can say of the zone, 0 for the others.")
TO_LIMIT = _gauge(
    "zone_time_to_limit_seconds",
    ZONE,
    "Lower bound of the time until the zone reaches its service limit; no series when none is in sight or unknown.",
)
TO_LIMIT_MEDIAN = _gauge(
    "zone_time_to_limit_median_seconds", ZONE, "Median of the time until the zone reaches its service limit."
)
MARGIN = _gauge(
    "zone_cooling_margin_watts", ZONE, "Sensible cooling available now minus the IT load; below 0 the zone heats up."
)
SPARE = _gauge("zone_spare_units", ZONE, "How many more units may fail before the zone lacks cooling.")
POSITION = _gauge(
    "route_position", (*ROUTE, "position"), "1 for where the route's new calls go, 0 for the other positions."
)
BACKUP = _gauge(
    "route_backup_ratio", ROUTE, "Share of the route's new calls that the edges send to the backup, 0 to 1."
)
COMMANDED = _gauge("route_commanded_ratio", ROUTE, "Share of the route's new calls commanded to the backup, 0 to 1.")
CALLS_LEFT = _gauge("route_calls_left", ROUTE, "Calls of the route still in progress on the side it is leaving.")
READINESS = _gauge(
    "readiness", (*ROUTE, "item"), "1 when the readiness check passes, 0 when it fails or nobody can tell."
)
READY = _gauge("route_ready", ROUTE, "1 when every readiness check of the route that must pass does.")
PROOF = _gauge("route_proof", (*ROUTE, "proof"), "1 for how far the commanded move is proven, 0 for the others.")
THREAT = _gauge("route_threat", (*ROUTE, "threat"), "1 for what the route's zones mean for it, 0 for the others.")
EDGES = _gauge("route_edges", (*ROUTE, "says"), "1 for what the edges report against what was commanded, 0 otherwise.")
EDGE = _gauge(
    "edge_backup_ratio", (*ROUTE, "edge"), "Share of the route's new calls this edge sends to the backup, 0 to 1."
)
LATCHED = _gauge("route_latched", ROUTE, "1 when the one automatic failover of this episode is spent.")
EVACUATE = _gauge("route_time_to_evacuate_seconds", ROUTE, "Drain, verification and margin of the route.")
PAGES = _gauge("pages_raised", (*SITE, "urgency"), "Conditions people were paged for and that still stand.")
MODE = _gauge("mode", (*SITE, "mode"), "1 for the control mode, 0 for the others.")
ARMED = _gauge("armed", SITE, "1 when a failover could be carried out now: automatic, ready, lease held.")
LEASE = _gauge("lease_held", SITE, "1 when this daemon holds the right to act.")
STANDBY = _gauge(
    "standby", (*SITE, "inherits"), "1 for a daemon that stands by for another; whether it could go on from there."
)
EPOCH = _gauge("lease_epoch", SITE, "The epoch of this daemon's lease; it only ever grows.")
POSTURE = _gauge("posture", (*SITE, "posture"), "1 for the storm posture, 0 for the others.")
MAINTENANCE = _gauge("maintenance", SITE, "Units, zones, edges and sites that are in maintenance.")
SHELVED = _gauge("shelved_pages", SITE, "Pages that are shelved.")
HOLD_END = _gauge(
    "hold_end_timestamp_seconds", SITE, "When the hold by order ends, in Unix seconds; no series without one."
)
STATUS_TIME = _gauge("status_timestamp_seconds", SITE, "When the loop last told its status, in Unix seconds.")

FAMILIES: tuple[Family, ...] = (
    *dict.fromkeys([TEMPERATURE, HUMIDITY, *(family for family, _ in MEASURES.values())]),
    OTHER,
    STATE,
    FAULT,
    DEVICE_UP,
    LAST_SUCCESS,
    VERDICT,
    PHASE,
    PROJECTED,
    ZONE_TEMPERATURE,
    WORST,
    LOST,
    HERE,
    SIGHT,
    TO_LIMIT,
    TO_LIMIT_MEDIAN,
    MARGIN,
    SPARE,
    POSITION,
    BACKUP,
    COMMANDED,
    CALLS_LEFT,
    READINESS,
    READY,
    PROOF,
    THREAT,
    EDGES,
    EDGE,
    LATCHED,
    EVACUATE,
    PAGES,
    MODE,
    ARMED,
    LEASE,
    STANDBY,
    EPOCH,
    POSTURE,
    MAINTENANCE,
    SHELVED,
    HOLD_END,
    STATUS_TIME,
)
"""In the order in which they are exposed."""


def family_of(measure: str, role: Role | None, name: str) -> tuple[Family, float]:
    """The family of a numeric point, and what one ``measure`` is worth in its base unit."""
    if measure == "%" and (role is Role.HUMIDITY or "humidity" in name):
        return HUMIDITY, 0.01
    return MEASURES.get(measure, (OTHER, 1.0))
