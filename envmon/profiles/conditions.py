"""A table of what is wrong now, whose rows come and go, to two readings: the worst condition and how many there are.

Rules
  - A present row may be over already: it counts only while ``active`` holds.
  - An empty table just after the agent started proves nothing: the readings are uncertain until it has settled.
  - A condition whose severity the profile does not list is unknown, and worse than everything that is listed as ok.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity
from envmon.profiles.bind import Place
from envmon.profiles.expand import Cells, Row, holds, row_of, slug
from envmon.profiles.schema_rows import Conditions

CLEAR = "clear"
_RANK = (Severity.OK, Severity.WARNING, Severity.UNKNOWN, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class BoundConditions:
    """The two points of one table on one device; ``count`` None where the profile wants none."""

    spec: Conditions
    alarm: Point
    count: Point | None
    votes: bool


def bind_conditions(spec: Conditions, at: Place) -> BoundConditions:
    """Give the points their full names."""
    count = at.point(spec.count, Role.ALARM_COUNT if spec.role else None) if spec.count else None
    alarm = at.point(spec.name, spec.role)
    return BoundConditions(spec, alarm, count, at.may_vote(alarm))


def summarise(bound: BoundConditions, indexes: Iterable[str], cells: Cells, uptime_s: float | None) -> list[Reading]:
    """Return the readings. ``uptime_s`` is the agent's own (sysUpTime), None where it does not tell."""
    rows = [row_of(bound.spec.columns, index, cells) for index in indexes]
    active = [row for row in rows if holds(bound.spec.active, row)]
    settling = not active and uptime_s is not None and uptime_s < bound.spec.settle_s
    if settling:
        quality, reason = Quality.UNCERTAIN, Reason.SETTLING
    elif not bound.votes:
        quality, reason = Quality.UNCERTAIN, Reason.NOT_COMMISSIONED
    else:
        quality, reason = Quality.GOOD, Reason.NONE
    severity, label = max(
        ((_severity(bound.spec, row), _label(bound.spec, row)) for row in active),
        key=lambda found: _RANK.index(found[0]),
        default=(Severity.UNKNOWN if settling else Severity.OK, CLEAR),
    )
    readings = [Reading(bound.alarm, label, quality, reason, severity)]
    if bound.count is not None:
        readings.append(Reading(bound.count, float(len(active)), quality, reason))
    return readings


def unread(bound: BoundConditions, reason: Reason) -> list[Reading]:
    """Say that the table could not be read, and why."""
    readings = [Reading(bound.alarm, None, Quality.MISSING, reason, Severity.UNKNOWN)]
    if bound.count is not None:
        readings.append(Reading(bound.count, None, Quality.MISSING, reason))
    return readings


def wanted(spec: Conditions, index: str) -> list[str]:
    """Return every OID of one row."""
    return [f"{column}.{index}" for _, column in spec.columns]


def _label(spec: Conditions, row: Row) -> str:
    shown = str(row.told.get(spec.label) or "").removeprefix(".")
    named = next((label for case, label in spec.labels if case.casefold() == shown.casefold()), slug(shown))
    return named or f"condition_{slug(row.index)}"


def _severity(spec: Conditions, row: Row) -> Severity:
    if spec.severity is None:
        return Severity.UNKNOWN
    shown = str(row.told.get(spec.severity.column))
    return next((Severity(name) for case, name in spec.severity.cases if case == shown), Severity.UNKNOWN)
