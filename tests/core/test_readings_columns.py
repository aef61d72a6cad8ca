"""Readings as columns: the sequence everybody may use, and what may stand among the numbers."""

import math

import pytest

from envmon.core.fold import fold
from envmon.core.world import initial
from envmon.model.event import DeviceBatch, Stamp
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity
from envmon.model.readings import Readings, arrange, columns, judged, sheet_of


def point(name: str, role: Role | None = None, zone: str | None = "hall_a") -> Point:
    return Point(f"site.{name}", name, "crac_1", "switch_1", zone, None, role, "degC")


GOOD = Reading(point("air"), 21.5)
ODD = (
    Reading(point("state"), "running", severity=Severity.OK),
    Reading(point("gone"), None, Quality.MISSING, Reason.ABSENT),
    Reading(point("doubtful"), 3.0, Quality.UNCERTAIN, Reason.NOT_COMMISSIONED),
    Reading(point("told"), 3.0, Quality.GOOD, Reason.SETTLING),
    Reading(point("endless"), math.inf),
    Reading(point("none"), math.nan),
)


@pytest.mark.parametrize("odd", ODD, ids=lambda reading: reading.point.name)
def test_only_a_good_finite_number_that_says_no_more_stands_among_the_numbers(odd: Reading) -> None:
    readings = columns((GOOD, odd, GOOD))
    assert readings.numbers == (21.5, None, 21.5)
    assert dict(readings.others) == {1: odd}


def test_columns_are_the_sequence_they_were_made_of() -> None:
    made = (GOOD, *ODD[:5])
    readings = columns(made)
    assert columns(readings) is readings
    assert (len(readings), tuple(readings), readings[0], readings[-1], readings[1:3]) == (
        6, made, GOOD, ODD[4], made[1:3]
    )  # fmt: skip
    assert readings == made and made == readings and readings == columns(made)
    assert readings != made[:5] and readings != (*made[:5], GOOD) and readings != "six"
    with pytest.raises(IndexError):
        readings[6]


def test_who_is_asked_for_the_rest_may_answer_with_a_number() -> None:
    sheet = sheet_of([GOOD.point, ODD[0].point, GOOD.point])
    asked = {1: ODD[0], 2: GOOD}
    readings = arrange(sheet, [20.0, None, None], asked.__getitem__)
    assert readings == Readings(sheet, (20.0, None, 21.5), {1: ODD[0]})


def test_a_zone_is_judged_by_the_points_that_have_a_role_and_a_zone() -> None:
    inlet, free = point("inlet", Role.RACK_INLET_TEMP), point("free", Role.HUMIDITY, zone=None)
    readings = (GOOD, Reading(inlet, 22.0), Reading(free, 40.0))
    assert [reading.point.name for reading in judged(readings)] == ["inlet"]
    assert list(judged(columns(readings))) == [readings[1]]


def test_a_batch_says_the_same_whichever_way_its_readings_came() -> None:
    at = Stamp(1, 1.0, "boot")
    apart, whole = DeviceBatch(at, "d", (GOOD,)), DeviceBatch(at, "d", columns((GOOD,)))
    assert apart == whole and fold(initial(), apart) == fold(initial(), whole)
