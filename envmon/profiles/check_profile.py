"""What must fit together in a whole profile: names, tables, identification.

Rules
  - A part that names a column its table does not have is refused: it would select nothing, silently.
  - A regular expression that does not compile is refused here, not met at three in the morning.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from envmon.model.reading import Role
from envmon.profiles.build import Names, listed
from envmon.profiles.check import OID, Finding, check_address, check_point
from envmon.profiles.document import (
    ConditionShape,
    ConditionsShape,
    LabelFromShape,
    ModbusProfileShape,
    PointShape,
    ProfileShape,
    RegisterProbeShape,
    RowPointShape,
    SnmpIdentifyShape,
    SnmpProfileShape,
    TableShape,
)
from envmon.profiles.roles import LABELS


def check(shape: ProfileShape) -> Iterator[Finding]:
    """Name everything that does not fit together."""
    names = Names.of(shape)
    taken: set[str] = set()
    yield from _points(names, shape.points, ("points",), taken)
    match shape:
        case SnmpProfileShape():
            for index, table in enumerate(shape.tables):
                yield from _under(("tables", str(index)), _table(names, table))
            for index, each in enumerate(shape.conditions):
                yield from _under(("conditions", str(index)), _conditions(names, each, taken))
            if not (shape.points or shape.tables or shape.conditions):
                yield ("points",), "a profile without points, tables and conditions reads nothing"
        case ModbusProfileShape():
            for index, repeat in enumerate(shape.repeat):
                here = ("repeat", str(index))
                yield from _points(names, repeat.points, (*here, "points"), set(taken))
                if not (repeat.step or repeat.unit_step):
                    yield here, "every row would read the same registers; give step or unit_step"
            if not (shape.points or shape.repeat):
                yield ("points",), "a profile without points reads nothing"
    yield from _under(("identify",), _identify(names, shape))


def _points(names: Names, points: Sequence[PointShape], here: tuple[str, ...], taken: set[str]) -> Iterator[Finding]:
    for index, point in enumerate(points):
        way = (*here, str(index))
        if point.name in taken:
            yield (*way, "name"), f"two points are named {point.name}"
        taken.add(point.name)
        yield from _under(way, check_point(names, point))


def _table(names: Names, table: TableShape) -> Iterator[Finding]:
    if (table.walk is None) == (table.rows is None):
        yield ("walk",), "give either walk (a column that every row has) or rows (their indexes)"
    yield from _columns(names, table.columns)
    within = names.within(table.columns)
    yield from ((("walk",), _no_oid(oid)) for oid in map(str, listed(table.walk)) if not OID.fullmatch(within.oid(oid)))
    known = set(table.columns)
    key = table.key.column if isinstance(table.key, LabelFromShape) else table.key
    if key is not None and key not in known:
        yield ("key",), _no_column(key, known)
    yield from _under(("select",), _condition_list(table.select, known))
    for index, point in enumerate(table.points):
        yield from _under(("points", str(index)), _row_point(within, point, known))


def _row_point(names: Names, point: RowPointShape, known: set[str]) -> Iterator[Finding]:
    yield from check_point(names, point)
    yield from _under(("when",), _condition_list(point.when, known))
    if point.role_from is not None:
        if point.role_from.column not in known:
            yield ("role_from", "column"), _no_column(point.role_from.column, known)
        for raw, role in point.role_from.map.items():
            if role in LABELS and not point.map:
                yield ("role_from", "map", str(raw)), f"role {role} needs a map"
    scales = point.scale_from if isinstance(point.scale_from, list) else [point.scale_from]
    for scale in scales:
        if scale.column not in known:
            yield ("scale_from",), _no_column(scale.column, known)
        if (scale.map is None) == (scale.how is None):
            yield ("scale_from",), "give either map, or how: decimals or factor"


def _conditions(names: Names, each: ConditionsShape, taken: set[str]) -> Iterator[Finding]:
    yield from _columns(names, each.columns)
    within = names.within(each.columns)
    if not OID.fullmatch(within.oid(each.walk)):
        yield ("walk",), _no_oid(each.walk)
    known = set(each.columns)
    for name in (each.name, each.count):
        if name in taken:
            yield ("name",), f"two points are named {name}"
        if name is not None:
            taken.add(name)
    for key, part in (("label_from", each.label_from), ("severity_from", each.severity_from)):
        if part is not None and part.column not in known:
            yield (key, "column"), _no_column(part.column, known)
    if each.role is Role.ALARM and each.severity_from is None:
        yield ("role",), "role alarm needs severity_from: the judgement must know how bad a condition is"
    yield from _under(("active",), _condition_list(each.active, known))


def _columns(names: Names, columns: Mapping[str, str]) -> Iterator[Finding]:
    for name, oid in columns.items():
        if name == "base":
            yield ("columns", name), "base is the profile's own; name the column otherwise"
        if not OID.fullmatch(names.oid(oid)):
            yield ("columns", name), _no_oid(oid)


def _condition_list(conditions: Sequence[ConditionShape], known: set[str]) -> Iterator[Finding]:
    for index, condition in enumerate(conditions):
        here = (str(index),)
        if (condition.column is None) == (condition.index is None):
            yield here, "give either column or index"
        if condition.column is not None and condition.column not in known:
            yield (*here, "column"), _no_column(condition.column, known)
        if condition.matches is not None:
            yield from _regex((*here, "matches"), condition.matches)


def _identify(names: Names, shape: ProfileShape) -> Iterator[Finding]:
    told = shape.identify
    if isinstance(told, SnmpIdentifyShape):
        for key in ("sys_object_id", "probe", "absent"):
            for index, oid in enumerate(getattr(told, key)):
                if not OID.fullmatch(names.oid(oid)):
                    yield (key, str(index)), _no_oid(oid)
        yield from _regex(("sys_descr",), told.sys_descr)
        if not (told.sys_object_id or told.sys_descr or told.probe):
            yield (), "give sys_object_id, sys_descr or probe"
    elif told is not None:
        for index, probe in enumerate(told.registers):
            yield from _under(("registers", str(index)), _register(names, probe))


def _register(names: Names, probe: RegisterProbeShape) -> Iterator[Finding]:
    yield from check_address(names, probe)
    if (probe.equals is None) == (probe.matches is None):
        yield (), "give either equals or matches"
    if probe.matches is not None:
        yield from _regex(("matches",), probe.matches)


def _regex(way: tuple[str, ...], pattern: str) -> Iterator[Finding]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield way, f"not a regular expression: {error}"


def _under(here: tuple[str, ...], findings: Iterator[Finding]) -> Iterator[Finding]:
    yield from (((*here, *way), text) for way, text in findings)


def _no_oid(oid: str) -> str:
    return f"{oid!r} is not a numeric object identifier"


def _no_column(name: str, known: set[str]) -> str:
    return f"columns has no {name!r}; it has {', '.join(sorted(known)) or 'none'}"
