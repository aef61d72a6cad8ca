"""Rows found in an SNMP table to points with names that stay: which rows count, what each is called, its role and unit.

Rules
  - A point exists where its cell answers. What is told by a text or number the profile does not list is left out,
    never guessed: a row of an unlisted unit has no value that could be read right.
  - A point is named by the row's key, not by its place, wherever the table has a key: rows move when an agent restarts.
  - Two rows of one key are told apart by their index.

Theory of operation
  The driver walks ``walk`` (or takes ``rows``), reads ``wanted`` of every row and calls ``expand``. The points that
  come out have whole OIDs and are read like any other from then on, until the rows are looked up again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from envmon.model.reading import Role
from envmon.profiles.bind import BoundPoint, Place, relocate
from envmon.profiles.decode import Plain, Raw, plain
from envmon.profiles.roles import MEASURES
from envmon.profiles.schema_point import Address, Oid, ProfilePoint
from envmon.profiles.schema_rows import Condition, RowPoint, ScaleFrom, Table

Cells = Mapping[str, Raw]
"""What the agent answered, by whole OID; without what it does not have."""

_LONGEST = 60
_FEW_DOTS = 4  # more, and nothing but digits: an object identifier, whose end tells more than its beginning


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the index behind every column, and what its named columns show."""

    index: str
    told: Mapping[str, Plain]

    def part(self, number: int) -> str:
        """Return part ``number`` of the index, counted from 1; "" where it is shorter."""
        parts = self.index.split(".")
        return parts[number - 1] if number <= len(parts) else ""


def wanted(table: Table, index: str) -> Iterator[str]:
    """Yield every OID of one row that ``expand`` wants to know."""
    for _, column in table.columns:
        yield f"{column}.{index}"
    for point in table.points:
        for address in (point.spec.address, point.spec.unit_from.address if point.spec.unit_from else None):
            if address is not None:
                yield _at(address, index)


def row_of(columns: tuple[tuple[str, str], ...], index: str, cells: Cells) -> Row:
    """Put together what the agent told of one row."""
    return Row(index, {name: plain(cells.get(f"{column}.{index}")) for name, column in columns})


def holds(conditions: Iterable[Condition], row: Row) -> bool:
    """Whether the row shows all that is asked."""
    return all(_shows(condition, row) for condition in conditions)


def expand(table: Table, indexes: Iterable[str], cells: Cells, at: Place) -> tuple[BoundPoint, ...]:
    """Return the points of all rows of one table, each name once."""
    found: dict[str, BoundPoint] = {}
    for index in indexes:
        row = row_of(table.columns, index, cells)
        if not holds(table.select, row):
            continue
        behind = ".".join(row.part(number) for number in table.serves)
        for template in table.points:
            spec = _spec(table, template, row, cells, served=behind in at.units)
            if spec is None:
                continue
            bound = at.bind(spec, behind)
            if bound.point.id in found:
                spec = replace(spec, name=f"{spec.name}_{index.replace('.', '_')}")
                bound = at.bind(spec, behind)
            found[bound.point.id] = bound
    return tuple(found.values())


def _spec(table: Table, template: RowPoint, row: Row, cells: Cells, *, served: bool) -> ProfilePoint | None:
    if not holds(template.when, row) or cells.get(_at(template.spec.address, row.index)) is None:
        return None
    spec = _with_unit(template.spec, row, cells)
    factor = _factor(template.scale_from, row)
    if spec is None or factor is None:
        return None
    scaling = replace(spec.scaling, scale=spec.scaling.scale * factor)
    units = spec.unit_from
    if units is not None:
        cases = tuple((raw, replace(each, scale=each.scale * factor)) for raw, each in units.scalings)
        units = replace(units, scalings=cases)
    name = _name(table, spec.name, row, served=served)
    spec = replace(spec, name=name, role=_role(template, row, scaling.measure), scaling=scaling, unit_from=units)
    return relocate(spec, lambda address: _cell(address, row.index))


