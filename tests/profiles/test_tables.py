"""Rows of tables become points: which rows count, what they are called, their role, unit and scale."""

from collections.abc import Mapping

import pytest

from envmon.model.reading import Quality, Reason, Role, Severity
from envmon.profiles.bind import BoundPoint, Place, place
from envmon.profiles.conditions import bind_conditions, summarise, unread
from envmon.profiles.decode import Beside, decode
from envmon.profiles.expand import expand, wanted
from envmon.profiles.loader import ProfileError, load_builtin, load_text
from envmon.profiles.schema import Profile
from envmon.profiles.schema_point import Oid
from tests.bound import bind

HEAD = """profile: made-up
vendor: nobody
kind: sensor
protocol: {protocol}
evidence: document
sources: [{{document: a test, revision: "1"}}]
"""
BASE = "1.3.6.1.4.1.99999"


def profile(body: str, protocol: str = "snmp") -> Profile:
    return load_text(HEAD.format(protocol=protocol) + body, "made-up.yaml")


def at(kind: Profile, **units: tuple[str, str]) -> Place:
    named = {number.removeprefix("u").replace("_", "."): there for number, there in units.items()}
    return place(kind, site="dallas", device="probe", path="p", zone="hall_a", units=named)


def points(body: str, cells: Mapping[str, object], **units: tuple[str, str]) -> dict[str, BoundPoint]:
    """Expand the one table of a profile from ``cells``: column.index -> what the agent answered."""
    kind = profile(f"snmp: {{base: {BASE}}}\n" + body)
    [table] = kind.tables
    first = table.walk[0]
    full = {f"{BASE}.{cell}": value for cell, value in cells.items()}
    indexes = [oid.removeprefix(f"{first}.") for oid in full if oid.startswith(f"{first}.")]
    return {bound.point.id: bound for bound in expand(table, indexes, full, at(kind, **units))}  # type: ignore[arg-type]


def oid_of(bound: BoundPoint) -> str:
    assert isinstance(bound.spec.address, Oid)
    return bound.spec.address.oid.removeprefix(f"{BASE}.")


ROLES = """
tables:
- walk: "{base}.2"
  columns: {descr: "{base}.2"}
  key: {column: descr, map: {1.3.6.9.2: return_air, 1.3.6.9.3: supply_air}}
  points:
  - name: "{key}_temp"
    oid: "{base}.3"
    unit: degC
    invalid: [2147483647]
    role_from: {column: descr, map: {1.3.6.9.2: return_temp, 1.3.6.9.3: supply_temp}}
"""


def test_the_row_number_is_not_the_role() -> None:
    cells = {"2.1": "1.3.6.9.7.1.10", "2.2": "1.3.6.9.3", "2.3": ".1.3.6.9.2", "3.1": 20, "3.2": 18, "3.3": 27}
    found = points(ROLES, cells)
    told = {key.rpartition(".")[2]: (bound.point.role, oid_of(bound)) for key, bound in found.items()}
    assert told == {
        "n7_1_10_temp": (None, "3.1"),
        "supply_air_temp": (Role.SUPPLY_TEMP, "3.2"),
        "return_air_temp": (Role.RETURN_TEMP, "3.3"),
    }


def test_a_point_keeps_its_name_when_its_row_moves() -> None:
    before = points(ROLES, {"2.2": "1.3.6.9.3", "2.3": "1.3.6.9.2", "3.2": 18, "3.3": 27})
    after = points(ROLES, {"2.2": "1.3.6.9.2", "2.3": "1.3.6.9.3", "3.2": 27, "3.3": 18})
    assert set(before) == set(after)
    name = "dallas.hall_a.probe.supply_air_temp"
    assert (oid_of(before[name]), oid_of(after[name])) == ("3.2", "3.3")
    assert decode(after[name], 2147483647).reason is Reason.SENTINEL


UNITS = """
tables:
- walk: "{base}.1"
  columns: {name: "{base}.1", digits: "{base}.3", status: "{base}.5"}
  select: [{column: status, equals: [2, active]}]
  key: name
  points:
  - name: "{key}"
    oid: "{base}.2"
    role_from: {column: name, map: {Supply: supply_temp, Humid: supply_temp}}
    scale_from: {column: digits, how: HOW}
    unit_from: {oid: "{base}.4", map: {degC: degC, degF: degF, "%": "%"}}
"""


