"""What a panel's number says about how a point should be read."""

import pytest

from envmon.profiles.hypotheses import Shown, alternatives, explanation, fits, shown
from envmon.profiles.loader import load_text
from envmon.profiles.schema_point import ProfilePoint
from envmon.profiles.units import Scaling

HEAD = """profile: made-up
vendor: nobody
kind: sensor
protocol: {protocol}
evidence: excerpt
sources: [{{document: a test, revision: "1"}}]
points:
- {point}
"""


def point(text: str, protocol: str = "modbus") -> ProfilePoint:
    return load_text(HEAD.format(protocol=protocol, point=text), "made-up.yaml").points[0]


@pytest.mark.parametrize(
    ("typed", "unit", "value", "step"),
    [
        ("18.5", "degC", 18.5, 0.1),
        ("18,5 °C", "degC", 18.5, 0.1),
        ("65F", "degC", 18.333333333, 5 / 9),
        ("65.3 degF", "degC", 18.5, 0.5 / 9),
        ("-3", "degC", -3.0, 1.0),
        ("45 %", "%", 45.0, 1.0),
        ("12000 W", "kW", 12.0, 0.001),
        ("7", "", 7.0, 1.0),
    ],
)
def test_what_somebody_types_off_a_panel(typed: str, unit: str, value: float, step: float) -> None:
    read = shown(typed, Scaling(unit))
    assert (read.value, read.step) == (pytest.approx(value), pytest.approx(step))


@pytest.mark.parametrize(
    ("typed", "said"),
    [("warm", "is no number"), ("18.5.2", "is no number"), ("18 bananas", "no unit known"), ("18 kW", "does not meas")],
)
def test_what_is_no_answer_is_said(typed: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shown(typed, Scaling("degC"))


def test_a_reading_may_have_moved_a_little_and_no_more() -> None:
    spec = point("{name: t, function: 3, address: 1, type: int16, unit: degC, scale: 0.1}")
    assert fits(spec, 18.9, Shown(18.5, 0.1))
    assert not fits(spec, 19.2, Shown(18.5, 0.1))
    assert not fits(spec, 185.0, Shown(18.5, 0.1))


def test_every_other_way_to_read_a_register_is_one_change() -> None:
    ways = alternatives(
        point("{name: p, function: 4, address: 10, type: int32, unit: degC, scale: 0.1, valid_range: [0, 50]}")
    )
    assert list(ways) == [
        "as written",
        "address -1",
        "address +1",
        "word order low_first",
        "byte order low_first",
        "scale x10",
        "scale x0.1",
        "unit degF",
    ]
    assert all(way.valid_range is None for way in ways.values())
    assert all(explanation(name) for name in ways)


def test_there_is_nothing_before_the_first_register_and_after_the_last() -> None:
    assert "address -1" not in alternatives(point("{name: p, function: 4, address: 0, type: int16, unit: kW}"))
    assert "address +1" not in alternatives(point("{name: p, function: 4, address: 65535, type: int16, unit: kW}"))


def test_an_snmp_object_has_no_neighbours_and_no_orders() -> None:
    assert list(alternatives(point("{name: p, oid: 1.3.6.1.4.1.9.0, unit: kW}", "snmp"))) == [
        "as written",
        "scale x10",
        "scale x0.1",
    ]
