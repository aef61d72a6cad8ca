"""What must fit together in a profile beyond the type of each key.

Rules
  - A role promises a measure (degC for temperatures) or states with agreed labels; a profile that breaks the promise
    would mislead the judgement, so it is refused.
  - A raw number that the point's type cannot hold (a sentinel, a state) is refused: it could never match.
"""

import re
from collections.abc import Iterator, Mapping

from envmon.model.reading import Role, UnitState
from envmon.profiles.build import address_of, as_decoded
from envmon.profiles.document import (
    CrossCheckShape,
    PointShape,
    ProfileShape,
)
from envmon.profiles.schema import Oid, Register, RegisterType
from envmon.profiles.tree import Path
from envmon.profiles.units import UNITS

Finding = tuple[Path, str]

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_BITS = {1, 2}  # functions that read bits
_RANGE: Mapping[RegisterType, tuple[float, float]] = {
    RegisterType.INT16: (-(2**15), 2**15 - 1),
    RegisterType.UINT16: (0, 2**16 - 1),
    RegisterType.INT32: (-(2**31), 2**31 - 1),
    RegisterType.UINT32: (0, 2**32 - 1),
    RegisterType.BIT: (0, 1),
}
_MEASURE: Mapping[Role, str] = {
    Role.SUPPLY_TEMP: "degC",
    Role.RETURN_TEMP: "degC",
    Role.RACK_INLET_TEMP: "degC",
    Role.CHILLED_WATER_SUPPLY_TEMP: "degC",
    Role.CHILLED_WATER_RETURN_TEMP: "degC",
    Role.CHILLED_WATER_FLOW: "l/s",
    Role.SETPOINT: "degC",
    Role.COOLING_OUTPUT: "kW",
    Role.COOLING_DEMAND: "kW",
    Role.HUMIDITY: "%",
    Role.FAN_SPEED: "%",
    Role.AIRFLOW: "l/s",
    Role.ALARM_COUNT: "",
}
_LABELS: Mapping[Role, frozenset[str]] = {
    Role.UNIT_RUNNING: frozenset(UnitState),
    Role.ON_BATTERY: frozenset({"yes", "no"}),
    Role.ALARM: frozenset(),  # any label; the severity speaks
    Role.LEAK: frozenset(),
    Role.COMM_OK: frozenset(),
}


def check(shape: ProfileShape) -> Iterator[Finding]:
    """Name everything that does not fit together."""
    names: set[str] = set()
    points: tuple[PointShape, ...] = tuple(shape.points)
    for index, point in enumerate(points):
        here = ("points", str(index))
        if point.name in names:
            yield (*here, "name"), f"two points are named {point.name}"
        names.add(point.name)
        for way, text in _check_point(shape, point):
            yield (*here, *way), text


def _check_point(shape: ProfileShape, point: PointShape) -> Iterator[Finding]:
    yield from _check_address(shape, point)
    yield from _check_scaling(point)
    yield from _check_role(point)
    yield from _check_raws(shape, point)
    cross = point.cross_check
    if cross is not None:
        for way, text in (*_check_address(shape, cross), *_check_scaling(cross)):
            yield ("cross_check", *way), text
        if cross.unit in UNITS and point.unit in UNITS and UNITS[cross.unit].measure != UNITS[point.unit].measure:
            yield ("cross_check", "unit"), f"{cross.unit!r} is not the same quantity as {point.unit!r}"
    if point.valid_range is not None and point.valid_range[0] >= point.valid_range[1]:
        yield ("valid_range",), "give the lower end first"
    if point.difference and point.unit not in {"degC", "degF", "K"}:
        yield ("difference",), "only a temperature can be a difference"
    if point.map and (point.unit or point.valid_range or cross):
        yield ("map",), "a point with a map has no unit, valid_range or cross_check"


def _check_address(shape: ProfileShape, at: PointShape | CrossCheckShape) -> Iterator[Finding]:
    address = address_of(shape, at)
    if isinstance(address, Oid):
        if not _OID.fullmatch(address.oid):
            yield ("oid",), f"{address.oid!r} is not a numeric object identifier such as 1.3.6.1.2.1.33.1.4.1.0"
        return
    is_bit = address.type is RegisterType.BIT
    if address.function in _BITS and not is_bit:
        yield ("type",), f"function {address.function} reads bits; its type is bit"
    if getattr(at, "bit", None) is not None and (not is_bit or address.function in _BITS):
        yield ("bit",), "bit is for type bit with function 3 or 4"
    if getattr(at, "registers", None) is not None and address.type is not RegisterType.ASCII:
        yield ("registers",), f"{address.type} knows its own size; registers is for ascii"
    if address.address + address.registers > 65536:
        yield ("address",), f"{address.registers} registers from {address.address} pass 65535"
    if address.registers > _max_read(shape):
        yield ("registers",), f"more than max_read ({_max_read(shape)}) allows in one request"


def _max_read(shape: ProfileShape) -> int:
    return shape.modbus.max_read if shape.protocol == "modbus" else 0


def _check_scaling(at: PointShape | CrossCheckShape) -> Iterator[Finding]:
    if at.unit not in UNITS:
        yield ("unit",), f"unknown unit {at.unit!r}; known: {', '.join(unit for unit in UNITS if unit)}"
    if at.scale == 0:
        yield ("scale",), "a scale of 0 makes every value the same"


def _check_role(point: PointShape) -> Iterator[Finding]:
    role = point.role
    if role is None:
        return
    if role in _MEASURE:
        measure = UNITS[point.unit].measure if point.unit in UNITS else _MEASURE[role]
        if point.map:
            yield ("map",), f"role {role} is a number"
        elif measure != _MEASURE[role] or point.difference:
            yield ("unit",), f"role {role} needs a unit of {_MEASURE[role] or 'counts (no unit)'}, not {point.unit!r}"
    if role in _LABELS and not point.map:
        yield ("role",), f"role {role} needs a map"
    allowed = _LABELS.get(role, frozenset())
    for raw, (label, _) in point.map.items():
        if allowed and label not in allowed:
            yield ("map", str(raw), "0"), f"role {role} knows {', '.join(sorted(allowed))}; not {label}"


def _check_raws(shape: ProfileShape, point: PointShape) -> Iterator[Finding]:
    address = address_of(shape, point)
    raws = [(("invalid", str(index)), raw) for index, raw in enumerate(point.invalid)]
    raws += [(("map", str(raw)), float(raw)) for raw in point.map if isinstance(raw, int)]
    for way, raw in raws:
        if isinstance(address, Register) and not _holds(address, raw):
            yield way, f"a {address.type} never holds {raw:g}"


def _holds(address: Register, raw: float) -> bool:
    if address.type is RegisterType.FLOAT32:
        return True
    if address.type is RegisterType.ASCII:
        return False
    low, high = _RANGE[address.type]
    return low <= as_decoded(address, raw) <= high and raw == int(raw)
