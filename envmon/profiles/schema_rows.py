"""Points that stand in rows: of an SNMP table, of a table of conditions, or repeated along a Modbus device."""

from dataclasses import dataclass

from envmon.model.reading import Role
from envmon.profiles.schema_point import ProfilePoint


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