def rows(*given: tuple[object, ...]) -> dict[str, object]:
    return {
        f"{column}.{row}": value
        for row, values in enumerate(given, 1)
        for column, value in enumerate(values, 1)
        if value is not None
    }


def test_unit_and_scale_by_column_and_an_unlisted_unit_is_left_out() -> None:
    body = UNITS.replace("HOW", "decimals")
    cells = rows(
        ("Supply", 215, 1, "degC", 2),
        ("Humid", 4210, 2, "%", "Active"),
        ("Odd", 5, 0, "furlong", 2),
        ("Off", 7, 0, "degC", 3),
        ("No value", None, 0, "degC", 2),
        ("No digits", 5, "x", "degC", 2),
    )
    found = points(body, cells)
    supply, humid = found["dallas.hall_a.probe.supply"], found["dallas.hall_a.probe.humid"]
    assert len(found) == 2
    assert (supply.point.measure, supply.point.role) == ("degC", Role.SUPPLY_TEMP)
    assert (humid.point.measure, humid.point.role) == ("%", None)  # a humidity cannot be a supply temperature
    assert decode(humid, 4210).value == 42.1
    assert decode(supply, 215, Beside(unit="degC")).value == 21.5


@pytest.mark.parametrize(("shown", "raw", "value"), [(-100, 2090, 20.9), (10, 3, 30.0), (0, 7, 7.0), (1, 7, 7.0)])
def test_a_scale_that_divides_or_multiplies(shown: int, raw: int, value: float) -> None:
    [bound] = points(UNITS.replace("HOW", "factor"), rows(("Supply", raw, shown, "%", 2))).values()
    assert decode(bound, raw).value == value


def test_a_unit_switched_on_the_device_is_followed_and_an_unknown_one_is_bad() -> None:
    [bound] = points(UNITS.replace("HOW", "decimals"), rows(("Supply", 715, 1, "degF", 2))).values()
    assert decode(bound, 715, Beside(unit="degF")).value == pytest.approx(21.9444444)
    assert decode(bound, 219, Beside(unit="degC")).value == 21.9
    for unit in ("%", "kelvin", None):
        reading = decode(bound, 219, Beside(unit=unit))
        assert (reading.value, reading.quality, reading.reason) == (None, Quality.BAD, Reason.UNKNOWN_UNIT)


def test_a_setting_of_the_whole_device_and_what_holds_without_it() -> None:
    body = """
tables:
- walk: "{base}.1"
  points:
  - {name: temp, oid: "{base}.1", unit_from: {oid: "{base}.9.0", map: {1: degC, 2: degF}, absent: degC}}
"""
    [told] = points(body, {"1.5": 81, "9.0": 2}).values()
    assert told.point.name == "temp_5"
    assert decode(told, 81, Beside(unit=2)).value == pytest.approx(27.2222222)
    [untold] = points(body, {"1.5": 27}).values()
    assert decode(untold, 27, Beside(unit=None)).value == 27.0


def test_two_rows_of_one_key_are_told_apart() -> None:
    body = """
tables:
- walk: "{base}.1"
  columns: {name: "{base}.1"}
  key: name
  points: [{name: "{key}_temp", oid: "{base}.2", unit: degC}]
"""
    found = points(body, {"1.1": "Rack A", "1.2": "Rack A", "1.3": "", "2.1": 1, "2.2": 2, "2.3": 3})
    assert [key.rpartition(".")[2] for key in found] == ["rack_a_temp", "rack_a_temp_2", "n3_temp"]


FRONT = """
tables:
- walk: "{base}.1"
  serves: [1, 2]
  points:
  - {name: supply_air_temp, oid: "{base}.1", role: supply_temp, unit: degC}
  - {name: fan, oid: "{base}.2", when: [{index: 2, equals: 3}], map: {1: ["on", ok]}}
"""


def test_one_device_fronts_many_units() -> None:
    cells = {"1.1.3.1": 18, "2.1.3.1": 1, "1.1.4.1": 19, "2.1.4.1": 1}
    found = points(FRONT, cells, u1_3=("hall_b", "crac_7"))
    mapped, other = (
        found["dallas.hall_b.crac_7.supply_air_temp"].point,
        found["dallas.hall_a.probe.unit_1_4_supply_air_temp"],
    )
    assert (mapped.zone, mapped.unit, mapped.device) == ("hall_b", "crac_7", "probe")
    assert (other.point.zone, other.point.unit) == ("hall_a", None)
    assert set(found) - {mapped.id, other.point.id} == {"dallas.hall_b.crac_7.fan"}


