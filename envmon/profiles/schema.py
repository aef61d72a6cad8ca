"""What a profile compiles to: every point of a kind of device, its address, and what its numbers mean.

Rules
  - Addresses are wire addresses; nothing is inferred from how a document prints them.
  - Only Modbus functions 1-4 exist here; a profile cannot name a write.
  - ``valid_range`` and tolerances are in the point's measure (after scaling and unit conversion).
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.model.reading import Point, Role, Severity
from envmon.profiles.units import AS_IS, Scaling


class Protocol(StrEnum):
    """What the device speaks."""

    MODBUS = "modbus"
    SNMP = "snmp"


class Kind(StrEnum):
    """What the device is."""

    COOLING_UNIT = "cooling_unit"
    CHILLER = "chiller"
    UPS = "ups"
    PDU = "pdu"
    SENSOR = "sensor"
    GENSET = "genset"


class Evidence(StrEnum):
    """What the profile was checked against."""

    RECORDED = "recorded"  # a recording of a real device decodes as expected
    DOCUMENT = "document"  # the whole document named in sources was read
    EXCERPT = "excerpt"  # only parts of it were; confirm on the device before relying on it


class RegisterType(StrEnum):
    """How the registers of one Modbus point are read."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    FLOAT32 = "float32"
    BIT = "bit"  # a coil or discrete input (functions 1, 2), or one bit of a register (3, 4)
    ASCII = "ascii"  # two characters a register, high byte first


class WordOrder(StrEnum):
    """Which half of a 32-bit number is at the lower address; bytes within a register are always high first."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


@dataclass(frozen=True, slots=True)
class Source:
    """A document the numbers come from, by title, revision and where in it."""

    document: str
    revision: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class ModbusLimits:
    """How gently the device must be read. ``max_gap_fill`` 0 never reads an address no point names."""

    port: int = 502
    max_read: int = 125  # Modbus Application Protocol V1.1b3, 6.3
    max_gap_fill: int = 0
    pause_ms: int = 0  # between requests
    pause_after_connect_ms: int = 0


@dataclass(frozen=True, slots=True)
class SnmpLimits:
    """How gently the agent must be asked. ``bulk`` False: never send GETBULK."""

    port: int = 161
    max_oids: int = 20  # variables in one GET
    bulk: bool = False
    max_repetitions: int = 10


@dataclass(frozen=True, slots=True)
class Register:
    """Where a Modbus point lives. ``registers`` is how many to read; 1 bit for functions 1 and 2.

    ``bit`` counts from 0, the least significant, and matters for type ``bit`` with functions 3 and 4.
    """

    function: int
    address: int
    type: RegisterType
    registers: int
    word_order: WordOrder = WordOrder.HIGH_FIRST
    bit: int = 0


@dataclass(frozen=True, slots=True)
class Oid:
    """Where an SNMP point lives: the whole numeric OID, instance included, no leading dot."""

    oid: str
    text: bool = False  # a text that is not a number


Address = Register | Oid


@dataclass(frozen=True, slots=True)
class State:
    """One value of an enumeration: what the device answers, what envmon calls it, how bad it is."""

    raw: int | str
    label: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """The same quantity at a second address; the two may differ by ``tolerance`` in the point's measure."""

    address: Address
    scaling: Scaling
    tolerance: float


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One point of a profile. ``invalid`` are raw numbers as the point's type decodes them, before scaling."""

    name: str
    role: Role | None
    address: Address
    scaling: Scaling = AS_IS
    states: tuple[State, ...] = ()
    invalid: tuple[float, ...] = ()
    invalid_text: tuple[str, ...] = ()
    valid_range: tuple[float, float] | None = None
    cross_check: CrossCheck | None = None

    @property
    def measure(self) -> str:
        """The engineering unit after decode; "" for states, counts and texts."""
        return self.scaling.measure

    @property
    def is_text(self) -> bool:
        """Whether the value is a text as the device gives it."""
        if self.states:
            return False
        return self.address.text if isinstance(self.address, Oid) else self.address.type is RegisterType.ASCII

    @property
    def is_number(self) -> bool:
        """Whether the value is a number."""
        return not self.states and not self.is_text


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of device. Exactly one of ``modbus`` and ``snmp`` is set, as ``protocol`` says."""

    name: str
    vendor: str
    kind: Kind
    protocol: Protocol
    sources: tuple[Source, ...]
    evidence: Evidence
    points: tuple[ProfilePoint, ...]
    modbus: ModbusLimits | None = None
    snmp: SnmpLimits | None = None


@dataclass(frozen=True, slots=True)
class BoundPoint:
    """A profile's point on one device."""

    point: Point
    spec: ProfilePoint


def bind(
    profile: Profile, *, site: str, device: str, path: str, zone: str | None, serves: str
) -> tuple[BoundPoint, ...]:
    """Resolve every point of ``profile`` for one device, in profile order.

    ``serves`` is the plant unit's id within its zone, "" for a device that serves none; ``zone`` None or "" leaves
    the zone out of the point ids.
    """
    stem = ".".join(part for part in (site, zone, serves or device) if part)
    return tuple(
        BoundPoint(
            Point(
                id=f"{stem}.{spec.name}",
                name=spec.name,
                device=device,
                path=path,
                zone=zone or None,
                unit=serves or None,
                role=spec.role,
                measure=spec.measure,
            ),
            spec,
        )
        for spec in profile.points
    )
