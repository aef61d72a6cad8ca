"""The simulated device: what is set comes back through the profile's own decoder."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.model.reading import Quality, Reading, Reason, Role, UnitState
from envmon.profiles.bind import BoundPoint
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.schema import Profile
from envmon.profiles.schema_point import Address, Oid, Register
from envmon.sim.registers import SimulatedDevice
from envmon.wire import ber
from tests.bound import bind
from tests.profiles.one_answer import decode_modbus, decode_snmp

PROFILES: Mapping[str, Profile] = load_builtin()
NUMBERS = [(name, spec.name) for name, p in PROFILES.items() for spec in p.points if spec.is_number]
EXTRA = load_text(
    """
profile: extra
vendor: nobody
kind: sensor
protocol: modbus
evidence: document
sources: [{document: a test, revision: "1"}]
points:
- {name: swapped, function: 4, address: 0, type: float32, unit: degC, word_order: low_first}
- {name: swapped_int, function: 4, address: 2, type: int32, word_order: low_first}
- {name: high_bit, function: 3, address: 0, type: bit, bit: 9, map: {0: [a, ok], 1: [b, warning]}}
- {name: low_bit, function: 3, address: 0, type: bit, bit: 0, map: {0: [a, ok], 1: [b, warning]}}
- {name: difference, function: 3, address: 5, type: int16, unit: degF, scale: 0.1, difference: true}
- {name: offset, function: 3, address: 6, type: uint16, unit: degC, offset: -20}
- {name: mode, function: 3, address: 7, type: uint16, role: unit_running, map: {0: ["off", ok], 1: [running, ok]}}
""",
    "extra.yaml",
)


def words(device: SimulatedDevice, address: Address) -> bytes | None:
    assert isinstance(address, Register)
    found = [device.words.get((address.function, address.address + index)) for index in range(address.registers)]
    if None in found:
        return None
    size = 1 if address.function in {1, 2} else 2
    return b"".join((word or 0).to_bytes(size, "big") for word in found)


def read(device: SimulatedDevice, name: str) -> Reading:
    bound = {b.point.name: b for b in bound_points(device.profile)}[name]
    check = bound.spec.cross_check
    if device.profile.snmp is not None:
        values = [_variable(device, at) for at in (bound.spec.address, check and check.address)]
        return decode_snmp(bound, values[0], values[1])
    return decode_modbus(bound, words(device, bound.spec.address), words(device, check.address) if check else None)


def _variable(device: SimulatedDevice, address: Address | None) -> int | bytes | None:
    if not isinstance(address, Oid) or (value := device.variables.get(ber.parse_oid(address.oid))) is None:
        return None
    assert isinstance(value.content, int | bytes)
    return value.content


def bound_points(profile: Profile) -> tuple[BoundPoint, ...]:
    return bind(profile, site="s", device="d", path="p", zone="z", serves="u", commissioned=True)


@pytest.mark.parametrize(("profile", "point"), NUMBERS)
@given(share=st.floats(0, 1))
def test_a_number_comes_back_within_the_resolution(profile: str, point: str, share: float) -> None:
    device = SimulatedDevice(PROFILES[profile])
    spec = {s.name: s for s in device.profile.points}[point]
    low, high = spec.valid_range or (0.0, 3000 * spec.scaling.resolution)
    value = low + share * (high - low)
    device.set(point, value)
    reading = read(device, point)
    if reading.reason is Reason.SENTINEL:  # the profile's own mark lies inside the range, as 0 degF does
        assert spec.invalid or 0.0 < abs(value) < 2.0**-126  # or a float no device measures
        return
    assert reading.value == pytest.approx(value, abs=spec.scaling.resolution * 0.501 + 1e-6) or (
        reading.reason is Reason.OUT_OF_RANGE and min(value - low, high - value) < spec.scaling.resolution
    )


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_state_comes_back_by_its_label(profile: str) -> None:
    device = SimulatedDevice(PROFILES[profile])
    for spec in device.profile.points:
        for state in spec.states:
            device.set(spec.name, state.label)
            reading = read(device, spec.name)
            assert (reading.value, reading.quality) == (state.label, Quality.GOOD)


@pytest.mark.parametrize("profile", [*PROFILES.values(), EXTRA], ids=lambda profile: profile.name)
def test_a_new_device_is_healthy(profile: Profile) -> None:
    device = SimulatedDevice(profile)
    for spec in profile.points:
        reading = read(device, spec.name)
        assert reading.good, (spec.name, reading)
        assert reading.severity in {"ok", "none"}


@pytest.mark.parametrize(
    ("point", "value"),
    [("swapped", -12.5), ("swapped_int", -70000), ("difference", 5.0), ("offset", -20.0), ("high_bit", "b")],
)
def test_encodings_no_shipped_profile_uses(point: str, value: float | str) -> None:
    device = SimulatedDevice(EXTRA)
    device.set(point, value)
    assert read(device, point).value == value


def test_two_bits_of_one_register_do_not_disturb_each_other() -> None:
    device = SimulatedDevice(EXTRA)
    device.set("low_bit", "b")
    device.set("high_bit", "b")
    device.set("low_bit", "a")
    assert (read(device, "low_bit").value, read(device, "high_bit").value) == ("a", "b")
    assert device.words[3, 0] == 1 << 9


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (UnitState.STARTING, "standby"),
        (UnitState.FAILED, "off"),
        (UnitState.MAINTENANCE, "off"),
        (UnitState.RUNNING, "running"),
    ],
)
def test_a_state_the_device_cannot_show_becomes_the_nearest(state: UnitState, shown: str) -> None:
    device = SimulatedDevice(PROFILES["apc-inrow-rc"])
    assert device.set_role(Role.UNIT_RUNNING, state)
    assert read(device, "operate_mode").value == shown
    lesser = SimulatedDevice(EXTRA)
    lesser.set("mode", UnitState.STANDBY)
    assert read(lesser, "mode").value == "off"


def test_the_least_bad_state_of_a_label_is_shown() -> None:
    ups = SimulatedDevice(PROFILES["rfc1628-ups"])
    ups.set("on_battery", "yes")
    assert (read(ups, "on_battery").value, read(ups, "on_battery").severity) == ("yes", "critical")
    ups.set("on_battery", "no")
    assert (read(ups, "on_battery").value, read(ups, "on_battery").severity) == ("no", "ok")


def test_set_role_says_whether_the_device_has_it() -> None:
    device = SimulatedDevice(PROFILES["comet-t-modbus"])
    assert device.set_role(Role.RACK_INLET_TEMP, 31.4)
    assert read(device, "rack_inlet_temp").value == 31.4
    assert not device.set_role(Role.UNIT_RUNNING, "running")


def test_spoilt_points() -> None:
    device = SimulatedDevice(PROFILES["apc-inrow-rc"])
    device.hide("supply_air_temp")
    device.show_sentinel("containment_dp")
    device.show_raw("return_air_temp", 999)
    device.show_raw("rack_inlet_temp", "not available")
    assert read(device, "supply_air_temp").reason is Reason.ABSENT
    assert read(device, "containment_dp").reason is Reason.SENTINEL
    assert read(device, "return_air_temp").reason is Reason.CROSS_CHECK_FAILED
    assert read(device, "rack_inlet_temp").reason is Reason.INVALID_TEXT
    device.set("supply_air_temp", 18.4)
    assert read(device, "supply_air_temp").value == 18.4


@pytest.mark.parametrize(
    ("point", "value", "said"),
    [
        ("operate_mode", "humming", "cannot show 'humming'; it shows off, running, standby"),
        ("rack_inlet_temp", 1e12, "rack_inlet_temp cannot hold raw"),
    ],
)
def test_what_a_point_cannot_show_is_refused(point: str, value: float | str, said: str) -> None:
    for profile in ("apc-inrow-rc", "apc-inrow-sc-modbus"):
        with pytest.raises(ValueError, match=said):
            SimulatedDevice(PROFILES[profile]).set(point, value)


def test_a_point_without_a_sentinel_has_none_to_show() -> None:
    with pytest.raises(ValueError, match="supply_air_temp has no sentinel"):
        SimulatedDevice(PROFILES["apc-inrow-rc"]).show_sentinel("supply_air_temp")


def test_polls_are_bounded_and_counted_at_the_device() -> None:
    ticks = iter(range(20_000))
    device = SimulatedDevice(PROFILES["comet-t-modbus"], now=lambda: float(next(ticks)))
    for number in range(20_000):
        device.heard(first_point=number % 2 == 0)
    assert (device.requests, len(device.polls), device.polls[-1]) == (20_000, 10_000, 9_999.0)
