"""What a profile compiles to: every point of a kind of device, its address, and what its numbers mean.

Rules
  - Addresses are wire addresses; nothing is inferred from how a document prints them.
  - Only Modbus functions 1-4 exist here; a profile cannot name a write.
  - ``valid_range`` and tolerances are in the point's measure (after scaling and unit conversion).
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.model.reading import Role, Severity
from envmon.profiles.units import AS_IS, Scaling

_MAY_HAVE = 32  # rows of a table whose rows are only known on the device


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
    EXCERPT = "excerpt"  # only parts of it were: its points vote on a device that was commissioned


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
    max_requests_per_s: float = 0.0  # from start to start; 0 for as fast as it answers


@dataclass(frozen=True, slots=True)
class SnmpLimits:
    """How gently the agent must be asked. ``bulk`` False: never send GETBULK."""

    port: int = 161
    max_oids: int = 20  # variables in one GET
    bulk: bool = False
    max_repetitions: int = 10
    rediscover_s: float = 300.0  # how often the rows of the tables are looked up again


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


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row must show: the cell of ``column``, or part ``index`` (from 1) of its index where column is ""."""

    column: str
    index: int
    equals: tuple[str, ...] = ()  # any of them, letters of either case
    matches: str = ""  # a regular expression found in it


@dataclass(frozen=True, slots=True)
class FromColumn:
    """What the cell of ``column`` stands for: the texts or numbers it may show, and what each means."""

    column: str
    cases: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ScaleFrom:
    """A factor told by a column: by ``cases``, as a number of decimals, or as a factor (negative: divide)."""

    column: str
    how: str  # "map", "decimals", "factor"
    cases: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RowPoint:
    """A point that every row (for which ``when`` holds) has. Its addresses are columns, ``name`` is a pattern."""

    spec: ProfilePoint
    when: tuple[Condition, ...] = ()
    role_from: FromColumn | None = None
    scale_from: tuple[ScaleFrom, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of an SNMP table that become points.

    ``walk`` are the columns whose cells say which rows there are; where ``rows`` is given instead nothing is walked.
    ``columns`` are read when rows are looked up. ``key`` is the column a point is named by, "" for the row's index;
    ``labels`` are names for what it may show.
    ``serves`` are the parts of the index (from 1) that count the plant units behind the device.
    """

    columns: tuple[tuple[str, str], ...]
    points: tuple[RowPoint, ...]
    walk: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    select: tuple[Condition, ...] = ()
    key: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    serves: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """Modbus points that stand several times in one device: row n (from 1) lies ``step`` addresses further."""

    count: int
    step: int
    unit_step: int
    points: tuple[ProfilePoint, ...]
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """A table of what is wrong now, whose rows ``walk`` finds; those for which ``active`` holds become two points.

    ``name`` is the label and severity of the worst, or "clear"; ``count`` how many there are. Within ``settle_s`` of
    the agent's start an empty table proves nothing.
    """

    name: str
    walk: str
    columns: tuple[tuple[str, str], ...]
    active: tuple[Condition, ...]
    label: str
    labels: tuple[tuple[str, str], ...]
    severity: FromColumn | None
    settle_s: float
    role: Role | None = Role.ALARM
    count: str = ""


@dataclass(frozen=True, slots=True)
class ModbusProbe:
    """A register that tells the model: what it must read, or a regular expression for its text."""

    register: Register
    equals: tuple[int | str, ...]
    matches: str


@dataclass(frozen=True, slots=True)
class Identify:
    """How the device shows what it is. Everything given must hold."""

    sys_object_id: tuple[str, ...] = ()  # prefixes; any of them
    sys_descr: str = ""  # a regular expression found in it
    probe: tuple[str, ...] = ()  # something answers at or below each
    absent: tuple[str, ...] = ()  # nothing answers at or below any
    registers: tuple[ModbusProbe, ...] = ()


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
    tables: tuple[Table, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    conditions: tuple[Conditions, ...] = ()
    identify: Identify | None = None
    digest: str = ""  # of what it reads and how, for records of commissioning

    @property
    def witnesses(self) -> tuple[Role, ...]:
        """The role of every point a device may have; of a table's points as often as it may have rows."""
        told = [spec.role for spec in self.points]
        told += [spec.role for repeat in self.repeats for spec in repeat.points for _ in range(repeat.count)]
        for table in self.tables:
            for point in table.points:
                cases = point.role_from.cases if point.role_from else ()
                told += [point.spec.role, *(Role(role) for _, role in cases)] * (len(table.rows) or _MAY_HAVE)
        for conditions in self.conditions:
            told += [conditions.role, Role.ALARM_COUNT if conditions.role and conditions.count else None]
        return tuple(role for role in told if role is not None)
