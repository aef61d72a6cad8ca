"""From the shape of an SNMP profile's tables and conditions to what the driver looks up and expands.

Rules
  - In a table every address is a column; ``{name}`` stands for one of its named columns.
"""

from dataclasses import replace

from envmon.model.reading import Role
from envmon.profiles.build import Names, build, build_point, listed
from envmon.profiles.document import (
    ConditionShape,
    ConditionsShape,
    LabelFromShape,
    ProfileShape,
    RowPointShape,
    ScaleFromShape,
    SnmpProfileShape,
    TableShape,
)
from envmon.profiles.schema import Profile
from envmon.profiles.schema_rows import Condition, Conditions, FromColumn, RowPoint, ScaleFrom, Table


def build_all(shape: ProfileShape) -> Profile:
    """Compile a checked shape with its tables."""
    profile = build(shape)
    if not isinstance(shape, SnmpProfileShape):
        return profile
    names = Names.of(shape)
    return replace(
        profile,
        tables=tuple(_table(names, table) for table in shape.tables),
        conditions=tuple(_conditions(names, each) for each in shape.conditions),
    )


def _table(names: Names, table: TableShape) -> Table:
    within = names.within(table.columns)
    key = table.key
    return Table(
        columns=tuple((name, within.words[name]) for name in table.columns),
        points=tuple(_row_point(within, point) for point in table.points),
        walk=tuple(within.oid(str(oid)) for oid in listed(table.walk)),
        rows=tuple(table.rows or ()),
        select=tuple(_condition(each) for each in table.select),
        key=key.column if isinstance(key, LabelFromShape) else key or "",
        labels=_labels(key) if isinstance(key, LabelFromShape) else (),
        serves=tuple(int(part) for part in listed(table.serves)),
    )


def _labels(shape: LabelFromShape) -> tuple[tuple[str, str], ...]:
    return tuple((str(raw).removeprefix("."), label) for raw, label in shape.map.items())


def _row_point(names: Names, point: RowPointShape) -> RowPoint:
    scales = point.scale_from if isinstance(point.scale_from, list) else [point.scale_from]
    roles = point.role_from
    return RowPoint(
        spec=build_point(names, point),
        when=tuple(_condition(each) for each in point.when),
        role_from=FromColumn(roles.column, tuple((str(k), v.value) for k, v in roles.map.items())) if roles else None,
        scale_from=tuple(_scale(each) for each in scales),
    )


def _scale(shape: ScaleFromShape) -> ScaleFrom:
    cases = tuple((str(raw), factor) for raw, factor in (shape.map or {}).items())
    return ScaleFrom(shape.column, shape.how or "map", cases)


def _condition(shape: ConditionShape) -> Condition:
    equals = tuple(str(raw) for raw in listed(shape.equals))
    return Condition(shape.column or "", shape.index or 0, equals, shape.matches or "")


def _conditions(names: Names, shape: ConditionsShape) -> Conditions:
    within = names.within(shape.columns)
    severity = shape.severity_from
    return Conditions(
        name=shape.name,
        walk=within.oid(shape.walk),
        columns=tuple((name, within.words[name]) for name in shape.columns),
        active=tuple(_condition(each) for each in shape.active),
        label=shape.label_from.column,
        labels=_labels(shape.label_from),
        severity=FromColumn(severity.column, tuple((str(k), v) for k, v in severity.map.items())) if severity else None,
        settle_s=shape.settle_s,
        role=Role.ALARM if shape.role else None,
        count=shape.count or "",
    )
