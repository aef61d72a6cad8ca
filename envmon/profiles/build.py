"""From the shape of a profile to the profile: addresses, scalings, states.

Rules
  - Compiles only a shape that ``check`` found no fault in.
  - A temperature that names no range gets -40 to 125 degC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from envmon.model.reading import Severity
from envmon.profiles.document import (
    AddressShape,
    ModbusProfileShape,
    ModbusShape,
    ModbusUnitFromShape,
    OidShape,
    PointShape,
    ProfileShape,
    RegisterProbeShape,
    RegisterShape,
    RepeatShape,
    SnmpIdentifyShape,
    SnmpProfileShape,
    SnmpUnitFromShape,
)
from envmon.profiles.schema import Identify, ModbusLimits, ModbusProbe, Profile, Protocol, SnmpLimits, Source
from envmon.profiles.schema_point import (
    Address,
    CrossCheck,
    Oid,
    ProfilePoint,
    Register,
    RegisterType,
    State,
    UnitFrom,
    ValidFrom,
)
from envmon.profiles.schema_rows import Repeat
from envmon.profiles.units import Scaling

_SENSIBLE_DEGC = (-40.0, 125.0)
_WORDS = {
    RegisterType.INT32: 2,
    RegisterType.UINT32: 2,
    RegisterType.FLOAT32: 2,
    RegisterType.INT64: 4,
    RegisterType.UINT64: 4,
    RegisterType.FLOAT64: 4,
}
SIZED = frozenset({RegisterType.ASCII, RegisterType.BCD})  # whose number of registers the profile names
_SIGNED = {RegisterType.INT16, RegisterType.INT32, RegisterType.INT64}


@dataclass(frozen=True, slots=True)
class Names:
    """What stands for what in the addresses of one part of a profile: ``{base}``, and a table's ``{columns}``."""

    words: Mapping[str, str]
    modbus: ModbusShape

    @classmethod
    def of(cls, shape: ProfileShape) -> "Names":
        """Return the names that hold in the whole profile."""
        if isinstance(shape, SnmpProfileShape):
            return cls({"base": shape.snmp.base}, ModbusShape())
        return cls({}, shape.modbus)

    def within(self, columns: Mapping[str, str]) -> "Names":
        """Return the names that hold in a table: its columns, too."""
        return Names({**self.words, **{name: self.oid(column) for name, column in columns.items()}}, self.modbus)

    def oid(self, text: str) -> str:
        """Put the names in and drop a leading dot."""
        for word, meant in self.words.items():
            text = text.replace(f"{{{word}}}", meant)
        return text.removeprefix(".")

    def address(self, at: AddressShape) -> Address:
        """Compile one address: the names put in, the orders and the number of registers settled."""
        if isinstance(at, OidShape):
            return Oid(self.oid(at.oid), bool(getattr(at, "text", False)))
        return self.register(at)

    def register(self, at: RegisterShape) -> Register:
        """Compile the address of a Modbus value."""
        return Register(
            at.function,
            at.address,
            at.type,
            at.registers or _WORDS.get(at.type, 1),
            at.word_order or self.modbus.word_order,
            at.bit or 0,
            at.byte_order or self.modbus.byte_order,
        )


def build(shape: ProfileShape) -> Profile:
    """Compile a checked shape, but for the tables of an SNMP profile."""
    names = Names.of(shape)
    modbus = snmp = None
    repeats: tuple[Repeat, ...] = ()
    if isinstance(shape, ModbusProfileShape):
        modbus = ModbusLimits(**shape.modbus.model_dump(exclude={"word_order", "byte_order"}))
        repeats = tuple(_repeat(names, repeat) for repeat in shape.repeat)
    else:
        snmp = SnmpLimits(**shape.snmp.model_dump(exclude={"base"}))
    return Profile(
        name=shape.profile,
        vendor=shape.vendor,
        kind=shape.kind,
        protocol=Protocol(shape.protocol),
        sources=tuple(Source(item.document, item.revision, item.where) for item in shape.sources),
        evidence=shape.evidence,
        points=tuple(build_point(names, point) for point in shape.points),
        modbus=modbus,
        snmp=snmp,
        repeats=repeats,
        identify=_identify(names, shape),
    )


