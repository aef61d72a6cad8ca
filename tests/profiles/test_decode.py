"""What the decoder makes of good, missing, impossible and contradictory answers."""

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.model.reading import Quality, Reading, Reason, Role, Severity
from envmon.profiles.bind import BoundPoint
from envmon.profiles.decode import Beside, Raw, decode, missing
from envmon.profiles.loader import load_text
from envmon.profiles.registers import reader, registers_value
from envmon.profiles.schema_point import Register
from tests.bound import bind
from tests.profiles.one_answer import decode_modbus, decode_snmp, short_way


def bound(point: str, protocol: str = "snmp", extra: str = "") -> BoundPoint:
    text = f"""
profile: made-up
vendor: nobody
kind: sensor
protocol: {protocol}
evidence: document
sources: [{{document: a test, revision: "1"}}]
{extra}
points:
- {point}
"""
    profile = load_text(text, "made-up.yaml")
    return bind(profile, site="dallas", device="probe_1", path="switch_3", zone="hall_a", serves="crac_1")[0]


def temp(extra: str = "") -> BoundPoint:
    return bound("{name: t, role: rack_inlet_temp, unit: degC, scale: 0.1, oid: 1.3.6.1" + extra + "}")


def seen(reading: Reading) -> tuple[float | str | None, Quality, Reason]:
    return reading.value, reading.quality, reading.reason


def test_a_good_temperature_is_scaled_and_may_vote() -> None:
    reading = decode_snmp(temp(), 219)
    assert seen(reading) == (21.9, Quality.GOOD, Reason.NONE)
    assert reading.severity is Severity.NONE
    assert reading.point.measure == "degC"
    assert reading.point.role is Role.RACK_INLET_TEMP


def test_minus_one_is_a_temperature_unless_the_point_says_otherwise() -> None:
    assert seen(decode_snmp(temp(), -1)) == (-0.1, Quality.GOOD, Reason.NONE)
    assert seen(decode_snmp(temp(", invalid: [-1]"), -1)) == (None, Quality.BAD, Reason.SENTINEL)
    assert seen(decode_snmp(temp(", invalid: [-1]"), "-1")) == (None, Quality.BAD, Reason.SENTINEL)


def test_nothing_answered_is_missing_never_zero() -> None:
    assert seen(decode_snmp(temp(), None)) == (None, Quality.MISSING, Reason.ABSENT)
    assert seen(missing(temp(), Reason.TIMEOUT)) == (None, Quality.MISSING, Reason.TIMEOUT)


@pytest.mark.parametrize("answer", ["", "--", "not available", b"Unavailable", "21,9", b"\xff\x00"])
def test_a_text_where_a_number_belongs_is_bad(answer: str | bytes) -> None:
    assert seen(decode_snmp(temp(", invalid_text: ['--']"), answer)) == (None, Quality.BAD, Reason.INVALID_TEXT)


@pytest.mark.parametrize("answer", ["219", b"219", b"219\x00", " 219 ", 219.0])
def test_a_number_sent_as_text_is_a_number(answer: str | bytes | float) -> None:
    assert decode_snmp(temp(), answer).value == 21.9


@pytest.mark.parametrize("answer", ["nan", "inf", "-inf", float("nan"), float("inf")])
def test_not_a_number_is_bad(answer: str | float) -> None:
    assert seen(decode_snmp(temp(), answer)) == (None, Quality.BAD, Reason.SENTINEL)


@pytest.mark.parametrize("raw", [-401, 1251, 32767, 2**31 - 1])
def test_a_temperature_without_a_range_is_held_to_a_sensible_one(raw: int) -> None:
    assert seen(decode_snmp(temp(), raw)) == (None, Quality.BAD, Reason.OUT_OF_RANGE)


def test_the_range_counts_after_conversion_and_its_ends_belong_to_it() -> None:
    point = bound("{name: t, unit: degF, oid: 1.3.6.1, valid_range: [0, 40]}")
    assert seen(decode_snmp(point, 32)) == (0.0, Quality.GOOD, Reason.NONE)
    assert seen(decode_snmp(point, 104)) == (40.0, Quality.GOOD, Reason.NONE)
    assert decode_snmp(point, 31).reason is Reason.OUT_OF_RANGE
    assert decode_snmp(point, 105).reason is Reason.OUT_OF_RANGE


