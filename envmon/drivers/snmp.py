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
  met silence is asked last from then on, and in halves when that does not help; after a poll that met nothing but
  silence the next one begins with a single object. A session that worked and is suddenly refused is opened once more
  within the same poll: the agent may have restarted. Values are read by GET even where an agent could do GETBULK:
  their OIDs are known, and walking costs more on both sides. Only the rows of tables are found by walking
  (``snmp_tables``).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Self

from envmon.config.settings import DeviceSettings
from envmon.drivers.backoff import Backoff
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_agent import Agent
from envmon.drivers.snmp_read import Decoding, Need, Requests, Values, batches, need_of
from envmon.drivers.snmp_session import Session
from envmon.drivers.snmp_tables import Rows, alarms
from envmon.model.reading import Reading, Reason
from envmon.model.readings import Readings
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.schema import Profile, SnmpLimits

_batches = lru_cache(maxsize=1 << 8)(batches)  # devices of one profile share their requests


class SnmpDriver:
    """The points of one SNMP agent that are read together.

    ``clock`` is monotonic seconds and ``jitter`` gives 0.0 to 1.0, both for the backoff.
    ``at`` is where the rows of the profile's tables are bound to.
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        points: tuple[BoundPoint, ...],
        *,
        at: Place,
        agent: Agent,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._limits = profile.snmp or SnmpLimits()
        self._deadline_s = device.deadline_s
        self._agent = agent
        self._clock, self._jitter = clock, jitter
        self._backoff = Backoff(clock, jitter)
        self._requests = Requests()
        self._tables = profile.tables
        self._rows = Rows(profile, at)
        self._alarms = alarms(profile, at)
        self._session: Session | None = None  # the one the requests have found their shape with
        self._deaf = False  # the last poll met nothing but silence
        self._fixed = len(points)
        self._decoding = Decoding(points, map(_need, points), self._alarms.points)
        self._decoded_rows = self._rows.points

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._forget()

    @property
    def bound(self) -> Sequence[BoundPoint]:
        """Every point with an address that is known so far; the rows of tables once they were found."""
        return self._known().bound

    async def poll(self) -> Readings:
        """Read every point once. Raises DeviceError when nothing answered or a backoff runs."""
        self._backoff.check()
        values: Values = {}
        conditions: list[Reading] = []
        fault = await self._collect(values, conditions)
        if fault is not None and (not values or fault.reason is not Reason.TIMEOUT):
            self._forget()
        self._deaf = fault is not None and not values and fault.reason is Reason.TIMEOUT
        if fault is not None and not values:
            self._backoff.failed(fault)
            raise fault.anew()
        self._backoff.succeeded()
        left = fault.reason if fault is not None else Reason.ABSENT
        return self._known().readings(values, left, self._alarms.readings(conditions, left))

    def _known(self) -> Decoding:
        """Return how the points known now are decoded."""
        if self._decoded_rows is not self._rows.points:
            self._decoded_rows = self._rows.points
            fixed, rows = self._decoding.bound[: self._fixed], self._rows.points.values()
            bounds, needs = (*fixed, *(bound for bound, _ in rows)), (*map(_need, fixed), *(need for _, need in rows))
            self._decoding = Decoding(bounds, needs, self._alarms.points)
        return self._decoding

    async def _collect(self, values: Values, conditions: list[Reading]) -> DeviceError | None:
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        try:
            await self._read_all(values, conditions, deadline)
        except TimeoutError:
            hint = "" if values else "; a wrong community, context or privacy password looks like this, too"
            return DeviceError(Reason.TIMEOUT, f"{self._agent.where}: no answer within {self._deadline_s:g} s{hint}")
        except DeviceError as fault:
            return fault.anew()  # the frames of this one hold the socket open
        return None

    async def _read_all(self, values: Values, conditions: list[Reading], deadline: float) -> None:
        session = self._agent.session
        if session is None:
            await self._read(await self._open(deadline), values, conditions)
            return
        session.end_by(deadline)
        if session is not self._session:
            self._begin(session)
        try:
            await self._read(session, values, conditions)
        except DeviceError as fault:
            if fault.reason is not Reason.REFUSED:
                raise
            conditions.clear()
            await self._read(await self._open(deadline), values, conditions)  # the agent may have restarted

    async def _read(self, session: Session, values: Values, conditions: list[Reading]) -> None:
        await self._requests.read(session, values)
        if self._alarms.bound:
            await self._alarms.read(session, values, conditions)
        if self._tables:
            now = self._clock()
            next_due = now + self._limits.rediscover_s * (0.75 + self._jitter() / 2)
            await self._rows.read(session, values, now, next_due)

    async def _open(self, deadline: float) -> Session:
        self._forget()
        session = await self._agent.open(deadline)
        session.end_by(deadline)
        self._begin(session)
        return session

    def _begin(self, session: Session) -> None:
        """Ask as the profile says, whatever was found out in a session before this one."""
        oids = tuple(oid for bound in self._decoding.bound[: self._fixed] for oid in _need(bound).oids)
        self._requests = Requests(_batches(oids, self._limits.max_oids))
        if self._deaf:
            self._requests.knock()
        self._rows.forget_session()
        self._session = session

    def _forget(self) -> None:
        self._agent.forget()
        self._session = None


def _need(bound: BoundPoint) -> Need:
    return need_of(bound.spec)
