"""Alerts of the US National Weather Service: the GeoJSON of ``api.weather.gov/alerts/active``.

Rules
  - An alert that cannot be read is a fault beside the others, told with its place; so is an answer with more pages.

Source: the OpenAPI document of api.weather.gov (AlertCollectionGeoJson, Alert); RFC 7946 (longitude comes first).
"""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from envmon.weather.message import Area, Document, Info, Message, MessageError


def parse(body: bytes) -> Document:
    """Read a collection of alerts. Raises MessageError when it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MessageError("the answer is not JSON") from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise MessageError("the answer is JSON, but no collection of alerts: it has no list of features")
    messages: list[Message] = []
    faults: list[str] = []
    for number, feature in enumerate(features):
        try:
            messages.append(_message(feature, f"features[{number}]"))
        except MessageError as fault:
            faults.append(str(fault))
    pagination = document.get("pagination")
    if isinstance(pagination, dict) and pagination.get("next"):
        faults.append("there are more pages; ask for a smaller area")
    return Document(tuple(messages), faults=tuple(faults))


def _message(feature: Any, where: str) -> Message:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        raise MessageError(f"{where} has no properties")

    def text(name: str) -> str:
        value = properties.get(name)
        if value is not None and not isinstance(value, str):
            raise MessageError(f"{where}.properties.{name} is no text")
        return value or ""

    area = Area(polygons=tuple(_polygons(feature.get("geometry"), where)), codes=_codes(properties))
    info = Info(
        event=text("event"),
        severity=text("severity").lower(),
        urgency=text("urgency").lower(),
        response=text("response").lower(),
        onset=text("onset") or text("effective"),
        expires=text("expires"),
        ends=text("ends"),
        headline=text("headline"),
        areas=(area,),
    )
    identifier = text("id") or (feature.get("id") if isinstance(feature.get("id"), str) else "")
    if not identifier:
        raise MessageError(f"{where} has no id")
    return Message(
        sender=text("sender"),
        identifier=identifier,
        sent=text("sent"),
        status=text("status").lower(),
        kind=text("messageType").lower(),
        references=tuple(_references(properties)),
        infos=(info,),
    )


def _references(properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    given = properties.get("references")
    for each in given if isinstance(given, list) else ():
        if isinstance(each, dict) and isinstance(each.get("identifier"), str):
            sender = each.get("sender")
            yield sender if isinstance(sender, str) else "", each["identifier"]


def _codes(properties: dict[str, Any]) -> frozenset[str]:
    geocode = properties.get("geocode")
    lists = list(geocode.values()) if isinstance(geocode, dict) else []
    zones = properties.get("affectedZones")
    tails = [zone.rsplit("/", 1)[-1] for zone in zones if isinstance(zone, str)] if isinstance(zones, list) else []
    codes = (code for some in lists if isinstance(some, list) for code in some)
    return frozenset([*tails, *(code for code in codes if isinstance(code, str) and code)])


def _polygons(geometry: Any, where: str) -> Iterator[tuple[tuple[float, float], ...]]:
    """Outer rings as (latitude, longitude); holes are left out, so that an area is never too small."""
    if geometry is None:
        return
    try:
        match geometry["type"], geometry["coordinates"]:
            case "Polygon", rings:
                yield _ring(rings[0])
            case "MultiPolygon", polygons:
                yield from [_ring(rings[0]) for rings in polygons]
            case _:
                raise MessageError(f"{where}.geometry is neither a Polygon nor a MultiPolygon")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        raise MessageError(f"{where}.geometry cannot be read") from None


def _ring(ring: Any) -> tuple[tuple[float, float], ...]:
    """One ring as (latitude, longitude). Raises KeyError, TypeError, ValueError, IndexError, OverflowError."""
    corners = tuple((float(at[1]), float(at[0])) for at in ring)
    if len(corners) < 3 or not all(isfinite(part) for corner in corners for part in corner):
        raise ValueError
    return corners
