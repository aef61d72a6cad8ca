"""SNMP agents: every point once per poll with GET requests of a few OIDs, over SNMP v1, v2c or v3.

Rules
  - One request in flight; one deadline for the whole poll, login included.
  - An OID the agent does not answer is ``absent`` for its point, and asked again at the next poll.
  - What was answered stays good when a later request fails; the points left over say why they are missing.
  - A poll without any answer forgets the session: the next one discovers the v3 engine afresh, whatever its boots
    and time are. So does garbage.

Theory of operation
  A request the agent cannot answer as a whole (tooBig, an answer beyond the receive buffer, a v1 agent that misses
  one object) is split in halves until the parts are answered; the split holds as long as the session. A batch that
  met silence is asked last from then on. A session that worked and is suddenly refused is opened once more within
  the same poll: the agent may have restarted. GET is used even where an agent could do GETBULK: all OIDs are known,
  and walking costs more on both sides.
"""

import asyncio
from collections.abc import Callable
from typing import Self

from gufo.snmp import ValueType

from envmon.config.settings import DeviceSettings
from envmon.drivers.backoff import Backoff
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_session import Session, TooBigError, open_session
from envmon.model.reading import Reading, Reason
from envmon.profiles.decode import decode_snmp, missing
from envmon.profiles.schema import Address, BoundPoint, Oid, Profile, SnmpLimits

Values = dict[str, ValueType]
Batch = tuple[str, ...]


class SnmpDriver:
    """One SNMP agent. ``clock`` is monotonic seconds and ``jitter`` gives 0.0 to 1.0, both for the backoff."""

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        points: tuple[BoundPoint, ...],
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        limits = profile.snmp or SnmpLimits()
        self._points = points
        self._host = device.host
        self._port = device.port or limits.port
        self._settings = device.snmp
        self._deadline_s = device.deadline_s
        self._where = f"snmp {self._host}:{self._port}"
        self._backoff = Backoff(clock, jitter)
        self._planned = _batches(points, limits.max_oids)
        self._batches = self._planned
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._session = None

    async def poll(self) -> tuple[Reading, ...]:
        """Read every point once. Raises DeviceError when nothing answered or a backoff runs."""
        self._backoff.check()
        values: Values = {}
        fault = await self._collect(values)
        if fault is not None and (not values or fault.reason is not Reason.TIMEOUT):
            self._session = None
        if fault is not None and not values:
            self._backoff.failed(fault)
            raise fault
        self._backoff.succeeded()
        left = fault.reason if fault is not None else Reason.ABSENT
        return tuple(_reading(bound, values, left) for bound in self._points)

    async def _collect(self, values: Values) -> DeviceError | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._read_all(values)
        except TimeoutError:
            hint = "" if values else "; a wrong community or privacy password looks like this, too"
            return DeviceError(Reason.TIMEOUT, f"{self._where}: no answer within {self._deadline_s:g} s{hint}")
        except DeviceError as fault:
            return DeviceError(fault.reason, str(fault))  # a new one: the frames of this one hold the socket open
        return None

    async def _read_all(self, values: Values) -> None:
        if self._session is None:
            await self._read_batches(await self._open(), values)
            return
        try:
            await self._read_batches(self._session, values)
        except DeviceError as fault:
            if fault.reason is not Reason.REFUSED:
                raise
            await self._read_batches(await self._open(), values)  # the agent may have restarted

    async def _open(self) -> Session:
        self._session = None
        self._batches = self._planned
        self._session = await open_session(self._host, self._port, self._settings, self._where)
        return self._session

    async def _read_batches(self, session: Session, values: Values) -> None:
        waiting = list(self._batches)
        done: list[Batch] = []
        try:
            while waiting:
                batch = waiting[0]
                try:
                    found = await session.get(batch)
                except TooBigError:
                    middle = len(batch) // 2
                    waiting[:1] = batch[:middle], batch[middle:]
                    continue
                values.update((oid, found.get(oid)) for oid in batch)
                done.append(waiting.pop(0))
        finally:
            self._batches = (*done, *waiting[1:], *waiting[:1])


def _reading(bound: BoundPoint, values: Values, left: Reason) -> Reading:
    oid = _oid(bound.spec.address)
    if oid not in values:
        return missing(bound, left)
    check = bound.spec.cross_check
    return decode_snmp(bound, values[oid], values.get(_oid(check.address)) if check is not None else None)


def _batches(points: tuple[BoundPoint, ...], max_oids: int) -> tuple[Batch, ...]:
    """Every OID once, a value beside its cross-check, so that both are of one moment where possible."""
    oids: dict[str, None] = {}
    for bound in points:
        oids[_oid(bound.spec.address)] = None
        if bound.spec.cross_check is not None:
            oids[_oid(bound.spec.cross_check.address)] = None
    ordered = tuple(oids)
    return tuple(ordered[start : start + max_oids] for start in range(0, len(ordered), max_oids))


def _oid(address: Address) -> str:
    if not isinstance(address, Oid):
        raise TypeError("an SNMP device was bound to a profile with Modbus addresses")
    return address.oid
