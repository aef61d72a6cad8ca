"""One Modbus line: a connection or serial port that all devices at one address share, one request in flight.

Rules
  - Devices take turns request by request, in the order in which they asked.
  - The deadline of a device runs while the line is its own. Waiting for others does not count against it, and is
    bounded by its ``patience_s`` (the poll interval). A device alone on its line has nobody to wait for: everything
    counts.
  - After a request the whole line rests as long as the profile of the device asked for: ``pause_ms`` from its end and
    1 / ``max_requests_per_s`` from its start. So no device is asked faster than its own limit, and the line never
    faster than the fastest of them.
  - On RTU lines a unit that let a request lapse is left alone for as long as its deadline, while the others go on: its
    late answer must not meet a question it would fit.
  - A connection on which two polls in a row met nothing but silence (one, where a device is alone) is opened anew.

Theory of operation
  A unit that is dead holds the line for its deadline, once per backoff. ``Visit.held_s`` is the time a poll had the
  line: the driver backs off at least that many times the number of other devices, so that a dead unit takes no more
  than its share of the line, whatever the deadlines are.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_framing import RtuFraming, TcpFraming
from envmon.drivers.modbus_link import Link, connect
from envmon.drivers.modbus_plan import Span
from envmon.drivers.modbus_serial import gap_s, open_serial
from envmon.model.reading import Reason
from envmon.profiles.schema import ModbusLimits
from envmon.wire.modbus import Refusal


class Visit:
    """One poll of one device at its line: an async context that ends with TimeoutError."""

    def __init__(self, deadline_s: float, patience_s: float) -> None:
        self.deadline_s = deadline_s
        self.held_s = 0.0
        self.waiting = False
        """Whether the line was others' when the time was over."""
        self._patience_s = patience_s
        self._timeout = asyncio.timeout(deadline_s)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        await self._timeout.__aexit__(kind, error, trace)  # type: ignore[arg-type]  # a traceback, as Python hands it

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Stop the deadline for as long as patience lasts."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        left = (self._timeout.when() or began) - began
        self.waiting = True
        self._timeout.reschedule(began + self._patience_s)
        yield
        now = loop.time()
        self.waiting = False
        self._patience_s -= now - began
        self._timeout.reschedule(now + left)


