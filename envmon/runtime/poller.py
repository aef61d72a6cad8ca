"""Polls every device in its slot and posts one batch per poll.

Rules
  - At most one poll in flight per device; a device still busy at its next slot is late: counted, skipped, not queued.
  - No device delays another: every poll is a task of its own, ended by its driver's deadline. A driver that breaks
    its promise is cut off when its device is due again.
  - A device that did not answer yields a batch too: every point of it missing, those of its tables as they were last
    known, with the reason.
  - A device that called (``look``) is polled out of turn, within the bounds of ``looks``; its slots stay as they are.
  - A loss is logged once, and so is the recovery.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from envmon.drivers.contract import DeviceError, Driver
from envmon.model.effect import PollFaster
from envmon.model.event import DeviceBatch
from envmon.model.reading import Point, Quality, Reading, Reason
from envmon.model.readings import Readings, Sheet, columns, sheet_of
from envmon.runtime.clock import Clock
from envmon.runtime.counters import Counters
from envmon.runtime.looks import Looks, gap_s
from envmon.runtime.slots import Schedule

log = logging.getLogger(__name__)

LENIENCE = 3.0  # times its deadline (real seconds, plus one): then a driver has broken its promise


@dataclass(frozen=True, slots=True)
class PolledDevice:
    """A device bound to its driver. ``points`` are all of its points, in profile order; times in seconds.

    ``deadline_s`` is what a whole poll may take, waiting for others on its line included.
    """

    id: str
    zone: str
    interval_s: float
    deadline_s: float
    points: Sequence[Point]
    driver: Driver


@dataclass(slots=True)
class _Flight:
    """A poll under way: its task, the loop's time at which it must have ended, and whether it was cut off.

    ``prompted``: begun out of turn; a slot that falls into it is served by it.
    """

    task: asyncio.Task[None]
    end_by: float
    prompted: bool = False
    cut_off: bool = False


class Poller:
    """Polls until cancelled. ``sinks`` take each batch; they return at once and never raise."""

    def __init__(
        self,
        devices: Sequence[PolledDevice],
        clock: Clock,
        counters: Counters,
        sinks: Sequence[Callable[[DeviceBatch], None]],
        hints: Mapping[str, float] | None = None,
    ) -> None:
        self._devices = {device.id: device for device in devices}
        self._clock = clock
        self._counters = counters
        self._sinks = sinks
        self._hints = dict(hints or {})
        self._wake = asyncio.Event()
        self._busy: dict[str, _Flight] = {}
        self._looks = Looks()
        self._lost: set[str] = set()
        self._sheets: dict[str, Sheet] = {}  # the rows of a device's tables are known once it answered
        self._silences: dict[str, tuple[Reason, Readings]] = {}  # of the devices that do not answer
        self._schedule = Schedule({device.id: self._wanted(device) for device in devices}, clock.now())

    @property
    def hints(self) -> Mapping[str, float]:
        """The faster intervals in force, by zone, in seconds; a poller that replaces this one wants them."""
        return self._hints

    def faster(self, effect: PollFaster) -> None:
        """Poll the zone's devices at least every ``interval_s`` seconds; 0 ends it."""
        if effect.interval_s > 0:
            self._hints[effect.zone] = effect.interval_s
        else:
            self._hints.pop(effect.zone, None)
        for device in self._devices.values():
            if device.zone == effect.zone:
                self._schedule.change(device.id, self._wanted(device), self._clock.now())
        self._wake.set()

    def look(self, name: str) -> None:
        """Poll a device as soon as it may be; an unknown name is no error, it may have left with a reload."""
        device = self._devices.get(name)
        if device is not None:
            self._looks.ask(name, gap_s(device.interval_s), self._clock.now())
            self._wake.set()

    async def run(self) -> None:
        """Open the drivers, poll in slots, close them when cancelled."""
        async with AsyncExitStack() as stack:
            for device in self._devices.values():
                await stack.enter_async_context(device.driver)
            try:
                while True:
                    await self._next_slot()
                    self._start_due()
            finally:
                polls = [flight.task for flight in self._busy.values()]
                for poll in polls:
                    poll.cancel()
                await asyncio.gather(*polls, return_exceptions=True)

    async def _next_slot(self) -> None:
        """Sleep until the next slot or look, or until one of them changed."""
        self._wake.clear()
        dues = [at for at in (self._schedule.next_due(), self._looks.next_due(self._busy)) if at is not None]
        if not dues:
            await self._wake.wait()
            return
        due = min(dues)
        sleep = asyncio.create_task(self._clock.sleep(due - self._clock.now()))
        wake = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()

    def _start_due(self) -> None:
        now = asyncio.get_running_loop().time()
        for name, missed in self._schedule.take(self._clock.now()):
            flight = self._busy.get(name)
            if late := missed + (flight is not None and not flight.prompted):
                self._counters.late_polls[name] += late
            if flight is None:
                self._start(name, now)
                continue
            flight.prompted = False  # it has served this slot, and no other
            if now > flight.end_by and not flight.cut_off:
                flight.cut_off = True
                flight.task.cancel()
        for name in self._looks.take(self._clock.now(), self._busy):
            self._counters.prompted_polls[name] += 1
            self._start(name, now, prompted=True)

    def _start(self, name: str, now: float, *, prompted: bool = False) -> None:
        self._looks.began(name, self._clock.now())
        device = self._devices[name]
        end_by = now + device.deadline_s * LENIENCE + 1.0
        self._busy[name] = _Flight(asyncio.create_task(self._poll(device), name=name), end_by, prompted)

    async def _poll(self, device: PolledDevice) -> None:
        """Poll a device and free it for its next poll."""
        try:
            batch = await self._ask(device)
        finally:
            self._busy.pop(device.id, None)
            if self._looks.waiting:
                self._wake.set()  # it may have been called for while it was polled
        for sink in self._sinks:
            sink(batch)

    async def _ask(self, device: PolledDevice) -> DeviceBatch:
        self._counters.polls += 1
        error = ""
        try:
            readings = columns(await device.driver.poll())
        except DeviceError as fault:
            readings, error = self._missing(device, fault.reason), str(fault)
            self._note_loss(device, error)
        except asyncio.CancelledError:
            if not self._busy[device.id].cut_off:
                raise
            error = f"no end within {LENIENCE:g} times its deadline of {device.deadline_s:g} s"
            readings = self._missing(device, Reason.TIMEOUT)
            self._note_loss(device, f"the driver broke its promise: {error}")
        except Exception as bug:  # noqa: BLE001 - one driver's bug is one device's loss
            readings, error = self._missing(device, Reason.GARBAGE), f"the driver failed: {type(bug).__name__}: {bug}"
            self._note_loss(device, error, bug)
        else:
            self._sheets[device.id] = readings.sheet
            self._note_recovery(device)
        return DeviceBatch(self._clock.stamp(), device.id, readings, error)

    def _wanted(self, device: PolledDevice) -> float:
        return min(device.interval_s, self._hints.get(device.zone, device.interval_s))

    def _note_loss(self, device: PolledDevice, error: str, bug: Exception | None = None) -> None:
        self._counters.failed_polls[device.id] += 1
        if device.id not in self._lost:
            self._lost.add(device.id)
            log.warning("device %s does not answer: %s", device.id, error, exc_info=bug)

    def _note_recovery(self, device: PolledDevice) -> None:
        if device.id in self._lost:
            self._lost.discard(device.id)
            self._silences.pop(device.id, None)
            log.info("device %s answers again", device.id)

    def _missing(self, device: PolledDevice, reason: Reason) -> Readings:
        """Return every point missing: those of the last poll, or those known beforehand."""
        sheet = self._sheets.get(device.id) or self._sheets.setdefault(device.id, sheet_of(device.points))
        before = self._silences.get(device.id)
        if before is None or before[0] is not reason or before[1].sheet is not sheet:
            before = self._silences[device.id] = (reason, _all_missing(sheet, reason))
        return before[1]


def _all_missing(sheet: Sheet, reason: Reason) -> Readings:
    missing = {at: Reading(point, None, Quality.MISSING, reason) for at, point in enumerate(sheet.points)}
    return Readings(sheet, (None,) * len(missing), missing)
