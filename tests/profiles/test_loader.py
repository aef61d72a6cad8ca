"""Profile files: what is refused, and that the refusal says where and what."""

from pathlib import Path

import pytest

from envmon.profiles.loader import ProfileError, load_builtin, load_file, load_text
from envmon.profiles.schema_point import Oid, Order, Register

HEAD = """profile: mine
vendor: me
kind: sensor
protocol: {protocol}
evidence: document
sources: [{{document: My sensor, revision: "2"}}]
points:
"""


def faults(point: str, protocol: str = "snmp") -> tuple[str, ...]:
    with pytest.raises(ProfileError) as refused:
        load_text(HEAD.format(protocol=protocol) + f"- {point}\n", "mine.yaml")
    return refused.value.faults


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("{name: t, oid: 1.3.6.1, scal: 0.1}", "mine.yaml:8:27: points[0].scal: unknown key; did you mean scale?"),
        ("{name: t}", "mine.yaml:8:3: points[0].oid: this key is required"),
        ("{name: t, oid: sysDescr.0}", "mine.yaml:8:13: points[0].oid: 'sysDescr.0' is not a numeric object"),
        ("{name: T 1, oid: 1.3.6.1}", "mine.yaml:8:4: points[0].name: String should match pattern"),
        ("{name: t, oid: 1.3.6.1, unit: celsius}", "points[0].unit: unknown unit 'celsius'; known: degC,"),
        ("{name: t, oid: 1.3.6.1, scale: 0}", "points[0].scale: a scale of 0 makes"),
        ("{name: t, oid: 1.3.6.1, scale: .nan}", "points[0].scale: Input should be a finite number"),
        ("{name: t, oid: 1.3.6.1, role: supply_temp}", "role supply_temp needs a unit of degC, not ''"),
        ("{name: t, oid: 1.3.6.1, role: supply_temp, unit: kW}", "role supply_temp needs a unit of degC, not 'kW'"),
        (
            "{name: t, oid: 1.3.6.1, role: supply_temp, unit: degC, difference: true}",
            "role supply_temp needs a unit of degC",
        ),
        ("{name: t, oid: 1.3.6.1, role: supply_temp, map: {1: [x, ok]}}", "role supply_temp is a number"),
        ("{name: t, oid: 1.3.6.1, role: unit_running}", "points[0].role: role unit_running needs a map"),
        ("{name: t, oid: 1.3.6.1, role: unit_running, map: {1: ['on', ok]}}", "role unit_running knows failed, main"),
        ("{name: t, oid: 1.3.6.1, role: on_battery, map: {1: [battery, ok]}}", "role on_battery knows no, yes; not"),
        ("{name: t, oid: 1.3.6.1, map: {1: [x, fine]}}", "points[0].map[1][1]: Input should be 'ok', 'warning'"),
        ("{name: t, oid: 1.3.6.1, map: {1: [x, ok], 0x1: [y, ok]}}", "points[0].map[1]: this key is given twice"),
        ("{name: t, oid: 1.3.6.1, map: {1: [x, ok]}, unit: W}", "a point with a map has no unit, valid_range or cross"),
        ("{name: t, oid: 1.3.6.1, valid_range: [4, 4]}", "points[0].valid_range: give the lower end first"),
        ("{name: t, oid: 1.3.6.1, unit: kW, difference: true}", "only a temperature can be a difference"),
        (
            "{name: t, oid: 1.3.6.1, unit: kW, cross_check: {oid: 1.3.6.2, unit: degF, tolerance: 1}}",
            "points[0].cross_check.unit: 'degF' is not the same quantity as 'kW'",
        ),
        ("{name: t, oid: 1.3.6.1, cross_check: {oid: x, tolerance: 1}}", "points[0].cross_check.oid: 'x' is not"),
        ("{name: t, oid: 1.3.6.1, cross_check: {oid: 1.3.6.2, tolerance: 0}}", "should be greater than 0"),
        ("{name: t, oid: 1.3.6.1}\n- {name: t, oid: 1.3.6.2}", "mine.yaml:9:4: points[1].name: two points are named"),
        ("{name: t, oid: 1.3.6.1, oid: 1.3.6.2}", "mine.yaml:8:27: points[0].oid: this key is given twice"),
        ("{name: t, oid: 1.3.6.1, address: 3}", "points[0].address: unknown key"),
        ("{name: t, oid: 1.3", "mine.yaml:9:1: not YAML: "),
        ("{name: &a t, oid: 1.3.6.1, unit: *a}", "not YAML: aliases are not supported"),
        ("{name: t, oid: 1.3.6.1, unit: !!python/name:os.system x}", "not YAML: could not determine a constructor"),
        ("{name: t, oid: 1.3.6.1, [a]: 1}", "a key must be a word or a number"),
    ],
)
def test_snmp_faults(point: str, said: str) -> None:
    assert any(said in fault for fault in faults(point)), faults(point)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (
            "{name: t, function: 6, address: 1, type: int16}",
            "points[0].function: Input should be less than or equal to 4",
        ),
        ("{name: t, function: 16, address: 1, type: int16}", "points[0].function: Input should be less than or equal"),
        (
            "{name: t, function: 3, address: 70000, type: int16}",
            "points[0].address: Input should be less than or equal",
        ),
        ("{name: t, function: 3, address: 65535, type: int32}", "points[0].address: 2 registers from 65535 pass 65535"),
        ("{name: t, function: 3, address: 1, type: int24}", "points[0].type: Input should be 'int16', 'uint16'"),
        ("{name: t, function: 2, address: 1, type: int16}", "points[0].type: function 2 reads bits; its type is bit"),
        ("{name: t, function: 2, address: 1, type: bit, bit: 1}", "points[0].bit: bit is for type bit with function 3"),
        ("{name: t, function: 3, address: 1, type: int16, bit: 1}", "points[0].bit: bit is for type bit with function"),
        ("{name: t, function: 3, address: 1, type: int16, registers: 4}", "int16 knows its own size; registers is for"),
        ("{name: t, function: 3, address: 1, type: int16, invalid: [65536]}", "invalid[0]: a int16 never holds 65536"),
        ("{name: t, function: 3, address: 1, type: uint16, invalid: [-1]}", "invalid[0]: a uint16 never holds -1"),
        ("{name: t, function: 3, address: 1, type: uint16, invalid: [1.5]}", "invalid[0]: a uint16 never holds 1.5"),
        ("{name: t, function: 2, address: 1, type: bit, map: {2: [x, ok]}}", "points[0].map[2]: a bit never holds 2"),
        ("{name: t, function: 3, address: true, type: int16}", "points[0].address: Input should be a valid integer"),
        ("{name: t, oid: 1.3.6.1}", "points[0].function: this key is required"),
    ],
)
def test_modbus_faults(point: str, said: str) -> None:
    assert any(said in fault for fault in faults(point, "modbus")), faults(point, "modbus")


