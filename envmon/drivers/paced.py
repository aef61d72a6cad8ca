"""One device whose points are read at different paces: temperatures at every poll, hours of running now and then.

Rules
  - The first group is read at every poll, and its failure is the device's. Another group is read when its interval has
    passed; in between its last readings are repeated.
  - A point with a role is never held back: a group that has one is read at every poll.
  - All of a poll shares the device's deadline. A group that found no time is missing, and comes first next time.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Self

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError, Driver
from envmon.model.reading import Quality, Reading, Reason, Severity
from envmon.profiles.bind import BoundPoint
from envmon.profiles.decode import missing
from envmon.profiles.schema import Profile
from envmon.profiles.schema_rows import Table


@dataclass(slots=True)
class Group:
    """Points of one interval and the driver that reads them; ``due`` is monotonic seconds."""

    interval_s: float
    points: tuple[BoundPoint, ...]
    driver: Driver
    due: float = 0.0
    readings: Sequence[Reading] = field(default=())

    @property
    def is_judged(self) -> bool:
        """Whether one of its points has a role, which only its rows may show."""
        return any(reading.point.role is not None for reading in self.readings)

    async def read(self, deadline: float, now: float) -> None:
        """Read the group by the loop's ``deadline``; what cannot be read is missing until the next poll."""
        try:
            async with asyncio.timeout_at(deadline):
                self.readings = await self.driver.poll()
            self.due = now + self.interval_s
        except TimeoutError:
            self._lose(Reason.TIMEOUT)
        except DeviceError as fault:
            self._lose(fault.reason)

    def _lose(self, reason: Reason) -> None:
        if not self.readings:
            self.readings = tuple(missing(bound, reason) for bound in self.points)
            return
        self.readings = tuple(_lost(reading, reason) for reading in self.readings)


class PacedDriver:
    """Reads the groups of one device; ``clock`` is monotonic seconds."""

    def __init__(self, device: DeviceSettings, groups: Sequence[Group], clock: Callable[[], float]) -> None:
        self._first, *self._others = groups
        self._deadline_s = device.deadline_s
        self._early_s = device.interval_s / 2  # the poll nearest to when a group is due reads it
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for group in (self._first, *self._others):
            await self._stack.enter_async_context(group.driver)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def bound(self) -> tuple[BoundPoint, ...]:
        """Every point with an address that is known so far."""
        return tuple(each for group in (self._first, *self._others) for each in getattr(group.driver, "bound", ()))

    async def poll(self) -> tuple[Reading, ...]:
        """Read what is due and repeat the rest. Raises DeviceError when the first group does."""
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        readings = await self._first.driver.poll()
        for group in sorted(self._others, key=lambda group: group.due):
            now = self._clock()
            if now + self._early_s >= group.due or group.is_judged:
                await group.read(deadline, now)
        return (*readings, *(reading for group in self._others for reading in group.readings))


def paces(profile: Profile, points: tuple[BoundPoint, ...]) -> Iterator[tuple[float, Profile, tuple[BoundPoint, ...]]]:
    """Yield interval, profile and points of every group, the one that is read at every poll first.

    A point that was given a role at its site is read at every poll, whatever its profile says.
    """
    own = {_pace(bound) for bound in points}
    rows = {point.spec.interval_s for table in profile.tables for point in table.points}
    first, *others = sorted(own | rows | ({0.0} if profile.conditions else set())) or [0.0]
    for interval_s in (first, *others):
        here = tuple(bound for bound in points if _pace(bound) == interval_s)
        tables = tuple(_part(table, interval_s) for table in profile.tables)
        conditions = profile.conditions if interval_s == first else ()
        kept = tuple(table for table in tables if table.points)
        yield interval_s, replace(profile, tables=kept, conditions=conditions), here


def _lost(reading: Reading, reason: Reason) -> Reading:
    severity = Severity.NONE if reading.severity is Severity.NONE else Severity.UNKNOWN
    return Reading(reading.point, None, Quality.MISSING, reason, severity)


def _pace(bound: BoundPoint) -> float:
    return 0.0 if bound.point.role is not None else bound.spec.interval_s


def _part(table: Table, interval_s: float) -> Table:
    return replace(table, points=tuple(point for point in table.points if point.spec.interval_s == interval_s))
