"""Shipped profiles of devices that tell what they are made of: Liebert's conditions and temperatures, APC's rows."""

from collections.abc import Mapping

import pytest

from envmon.model.reading import Quality, Reading, Reason, Role, Severity
from envmon.profiles.bind import BoundPoint, place
from envmon.profiles.conditions import bind_conditions, summarise
from envmon.profiles.decode import Beside, Raw, decode
from envmon.profiles.expand import expand
from envmon.profiles.identify import Facts, identify
from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Profile, Protocol
from envmon.profiles.schema_point import Address, Oid

SHIPPED = load_builtin()
LIEBERT, APC = SHIPPED["liebert-crac"], SHIPPED["apc-cooling-unit"]
CONDITION = "1.3.6.1.4.1.476.1.42.3.2.3.1"
WELL_KNOWN = "1.3.6.1.4.1.476.1.42.3.2.1"
COOLING = "1.3.6.1.4.1.318.1.1.27.1"


def conditions(uptime_s: float, *rows: tuple[str, int, int]) -> tuple[Reading, Reading]:
    """What Liebert's table says: rows of description, state and severity."""
    at = place(LIEBERT, site="s", device="d", path="p", zone="z", commissioned=True)
    cells: dict[str, Raw] = {}
    for index, (description, state, severity) in enumerate(rows, 1):
        cells |= {f"{CONDITION}.2.{index}": description, f"{CONDITION}.12.{index}": state}
        cells[f"{CONDITION}.14.{index}"] = severity
    indexes = [str(index) for index in range(1, len(rows) + 1)]
    alarm, count = summarise(bind_conditions(LIEBERT.conditions[0], at), indexes, cells, uptime_s)
    return alarm, count


def test_liebert_conditions_empty_at_agent_start_are_not_all_clear() -> None:
    alarm, count = conditions(20.0)
    assert (alarm.quality, alarm.reason, alarm.severity) == (Quality.UNCERTAIN, Reason.SETTLING, Severity.UNKNOWN)
    assert not count.good
    alarm, count = conditions(86_400.0)
    assert (alarm.value, alarm.good, alarm.severity, count.value) == ("clear", True, Severity.OK, 0.0)


def test_a_liebert_row_that_is_present_may_be_inactive() -> None:
    alarm, count = conditions(86_400.0, (f".{WELL_KNOWN}.1", 2, 9))
    assert (alarm.value, alarm.severity, count.value) == ("clear", Severity.OK, 0.0)


@pytest.mark.parametrize(
    ("severity", "meant"),
    [
        (9, Severity.CRITICAL),
        (6, Severity.WARNING),
        (3, Severity.WARNING),
        (0, Severity.WARNING),
        (7, Severity.UNKNOWN),
    ],
)
def test_liebert_severities(severity: int, meant: Severity) -> None:
    alarm, count = conditions(86_400.0, (f"{WELL_KNOWN}.5.4", 1, severity))
    assert (alarm.value, alarm.severity, count.value) == ("loss_of_airflow_all_blowers", meant, 1.0)
    assert (alarm.point.role, count.point.role) == (Role.ALARM, Role.ALARM_COUNT)


def test_a_liebert_condition_without_a_name_here_still_counts() -> None:
    alarm, _ = conditions(86_400.0, (f"{WELL_KNOWN}.4711", 1, 9))
    assert alarm.severity is Severity.CRITICAL
    assert isinstance(alarm.value, str) and alarm.value != "clear"


def test_liebert_rows_that_wait_for_acknowledgement_are_no_alarm_count() -> None:
    assert {spec.name: spec.role for spec in LIEBERT.points}["conditions_present"] is None


def rows(kind: Profile, cells: Mapping[str, Raw]) -> dict[str, BoundPoint]:
    at = place(kind, site="s", device="d", path="p", zone="z", commissioned=True)
    found: dict[str, BoundPoint] = {}
    for table in kind.tables:
        walked = f"{table.walk[0]}."
        indexes = [oid.removeprefix(walked) for oid in cells if oid.startswith(walked)]
        found |= {bound.point.name: bound for bound in expand(table, indexes, cells, at)}
    return found


def described(part: str, *told: tuple[str, Raw, str, int]) -> dict[str, Raw]:
    cells: dict[str, Raw] = {}
    for number, (description, value, units, scale) in enumerate(told, 1):
        row = f"{COOLING}.{part}.1.2.1"
        cells |= {f"{row}.2.1.{number}": description, f"{row}.4.1.{number}": units, f"{row}.5.1.{number}": scale}
        if value is not None:
            cells[f"{row}.3.1.{number}"] = value
    return cells


