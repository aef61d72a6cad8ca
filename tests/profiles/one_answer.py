"""One answer decoded by itself, as tests ask: the drivers decode a whole poll."""

from envmon.model.reading import Reading
from envmon.profiles.bind import BoundPoint
from envmon.profiles.bind import bound_points as arranged
from envmon.profiles.decode import Beside, Raw, decode, plain_registers
from envmon.profiles.short_way import ShortWay, short_ways


def decode_modbus(bound: BoundPoint, raw: bytes | None, cross: bytes | None = None) -> Reading:
    """Registers as on the wire, two bytes each, high byte first; one byte, 0 or 1, for functions 1 and 2."""
    twin = plain_registers(bound.spec.cross_check.address, cross) if bound.spec.cross_check else None
    return decode(bound, plain_registers(bound.spec.address, raw), Beside(cross=twin))


def decode_snmp(bound: BoundPoint, value: Raw, cross: Raw = None) -> Reading:
    """One SNMP value; None when the agent has no such object."""
    return decode(bound, value, Beside(cross=cross))


def short_way(bound: BoundPoint) -> ShortWay:
    """The short way of a point that stands alone."""
    return short_ways(arranged([bound])).ways[0]
