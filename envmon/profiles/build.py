"""From the shape of a profile to the profile: addresses, scalings, states.

Rules
  - Compiles only a shape that ``check`` found no fault in.
  - A temperature that names no range gets -40 to 125 degC.
"""

from envmon.model.reading import Severity
from envmon.profiles.document import (
    CrossCheckShape,
    ModbusProfileShape,
    PointShape,
    ProfileShape,
    SnmpCrossCheckShape,
    SnmpPointShape,
    SnmpProfileShape,
)
from envmon.profiles.schema import (
    Address,
    CrossCheck,
    ModbusLimits,
    Oid,
    Profile,
    ProfilePoint,
    Protocol,
    Register,
    RegisterType,
    SnmpLimits,
    Source,
    State,
    WordOrder,
)
from envmon.profiles.units import Scaling

_SENSIBLE_DEGC = (-40.0, 125.0)
_WORDS = {RegisterType.INT32: 2, RegisterType.UINT32: 2, RegisterType.FLOAT32: 2}
_SIGNED = {RegisterType.INT16, RegisterType.INT32}


def build(shape: ProfileShape) -> Profile:
    """Compile a checked shape."""
    modbus = snmp = None
    if isinstance(shape, ModbusProfileShape):
        modbus = ModbusLimits(**shape.modbus.model_dump(exclude={"word_order"}))
    else:
        snmp = SnmpLimits(**shape.snmp.model_dump(exclude={"base"}))
    return Profile(
        name=shape.profile,
        vendor=shape.vendor,
        kind=shape.kind,
        protocol=Protocol(shape.protocol),
        sources=tuple(Source(item.document, item.revision, item.where) for item in shape.sources),
        evidence=shape.evidence,
        points=tuple(_point(shape, point) for point in shape.points),
        modbus=modbus,
        snmp=snmp,
    )


def address_of(shape: ProfileShape, at: PointShape | CrossCheckShape) -> Address:
    """Compile one address: the base put in, the word order and the number of registers settled."""
    if isinstance(at, SnmpPointShape | SnmpCrossCheckShape):
        base = shape.snmp.base if isinstance(shape, SnmpProfileShape) else ""
        oid = at.oid.replace("{base}", base).removeprefix(".")
        return Oid(oid, isinstance(at, SnmpPointShape) and at.text)
    order = at.word_order or (shape.modbus.word_order if isinstance(shape, ModbusProfileShape) else None)
    return Register(
        at.function,
        at.address,
        at.type,
        at.registers or _WORDS.get(at.type, 1),
        order or WordOrder.HIGH_FIRST,
        at.bit or 0,
    )


def as_decoded(address: Address, raw: float) -> float:
    """Return ``raw`` as the decoder sees it: 0x8000 written for an int16 is -32768."""
    if isinstance(address, Register) and address.type in _SIGNED:
        bits = 16 * address.registers
        return raw - (1 << bits) if 1 << (bits - 1) <= raw < 1 << bits else raw
    return raw


def _point(shape: ProfileShape, point: PointShape) -> ProfilePoint:
    address = address_of(shape, point)
    scaling = Scaling(point.unit, point.scale, point.offset, point.difference)
    measured = not point.map and scaling.measure == "degC" and not point.difference
    return ProfilePoint(
        name=point.name,
        role=point.role,
        address=address,
        scaling=scaling,
        states=tuple(
            State(raw if isinstance(raw, str) else int(as_decoded(address, raw)), label, Severity(severity))
            for raw, (label, severity) in point.map.items()
        ),
        invalid=tuple(as_decoded(address, raw) for raw in point.invalid),
        invalid_text=tuple(point.invalid_text),
        valid_range=point.valid_range or (_SENSIBLE_DEGC if measured else None),
        cross_check=_cross_check(shape, point),
    )


def _cross_check(shape: ProfileShape, point: PointShape) -> CrossCheck | None:
    cross = point.cross_check
    if cross is None:
        return None
    scaling = Scaling(cross.unit, cross.scale, cross.offset, point.difference)
    return CrossCheck(address_of(shape, cross), scaling, cross.tolerance)