def test_fahrenheit_becomes_celsius_and_a_difference_loses_no_32() -> None:
    assert decode_snmp(bound("{name: t, unit: degF, scale: 0.1, oid: 1.3.6.1}"), 715).value == pytest.approx(21.9444444)
    assert decode_snmp(bound("{name: d, unit: degF, difference: true, oid: 1.3.6.1}"), 18).value == 10.0


@pytest.mark.parametrize(
    ("unit", "raw", "value", "measure"),
    [
        ("W", 1500, 1.5, "kW"),
        ("kPa", 2, 2000.0, "Pa"),
        ("l/min", 90, 1.5, "l/s"),
        ("m3/h", 36, 10.0, "l/s"),
        ("min", 5, 300.0, "s"),
        ("K", 300, 26.85, "degC"),
        ("gpm", 100, 6.30902, "l/s"),
        ("cfm", 1717, 810.33, "l/s"),
    ],
)
def test_units_become_measures(unit: str, raw: int, value: float, measure: str) -> None:
    reading = decode_snmp(bound(f'{{name: n, unit: "{unit}", oid: 1.3.6.1}}'), raw)
    assert reading.value == pytest.approx(value, rel=1e-5)
    assert reading.point.measure == measure


CROSS = ", cross_check: {oid: 1.3.6.2, unit: degF, scale: 0.1, tolerance: 0.2}"


def test_two_encodings_that_agree_are_good() -> None:
    assert seen(decode_snmp(temp(CROSS), 219, 715)) == (21.9, Quality.GOOD, Reason.NONE)


def test_two_encodings_that_disagree_may_not_vote_but_are_shown() -> None:
    assert seen(decode_snmp(temp(CROSS), 219, 735)) == (21.9, Quality.UNCERTAIN, Reason.CROSS_CHECK_FAILED)
    # -1 on both sides is -0.1 degC against -0.1 degF
    assert seen(decode_snmp(temp(CROSS), -1, -1)) == (-0.1, Quality.UNCERTAIN, Reason.CROSS_CHECK_FAILED)


@pytest.mark.parametrize("twin", [None, "--", float("nan"), float("inf")])
def test_a_twin_that_says_nothing_accuses_nobody(twin: str | float | None) -> None:
    assert decode_snmp(temp(CROSS), 219, twin).good


STATES = (
    "{name: s, role: unit_running, oid: 1.3.6.1, map: {1: [standby, warning], 2: [running, ok], idle: ['off', ok]}}"
)


@pytest.mark.parametrize(
    ("raw", "label", "severity"),
    [
        (2, "running", Severity.OK),
        ("2", "running", Severity.OK),
        (1, "standby", Severity.WARNING),
        (b"idle", "off", Severity.OK),
    ],
)
def test_states_by_number_and_by_text(raw: int | str | bytes, label: str, severity: Severity) -> None:
    reading = decode_snmp(bound(STATES), raw)
    assert (reading.value, reading.quality, reading.severity) == (label, Quality.GOOD, severity)


@pytest.mark.parametrize("raw", [0, 3, -1, "running", "nan", 2.5])
def test_an_unlisted_state_is_never_ok(raw: float | str) -> None:
    reading = decode_snmp(bound(STATES), raw)
    assert seen(reading) == (None, Quality.BAD, Reason.UNLISTED_STATE)
    assert reading.severity is Severity.UNKNOWN


def test_a_missing_state_is_unknown_not_ok() -> None:
    assert missing(bound(STATES)).severity is Severity.UNKNOWN


def modbus(body: str, extra: str = "") -> BoundPoint:
    return bound(f"{{name: n, {body}}}", "modbus", extra)