def test_every_fault_is_named_in_the_order_of_the_file() -> None:
    found = faults("{name: a, oid: 1.3.6.1, scale: 0}\n- {name: b, oid: x}\n- {name: c, oid: 1.3.6.1, unit: xx}")
    assert [fault.split(": ")[0] for fault in found] == ["mine.yaml:8:27", "mine.yaml:9:13", "mine.yaml:10:27"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.yaml:1:1: a profile is a mapping that starts with 'profile: NAME'"),
        ("- 1", "mine.yaml:1:1: a profile is a mapping"),
        ("a: 1", "mine.yaml:1:1: protocol: give the protocol: snmp or modbus"),
        ("protocol: bacnet", "mine.yaml:1:1: protocol: give the protocol: snmp or modbus"),
        ("protocol: [snmp]", "mine.yaml:1:1: protocol: give the protocol"),
        ("a: 1\n---\nb: 2", "not YAML: but found another document"),
        ("a: 1\nb: \x07", "mine.yaml:2:4: not YAML: a control character (U+0007)"),
        ("a: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_files_that_are_no_profile(text: str, said: str) -> None:
    with pytest.raises(ProfileError) as refused:
        load_text(text, "mine.yaml")
    assert said in str(refused.value)


def test_a_revision_that_looks_like_a_number_or_a_date_needs_quotes_or_is_kept() -> None:
    text = HEAD.format(protocol="snmp") + "- {name: t, oid: 1.3.6.1}\n"
    with pytest.raises(ProfileError, match="a text belongs here, not 7; put it in quotes"):
        load_text(text.replace('"2"', "7"), "mine.yaml")
    assert load_text(text.replace('"2"', "2021-06-29"), "mine.yaml").sources[0].revision == "2021-06-29"


def test_on_off_yes_and_no_are_words() -> None:
    point = "- {name: t, oid: 1.3.6.1, role: on_battery, map: {1: [yes, ok], 2: [no, ok]}}\n"
    profile = load_text(HEAD.format(protocol="snmp") + point, "mine.yaml")
    assert [state.label for state in profile.points[0].states] == ["yes", "no"]


def test_an_operators_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        HEAD.format(protocol="modbus")
        + "- {name: a, function: 3, address: 7, type: float32}\n"
        + "- {name: b, function: 3, address: 9, type: ascii, registers: 4}\n"
    )
    first, second = load_file(file).points
    assert first.address == Register(3, 7, first.address.type, 2, Order.HIGH_FIRST)  # type: ignore[union-attr]
    assert isinstance(second.address, Register)
    assert second.address.registers == 4


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"absent\.yaml: cannot be read: No such file"):
        load_file(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"vendor: \xe9")
    with pytest.raises(ProfileError, match="not UTF-8"):
        load_file(tmp_path / "latin.yaml")


def test_the_base_is_put_into_the_oids() -> None:
    head = HEAD.format(protocol="snmp").replace("points:", "snmp: {base: 1.3.6.1.4.1.318}\npoints:")
    profile = load_text(head + '- {name: t, oid: "{base}.1.0"}\n- {name: u, oid: .1.3.6.1}\n', "mine.yaml")
    assert [point.address for point in profile.points] == [Oid("1.3.6.1.4.1.318.1.0"), Oid("1.3.6.1")]


def test_the_builtin_profiles() -> None:
    profiles = load_builtin()
    assert len(profiles) >= 33
    for name, profile in profiles.items():
        assert profile.name == name
        assert (profile.modbus is None) == (profile.protocol == "snmp")
        assert (profile.snmp is None) == (profile.protocol == "modbus")
        assert all(source.document and source.revision for source in profile.sources)


GUIDE = Path(__file__).parents[2] / "envmon" / "profiles" / "README.md"


def test_the_example_of_the_guide_is_a_profile() -> None:
    example = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert len(load_text(example, "README.md").points) >= 3


def test_the_guide_names_every_key_and_unit() -> None:
    from envmon.profiles.loader import known_keys
    from envmon.profiles.units import UNITS

    guide = GUIDE.read_text(encoding="utf-8")
    absent = [word for word in (*known_keys(), *UNITS) if word and f"`{word}`" not in guide]
    assert absent == []