def test_only_what_is_needed_is_read_when_rows_are_looked_up() -> None:
    [table] = profile(f"snmp: {{base: {BASE}}}" + UNITS.replace("HOW", "decimals")).tables
    assert list(wanted(table, "7")) == [f"{BASE}.{column}.7" for column in (1, 3, 5, 2, 4)]


def test_modbus_rows_lie_further_on_or_at_the_next_unit_identifier() -> None:
    kind = profile(
        "repeat:\n- {count: 3, step: 100, unit_step: 1, serves: true, points: "
        "[{name: t, function: 4, address: 12, type: int16, unit: degC, role: supply_temp}]}\n",
        "modbus",
    )
    every = bind(kind, site="s", device="d", path="p", zone="z")
    assert [bound.point.name for bound in every] == ["unit_1_t", "unit_2_t", "unit_3_t"]
    [only] = bind(kind, site="s", device="d", path="p", zone="z", units={"2": ("y", "crac_2")})
    assert (only.point.id, only.spec.address.address, only.spec.address.unit_offset) == ("s.y.crac_2.t", 112, 1)  # type: ignore[union-attr]


CONDITIONS = f"""
snmp: {{base: {BASE}}}
conditions:
- name: conditions
  count: condition_count
  role: alarm
  walk: "{{base}}.1"
  columns: {{descr: "{{base}}.1", severity: "{{base}}.2", state: "{{base}}.3"}}
  active: [{{column: state, equals: 1}}]
  label_from: {{column: descr, map: {{1.3.6.9.1: high_temperature}}}}
  severity_from: {{column: severity, map: {{3: warning, 6: warning, 9: critical}}}}
"""


def conditions(uptime_s: float | None, *given: tuple[object, ...]) -> list[tuple[object, ...]]:
    kind = profile(CONDITIONS)
    bound = bind_conditions(kind.conditions[0], at(kind))
    cells = {f"{BASE}.{cell}": value for cell, value in rows(*given).items()}
    readings = summarise(bound, [str(row + 1) for row in range(len(given))], cells, uptime_s)  # type: ignore[arg-type]
    return [(r.value, r.quality, r.reason, r.severity) for r in readings]


GOOD, SETTLING = (Quality.GOOD, Reason.NONE), (Quality.UNCERTAIN, Reason.SETTLING)


def test_an_empty_table_after_a_restart_is_not_all_clear() -> None:
    assert conditions(12.0)[0] == ("clear", *SETTLING, Severity.UNKNOWN)
    assert conditions(12.0)[1][1:3] == SETTLING
    assert conditions(4000.0) == [("clear", *GOOD, Severity.OK), (0.0, *GOOD, Severity.NONE)]
    assert conditions(None)[0] == ("clear", *GOOD, Severity.OK)


def test_a_present_row_may_be_over_and_the_worst_of_the_others_is_told() -> None:
    over, minor, major = ("1.3.6.9.1", 9, 2), ("Filter", 3, 1), (".1.3.6.9.1", 9, 1)
    assert conditions(4000.0, over)[0][0] == "clear"
    assert conditions(12.0, minor)[0] == ("filter", *GOOD, Severity.WARNING)
    assert conditions(4000.0, minor, over, major)[0] == ("high_temperature", *GOOD, Severity.CRITICAL)
    assert conditions(4000.0, minor, over, major)[1][0] == 2.0


def test_a_condition_of_unlisted_severity_is_unknown_never_ok() -> None:
    assert conditions(4000.0, ("New", 4, 1))[0] == ("new", *GOOD, Severity.UNKNOWN)
    assert conditions(4000.0, ("New", None, 1))[0][3] is Severity.UNKNOWN