@pytest.mark.parametrize(
    ("body", "raw", "value"),
    [
        ("function: 3, address: 1, type: int16", b"\xff\xff", -1.0),
        ("function: 3, address: 1, type: uint16", b"\xff\xff", 65535.0),
        ("function: 4, address: 1, type: int32", b"\xff\xff\xff\xfe", -2.0),
        ("function: 4, address: 1, type: uint32", b"\x00\x01\x00\x02", 65538.0),
        ("function: 4, address: 1, type: uint32, word_order: low_first", b"\x00\x02\x00\x01", 65538.0),
        ("function: 4, address: 1, type: float32", struct.pack(">f", 18.5), 18.5),
        (
            "function: 4, address: 1, type: float32, word_order: low_first",
            struct.pack(">f", 18.5)[2:] + struct.pack(">f", 18.5)[:2],
            18.5,
        ),
        ("function: 3, address: 1, type: bit, bit: 15", b"\x80\x00", 1.0),
        ("function: 3, address: 1, type: bit, bit: 0", b"\x80\x00", 0.0),
        ("function: 2, address: 1, type: bit", b"\x01", 1.0),
        ("function: 1, address: 1, type: bit", b"\x00", 0.0),
        ("function: 3, address: 1, type: ascii, registers: 3", b"ACS\x00\x00\x00", "ACS"),
    ],
)
def test_register_types(body: str, raw: bytes, value: float | str) -> None:
    assert seen(decode_modbus(modbus(body), raw)) == (value, Quality.GOOD, Reason.NONE)


def test_the_word_order_of_the_device_is_the_default_of_its_points() -> None:
    low_first = modbus("function: 4, address: 1, type: uint32", "modbus: {word_order: low_first}")
    assert decode_modbus(low_first, b"\x00\x02\x00\x01").value == 65538.0


def test_modbus_sentinels_are_written_as_documents_print_them() -> None:
    point = modbus("function: 3, address: 1, type: int16, scale: 0.1, invalid: [0x8000, 0x7FFF]")
    assert decode_modbus(point, b"\x80\x00").reason is Reason.SENTINEL
    assert decode_modbus(point, b"\x7f\xff").reason is Reason.SENTINEL
    assert decode_modbus(point, b"\x80\x01").good


def test_float_not_a_number_is_bad() -> None:
    point = modbus("function: 4, address: 1, type: float32")
    assert seen(decode_modbus(point, b"\x7f\xc0\x00\x00")) == (None, Quality.BAD, Reason.SENTINEL)


def test_no_registers_is_missing_and_a_wrong_number_of_bytes_is_our_own_mistake() -> None:
    point = modbus("function: 3, address: 1, type: int32")
    assert decode_modbus(point, None).quality is Quality.MISSING
    with pytest.raises(ValueError, match="needs 4 bytes, got 2"):
        decode_modbus(point, b"\x00\x01")


def test_a_modbus_cross_check() -> None:
    point = modbus(
        "function: 4, address: 1, type: int16, unit: degC, scale: 0.1, "
        "cross_check: {function: 4, address: 9, type: int16, unit: degF, scale: 0.1, tolerance: 0.2}"
    )
    assert decode_modbus(point, b"\x00\xdb", (715).to_bytes(2, "big")).good
    assert decode_modbus(point, b"\x00\xdb", (800).to_bytes(2, "big")).reason is Reason.CROSS_CHECK_FAILED


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary()), st.integers())
def test_whatever_the_agent_says_a_reading_comes_out(answer: float | str | bytes | None, twin: int) -> None:
    for point in (temp(CROSS), bound(STATES), bound("{name: x, text: true, oid: 1.3.6.1}")):
        reading = decode_snmp(point, answer, twin)
        assert (reading.value is None) == (reading.quality in {Quality.BAD, Quality.MISSING})
        assert reading.good == (reading.reason is Reason.NONE)
        assert reading.severity is not Severity.OK or reading.good


@pytest.mark.parametrize(
    ("zone", "serves", "point_id"),
    [
        ("hall_a", "crac_1", "dallas.hall_a.crac_1.t"),
        ("hall_a", "", "dallas.hall_a.probe_1.t"),
        (None, "", "dallas.probe_1.t"),
        ("", "", "dallas.probe_1.t"),
    ],
)
def test_point_ids(zone: str | None, serves: str, point_id: str) -> None:
    profile = load_text(
        "{profile: p, vendor: v, kind: sensor, protocol: snmp, evidence: document,"
        " sources: [{document: d, revision: '1'}], points: [{name: t, oid: 1.3.6}]}",
        "p.yaml",
    )
    point = bind(profile, site="dallas", device="probe_1", path="10.0.0.1", zone=zone, serves=serves)[0].point
    assert point.id == point_id
    assert (point.zone, point.unit) == (zone or None, serves or None)
    assert (point.device, point.path) == ("probe_1", "10.0.0.1")


