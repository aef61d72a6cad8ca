"""The shipped profiles as data: promises every one of them keeps."""

import re
from collections.abc import Mapping
from importlib.resources import files

import pytest

from envmon.model.reading import Role, Severity, UnitState
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.registers import registers_value
from envmon.profiles.schema import Evidence, Profile, Protocol
from envmon.profiles.schema_point import Oid, Order, Register, RegisterType

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
        ("comet-p-modbus", "channel_1_temp", 3, 0x9C40, RegisterType.INT16),
        ("apc-inrow-rc-gen2-modbus", "supply_setpoint", 3, 7, RegisterType.INT32),
        ("stulz-c7000-modbus", "unit_on", 2, 1013, RegisterType.BIT),
        ("carrier-ccu-modbus", "critical_fault", 2, 48, RegisterType.BIT),
        # printed 00002 beside 0001; holding register 17 is 16
        ("uniflair-le-modbus", "fans", 1, 1, RegisterType.BIT),
        ("daikin-microtech3-modbus", "leaving_water_temp", 3, 16, RegisterType.INT16),
    ],
)
def test_wire_addresses(name: str, point: str, function: int, wire: int, kind: RegisterType) -> None:
    address = {spec.name: spec for spec in PROFILES[name].points}[point].address
    assert isinstance(address, Register)
    words = 2 if kind is RegisterType.INT32 else 1
    assert address == Register(function, wire, kind, words, Order.HIGH_FIRST)


LIEBERT = sorted(name for name in PROFILES if re.fullmatch(r"liebert-(icom|crv|xdc|hpc|sts2?)-modbus", name))


@pytest.mark.parametrize("name", LIEBERT)
def test_the_liebert_comments_and_addresses_agree(name: str) -> None:
    """Each number printed in the comments is the wire address + 30001, 10001 or 40001 of a point or a twin."""
    text = (files("envmon.profiles") / f"{name}.yaml").read_text("utf-8").split("points:")[1]
    comments = " ".join(line.strip(" #") for line in text.splitlines() if line.strip().startswith("#"))
    printed = {int(number) for number in re.findall(r"\b[134][01]\d{3}\b", comments)}
    for first, last in re.findall(r"\b(\d{5}) to (\d{5})\b", comments):
        printed |= set(range(int(first), int(last) + 1))
    points = PROFILES[name].points
    places = [point.address for point in points] + [point.cross_check.address for point in points if point.cross_check]
    base = {2: 10001, 3: 40001, 4: 30001}
    assert printed == {base[at.function] + at.address for at in places if isinstance(at, Register)}


def test_the_library_holds_every_family_of_cooling_power_and_sensors() -> None:
    families = """
        apc-inrow-rc apc-inrow-sc apc-inrow-rp apc-cooling-unit apc-inrow-sc-modbus apc-inrow-rc-gen2-modbus
        uniflair-le-modbus carel-uniflair apc-airfm apc-netbotz apc-environmental-manager apc-smart-ups
        liebert-crac liebert-fpc liebert-mph-pdu liebert-ups liebert-icom-modbus liebert-crv-modbus liebert-xdc-modbus
        liebert-hpc-modbus liebert-dcd-modbus liebert-sts-modbus liebert-sts2-modbus vertiv-dcs
        stulz-wib8000 stulz-c7000-modbus rittal-lcp-dx rittal-cmc-tc rittal-cmc-iii carel-scs-ks
        daikin-microtech3-modbus carrier-ccu-modbus akcp-sensorprobe
        avtech-roomalert-3e avtech-roomalert-4e avtech-roomalert-12e
        hwg-poseidon hwg-ste hwg-ste2 hwg-wld sensatronics-it serverscheck-sensorgateway nti-enviromux-micro gude-esb
        raritan-px2 sentry4-pdu socomec-netvision eaton-mge-ups eaton-powerware rfc1628-ups entity-sensor comet-t-modbus
        comet-p-modbus template-modbus apc-ats carel-pco
    """
    assert set(families.split()) - set(PROFILES) == set()


def test_every_profile_names_document_revision_and_place(profile: Profile) -> None:
    assert all(source.document and source.revision and source.where for source in profile.sources)


def test_the_template_is_nobodys_device() -> None:
    assert PROFILES["template-modbus"].identify is None
    assert PROFILES["template-modbus"].evidence is Evidence.EXCERPT


def test_no_point_reads_a_register_that_stops_a_unit(profile: Profile) -> None:
    """Registers that switch a unit are left out even where reading them would be harmless."""
    writable = {"stulz-c7000-modbus": {1000, 1006, 1009, 1011, 1025}, "liebert-xdc-modbus": {425, 426},
                "liebert-icom-modbus": {425}, "liebert-crv-modbus": {477, 478}, "liebert-hpc-modbus": {486},
                "daikin-microtech3-modbus": {8, 9}}  # fmt: skip
    addresses = {point.address.address for point in profile.points if isinstance(point.address, Register)}
    assert addresses & writable.get(profile.name, set()) == set()


def test_the_words_of_a_dcd_float_are_swapped_and_no_sensor_is_no_number() -> None:
    supply = {spec.name: spec for spec in PROFILES["liebert-dcd-modbus"].points}["water_supply_temp"]
    assert isinstance(supply.address, Register)
    high, low = bytes.fromhex("4150"), bytes.fromhex("0000")  # 13.0
    assert registers_value(supply.address, low + high) == 13.0
    assert str(registers_value(supply.address, b"\xff\xff\xff\xff")) == "nan"


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


def test_the_carel_profile_is_included_as_its_comment_says() -> None:
    text = (files("envmon.profiles") / "carel-pco.yaml").read_text("utf-8")
    shown = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    head = "profile: mine\nvendor: Acme\nkind: cooling_unit\nprotocol: snmp\nevidence: excerpt\n"
    source = 'sources: [{document: "its list", revision: "1", where: "page 2"}]\n'
    mine = load_text(head + source + "\n".join(shown) + "\n", "mine.yaml")
    assert {point.name for point in mine.points} == {
        "return_air_temp", "controller_link", "link_attempts", "agent_release",
    }  # fmt: skip
