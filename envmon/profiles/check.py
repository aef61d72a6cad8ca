"""What must fit together in a point beyond the type of each key.

Rules
  - A role promises a measure (degC for temperatures) or states with agreed labels; a profile that breaks the promise
    would mislead the judgement, so it is refused.
  - A raw number that the point's type cannot hold (a sentinel, a state) is refused: it could never match.
"""

import re
from collections.abc import Iterator, Mapping

from envmon.profiles.build import SIZED, Names, as_decoded, seconds
from envmon.profiles.document import AddressShape, PointShape, RowPointShape, ScalingBody
from envmon.profiles.roles import LABELS, MEASURES
from envmon.profiles.schema_point import Oid, Register, RegisterType
from envmon.profiles.tree import Path
from envmon.profiles.units import UNITS

Finding = tuple[Path, str]

OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_BITS = {1, 2}  # functions that read bits
_RANGE: Mapping[RegisterType, tuple[float, float]] = {
    RegisterType.INT16: (-(2**15), 2**15 - 1),
    RegisterType.UINT16: (0, 2**16 - 1),
    RegisterType.INT32: (-(2**31), 2**31 - 1),
    RegisterType.UINT32: (0, 2**32 - 1),
    RegisterType.INT64: (-(2**63), 2**63 - 1),
    RegisterType.UINT64: (0, 2**64 - 1),
    RegisterType.BIT: (0, 1),
}


def check_point(names: Names, point: PointShape) -> Iterator[Finding]:
    """Name everything in one point that does not fit together."""
    yield from check_address(names, point)
    yield from _check_beside(names, point)
    yield from _check_scaling(point)
    yield from _check_units(point)
    yield from _check_role(point)
    yield from _check_raws(names, point)
    yield from _check_kind(point)
    if point.valid_range is not None and point.valid_range[0] >= point.valid_range[1]:
        yield ("valid_range",), "give the lower end first"
    if point.interval is not None and (point.role is not None or getattr(point, "role_from", None) is not None):
        yield ("interval",), "a point with a role is judged at every poll; leave interval to points without one"
    if point.interval is not None and not 1.0 <= seconds(point.interval) <= 86_400.0:
        yield ("interval",), "must be from 1s to 24h"
    if point.bits is not None and point.bits[0] > point.bits[1]:
        yield ("bits",), "give the lower bit first; bit 0 is the least significant"


def check_address(names: Names, at: AddressShape) -> Iterator[Finding]:
    """Name what is wrong with one address."""
    address = names.address(at)
    if isinstance(address, Oid):
        if not OID.fullmatch(address.oid):
            yield ("oid",), f"{address.oid!r} is not a numeric object identifier such as 1.3.6.1.2.1.33.1.4.1.0"
        return
    is_bit = address.type is RegisterType.BIT
    if address.function in _BITS and not is_bit:
        yield ("type",), f"function {address.function} reads bits; its type is bit"
    if getattr(at, "bit", None) is not None and (not is_bit or address.function in _BITS):
        yield ("bit",), "bit is for type bit with function 3 or 4"
    if getattr(at, "registers", None) is not None and address.type not in SIZED:
        yield ("registers",), f"{address.type} knows its own size; registers is for ascii and bcd"
    if address.address + address.registers > 65536:
        yield ("address",), f"{address.registers} registers from {address.address} pass 65535"
    if address.registers > names.modbus.max_read:
        yield ("registers",), f"more than max_read ({names.modbus.max_read}) allows in one request"


def _check_beside(names: Names, point: PointShape) -> Iterator[Finding]:
    for key in ("cross_check", "unit_from", "valid_from", "enum_from"):
        at = getattr(point, key, None)
        if at is not None:
            yield from (((key, *way), text) for way, text in check_address(names, at))
    cross = point.cross_check
    if cross is not None:
        yield from ((("cross_check", *way), text) for way, text in _check_scaling(cross))
        if cross.unit in UNITS and point.unit in UNITS and UNITS[cross.unit].measure != UNITS[point.unit].measure:
            yield ("cross_check", "unit"), f"{cross.unit!r} is not the same quantity as {point.unit!r}"


