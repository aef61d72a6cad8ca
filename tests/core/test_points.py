"""The points of a device as columns: the same points, kept once for all devices of a profile."""

from envmon.model.points import Points, points_of
from envmon.model.reading import Point, Role
from envmon.model.readings import Readings, sheet_of

ROLES = (Role.RACK_INLET_TEMP, None, Role.HUMIDITY)


def device(name: str, zone: str | None = "hall_a", unit: str | None = None) -> list[Point]:
    stem = ".".join(part for part in ("site", zone, unit or name) if part)
    return [
        Point(f"{stem}.point_{at}", f"point_{at}", name, "path", zone, unit, role, "degC")
        for at, role in enumerate(ROLES)
    ]


def test_columns_are_the_points_they_were_made_of():
    for points in (device("d1"), device("d1", zone=None), device("d1", unit="crac_1")):
        columns = points_of(points)
        assert isinstance(columns, Points)
        assert columns == points
        assert tuple(points) == columns
        assert list(columns) == [columns[0], columns[1], columns[-1]]
        assert columns[1:] == tuple(points[1:])
        assert columns != points[:2]
        assert sheet_of(columns).points is columns


def test_points_that_are_not_alike_stay_as_they_are():
    one, other = device("d1"), device("d2")
    renamed = Point("elsewhere", "point_1", "d1", "path", "hall_a", None, None, "degC")
    for mixed in ([*one, other[0]], [*device("d1", unit="crac_1"), *device("d1", unit="crac_2")], [one[0], renamed]):
        assert points_of(mixed) == tuple(mixed)
    assert points_of([]) == ()


def test_devices_of_one_profile_share_what_is_the_same():
    one, other = points_of(device("d1")), points_of(device("d2"))
    assert isinstance(one, Points)
    assert isinstance(other, Points)
    assert one._rows is other._rows


def test_only_a_point_that_was_asked_for_is_kept():
    columns = points_of(device("d1"))
    assert isinstance(columns, Points)
    readings = Readings(sheet_of(columns), (1.0, 2.0, 3.0))
    assert [reading.point for reading in readings] == device("d1")
    assert not columns._made
    assert readings[1].point is readings[1].point
    assert list(columns._made) == [1]
