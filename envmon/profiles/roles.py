"""What a role promises of a point that has it: a measure, or a state with agreed labels."""

from collections.abc import Collection, Mapping

from envmon.model.reading import Role, UnitState

MEASURES: Mapping[Role, str] = {
    Role.SUPPLY_TEMP: "degC",
    Role.RETURN_TEMP: "degC",
    Role.RACK_INLET_TEMP: "degC",
    Role.CHILLED_WATER_SUPPLY_TEMP: "degC",
    Role.CHILLED_WATER_RETURN_TEMP: "degC",
    Role.CHILLED_WATER_FLOW: "l/s",
    Role.SETPOINT: "degC",
    Role.COOLING_OUTPUT: "kW",
    Role.COOLING_DEMAND: "kW",
    Role.HUMIDITY: "%",
    Role.FAN_SPEED: "%",
    Role.AIRFLOW: "l/s",
    Role.ALARM_COUNT: "",
    Role.BATTERY_TIME_LEFT: "s",
    Role.FUEL_TIME_LEFT: "s",
}
LABELS: Mapping[Role, frozenset[str]] = {
    Role.UNIT_RUNNING: frozenset(UnitState),
    Role.ON_BATTERY: frozenset({"yes", "no"}),
    Role.ON_GENERATOR: frozenset({"yes", "no"}),
    Role.ALARM: frozenset(),  # any label; the severity speaks
    Role.LEAK: frozenset(),
    Role.COMM_OK: frozenset(),
}


def fills(role: Role, measure: str, labels: Collection[str]) -> bool:
    """Whether a point of this measure, or with states of these labels, can have the role."""
    if role in MEASURES:
        return not labels and MEASURES[role] == measure
    if role in LABELS:
        return bool(labels) and (not LABELS[role] or set(labels) <= LABELS[role])
    return True
