"""The JSON documents of the MQTT tree: one state per unit, one for the loop, one for the daemon itself.

Rules
  - ``PREFIX/SITE/ZONE/UNIT``: a unit's readings (the device's id where it serves no unit; no zone level where none).
  - ``PREFIX/SITE/state``: the loop. ``PREFIX/SITE/status``: online or offline, no ``time`` when it is the will.
  - A reading without a usable value has ``"value": null`` and a reason; it is never left out and never zero.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from envmon.model.reading import Point, Reading, Reason, Severity
from envmon.model.readings import Readings, Sheet
from envmon.publishers.texts import Texts

_TEXTS = Texts(repr)  # a finite number as JSON wants it
_NOT_A_LEVEL = re.compile(r"[+#/\x00]")  # MQTT 5, 4.7: wildcards, the separator, U+0000


def topic_of(point: Point, prefix: str, site: str) -> str:
    """Where the state of this point's unit lives."""
    levels = [site, point.zone, point.unit or point.device]
    return "/".join([prefix, *(_NOT_A_LEVEL.sub("_", level) for level in levels if level)])


def rfc3339(wall: float) -> str:
    """Unix seconds as UTC text with milliseconds, those begun not counted (RFC 3339)."""
    second, millis = divmod(math.floor(wall * 1000), 1000)
    return f"{_second(second)}.{millis:03d}Z"


@lru_cache(maxsize=1 << 4)
def _second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat()[:19]


Entry = tuple[int, str, str, str]
"""Of one point: its position, its name, and what stands before and after its number when that is good."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one device says of one unit: where the unit's state lives, and which of the device's points it has."""

    topic: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Poll:
    """A part with what was last read of it, and when (Unix seconds)."""

    wall: float
    readings: Readings
    part: Part


def parts_of(sheet: Sheet, prefix: str, site: str) -> tuple[Part, ...]:
    """Sort the points of a device by the units they speak of; most devices speak of one only."""
    units: dict[tuple[str | None, str], list[tuple[int, Point]]] = {}
    for at, point in enumerate(sheet.points):
        units.setdefault((point.zone, point.unit or point.device), []).append((at, point))
    return tuple(
        Part(
            topic_of(points[0][1], prefix, site),
            _entries(tuple((at, point.name, point.measure) for at, point in points)),
        )
        for points in units.values()
    )


def unit_document(polls: Collection[Poll]) -> str:
    """One unit's state from the last poll of every device that serves it.

    ``time`` is the newest poll; a point of an older poll carries its own ``time``.
    """
    newest, *older = sorted(polls, key=lambda poll: poll.wall, reverse=True) if len(polls) > 1 else polls
    when = rfc3339(newest.wall)
    told = _told(newest, "")
    if older:
        points = {entry[1]: text for entry, text in zip(_in_order(newest), told, strict=True)}
        for poll in older:
            own = f',"time":"{rfc3339(poll.wall)}"' if poll.wall != newest.wall else ""
            texts = zip(_in_order(poll), _told(poll, own), strict=True)
            points = {entry[1]: text for entry, text in texts} | points
        told = list(points.values())
    return f'{{"time":"{when}","points":{{{",".join(told)}}}}}'


def _told(poll: Poll, own: str) -> list[str]:
    """The members of ``points``: first the good numbers, then the others; ``own`` goes into each."""
    numbers, others = poll.readings.numbers, poll.readings.others
    told = [
        f"{before}{_TEXTS[n]}{after}" for at, _, before, after in poll.part.entries if (n := numbers[at]) is not None
    ]
    if own:
        told = [f"{text[:-1]}{own}}}" for text in told]
    if others:
        odd = [(name, others[at]) for at, name, _, _ in poll.part.entries if at in others]
        told += [f"{encode(name)}:{encode(_reading(reading))[:-1]}{own}}}" for name, reading in odd]
    return told


def _in_order(poll: Poll) -> list[Entry]:
    """The entries in the order of ``_told``."""
    return sorted(poll.part.entries, key=lambda entry: entry[0] in poll.readings.others)


@lru_cache(maxsize=1 << 10)
def _entries(points: tuple[tuple[int, str, str], ...]) -> tuple[Entry, ...]:
    return tuple(
        (at, name, f'{encode(name)}:{{"value":', f',"unit":{encode(measure)},"quality":"good"}}')
        for at, name, measure in points
    )


def encode(document: Mapping[str, Any] | str) -> str:
    """Compact JSON; anything JSON does not know is shown as text, an infinite number as null."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(document), ensure_ascii=False, separators=(",", ":"), default=str)


def loop_document(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the loop's status without the devices, which speak through their units' states."""
    return {key: value for key, value in status.items() if key != "devices"}


def loop_key(status: Mapping[str, Any]) -> str:
    """What of the loop is worth a message at once: verdicts, mode, positions, the journal's head; no moving number."""
    zones = {
        name: [zone.get(key) for key in ("verdict", "basis", "phase", "n_plus")]
        + [(zone.get("time_to_limit") or {}).get("sight")]
        for name, zone in (status.get("zones") or {}).items()
    }
    routes = {
        name: [route.get(key) for key in ("position", "edges", "commanded", "proof", "latched", "power_may_go")]
        + [(item, check.get("pass")) for item, check in (route.get("readiness") or {}).items()]
        for name, route in (status.get("routes") or {}).items()
    }
    journal = (status.get("daemon") or {}).get("journal") or {}
    parts = [
        journal.get("head"),
        status.get("mode"),
        (status.get("armed") or {}).get("now"),
        status.get("lease"),
        zones,
        routes,
        status.get("pages"),
    ]
    return json.dumps(parts, default=str)


def _reading(reading: Reading) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "value": reading.value,
        "unit": reading.point.measure,
        "quality": reading.quality.value,
    }
    if reading.reason is not Reason.NONE:
        shown["reason"] = reading.reason.value
    if reading.severity is not Severity.NONE:
        shown["severity"] = reading.severity.value
    return shown


def _finite(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
