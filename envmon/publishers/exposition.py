"""Renders batches and statuses as pieces of Prometheus text, one piece per metric family, and joins them.

Rules
  - A block maps a family's name to its finished lines. Joining groups by family, because the text exposition format
    0.0.4 wants every family's lines together under one HELP and one TYPE.
  - Only a value somebody may believe becomes a value: a bad or missing reading gets ``envmon_reading_fault`` instead.
  - A text that is no listed state (a serial number, an alarm's wording) is no label: it would make endless series.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from envmon.core.route_words import Edges, Proven, Threat
from envmon.model.effect import Urgency
from envmon.model.event import DeviceBatch
from envmon.model.reading import Quality, Reading, Role, Severity
from envmon.model.readings import Sheet, columns
from envmon.model.verdict import Basis, Mode, Phase, Position, Sight, Verdict
from envmon.model.weather import Posture
from envmon.publishers import families as f
from envmon.publishers.texts import Texts

Block = Mapping[str, str]

_GOOD = Quality.GOOD  # Python looks a member up in its class far slower than a name in its module


def labels(names: Iterable[str], values: Iterable[object]) -> str:
    """``{a="x",b="y"}`` without the labels that have no value."""
    pairs = [f'{name}="{escape(str(value))}"' for name, value in zip(names, values, strict=True) if value]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def escape(text: str) -> str:
    """A label value as the format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


Entry = tuple[int, str, Texts]
"""Of one point: its position, its labels and the blank behind them, and what writes its number and the line's end."""

Group = tuple[str, int, tuple[Entry, ...]]
"""The points of one family and one unit: the family's name, which of the device's units, and its entries."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What of a device's lines never changes: the groups are shared by the devices of a profile."""

    sheet: Sheet
    units: tuple[str, ...]  # the labels that say where, without the closing brace
    groups: tuple[Group, ...]


class BatchText:
    """Renders the polls of one site; remembers each device's fixed text."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._layouts: dict[str, _Layout] = {}

    def render(self, batch: DeviceBatch) -> dict[str, str]:
        """The block of one poll: values, states and faults."""
        readings = columns(batch.readings)
        layout = self._layouts.get(batch.device)
        if layout is None or layout.sheet is not readings.sheet:
            layout = self._layouts[batch.device] = _layout(self._site, readings.sheet)
        numbers = readings.numbers
        block: dict[str, str] = {}
        for name, unit, entries in layout.groups:
            lines = [which + texts[n] for at, which, texts in entries if (n := numbers[at]) is not None]
            if lines:
                where = name + layout.units[unit]
                text = where + where.join(lines)
                block[name] = block[name] + text if name in block else text
        for reading in readings.others.values():
            for name, line in _odd(self._site, reading):
                block[name] = f"{block.get(name, '')}{line}\n"
        return block

    def keep_only(self, devices: Container[str]) -> None:
        """Forget every other device."""
        self._layouts = {name: layout for name, layout in self._layouts.items() if name in devices}


def _layout(site: str, sheet: Sheet) -> _Layout:
    units: dict[str, int] = {}
    described: list[tuple[int, str, str, Role | None]] = []
    for point in sheet.points:
        unit = labels(f.POINT[:3], (site, point.zone, point.unit or point.device))[:-1]
        described.append((units.setdefault(unit, len(units)), point.name, point.measure, point.role))
    return _Layout(sheet, tuple(units), _groups(tuple(described)))


@lru_cache(maxsize=1 << 10)
def _groups(points: tuple[tuple[int, str, str, Role | None], ...]) -> tuple[Group, ...]:
    groups: dict[tuple[str, int], list[Entry]] = {}
    for at, (unit, name, measure, role) in enumerate(points):
        family, worth = f.family_of(measure, role, name)
        names = family.labels[3:]
        which = f",{labels(names, (name, role, measure)[: len(names)])[1:]} "
        groups.setdefault((family.name, unit), []).append((at, which, _texts(worth)))
    return tuple((name, unit, tuple(entries)) for (name, unit), entries in groups.items())


@cache
def _texts(worth: float) -> Texts:
    return Texts(lambda number: f"{number * worth:.10g}\n")


def _odd(site: str, reading: Reading) -> Iterator[tuple[str, str]]:
    """Render what is no plain good number: a state, a text, a fault; the names of families and their lines."""
    point, value = reading.point, reading.value
    opening = _opening(site, point.zone, point.unit or point.device, point.name, point.role)
    if reading.quality is not _GOOD:
        yield f.FAULT.name, f'{f.FAULT.name}{opening},quality="{reading.quality}",reason="{reading.reason}"}} 1'
    if value is None or reading.quality in {Quality.BAD, Quality.MISSING}:
        return
    if isinstance(value, str):
        if reading.severity is not Severity.NONE or point.role is not None:
            severity = "" if reading.severity is Severity.NONE else f',severity="{reading.severity}"'
            yield f.STATE.name, f'{f.STATE.name}{opening},state="{escape(value)}"{severity}}} 1'
    elif math.isfinite(value):
        family, worth = f.family_of(point.measure, point.role, point.name)
        measure = f",{labels(family.labels[5:], (point.measure,))[1:-1]}" if family.labels[5:] else ""
        yield family.name, f"{family.name}{opening}{measure}}} {value * worth:.10g}"


@lru_cache(maxsize=1 << 13)
def _opening(*where: str | None) -> str:
    return labels(f.POINT, where)[:-1]


def device_labels(site: str, zone: str | None, device: str) -> str:
    """The labels of what is said of a device itself."""
    return labels(f.DEVICE, (site, zone, device))


def device_block(where: str, *, up: bool, last_success: float | None) -> Block:
    """Whether the device with these labels answers, and when it last did (Unix seconds)."""
    block = {f.DEVICE_UP.name: f"{f.DEVICE_UP.name}{where} {int(up)}\n"}
    if last_success is not None:
        block[f.LAST_SUCCESS.name] = f"{f.LAST_SUCCESS.name}{where} {last_success:.3f}\n"
    return block


class _Lines:
    """A block in the making."""

    def __init__(self) -> None:
        self.block: dict[str, str] = {}

    def add(self, family: f.Family, where: tuple[object, ...], value: Any) -> None:
        """One sample; a value that is not a finite number is left out."""
        if isinstance(value, int | float) and math.isfinite(value):
            line = f"{family.name}{labels(family.labels, where)} {value:.13g}\n"
            self.block[family.name] = self.block.get(family.name, "") + line

    def add_set(self, family: f.Family, where: tuple[object, ...], states: type[StrEnum], now: Any) -> None:
        """One sample per state: 1 for ``now``, 0 for the others."""
        for state in states:
            self.add(family, (*where, state), int(state == now))


def status_block(site: str, status: Mapping[str, Any]) -> Block:
    """The loop's status, zone by zone and route by route."""
    lines = _Lines()
    where = (site,)
    lines.add_set(f.MODE, where, Mode, status.get("mode"))
    lines.add(f.ARMED, where, int(bool((status.get("armed") or {}).get("now"))))
    lease = status.get("lease") or {}
    lines.add(f.LEASE, where, int(bool(lease.get("held"))))
    if standby := status.get("standby"):
        lines.add(f.STANDBY, (*where, "yes" if standby.get("inherits") else "no"), 1)
    lines.add(f.EPOCH, where, lease.get("epoch"))
    lines.add_set(f.POSTURE, where, Posture, (status.get("storm") or {}).get("posture"))
    lines.add(f.MAINTENANCE, where, len(status.get("maintenance") or {}))
    lines.add(f.SHELVED, where, len(status.get("shelved") or {}))
    lines.add(f.HOLD_END, where, (status.get("hold") or {}).get("until"))
    lines.add(f.STATUS_TIME, where, status.get("time"))
    raised = list((status.get("pages") or {}).values())
    for urgency in Urgency:
        lines.add(f.PAGES, (*where, urgency), raised.count(urgency))
    for name, zone in (status.get("zones") or {}).items():
        _zone(lines, (site, name), zone)
    for name, route in (status.get("routes") or {}).items():
        _route(lines, (site, name), route)
    return lines.block