def test_an_apc_unit_that_describes_itself() -> None:
    cells = described(
        "4",
        ("Supply Air Temperature", 607, "F", 10),
        ("Supply Air Temperature", 159, "C", 10),
        ("Return Air Temperature", 266, "C", 10),
        ("Rack Inlet Temperature 1", 192, "C", 10),
        ("Rack Inlet Temperature 2", None, "C", 10),
        ("Airflow", 412, "L/s", 1),
        ("Air Filter Pressure", 2, '"WC', 100),
        ("Fan Speed", 30, "%", 1),
    ) | described("6", ("Entering Chilled Water Temperature", 134, "C", 10), ("Chilled Water Flow", 4, "L/s", 10))
    found = rows(APC, cells)
    told = {name: (bound.point.role, bound.point.measure) for name, bound in found.items()}
    assert told == {
        "supply_air_temperature": (Role.SUPPLY_TEMP, "degC"),
        "return_air_temperature": (Role.RETURN_TEMP, "degC"),
        "rack_inlet_temperature_1": (Role.RACK_INLET_TEMP, "degC"),
        "airflow": (Role.AIRFLOW, "l/s"),
        "fan_speed": (Role.FAN_SPEED, "%"),
        "entering_chilled_water_temperature": (Role.CHILLED_WATER_SUPPLY_TEMP, "degC"),
        "chilled_water_flow": (Role.CHILLED_WATER_FLOW, "l/s"),
    }
    assert decode(found["supply_air_temperature"], 159).value == 15.9
    assert decode(found["fan_speed"], 30).value == 30.0
    assert decode(found["chilled_water_flow"], 4).value == 0.4


def test_the_operating_mode_of_an_apc_unit_is_the_text_beside_its_number() -> None:
    row = f"{COOLING}.4.2.2.1"
    cells: dict[str, Raw] = {f"{row}.2.1.1": "Operating Mode", f"{row}.3.1.1": "On", f"{row}.4.1.1": 1}
    cells |= {f"{row}.2.1.2": "Active Flow Control Status", f"{row}.4.1.2": 3}
    found = rows(APC, cells)
    assert set(found) == {"operating_mode"}
    for shown, meant in (("On", "running"), ("Standby", "standby"), ("Idle", "off"), ("Maintenance", "maintenance")):
        assert decode(found["operating_mode"], 1, Beside(label=shown)).value == meant
    assert decode(found["operating_mode"], 9, Beside(label="Backup")).reason is Reason.UNLISTED_STATE


def test_the_older_objects_of_a_unit_that_describes_itself_are_not_read() -> None:
    older, newer = "1.3.6.1.4.1.318.1.1.13.3.2.2.2.1.0", f"{COOLING}.4.1.2"
    asked = {older: True, newer: True, f"{COOLING}.4.2.2": True}
    facts = Facts(Protocol.SNMP, "1.3.6.1.4.1.318.1.3.14.5", "APC", asked)
    assert [match.profile for match in identify(SHIPPED.values(), facts)] == ["apc-cooling-unit"]
    facts = Facts(Protocol.SNMP, "1.3.6.1.4.1.318.1.3.14.5", "APC", {older: True, newer: False})
    assert [match.profile for match in identify(SHIPPED.values(), facts)] == ["apc-inrow-rc"]


def test_a_sensor_of_hw_group_that_is_gone_has_no_reading_and_one_in_another_unit_no_point() -> None:
    base = "1.3.6.1.4.1.21796.4.1.3.1"
    cells: dict[str, Raw] = {}
    told = [("Cold aisle", 1, 235, 1), ("Hot aisle", 5, 950, 2), ("Gone", 0, 0, 1), ("Odd", 1, 1, 5)]
    for index, (name, state, value, unit) in enumerate(told, 1):
        cells |= {f"{base}.2.{index}": name, f"{base}.3.{index}": state}
        cells |= {f"{base}.5.{index}": value, f"{base}.7.{index}": unit}

    def cell(address: Address | None) -> Raw:
        return cells[address.oid] if isinstance(address, Oid) else None

    def beside(bound: BoundPoint) -> Beside:
        unit, valid = bound.spec.unit_from, bound.spec.valid_from
        return Beside(unit=cell(unit.address if unit else None), valid=cell(valid.address if valid else None))

    found = {
        name: decode(bound, cell(bound.spec.address), beside(bound))
        for name, bound in rows(SHIPPED["hwg-ste"], cells).items()
    }
    assert (found["cold_aisle"].value, found["hot_aisle"].value) == (23.5, 35.0)
    assert found["hot_aisle_state"].severity is Severity.CRITICAL
    assert not found["gone"].good
    assert "odd" not in found  # its state is told all the same
    assert found["odd_state"].severity is Severity.OK
