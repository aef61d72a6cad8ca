"""The JSON documents of the MQTT tree: one state per unit, one for the loop, one for the daemon itself.

Rules
  - ``PREFIX/SITE/ZONE/UNIT``: a unit's readings (the device's id where it serves no unit; no zone level where none).
  - ``PREFIX/SITE/state``: the loop. ``PREFIX/SITE/status``: online or offline, no ``time`` when it is the will.
  - A reading without a usable value has ``"value": null`` and a reason; it is never left out and never zero.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from envmon.model.reading import Point, Quality, Reading, Reason, Severity

_GOOD, _STATELESS = Quality.GOOD, Severity.NONE  # looking a member up in its class is slow
_NOT_A_LEVEL = re.compile(r"[+#/\x00]")  # MQTT 5, 4.7: wildcards, the separator, U+0000


def topic_of(point: Point, prefix: str, site: str) -> str:
    """Where the state of this point's unit lives."""
    levels = [site, point.zone, point.unit or point.device]
    return "/".join([prefix, *(_NOT_A_LEVEL.sub("_", level) for level in levels if level)])


def rfc3339(wall: float) -> str:
    """Unix seconds as UTC text with milliseconds (RFC 3339)."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unit_document(polls: Iterable[tuple[float, Iterable[Reading]]]) -> str:
    """One unit's state from the last poll of every device that serves it: (Unix seconds, readings).

    ``time`` is the newest poll; a point of an older poll carries its own ``time``.
    """
    polls = sorted(polls, key=lambda poll: poll[0], reverse=True)
    newest = polls[0][0]
    points: dict[str, str] = {}
    for wall, readings in polls:
        when = f',"time":"{rfc3339(wall)}"' if wall != newest else ""
        for reading in readings:
            point, value = reading.point, reading.value
            if reading.quality is _GOOD and reading.severity is _STATELESS and isinstance(value, float):  # nearly all
                opening, closing = _around(point.name, point.measure)
                points[point.name] = f"{opening}{_number(value)}{closing}{when}}}"
            else:
                points[point.name] = f"{encode(point.name)}:{encode(_reading(reading))[:-1]}{when}}}"
    return f'{{"time":"{rfc3339(newest)}","points":{{{",".join(points.values())}}}}}'


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


@lru_cache(maxsize=1 << 12)
def _around(name: str, measure: str) -> tuple[str, str]:
    """What stands before and after a good number."""
    return f'{encode(name)}:{{"value":', f',"unit":{encode(measure)},"quality":"good"'


@lru_cache(maxsize=1 << 14)
def _number(value: float) -> str:
    """A number as JSON wants it; a plant repeats its numbers, within a device and across devices."""
    return repr(value) if math.isfinite(value) else "null"


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
