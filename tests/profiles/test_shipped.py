"""The shipped profiles as data: promises every one of them keeps."""

import re
from collections.abc import Mapping
from importlib.resources import files

import pytest

from envmon.model.reading import Role, Severity, UnitState
from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Evidence, Oid, Order, Profile, Protocol, Register, RegisterType

PROFILES: Mapping[str, Profile] = load_builtin()


@pytest.fixture(params=sorted(PROFILES))
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


def test_a_profile_is_named_like_its_file(profile: Profile) -> None:
    assert f"profile: {profile.name}\n" in (files("envmon.profiles") / f"{profile.name}.yaml").read_text("utf-8")


def test_every_point_has_its_own_address(profile: Profile) -> None:
    addresses = [point.address for point in profile.points]
    twins = [point.cross_check.address for point in profile.points if point.cross_check]
    assert len(set(addresses + twins)) == len(addresses + twins)


def test_no_state_of_a_shipped_profile_hides_that_it_is_bad(profile: Profile) -> None:
    for point in profile.points:
        for state in point.states:
            if point.role is Role.UNIT_RUNNING:
                assert (state.severity is Severity.OK) <= (state.label in {UnitState.RUNNING, UnitState.STANDBY})
                assert (state.severity is Severity.UNKNOWN) == (state.label == UnitState.UNKNOWN)
            if point.role is Role.ON_BATTERY and state.label == "yes":
                assert state.severity is Severity.CRITICAL


def test_an_enumeration_says_ok_somewhere_and_not_everywhere(profile: Profile) -> None:
    for point in profile.points:
        severities = {state.severity for state in point.states}
        if point.role in {Role.ALARM, Role.LEAK, Role.UNIT_RUNNING, Role.ON_BATTERY, Role.COMM_OK}:
            assert Severity.OK in severities
            assert severities - {Severity.OK}


def test_every_temperature_is_held_to_a_range(profile: Profile) -> None:
    for point in profile.points:
        if point.measure == "degC":
            assert point.valid_range is not None


def test_nothing_is_read_that_no_point_names(profile: Profile) -> None:
    if profile.modbus is not None:
        assert profile.modbus.max_gap_fill == 0


def test_what_was_never_read_from_a_device_says_so() -> None:
    for profile in PROFILES.values():
        if profile.protocol is Protocol.MODBUS:
            assert profile.evidence is Evidence.EXCERPT


@pytest.mark.parametrize(
    ("name", "point", "function", "wire", "kind"),
    [
        # printed 30100, 30565, 31001, 10218 in the guide; 30001 and 10001 are 0 on the wire
        ("liebert-icom-modbus", "operating_state", 4, 99, RegisterType.UINT16),
        ("liebert-icom-modbus", "control_temp", 4, 564, RegisterType.INT16),
        ("liebert-icom-modbus", "cooling_load", 4, 1000, RegisterType.INT32),
        ("liebert-icom-modbus", "fan_issue", 2, 217, RegisterType.BIT),
        # printed and sent as they are
        ("apc-inrow-sc-modbus", "rack_inlet_temp", 3, 92, RegisterType.INT32),
        ("apc-inrow-sc-modbus", "operate_mode", 3, 87, RegisterType.UINT16),
        ("comet-t-modbus", "rack_inlet_temp", 3, 49, RegisterType.INT16),
    ],
)
def test_wire_addresses(name: str, point: str, function: int, wire: int, kind: RegisterType) -> None:
    address = {spec.name: spec for spec in PROFILES[name].points}[point].address
    assert isinstance(address, Register)
    words = 2 if kind is RegisterType.INT32 else 1
    assert address == Register(function, wire, kind, words, Order.HIGH_FIRST)


def test_the_liebert_comments_and_addresses_agree() -> None:
    """Each printed number in the comments is the wire address + 30001 or 10001 of a point or a twin."""
    text = (files("envmon.profiles") / "liebert-icom-modbus.yaml").read_text("utf-8").split("points:")[1]
    printed = {int(number) for number in re.findall(r"\b[13]0\d{3}\b|\b31\d{3}\b", text)}
    points = PROFILES["liebert-icom-modbus"].points
    places = [point.address for point in points] + [point.cross_check.address for point in points if point.cross_check]
    base = {2: 10001, 4: 30001}
    assert printed == {base[at.function] + at.address for at in places if isinstance(at, Register)}


def test_the_cooling_units_of_one_vendor_keep_their_own_enumerations() -> None:
    rc = {spec.name: spec for spec in PROFILES["apc-inrow-rc"].points}["operate_mode"]
    sc = {spec.name: spec for spec in PROFILES["apc-inrow-sc-modbus"].points}["operate_mode"]
    assert {state.raw: state.label for state in rc.states} == {1: "standby", 2: "running", 3: "off"}
    assert {state.raw: state.label for state in sc.states} == {0: "standby", 1: "running", 2: "off"}


def test_snmp_points_are_whole_oids() -> None:
    for profile in PROFILES.values():
        for point in profile.points:
            if isinstance(point.address, Oid):
                assert re.fullmatch(r"1\.3\.6\.1(\.\d+)+", point.address.oid)
