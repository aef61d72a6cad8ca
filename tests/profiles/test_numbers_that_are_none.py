"""Texts and numbers that Python would take for a value and no device means as one."""

import pytest

from envmon.model.reading import Quality, Reason
from envmon.profiles.bind import BoundPoint
from envmon.profiles.loader import load_text
from tests.bound import bind
from tests.profiles.one_answer import decode_snmp

HEAD = """
profile: made-up
vendor: nobody
kind: sensor
protocol: snmp
evidence: document
sources: [{document: a test, revision: "1"}]
points:
- """


def point(body: str) -> BoundPoint:
    profile = load_text(f"{HEAD}{{name: p, oid: 1.3.6.1, {body}}}", "made-up.yaml")
    return bind(profile, site="dallas", device="d", path="p", zone="hall_a", serves="crac_1")[0]


@pytest.mark.parametrize("told", ["2_1", "1_000.5", "99.1\x1d", "\x0b21", "2\x001", "２１", "٢١"])  # noqa: RUF001 - other scripts' digits
def test_what_only_python_reads_as_a_number_is_no_temperature(told: str):
    reading = decode_snmp(point("unit: degC, scale: 0.1"), told)
    assert (reading.value, reading.quality, reading.reason) == (None, Quality.BAD, Reason.INVALID_TEXT)


@pytest.mark.parametrize("told", ["nan", "inf", "-inf", "2.5", "1e300", float("nan"), float("inf"), 2**64])
@pytest.mark.parametrize("body", ["bits: [2, 5], map: {0: [off, ok], 3: [on, ok]}", 'bits: [0, 7], unit: "%"'])
def test_bits_of_what_has_no_bits_are_bad_and_end_no_poll(body: str, told: float | str):
    reading = decode_snmp(point(body), told)
    assert (reading.value, reading.quality) == (None, Quality.BAD)


def test_bits_of_a_negative_number_are_its_twos_complement():
    assert decode_snmp(point('bits: [0, 7], unit: "%"'), -5).value == 251.0


def test_a_number_too_large_for_its_measure_is_out_of_range():
    reading = decode_snmp(point("unit: bar"), "1e305")
    assert (reading.value, reading.reason) == (None, Reason.OUT_OF_RANGE)
