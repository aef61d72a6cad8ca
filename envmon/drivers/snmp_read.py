"""What one poll of an SNMP agent asks for, and how its answers become readings.

Rules
  - Every OID is asked for once, a value beside what is needed to decode it, so that both are of one moment where
    possible.
  - A request the agent cannot answer as a whole is split in halves until the parts are answered; so is one that is met
    with silence twice, for some cards drop what they find too large.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from envmon.drivers.snmp_session import Session, TooBigError
from envmon.model.reading import Point, Reading, Reason
from envmon.model.readings import Readings
from envmon.profiles.bind import BoundPoint, bound_points
from envmon.profiles.decode import Beside, decode, missing
from envmon.profiles.schema_point import Address, Oid, ProfilePoint
from envmon.profiles.short_way import short_ways
from envmon.wire.snmp_pdu import Value

Values = dict[str, Value]
Batch = tuple[str, ...]

UPTIME = "1.3.6.1.2.1.1.3.0"  # sysUpTime (SNMPv2-MIB), hundredths of a second


@dataclass(frozen=True, slots=True)
class Need:
    """The OIDs a point is decoded from; "" for what it does not need. A point without an own one is gone."""

    oid: str = ""
    cross: str = ""
    unit: str = ""
    valid: str = ""
    label: str = ""

    @property
    def oids(self) -> tuple[str, ...]:
        """Every OID, the point's own first."""
        return tuple(oid for oid in (self.oid, self.cross, self.unit, self.valid, self.label) if oid)

    def reading(self, bound: BoundPoint, values: Values, left: Reason) -> Reading:
        """Decode what was answered; ``left`` is why nothing was."""
        if not self.oid:
            return missing(bound)
        if self.oid not in values or (self.valid and self.valid not in values):
            return missing(bound, left)
        beside = Beside(values.get(self.cross), values.get(self.unit), values.get(self.valid), values.get(self.label))
        return decode(bound, values[self.oid], beside)


GONE = Need()


@lru_cache(maxsize=1 << 13)
def need_of(spec: ProfilePoint) -> Need:
    """Work out what a point needs; devices of one profile share it."""
    return Need(
        _oid(spec.address),
        _oid(spec.cross_check.address) if spec.cross_check else "",
        _oid(spec.unit_from.address) if spec.unit_from else "",
        _oid(spec.valid_from.address) if spec.valid_from else "",
        _oid(spec.enum_from) if spec.enum_from else "",
    )


class Decoding:
    """How the answers of a poll become readings; those of ``tables`` of conditions come last, as they were told."""

    def __init__(self, points: Sequence[BoundPoint], needs: Iterable[Need], tables: Sequence[Point]) -> None:
        self.bound = bound_points(points)
        self._needs, self._oids = _shared(tuple(needs), len(tables))
        self._ways = short_ways(self.bound, tables)

    def readings(self, values: Values, left: Reason, conditions: Sequence[Reading]) -> Readings:
        """Decode; ``left`` is why what is not in ``values`` is missing."""

        def whole(at: int) -> Reading:
            if at >= len(self.bound):
                return conditions[at - len(self.bound)]
            return self._needs[at].reading(self.bound[at], values, left)

        return self._ways.readings(map(values.get, self._oids), whole)


@lru_cache(maxsize=1 << 8)
def _shared(needs: tuple[Need, ...], tables: int) -> tuple[tuple[Need, ...], tuple[str, ...]]:
    """The needs and the OIDs whose values they decode, shared by devices of one profile."""
    return needs, tuple(need.oid for need in needs) + ("",) * tables


def batches(oids: Iterable[str], max_oids: int) -> tuple[Batch, ...]:
    """Cut OIDs into requests, each OID once."""
    ordered = tuple(dict.fromkeys(oids))
    return tuple(ordered[start : start + max_oids] for start in range(0, len(ordered), max_oids))


@dataclass(slots=True)
class Requests:
    """The requests of a poll, in the shape the agent was found to bear.

    One that met silence goes to the end; one that does so again before it was answered is split in halves.
    """

    batches: tuple[Batch, ...] = field(default=())
    _silent: frozenset[Batch] = frozenset()
    _whole: tuple[Batch, ...] = ()  # what ``knock`` took apart

    def knock(self) -> None:
        """Begin with a single OID: an agent that leaves a large request unanswered may still be there.

        Once everything was answered unsplit it is asked as before.
        """
        if self.batches and len(self.batches[0]) > 1:
            first, *rest = self.batches
            self._whole, self.batches = self.batches, (first[:1], first[1:], *rest)

    async def read(self, session: Session, values: Values) -> None:
        """Read everything into ``values``; None for what the agent does not have. Raises DeviceError."""
        waiting = list(self.batches)
        done: list[Batch] = []
        try:
            while waiting:
                batch = waiting[0]
                try:
                    found = await session.get(batch)
                except TooBigError:
                    waiting[:1] = self._halves(batch)
                    continue
                values.update(zip(batch, found, strict=True))
                if self._silent:
                    self._silent -= {batch}
                done.append(waiting.pop(0))
        finally:
            last = self._unanswered(waiting[0]) if waiting else ()
            self.batches = (*done, *waiting[1:], *last)
            if not waiting and self._whole:
                self.batches, self._whole = self._whole, ()

    def _unanswered(self, batch: Batch) -> tuple[Batch, ...]:
        if batch in self._silent and len(batch) > 1:
            return self._halves(batch)
        self._silent |= {batch}
        return (batch,)

    def _halves(self, batch: Batch) -> tuple[Batch, Batch]:
        self._silent -= {batch}
        self._whole = ()
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]


def _oid(address: Address) -> str:
    if not isinstance(address, Oid):
        raise TypeError("an SNMP device was bound to a profile with Modbus addresses")
    return address.oid