def _with_unit(spec: ProfilePoint, row: Row, cells: Cells) -> ProfilePoint | None:
    """Settle the measure of a point whose unit the row tells; where it may change later, it is read at every poll."""
    if spec.unit_from is None:
        return spec
    shown = plain(cells.get(_at(spec.unit_from.address, row.index)))
    now = next((each for raw, each in spec.unit_from.scalings if _same(shown, str(raw))), None)
    now = spec.unit_from.absent if shown is None else now
    if now is None:
        return None
    alike = tuple(case for case in spec.unit_from.scalings if case[1].measure == now.measure)
    units = {case[1].unit for case in alike}
    sensible = spec.valid_range or ((-40.0, 125.0) if now.measure == "degC" else None)
    return replace(
        spec,
        scaling=now,
        valid_range=sensible if now.measure in {"degC", spec.scaling.measure} else None,
        unit_from=replace(spec.unit_from, scalings=alike) if len(units) > 1 else None,
    )


def _role(template: RowPoint, row: Row, measure: str) -> Role | None:
    """Return the role the row tells, or the template's; none that its measure cannot fill."""
    told, role = template.role_from, template.spec.role
    if told is not None:
        shown = row.told.get(told.column)
        role = next((Role(role) for case, role in told.cases if _same(shown, case)), role)
    return role if role is None or MEASURES.get(role, measure) == measure else None


def _factor(scales: tuple[ScaleFrom, ...], row: Row) -> float | None:
    """Return the product of what the columns say; None where one says what the profile does not list."""
    product = 1.0
    for scale in scales:
        shown = row.told.get(scale.column)
        if scale.how == "map":
            factor = next((factor for case, factor in scale.cases if _same(shown, case)), None)
        else:
            factor = _as_factor(scale.how, shown)
        if factor is None:
            return None
        product *= factor
    return product


def _as_factor(how: str, shown: Plain) -> float | None:
    try:
        number = int(shown) if shown is not None else 0
    except ValueError:
        return None
    if how == "decimals":
        return 10.0**-number if -12 <= number <= 12 else None
    return 1.0 if number == 0 else float(number) if number > 0 else 1.0 / -number


def _name(table: Table, pattern: str, row: Row, *, served: bool) -> str:
    rest = "_".join(part for number, part in enumerate(row.index.split("."), 1) if number not in table.serves)
    key = (_key(table, row) if table.key else "") or rest
    if "{" not in pattern and not table.serves:
        pattern += "_{key}"
    name = pattern.replace("{key}", key).replace("{row}", rest)
    for number in range(1, 10):
        name = name.replace(f"{{{number}}}", row.part(number))
    if table.serves and not served:
        name = f"unit_{'_'.join(row.part(number) for number in table.serves)}_{name}"
    return (name if name[0].isalpha() else f"n{name}")[:_LONGEST].strip("_")


def _key(table: Table, row: Row) -> str:
    shown = str(row.told.get(table.key) or "").removeprefix(".")
    listed = next((label for case, label in table.labels if _same(shown, case)), None)
    is_oid = shown.count(".") > _FEW_DOTS and shown.replace(".", "").isdigit()
    return listed or slug("_".join(shown.split(".")[-3:]) if is_oid else shown)


def slug(words: str) -> str:
    """Return a name made of the letters and digits of a text, "" where it has none."""
    return re.sub(r"[^a-z0-9]+", "_", words.casefold()).strip("_")[:40]


def _cell(column: Address, index: str) -> Oid:
    if not isinstance(column, Oid):
        raise TypeError("a table was built with Modbus addresses")
    if column.oid.endswith(".0"):  # no column: a setting of the whole device
        return column
    return Oid(f"{column.oid}.{index}", column.text)


def _at(column: Address, index: str) -> str:
    return _cell(column, index).oid


def _shows(condition: Condition, row: Row) -> bool:
    shown = row.told.get(condition.column) if condition.column else row.part(condition.index)
    if shown is None:
        return False
    if condition.equals and not any(_same(shown, case) for case in condition.equals):
        return False
    return not condition.matches or re.search(condition.matches, str(shown)) is not None


def _same(shown: Plain, case: str) -> bool:
    return shown is not None and str(shown).removeprefix(".").casefold() == case.removeprefix(".").casefold()