@pytest.mark.parametrize(
    ("body", "raw", "value"),
    [
        ("function: 3, address: 1, type: int64", b"\xff" * 7 + b"\xfe", -2.0),
        ("function: 3, address: 1, type: uint64, word_order: low_first", b"\0\1" + b"\0" * 6, 1.0),
        ("function: 3, address: 1, type: float64", struct.pack(">d", 18.25), 18.25),
        ("function: 3, address: 1, type: uint16, byte_order: low_first", b"\x34\x12", 0x1234),
        (
            "function: 3, address: 1, type: float32, byte_order: low_first",
            struct.pack("<f", 7.5)[2:] + struct.pack("<f", 7.5)[:2],
            7.5,
        ),
        ("function: 3, address: 1, type: bcd, registers: 2", b"\x00\x12\x34\x56", 123456.0),
        ("function: 3, address: 1, type: uint16, bits: [4, 7]", b"\x00\xa5", 10.0),
        ("function: 3, address: 1, type: ascii, registers: 2, byte_order: low_first", b"SANR", "ASRN"),
    ],
)
def test_wide_and_odd_encodings(body: str, raw: bytes, value: float | str) -> None:
    assert seen(decode_modbus(modbus(body), raw)) == (value, Quality.GOOD, Reason.NONE)


def test_nibbles_that_are_no_digits_are_no_number() -> None:
    point = modbus("function: 3, address: 1, type: bcd, registers: 1")
    assert seen(decode_modbus(point, b"\x1a\x00")) == (None, Quality.BAD, Reason.INVALID_TEXT)


def test_a_field_of_bits_as_a_state() -> None:
    point = bound("{name: s, oid: 1.3.6.1, bits: [4, 5], map: {0: [clear, ok], 2: [alarm, critical]}}")
    assert decode_snmp(point, 0x2F).value == "alarm"
    assert decode_snmp(point, 0x0F).value == "clear"
    assert decode_snmp(point, 0x1F).reason is Reason.UNLISTED_STATE


WATCHED = bound("{name: t, oid: 1.3.6.1, unit: degC, valid_from: {oid: 1.3.6.2, equals: [1, ok]}}")


@pytest.mark.parametrize(
    ("status", "good"), [(1, True), ("OK", True), (b"1", True), (2, False), (None, False), ("", False)]
)
def test_a_value_whose_probe_is_not_there_is_absent_not_zero(status: int | str | bytes | None, good: bool) -> None:
    reading = decode(WATCHED, 0, Beside(valid=status))
    assert seen(reading) == ((0.0, Quality.GOOD, Reason.NONE) if good else (None, Quality.MISSING, Reason.ABSENT))


NAMED = bound(
    '{name: s, oid: 1.3.6.1, enum_from: {oid: 1.3.6.2}, map: {OK: [ok, ok], "High Alarm": [high_alarm, critical]}}'
)


def test_a_state_the_device_writes_out_itself() -> None:
    told = {text: decode(NAMED, 4, Beside(label=text)) for text in ("ok", b"High Alarm", "Something new", None)}
    assert [(r.value, r.severity, r.quality) for r in told.values()] == [
        ("ok", Severity.OK, Quality.GOOD),
        ("high_alarm", Severity.CRITICAL, Quality.GOOD),
        (None, Severity.UNKNOWN, Quality.BAD),
        (None, Severity.UNKNOWN, Quality.MISSING),
    ]


def test_an_excerpt_is_shown_but_does_not_vote_until_its_device_was_commissioned() -> None:
    text = (
        "{profile: p, vendor: v, kind: sensor, protocol: snmp, evidence: EVIDENCE,"
        " sources: [{document: d, revision: '1'}], points: [{name: t, oid: 1.3.6.1, unit: degC, invalid: [-1]}]}"
    )

    def one(evidence: str, *, commissioned: bool) -> BoundPoint:
        profile = load_text(text.replace("EVIDENCE", evidence), "p.yaml")
        return bind(profile, site="s", device="d", path="p", zone="z", commissioned=commissioned)[0]

    held = one("excerpt", commissioned=False)
    assert seen(decode_snmp(held, 21)) == (21.0, Quality.UNCERTAIN, Reason.NOT_COMMISSIONED)
    assert seen(decode_snmp(held, -1)) == (None, Quality.BAD, Reason.SENTINEL)  # worse than not commissioned
    assert decode_snmp(one("excerpt", commissioned=True), 21).good
    assert decode_snmp(one("document", commissioned=False), 21).good