def _zone(lines: _Lines, where: tuple[str, str], zone: Mapping[str, Any]) -> None:
    forecast = zone.get("time_to_limit") or {}
    margin = zone.get("margin_kw")
    lines.add_set(f.VERDICT, where, Verdict, zone.get("verdict"))
    lines.add_set(f.PHASE, where, Phase, zone.get("phase"))
    lines.add_set(f.SIGHT, where, Sight, forecast.get("sight"))
    lines.add(f.PROJECTED, where, int(zone.get("basis") == Basis.PROJECTED))
    lines.add(f.HERE, where, int(zone.get("here") is not False))
    lines.add(f.ZONE_TEMPERATURE, where, zone.get("temperature_c"))
    lines.add(f.WORST, where, zone.get("worst_c"))
    lines.add(f.LOST, where, len(zone.get("lost_units") or ()))
    if forecast.get("sight") == Sight.FORECAST:
        lines.add(f.TO_LIMIT, where, forecast.get("lower_s"))
        lines.add(f.TO_LIMIT_MEDIAN, where, forecast.get("median_s"))
    lines.add(f.MARGIN, where, None if margin is None else margin * 1000)
    lines.add(f.SPARE, where, zone.get("n_plus"))


def _route(lines: _Lines, where: tuple[str, str], route: Mapping[str, Any]) -> None:
    lines.add_set(f.POSITION, where, Position, route.get("position"))
    lines.add_set(f.PROOF, where, Proven, route.get("proof"))
    lines.add_set(f.THREAT, where, Threat, route.get("threat"))
    lines.add_set(f.EDGES, where, Edges, route.get("edges_say"))
    lines.add(f.BACKUP, where, _share(route.get("percent")))
    lines.add(f.COMMANDED, where, _share(route.get("commanded")))
    for edge, percent in (route.get("edges") or {}).items():
        lines.add(f.EDGE, (*where, edge), _share(percent))
    lines.add(f.CALLS_LEFT, where, route.get("calls_left"))
    lines.add(f.EVACUATE, where, route.get("time_to_evacuate_s"))
    lines.add(f.LATCHED, where, int(route.get("latched") is True))
    lines.add(f.READY, where, int(route.get("ready") == "yes"))
    for item, check in (route.get("readiness") or {}).items():
        lines.add(f.READINESS, (*where, item), int(check.get("pass") is True))


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def join(blocks: Iterable[Block]) -> Iterator[str]:
    """All blocks as one text, a piece for each family that has samples, its header first."""
    pieces: dict[str, list[str]] = {family.name: [] for family in f.FAMILIES}
    for block in blocks:
        for name, text in block.items():
            pieces[name].append(text)
    for family in f.FAMILIES:
        if pieces[family.name]:
            yield "".join((family.header, *pieces[family.name]))