def as_decoded(address: Address, raw: float) -> float:
    """Return ``raw`` as the decoder sees it: 0x8000 written for an int16 is -32768."""
    if isinstance(address, Register) and address.type in _SIGNED:
        bits = 16 * address.registers
        return raw - (1 << bits) if 1 << (bits - 1) <= raw < 1 << bits else raw
    return raw


def listed(value: object) -> tuple[int | str, ...]:
    """Return one raw value or a list of them as a tuple; none for None."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)  # type: ignore[return-value]


def seconds(interval: str) -> float:
    """Return the seconds of 30s, 5min or 1h."""
    number = interval.rstrip("sminh")
    return float(number) * {"s": 1.0, "min": 60.0, "h": 3600.0}[interval[len(number) :]]


def build_point(names: Names, point: PointShape) -> ProfilePoint:
    """Compile one point."""
    address = names.address(point)
    units = point.unit_from
    unit = next(iter(units.map.values())) if units else point.unit
    scaling = Scaling(unit, point.scale, point.offset, point.difference)
    measured = not point.map and scaling.measure == "degC" and not point.difference
    valid = point.valid_from
    label = getattr(point, "enum_from", None)
    return ProfilePoint(
        name=point.name,
        role=point.role,
        address=address,
        scaling=scaling,
        states=tuple(
            State(raw if isinstance(raw, str) else int(as_decoded(address, raw)), label_, Severity(severity))
            for raw, (label_, severity) in point.map.items()
        ),
        invalid=tuple(as_decoded(address, raw) for raw in point.invalid),
        invalid_text=tuple(point.invalid_text),
        valid_range=point.valid_range or (_SENSIBLE_DEGC if measured else None),
        cross_check=_cross_check(names, point),
        unit_from=_unit_from(names, units, scaling) if units else None,
        valid_from=ValidFrom(names.address(valid), listed(valid.equals)) if valid else None,
        enum_from=names.address(label) if label else None,
        bits=point.bits,
        interval_s=seconds(point.interval) if point.interval else 0.0,
    )


def _unit_from(names: Names, shape: SnmpUnitFromShape | ModbusUnitFromShape, scaling: Scaling) -> UnitFrom:
    scalings = tuple((raw, replace(scaling, unit=unit)) for raw, unit in shape.map.items())
    absent = None if shape.absent is None else replace(scaling, unit=shape.absent)
    return UnitFrom(names.address(shape), scalings, absent)


def _cross_check(names: Names, point: PointShape) -> CrossCheck | None:
    cross = point.cross_check
    if cross is None:
        return None
    scaling = Scaling(cross.unit, cross.scale, cross.offset, point.difference)
    return CrossCheck(names.address(cross), scaling, cross.tolerance)


def _repeat(names: Names, repeat: RepeatShape) -> Repeat:
    points = tuple(build_point(names, point) for point in repeat.points)
    return Repeat(repeat.count, repeat.step, repeat.unit_step, points, repeat.serves)


def _identify(names: Names, shape: ProfileShape) -> Identify | None:
    match shape.identify:
        case None:
            return None
        case SnmpIdentifyShape() as told:
            return Identify(
                sys_object_id=tuple(names.oid(oid) for oid in told.sys_object_id),
                sys_descr=told.sys_descr,
                probe=tuple(names.oid(oid) for oid in told.probe),
                absent=tuple(names.oid(oid) for oid in told.absent),
            )
        case told:
            return Identify(registers=tuple(_probe(names, probe) for probe in told.registers))


def _probe(names: Names, probe: RegisterProbeShape) -> ModbusProbe:
    return ModbusProbe(names.register(probe), listed(probe.equals), probe.matches or "")
