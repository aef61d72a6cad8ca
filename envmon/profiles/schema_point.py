"""One point of a profile: its address, what its numbers mean, and what must be read beside it.

Rules
  - Addresses are wire addresses; nothing is inferred from how a document prints them.
  - ``valid_range`` and tolerances are in the point's measure (after scaling and unit conversion).
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.model.reading import Role, Severity
from envmon.profiles.units import AS_IS, Scaling


class RegisterType(StrEnum):
    """How the registers of one Modbus point are read."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD = "bcd"  # four decimal digits a register, the highest first
    BIT = "bit"  # a coil or discrete input (functions 1, 2), or one bit of a register (3, 4)
    ASCII = "ascii"  # two characters a register, high byte first


class Order(StrEnum):
    """Which part of a number comes first: the register at the lower address, the byte that is sent first."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


@dataclass(frozen=True, slots=True)
class Register:
    """Where a Modbus point lives. ``registers`` is how many to read; 1 bit for functions 1 and 2.

    ``bit`` counts from 0, the least significant, and matters for type ``bit`` with functions 3 and 4. ``unit_offset``
    is added to the device's unit identifier.
    """

    function: int
    address: int
    type: RegisterType
    registers: int
    word_order: Order = Order.HIGH_FIRST
    bit: int = 0
    byte_order: Order = Order.HIGH_FIRST
    unit_offset: int = 0


@dataclass(frozen=True, slots=True)
class Oid:
    """Where an SNMP point lives: the whole numeric OID, no leading dot; the column, for a point of a table."""

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
class UnitFrom:
    """What ``address`` shows says which of ``scalings`` holds; ``absent`` does where there is no such object."""

    address: Address
    scalings: tuple[tuple[int | str, Scaling], ...]
    absent: Scaling | None = None


@dataclass(frozen=True, slots=True)
class ValidFrom:
    """The value means something only while ``address`` shows one of ``shows``: the probe is there, the bus works."""

    address: Address
    shows: tuple[int | str, ...]


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
    unit_from: UnitFrom | None = None
    valid_from: ValidFrom | None = None
    enum_from: Address | None = None  # where the device writes out its own state
    bits: tuple[int, int] | None = None  # first and last bit of a field within the number
    interval_s: float = 0.0  # between two readings; 0 for at every poll

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

    @property
    def beside(self) -> tuple[Address, ...]:
        """What else must be read to decode the point."""
        found = (
            self.cross_check.address if self.cross_check else None,
            self.unit_from.address if self.unit_from else None,
            self.valid_from.address if self.valid_from else None,
            self.enum_from,
        )
        return tuple(address for address in found if address is not None)