class Line:
    """What the devices at one address share. ``open_link`` opens it; ``gap_s`` is the least silence after a frame."""

    def __init__(self, open_link: Callable[[], Awaitable[Link]], gap_s: float = 0.0) -> None:
        self._open_link = open_link
        self._gap_s = gap_s
        self._turn = asyncio.Lock()
        self._link: Link | None = None
        self._users = 0
        self._silences = 0
        self._stale = False  # open it anew at the next request
        self._rest_until = 0.0  # loop time before which the line wants no request
        self._settling: dict[int, float] = {}  # loop time until which a unit's late answer may come

    @property
    def others(self) -> int:
        """How many devices share the line with the one that asks."""
        return max(self._users - 1, 0)

    @property
    def late(self) -> int:
        """Frames on this connection that answered no request in flight."""
        return self._link.framing.late if self._link is not None else 0

    def enter(self) -> None:
        """Count one device more."""
        self._users += 1

    async def leave(self) -> None:
        """Count one device less; the last one closes the line."""
        self._users -= 1
        if self._users <= 0:
            await self._close()

    async def ask(
        self, visit: Visit, unit_id: int, span: Span, limits: ModbusLimits, *, first: bool
    ) -> bytes | Refusal:
        """Read once, in turn.

        ``first``: nothing was answered in this poll yet, so that a lost connection may be one that was closed idle.
        Raises DeviceError, and TimeoutError through ``visit``.
        """
        loop = asyncio.get_running_loop()
        if self._users > 1 or unit_id in self._settling:
            with visit.wait():
                await self._take_turn(unit_id)
        else:
            await self._take_turn(unit_id)
        began = loop.time()
        try:
            outcome = await self._exchange(visit, unit_id, span, limits, first=first)
            self._silences = 0
            return outcome
        finally:
            visit.held_s += loop.time() - began
            self._turn.release()

    async def _take_turn(self, unit_id: int) -> None:
        if unit_id in self._settling:
            await self._settled(unit_id)
        await self._turn.acquire()
        if self._rest_until:
            try:
                await self._rest()
            except BaseException:
                self._turn.release()
                raise

    async def gave_up(self) -> None:
        """Take note that a whole poll met silence, or a fault that closed the connection."""
        self._silences += 1
        if self._silences >= min(2, self._users):
            if self._turn.locked():
                self._stale = True
            else:
                await self._close()

    async def _exchange(
        self, visit: Visit, unit_id: int, span: Span, limits: ModbusLimits, *, first: bool
    ) -> bytes | Refusal:
        if self._stale:
            await self._close()
        reused = self._link is not None and self._link.usable
        link = self._link if self._link is not None and reused else await self._connect(limits)
        try:
            return await self._send(visit, link, unit_id, span, limits)
        except DeviceError as fault:
            if link.usable and fault.reason is Reason.GARBAGE:  # noise on an RTU line costs a repetition
                await self._rest()
                return await self._send(visit, link, unit_id, span, limits)
            if not (first and reused and fault.reason is Reason.UNREACHABLE):
                raise
        link = await self._connect(limits)  # it had closed an idle one
        await self._rest()
        return await self._send(visit, link, unit_id, span, limits)

    async def _send(self, visit: Visit, link: Link, unit_id: int, span: Span, limits: ModbusLimits) -> bytes | Refusal:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await link.ask(unit_id, span)
        except asyncio.CancelledError:
            if not link.framing.identifies:
                self._settling[unit_id] = loop.time() + visit.deadline_s
            raise
        finally:
            if limits.pause_ms or limits.max_requests_per_s or self._gap_s:
                pause = max(limits.pause_ms / 1000, self._gap_s)
                ceiling = 1 / limits.max_requests_per_s if limits.max_requests_per_s else 0.0
                self._rest_until = max(loop.time() + pause, began + ceiling)

    async def _settled(self, unit_id: int) -> None:
        """Wait until no late answer of this unit is to be expected."""
        until = self._settling.get(unit_id)
        if until is not None:
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            self._settling.pop(unit_id, None)

    async def _rest(self) -> None:
        if (rest := self._rest_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(rest)

    async def _connect(self, limits: ModbusLimits) -> Link:
        await self._close()
        self._link = link = await self._open_link()
        await asyncio.sleep(limits.pause_after_connect_ms / 1000)
        return link

    async def _close(self) -> None:
        link, self._link = self._link, None
        self._stale, self._silences = False, 0
        if link is not None:
            await link.close()


@dataclass(slots=True)
class Lines:
    """The lines of one set of devices: those at the same address share one."""

    _known: dict[tuple[object, ...], Line] = field(default_factory=dict)

    def at(self, device: DeviceSettings, limits: ModbusLimits) -> Line:
        """Return the line of a device."""
        key: tuple[object, ...] = (device.transport, device.host, device.port or limits.port)
        if key not in self._known:
            gap = gap_s(device.serial) if device.transport == "rtu" else 0.0
            self._known[key] = Line(link_opener(device, device.port or limits.port), gap)
        return self._known[key]


def name_of(device: DeviceSettings, limits: ModbusLimits) -> str:
    """Name the device as its errors do."""
    if device.transport == "rtu":
        return f"modbus {device.host} unit {device.unit_id}"
    over = " (rtu over tcp)" if device.transport == "rtu_over_tcp" else ""
    return f"modbus {device.host}:{device.port or limits.port}{over} unit {device.unit_id}"


def link_opener(device: DeviceSettings, port: int) -> Callable[[], Awaitable[Link]]:
    """Return what opens the device's connection or serial line; it raises DeviceError."""
    match device.transport:
        case "rtu":
            return lambda: open_serial(device.host, device.serial, RtuFraming())
        case "rtu_over_tcp":
            return lambda: connect(device.host, port, RtuFraming())
        case "tcp":
            transactions = itertools.count(1)
            return lambda: connect(device.host, port, TcpFraming(transactions))
        case other:
            raise ValueError(f'device {device.id}: "{other}" is no Modbus transport')
