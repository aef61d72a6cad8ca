"""The tables of one SNMP agent: which rows there are, what they are called, and what is wrong right now.

Rules
  - Rows are looked up when the session opens, now and then, and when the agent has restarted: then a row's number no
    longer says what it is, and what was just read by the old numbers is thrown away.
  - A lookup that the poll's deadline cut off goes on at the next poll; until it has ended the rows known before stay.
  - A row that is gone stays a point, and absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from envmon.drivers.snmp_read import GONE, UPTIME, Need, Requests, Values, batches, need_of
from envmon.drivers.snmp_session import Session, Walk
from envmon.model.reading import Point, Reading, Reason
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.conditions import BoundConditions, bind_conditions, summarise, unread
from envmon.profiles.conditions import wanted as condition_cells
from envmon.profiles.expand import expand, wanted
from envmon.profiles.schema import Profile, SnmpLimits
from envmon.profiles.schema_rows import Table

_MOST_POINTS = 5000  # of one device, those that are gone included


class Lookup:
    """One look at all tables of an agent, which may take several polls."""

    def __init__(self, session: Session, tables: tuple[Table, ...], limits: SnmpLimits) -> None:
        self._session = session
        self._tables = tables
        self._limits = limits
        self._walks: dict[str, Walk] = {}
        self._cells: Values = {}
        self._indexes: dict[int, tuple[str, ...]] = {}
        self._requests: Requests | None = None

    async def run(self, at: Place) -> tuple[BoundPoint, ...]:
        """Look to the end and return the points of all rows. Raises DeviceError."""
        for number, table in enumerate(self._tables):
            if number not in self._indexes:
                self._indexes[number] = await self._rows(table)
        if self._requests is None:
            cells = (cell for number, table in enumerate(self._tables) for cell in self._wanted(number, table))
            self._requests = Requests(batches(cells, self._limits.max_oids))
        left = Requests(tuple(batch for batch in self._requests.batches if batch[0] not in self._cells))
        try:
            await left.read(self._session, self._cells)
        finally:
            self._requests = left
        found = (expand(table, self._indexes[number], self._cells, at) for number, table in enumerate(self._tables))
        return tuple(bound for bounds in found for bound in bounds)

    @property
    def cells(self) -> Values:
        """What was read on the way, by whole OID."""
        return self._cells

    async def _rows(self, table: Table) -> tuple[str, ...]:
        indexes = dict.fromkeys(table.rows)
        for column in table.walk:
            if column not in self._walks:
                self._walks[column] = self._session.walk(column, repetitions(self._limits))
            indexes.update(dict.fromkeys(await self._walks[column].indexes()))
        return tuple(indexes)

    def _wanted(self, number: int, table: Table) -> Iterator[str]:
        for index in self._indexes[number]:
            yield from wanted(table, index)


@dataclass(slots=True)
class Rows:
    """The rows of one device as they are known now. ``clock`` and ``due`` are monotonic seconds."""

    profile: Profile
    at: Place
    points: dict[str, tuple[BoundPoint, Need]] = field(default_factory=dict)  # by id; replaced, never changed
    requests: Requests = field(default_factory=Requests)
    due: float = 0.0
    _lookup: Lookup | None = None
    _uptime: int | None = None

    @property
    def bound(self) -> tuple[BoundPoint, ...]:
        """The points of all rows, those that are gone included."""
        return tuple(bound for bound, _ in self.points.values())

    def forget_session(self) -> None:
        """Look the rows up again when a session opens: the agent may be another one."""
        self._lookup = None
        self.due = 0.0

    async def read(self, session: Session, values: Values, now: float, next_due: float) -> None:
        """Read the rows known, then look them up again where it is time. Raises DeviceError."""
        tables = self.profile.tables
        limits = self.profile.snmp or SnmpLimits()
        await Requests(((UPTIME,),)).read(session, values)
        if self._restarted(values.get(UPTIME)):
            self.forget_session()
            self.points = {point: (bound, GONE) for point, (bound, _) in self.points.items()}
        else:
            await self.requests.read(session, values)
        if now < self.due and self._lookup is None:
            return
        fresh = self._lookup is None
        self._lookup = self._lookup or Lookup(session, tables, limits)
        bounds = await self._lookup.run(self.at)
        if fresh:  # all of it was read in this poll
            values.update(self._lookup.cells)
        self._lookup, self.due = None, next_due
        self._know(bounds, limits)
        unread_ = Requests(batches((oid for oid in self._oids() if oid not in values), limits.max_oids))
        await unread_.read(session, values)

    def _restarted(self, uptime: object) -> bool:
        before, self._uptime = self._uptime, uptime if isinstance(uptime, int) else None
        return before is not None and self._uptime is not None and self._uptime < before

    def _know(self, bounds: tuple[BoundPoint, ...], limits: SnmpLimits) -> None:
        gone = {point: (bound, GONE) for point, (bound, _) in self.points.items()}
        now = {bound.point.id: (bound, need_of(bound.spec)) for bound in bounds}
        self.points = {**gone, **now} if len(gone) < _MOST_POINTS else now
        self.requests = Requests(batches(self._oids(), limits.max_oids))

    def _oids(self) -> Iterator[str]:
        return (oid for _, need in self.points.values() for oid in need.oids)


@dataclass(slots=True)
class Alarms:
    """The condition tables of one device, walked anew at every poll."""

    bound: tuple[BoundConditions, ...]
    limits: SnmpLimits

    async def read(self, session: Session, values: Values, told: list[Reading]) -> None:
        """Append the readings of every table that could be read to ``told``. Raises DeviceError."""
        if UPTIME not in values:
            await Requests(((UPTIME,),)).read(session, values)
        ticks = values[UPTIME]
        for each in self.bound:
            indexes = await session.walk(each.spec.walk, repetitions(self.limits)).indexes()
            cells: Values = {}
            oids = (oid for index in indexes for oid in condition_cells(each.spec, index))
            await Requests(batches(oids, self.limits.max_oids)).read(session, cells)
            told += summarise(each, indexes, cells, ticks / 100 if isinstance(ticks, int) else None)

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of all tables."""
        return tuple(point for each in self.bound for point in (each.alarm, each.count) if point is not None)

    def readings(self, told: list[Reading], left: Reason) -> list[Reading]:
        """Return a reading of each point: what was ``told``, missing where its table was not read."""
        if not self.bound:
            return told
        known = {reading.point.id: reading for reading in told}
        return [known.get(reading.point.id, reading) for each in self.bound for reading in unread(each, left)]


def alarms(profile: Profile, at: Place) -> Alarms:
    """Bind the condition tables of a profile."""
    bound = tuple(bind_conditions(each, at) for each in profile.conditions)
    return Alarms(bound, profile.snmp or SnmpLimits())


def repetitions(limits: SnmpLimits) -> int:
    """Rows in one GETBULK, 0 for a card that does not bear it."""
    return limits.max_repetitions if limits.bulk else 0