def _check_scaling(at: ScalingBody) -> Iterator[Finding]:
    if at.unit not in UNITS:
        yield ("unit",), _unknown_unit(at.unit)
    if at.scale == 0:
        yield ("scale",), "a scale of 0 makes every value the same"


def _unknown_unit(unit: str) -> str:
    return f"unknown unit {unit!r}; known: {', '.join(known for known in UNITS if known)}"


def _check_units(point: PointShape) -> Iterator[Finding]:
    units = point.unit_from
    if units is None:
        return
    if point.unit:
        yield ("unit",), "unit_from tells the unit; leave unit out"
    for raw, unit in units.map.items():
        if unit not in UNITS:
            yield ("unit_from", "map", str(raw)), _unknown_unit(unit)
    if units.absent is not None and units.absent not in units.map.values():
        yield ("unit_from", "absent"), "must be one of the units of the map"
    measures = {UNITS[unit].measure for unit in units.map.values() if unit in UNITS}
    if len(measures) > 1 and not isinstance(point, RowPointShape):
        yield ("unit_from", "map"), f"a point is one quantity; these units are {', '.join(sorted(measures))}"
    if len(measures) > 1 and point.valid_range is not None:
        yield ("valid_range",), "means nothing for several quantities; give a point to each unit"


def _check_kind(point: PointShape) -> Iterator[Finding]:
    """Check which keys go together."""
    if point.difference and not _units(point) <= {"degC", "degF", "K"}:
        yield ("difference",), "only a temperature can be a difference"
    if point.map and (point.unit or point.valid_range or point.cross_check or point.unit_from):
        yield ("map",), "a point with a map has no unit, valid_range or cross_check"
    if getattr(point, "enum_from", None) is not None and not point.map:
        yield ("enum_from",), "needs a map: how bad is what the device writes there?"


def _units(point: PointShape) -> set[str]:
    return set(point.unit_from.map.values()) if point.unit_from else {point.unit}


def _check_role(point: PointShape) -> Iterator[Finding]:
    role = point.role
    if role is None:
        return
    if role in MEASURES:
        known = {UNITS[unit].measure for unit in _units(point) if unit in UNITS}
        if point.map:
            yield ("map",), f"role {role} is a number"
        elif known and (known != {MEASURES[role]} or point.difference):
            yield ("unit",), f"role {role} needs a unit of {MEASURES[role] or 'counts (no unit)'}, not {point.unit!r}"
    if role in LABELS and not point.map:
        yield ("role",), f"role {role} needs a map"
    allowed = LABELS.get(role, frozenset())
    for raw, (label, _) in point.map.items():
        if allowed and label not in allowed:
            yield ("map", str(raw), "0"), f"role {role} knows {', '.join(sorted(allowed))}; not {label}"


def _check_raws(names: Names, point: PointShape) -> Iterator[Finding]:
    address = names.address(point)
    raws = [(("invalid", str(index)), raw) for index, raw in enumerate(point.invalid)]
    raws += [(("map", str(raw)), float(raw)) for raw in point.map if isinstance(raw, int) and point.bits is None]
    for way, raw in raws:
        if isinstance(address, Register) and not _holds(address, raw):
            yield way, f"a {address.type} never holds {raw:g}"


def _holds(address: Register, raw: float) -> bool:
    match address.type:
        case RegisterType.FLOAT32 | RegisterType.FLOAT64:
            return True
        case RegisterType.ASCII:
            return False
        case RegisterType.BCD:
            low, high = 0.0, 10.0 ** (4 * address.registers) - 1
        case known:
            low, high = _RANGE[known]
    return low <= as_decoded(address, raw) <= high and raw == int(raw)
