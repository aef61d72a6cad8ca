"""Whether a warning's area has the site in it.

Rules
  - Three answers: yes, no, and None for "cannot tell", which is not a no.
  - Degrees are treated as a plane within a polygon; warning polygons are small and none spans a pole.
"""

from collections.abc import Iterable
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

from envmon.config.settings import WeatherSettings
from envmon.weather.message import Area

EARTH_KM = 6_371.0


def concerns(settings: WeatherSettings, areas: Iterable[Area]) -> bool | None:
    """Whether one of the areas has the site's point or one of its codes; None when none can be compared with them."""
    codes = frozenset(code.casefold() for code in settings.areas)
    compared = False
    for area in areas:
        if codes and area.codes:
            compared = True
            if any(code.casefold() in codes for code in area.codes):
                return True
        if settings.point is not None and (area.polygons or area.circles):
            compared = True
            if _holds(area, *settings.point):
                return True
    return False if compared else None


def _holds(area: Area, latitude: float, longitude: float) -> bool:
    return any(_within(polygon, latitude, longitude) for polygon in area.polygons) or any(
        _distance_km(at, beside, latitude, longitude) <= km for at, beside, km in area.circles
    )


def _within(polygon: tuple[tuple[float, float], ...], latitude: float, longitude: float) -> bool:
    """Even-odd rule; each longitude is taken relative to the one before it, so that the date line is no seam."""
    inside = False
    corners: list[tuple[float, float]] = []
    for lat, lon in polygon:
        before = corners[-1][1] if corners else 0.0  # relative to the site
        corners.append((lat, before + _turn(lon - longitude - before)))
    for (lat1, lon1), (lat2, lon2) in pairwise([*corners, corners[0]]):
        crosses = (lat1 > latitude) != (lat2 > latitude)
        if crosses and lon1 + (latitude - lat1) / (lat2 - lat1) * (lon2 - lon1) > 0:
            inside = not inside
    return inside


def _turn(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0


def _distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great circle, haversine."""
    half = sin(radians(lat2 - lat1) / 2) ** 2
    half += cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))
