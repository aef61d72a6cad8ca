"""Alternative implementations of the contracts, and the values the runtime's tests share."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from envmon.actuators.simulated import SimulatedEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.drivers.contract import DeviceError
from envmon.journal.chain import EMPTY, Head
from envmon.journal.record import JournalError, Record
from envmon.leases.contract import Kept, LeaseError, TakenError
from envmon.model.effect import Decision, Effect, Page, PollFaster, SetPercent
from envmon.model.event import Event, OrderReceived, Stamp
from envmon.model.reading import Point, Reading, Reason, Role
from envmon.probes.contract import ProbeResult, Sign

STAMP = Stamp(1_000_000_000, 1_700_000_000.0, "boot-a")


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.005)


def point(device: str, name: str = "supply_air_temp", zone: str = "hall_a") -> Point:
    return Point(f"dallas.{zone}.{device}.{name}", name, device, device, zone, device, Role.SUPPLY_TEMP, "degC")


class UdpDevice(asyncio.DatagramProtocol):
    """A device on loopback that notes when it was asked; ``silent`` ones never answer."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.asked: list[float] = []
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._transport.close()

    @property
    def address(self) -> tuple[str, int]:
        return self._transport.get_extra_info("sockname")

    def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(time.monotonic())
        if not self.silent:
            self._transport.sendto(b"21.5", addr)


class UdpDriver:
    """Asks a UdpDevice. Without ``deadline_s`` it hangs for ever, which no real driver may do."""

    def __init__(self, address: tuple[str, int], points: tuple[Point, ...], deadline_s: float | None) -> None:
        self._address = address
        self._points = points
        self._deadline_s = deadline_s
        self.entered = self.left = 0

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.left += 1

    async def poll(self) -> tuple[Reading, ...]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        class Ask(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
                if not answer.done():
                    answer.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(Ask, remote_addr=self._address)
        try:
            transport.sendto(b"?")
            async with asyncio.timeout(self._deadline_s):
                value = float(await answer)
        except TimeoutError:
            raise DeviceError(Reason.TIMEOUT, f"no answer within {self._deadline_s} s") from None
        finally:
            transport.close()
        return tuple(Reading(p, value) for p in self._points)


class MemoryJournal:
    """A journal in memory whose disk can fail (``fail``) or hang (``gate`` cleared)."""

    def __init__(self) -> None:
        self.head: Head = EMPTY
        self.records: list[Record] = []
        self.snapshots: list[str] = []
        self.appends = 0
        self.fail = ""
        self.bug = False
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[str] = set()

    def append(self, records: Sequence[Record], snapshot: str | None = None) -> Head:
        self.threads.add(threading.current_thread().name)
        self.appends += 1
        self.gate.wait(30)
        if self.fail:
            raise JournalError(self.fail)
        self.records.extend(records)
        if snapshot is not None:
            self.snapshots.append(snapshot)
        self.head = Head(len(self.records) - 1, "0" * 64)
        return self.head

    def save_snapshot(self, text: str) -> None:
        self.append((), text)


class SlowEdge(SimulatedEdge):
    """A simulated edge whose writes wait for ``gate`` and which counts how many run at once."""

    def __init__(self, name: str, routes: tuple[str, ...] = ("outbound",)) -> None:
        super().__init__(EdgeSettings(name, "simulated", "hall_a", "", "127.0.0.1", 5060, None), routes)
        self.gate = asyncio.Event()
        self.gate.set()
        self.writes: list[tuple[str, int, int]] = []
        self.busy = self.busiest = 0

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await self.gate.wait()
            await super().set_percent(route, percent, epoch)
            self.writes.append((route, percent, epoch))
        finally:
            self.busy -= 1


class MemoryLease:
    """A lease in memory; ``holder`` names somebody else who has it."""

    former = 0

    def __init__(self, last: int = 0, ttl_s: float = 0.0) -> None:
        self.ttl_s = ttl_s
        self.kept = Kept()
        self.last = last
        self.holder = ""
        self.ours = False
        self.above: list[int] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.ours = False

    async def acquire(self, above: int) -> int:
        self.above.append(above)
        if self.holder:
            raise TakenError(f"held by {self.holder}", self.holder)
        self.last = max(above, self.last) + 1
        self.ours = True
        return self.last

    async def held(self) -> bool:
        return self.ours

    async def keep(self, epoch: int, text: str) -> None:
        if self.holder:
            raise LeaseError(f"held by {self.holder}")
        self.kept = Kept(text, epoch, epoch)


class CountingProbe:
    """A probe that answers at once and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, str]] = []
        self.asked: list[tuple[str, int]] = []
        self.sign = Sign(0, "silent")

    async def call(self, host: str, port: int, user: str) -> ProbeResult:
        self.calls.append((host, port, user))
        return ProbeResult(True, "backup", "200 OK", 1.5)

    async def options(self, host: str, port: int) -> Sign:
        self.asked.append((host, port))
        return self.sign


class Pages:
    """A page queue that keeps what it was offered."""

    def __init__(self) -> None:
        self.offered: list[Page] = []

    def offer(self, page: Page, _wall: float) -> None:
        self.offered.append(page)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Listener:
    """A publisher that keeps what it was offered."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.statuses: list[Any] = []
        self.running = 0

    def offer_batch(self, batch: Any) -> None:
        self.batches.append(batch)

    def offer_status(self, status: Any) -> None:
        self.statuses.append(status)

    async def run(self) -> None:
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@dataclass(frozen=True, slots=True)
class TinyWorld:
    """What the tiny mind remembers: every event, and how many effects it issued."""

    events: tuple[Event, ...] = ()
    effects: int = 0


@dataclass(frozen=True, slots=True)
class TinyStep:
    world: TinyWorld
    effects: tuple[Effect, ...] = ()
    decisions: tuple[Decision, ...] = field(default=())


def tiny_advance(world: TinyWorld, event: Event) -> TinyStep:
    """An order to shift moves traffic, pages and hints; an order with the reason ``no`` is refused."""
    world = TinyWorld((*world.events, event), world.effects)
    if not isinstance(event, OrderReceived):
        return TinyStep(world)
    order = event.order
    if order.reason == "no":
        refusal = Decision("O99", f"route:{order.route}", "Refused: no.", "", (), order=order.id, refused=True)
        return TinyStep(world, (), (refusal,))
    number = world.effects + 1
    move = SetPercent(f"e{number}", order.route, ("edge_1",), 100, 7)
    page = Page("shift", True, "critical", "moved")  # type: ignore[arg-type]
    decision = Decision("O10", f"route:{order.route}", "Ordered.", "it was hot", (("f", "1"),), (move.id,), order.id)
    return TinyStep(TinyWorld(world.events, number), (page, PollFaster("hall_a", 2.0), move), (decision,))


def tiny_dump(world: TinyWorld) -> str:
    return f'{{"events":{len(world.events)},"effects":{world.effects}}}'


def tiny_status(world: TinyWorld) -> dict[str, Any]:
    return {"site": "dallas", "effects": world.effects}