def test_a_table_that_could_not_be_read_is_missing() -> None:
    kind = profile(CONDITIONS)
    told = unread(bind_conditions(kind.conditions[0], at(kind)), Reason.TIMEOUT)
    assert [(r.value, r.quality, r.reason, r.severity) for r in told] == [
        (None, Quality.MISSING, Reason.TIMEOUT, Severity.UNKNOWN),
        (None, Quality.MISSING, Reason.TIMEOUT, Severity.NONE),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("tables: [{points: [{name: t, oid: 1.3.6}]}]", "give either walk"),
        ('tables: [{walk: 1.3.6, rows: ["1"], points: [{name: t, oid: 1.3.6}]}]', "give either walk"),
        ("tables: [{walk: 1.3.6, key: x, points: [{name: t, oid: 1.3.6}]}]", "tables[0].key: columns has no 'x'"),
        (
            "tables: [{walk: 1.3.6, select: [{column: x, equals: 1}], points: [{name: t, oid: 1.3.6}]}]",
            "select[0].column: columns has no 'x'",
        ),
        ("tables: [{walk: 1.3.6, select: [{equals: 1}], points: [{name: t, oid: 1.3.6}]}]", "give either column or in"),
        (
            'tables: [{walk: 1.3.6, select: [{index: 1, matches: "("}], points: [{name: t, oid: 1.3.6}]}]',
            "select[0].matches: not a regular expression",
        ),
        ("tables: [{walk: 1.3.6, points: [{name: '{ke}', oid: 1.3.6}]}]", "points[0].name: String should match"),
        (
            "tables: [{walk: 1.3.6, columns: {base: 1.3.6}, points: [{name: t, oid: 1.3.6}]}]",
            "base is the profile",
        ),
        (
            "tables: [{walk: 1.3.6, columns: {c: 1.3.6}, points: [{name: t, oid: 1.3.6, scale_from: {column: c}}]}]",
            "give either map, or how",
        ),
        (
            "points: [{name: t, oid: 1.3.6.1, unit_from: {oid: 1.3.6.2, map: {1: degC, 2: kW}}}]",
            "a point is one quantity; these units are degC, kW",
        ),
        (
            "points: [{name: t, oid: 1.3.6.1, unit: degC, unit_from: {oid: 1.3.6.2, map: {1: degC}}}]",
            "points[0].unit: unit_from tells the unit",
        ),
        (
            "points: [{name: t, oid: 1.3.6.1, unit_from: {oid: 1.3.6.2, map: {1: degC}, absent: degF}}]",
            "unit_from.absent: must be one of",
        ),
        ("points: [{name: t, oid: 1.3.6.1, bits: [4, 2]}]", "points[0].bits: give the lower bit first"),
        ("points: [{name: t, oid: 1.3.6.1, enum_from: {oid: 1.3.6.2}}]", "enum_from: needs a map"),
        ("identify: {absent: [1.3.6]}\npoints: [{name: t, oid: 1.3.6.1}]", "identify: give sys_object_id, sys_descr"),
        ("include: [no-such]\npoints: [{name: t, oid: 1.3.6.1}]", "include[0]: no shipped profile is called no-such"),
        ("include: [rfc1628-ups]\npoints: [{name: charge, oid: 1.3.6.1}]", "rfc1628-ups has a point named charge, too"),
        ("kind: ups", "kind: this key is given twice"),
        ("snmp: {}", "a profile without points, tables and conditions reads nothing"),
    ],
)
def test_faults_of_tables(body: str, said: str) -> None:
    with pytest.raises(ProfileError) as refused:
        profile(body)
    assert any(said in fault for fault in refused.value.faults), refused.value.faults


def test_an_included_profile_brings_its_points_tables_and_sources() -> None:
    eaton, ups = load_builtin()["eaton-mge-ups"], load_builtin()["rfc1628-ups"]
    assert set(ups.points) < set(eaton.points)
    assert set(ups.tables) <= set(eaton.tables)
    assert set(ups.sources) < set(eaton.sources)


def test_the_site_gives_roles_that_no_profile_can_know_and_only_fitting_ones() -> None:
    kind = profile(
        "points: [{name: probe, oid: 1.3.6.1, unit: degC}, {name: rh, oid: 1.3.6.2, unit: '%'},"
        " {name: door, oid: 1.3.6.3, map: {0: [shut, ok], 1: [open, warning]}}]"
    )
    roles = {"probe": Role.RACK_INLET_TEMP, "rh": Role.RACK_INLET_TEMP, "door": Role.UNIT_RUNNING}
    there = place(kind, site="s", device="d", path="p", zone="z", roles=roles)
    assert [there.bind(spec).point.role for spec in kind.points] == [Role.RACK_INLET_TEMP, None, None]