PLAIN = (
    "",
    ", invalid: [32767, -32768, 0]",
    ", valid_range: [-10, 60]",
    ", invalid: [-1], valid_range: [-10, 60]",
    ", scale: -2.5, offset: 100, unit: degF",
    ", valid_range: [0, 100], invalid_text: [OPEN]",
)
RAW = st.one_of(
    st.none(),
    st.integers(-70_000, 70_000),
    st.sampled_from([32767, -32768, 0, -1, 600, -100, 2**64]),
    st.floats(),
    st.sampled_from(["21.9", "-1", "OPEN", "nan", "", b"219", b"\xff"]),
)


@pytest.mark.parametrize("extra", PLAIN)
@given(raw=RAW)
def test_the_short_way_says_what_the_whole_way_says_or_nothing(extra: str, raw: Raw) -> None:
    asked = bound("{name: t, oid: 1.3.6.1" + extra + "}")
    short, whole = short_way(asked)[raw], decode(asked, raw)
    assert short == short_way(asked)[raw], "the same when it is remembered"
    assert short is None or (whole.good and short == whole.value)


def test_a_plain_good_number_takes_the_short_way() -> None:
    asked = temp(", valid_range: [-10, 60]")
    assert short_way(asked)[219] == decode(asked, 219).value == 21.9


@pytest.mark.parametrize(
    "extra",
    [
        ", map: {1: [running, ok], 2: [failed, critical]}",
        ", text: true",
        ", cross_check: {oid: 1.3.6.2, tolerance: 1}",
        ", bits: [0, 3]",
    ],
)
def test_what_needs_more_than_its_number_has_no_short_way(extra: str) -> None:
    asked = bound("{name: t, oid: 1.3.6.1" + extra + "}")
    assert [short_way(asked)[raw] for raw in (0, 1, 2, 21.5)] == [None] * 4


def test_who_may_not_vote_has_no_short_way() -> None:
    assert short_way(replace(temp(), votes=False))[219] is None


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint32", "float32", "bcd", "int64"])
@pytest.mark.parametrize("order", ["", ", word_order: low_first", ", byte_order: low_first"])
@given(data=st.data())
def test_a_reader_is_registers_value(kind: str, order: str, data: st.DataObject) -> None:
    point = bound("{name: t, function: 3, address: 4, type: " + kind + order + "}", "modbus")
    register = point.spec.address
    assert isinstance(register, Register)
    raw = data.draw(st.binary(min_size=2 * register.registers, max_size=2 * register.registers))
    whole, short = registers_value(register, raw), reader(register)(raw)
    assert short == whole or (isinstance(whole, float) and math.isnan(whole))


@pytest.mark.parametrize(("kind", "code", "least"), [("float32", ">f", 2.0**-126), ("float64", ">d", 2.0**-1022)])
def test_a_float_with_swapped_words_is_no_number_and_never_zero(kind: str, code: str, least: float) -> None:
    point = f"{{name: t, function: 3, address: 1, type: {kind}, unit: degC, valid_range: [-40, 60]}}"
    swapped = bound(point, "modbus")
    data = struct.pack(code, 42.0)
    words = b"".join(reversed([data[at : at + 2] for at in range(0, len(data), 2)]))
    assert seen(decode_modbus(swapped, words)) == (None, Quality.BAD, Reason.SENTINEL)
    assert decode_modbus(swapped, struct.pack(code, -least / 2)).value is None
    assert decode_modbus(swapped, struct.pack(code, 0.0)).value == 0.0
    assert decode_modbus(swapped, struct.pack(code, least)).good


def test_a_text_is_a_line_that_can_be_shown():
    name = bound("{name: s, text: true, oid: 1.3.6.1}")
    assert decode_snmp(name, b"Liebert\x00\x1b[2J\r\nPDX\xff").value == "Liebert [2J PDXÿ"
    long = decode_snmp(name, b"x" * 60_000).value
    assert isinstance(long, str) and len(long) == 200
