"""What a profile compiles to: a kind of device, how gently it must be read, and every point of it.

Rules
  - Only Modbus functions 1-4 exist here; a profile cannot name a write.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.model.reading import Role
from envmon.profiles.schema_point import ProfilePoint, Register
from envmon.profiles.schema_rows import Conditions, Repeat, Table

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
