"""The engine: journal before act, hints before the disk, answers after it, nothing stopped by a dead disk."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from runtime_rig import (
    STAMP,
    MemoryJournal,
    MemoryLease,
    TinyWorld,
    tiny_advance,
    tiny_dump,
    tiny_status,
    until,
)

from envmon.journal.record import Entry
from envmon.model.effect import AskProbe, Page, PollFaster, SetPercent, TrafficEffect
from envmon.model.event import (
    Command,
    DeviceBatch,
    EdgeReport,
    EffectReport,
    Event,
    LeaseReport,
    Order,
    OrderReceived,
    Outcome,
    Stamp,
    Tick,
)
from envmon.runtime.clock import ScaledClock
from envmon.runtime.counters import Counters
from envmon.runtime.engine import Engine, Mind, Outlets
from envmon.runtime.heard import MOST
from envmon.runtime.heritage import Heritage
from envmon.runtime.ledger import Ledger

MIND = Mind(tiny_advance, tiny_dump, tiny_status)


@dataclass
class Bench:
    """An engine on a fast clock, and everything that left it."""

    speed: float = 20.0
    mind: Mind[TinyWorld] = MIND
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    counters: Counters = field(default_factory=Counters)
    lease: "FollowedLease | None" = None
    traffic: list[TrafficEffect] = field(default_factory=list)
    on_disk_at_traffic: list[int] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    hints: list[PollFaster | AskProbe] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    turns: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.journal, self.counters, patience_s=0.05)
        outlets = Outlets(
            self._traffic,
            self.pages.append,
            self.hints.append,
            self._turned,
            lambda event, _: self.events.append(event),
        )
        clock, heritage = ScaledClock(self.speed, 1e9), Heritage(self.lease, self._kept) if self.lease else None
        self.engine = Engine(self.mind, TinyWorld(), self.ledger, outlets, clock, self.counters, heritage)

    def _traffic(self, effects: tuple[TrafficEffect, ...]) -> None:
        for effect in effects:
            self.traffic.append(effect)
            self.on_disk_at_traffic.append(sum(effect.id in record.effect for record in self.journal.records))

    def _turned(self) -> None:
        self.turns += 1

    def _kept(self, world: TinyWorld) -> "Kept | None":
        return None if self.lease is None or self.lease.lost else Kept(str(world.effects))

    def seen(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Kept:
    """What an heir would know of the tiny world."""

    text: str
    epoch: int = 7


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.engine.run())
    try:
        yield bench
        assert not task.done(), task
    finally:
        bench.journal.gate.set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await bench.engine.end("test")


def shift(number: int = 1, reason: str = "drill") -> Order:
    return Order(f"o{number}", Command.SHIFT, "outbound", "ann", reason)


async def test_an_order_is_on_disk_before_the_edge_and_before_its_answer() -> None:
    async with running(Bench()) as bench:
        answer = await bench.engine.order(shift())
        assert answer.done and not answer.refused
        assert [decision.rule for decision in answer.decisions] == ["O10"]
        assert bench.traffic == [SetPercent("e1", "outbound", ("edge_1",), 100, 7)]
        assert bench.on_disk_at_traffic == [1]
        assert [record.entry for record in bench.journal.records] == [Entry.ORDER, Entry.DECISION]
        assert bench.journal.appends == 1, "one append: the order, the decision and the snapshot"
        assert '"effects":1' in bench.journal.snapshots[0]
        assert bench.counters.decisions == {"O10": 1}


async def test_hints_leave_before_the_disk_and_traffic_and_answers_do_not() -> None:
    async with running(Bench()) as bench:
        bench.ledger._patience_s = 30.0
        bench.journal.gate.clear()
        asked = asyncio.create_task(bench.engine.order(shift()))
        await until(lambda: bench.journal.appends == 1, "the append to begin")
        assert [page.key for page in bench.pages] == ["shift"]
        assert bench.hints == [PollFaster("hall_a", 2.0)]
        assert bench.traffic == []
        assert not asked.done()
        bench.journal.gate.set()
        assert (await asked).done
        assert len(bench.traffic) == 1


async def test_a_refusal_is_an_answer_and_a_line() -> None:
    async with running(Bench()) as bench:
        answer = await bench.engine.order(shift(reason="no"))
        assert answer.refused and not answer.done
        assert answer.decisions[0].rule == "O99"
        assert bench.journal.records[-1].extra["refused"] == "yes"
        assert bench.traffic == []


async def test_an_order_is_judged_by_who_waits_for_it_when_its_turn_comes() -> None:
    waits = {"o1": True, "o2": True}
    async with running(Bench()) as bench:
        bench.journal.gate.clear()
        first = asyncio.create_task(bench.engine.order(shift(1), lambda: waits["o1"]))
        await until(lambda: bench.seen(OrderReceived), "the first order's turn")
        second = asyncio.create_task(bench.engine.order(shift(2), lambda: waits["o2"]))
        await asyncio.sleep(0)
        waits["o1"] = waits["o2"] = False
        bench.journal.gate.set()
        await asyncio.gather(first, second)
        bench.engine.post(OrderReceived(STAMP, shift(3)))
        await until(lambda: len(bench.seen(OrderReceived)) == 3, "an order nobody has asked for")
        late = {event.order.id: event.order.late for event in bench.seen(OrderReceived)}  # type: ignore[attr-defined]
    assert late == {"o1": False, "o2": True, "o3": True}


class FollowedLease(MemoryLease):
    """A lease with a standby, over a store that may not answer."""

    def __init__(self) -> None:
        super().__init__(ttl_s=5.0)
        self.answers = asyncio.Event()
        self.lost = False

    async def keep(self, epoch: int, text: str) -> None:
        await self.answers.wait()
        await super().keep(epoch, text)


async def test_an_order_is_done_when_an_heir_would_know_of_it() -> None:
    lease = FollowedLease()
    async with running(Bench(lease=lease)) as bench:
        answer = await bench.engine.order(shift())
        assert not answer.done and not answer.refused
        assert answer.error.startswith("in force here, but whoever takes the lease from here would not know of it")
        assert bench.traffic == [], "nor is a call moved"
        refused = await bench.engine.order(shift(2, reason="no"))
        assert (refused.refused, refused.error) == (True, ""), "what changes nothing waits for nobody"
        lease.answers.set()
        answer = await bench.engine.order(shift(3))
        assert answer.done and not answer.error
        assert lease.kept.text == "2", "the second move is known when it is answered"
        lease.lost = True
        answer = await bench.engine.order(shift(4))
        assert answer.error.endswith("the lease is not held")


async def test_without_a_journal_no_call_moves_and_the_rest_goes_on() -> None:
    async with running(Bench()) as bench:
        bench.journal.fail = "no space left on device"
        answer = await bench.engine.order(shift())
        assert not answer.done and not answer.refused
        assert answer.error == "the journal cannot be written (no space left on device): no call was moved"
        failed = [page for page in bench.pages if page.key == "envmon/dallas/journal/failed"]
        assert [page.raised for page in failed] == [True]
        assert "no space left" in failed[0].summary
        await until(lambda: bench.seen(EffectReport), "the withheld effect is reported to the core")
        report = bench.seen(EffectReport)[0]
        assert isinstance(report, EffectReport)
        assert (report.effect, report.edge, report.outcome) == ("e1", "edge_1", Outcome.FAILED)
        turns = bench.turns
        await until(lambda: bench.turns > turns + 3, "the status is still published")
        assert bench.traffic == []

        bench.journal.fail = ""
        await until(lambda: not bench.ledger.failure, "the recovery")
        await until(lambda: bench.pages[-1].raised is False, "the page is resolved")
        assert [r.entry for r in bench.journal.records] == [Entry.ORDER, Entry.DECISION, Entry.RESULT]
        assert bench.traffic == [], "what was withheld is never executed late; the core decides again"
        assert (await bench.engine.order(shift(2))).done
        assert [effect.id for effect in bench.traffic] == ["e2"]


async def test_calls_move_where_the_state_cannot_be_kept_and_people_are_told() -> None:
    async with running(Bench(mind=replace(MIND, dump=lambda world: str(1 // world.effects)))) as bench:
        await until(lambda: bench.pages, "the page")
        assert bench.pages[0].key == "envmon/dallas/journal/state"
        assert "ZeroDivisionError" in bench.pages[0].summary
        assert (await bench.engine.order(shift())).done, "with this order the state can be kept again"
    async with running(Bench(mind=replace(MIND, dump=lambda _: str(1 // 0)))) as bench:
        answer = await bench.engine.order(shift())
        assert answer.error.startswith("in force, but lost at a restart: ZeroDivisionError")
        assert [effect.id for effect in bench.traffic] == ["e1"]
        assert bench.on_disk_at_traffic == [1]
        refused = await bench.engine.order(shift(2, reason="no"))
        assert (refused.refused, refused.error) == (True, ""), "what is refused is not in force"


async def test_what_others_say_comes_in_as_a_line_people_can_read() -> None:
    async with running(Bench()) as bench:
        stamp = Stamp(1, 1e9, "boot")
        bench.engine.post(EdgeReport(stamp, "edge_1", (), "no\x1b[2J \udcff" + "x" * 9_999))
        bench.engine.post(LeaseReport(stamp, held=False, epoch=0, detail="held by \u202eeve", holder="\x00"))
        await until(lambda: bench.seen(LeaseReport), "the reports")
        (report,) = bench.seen(EdgeReport)
        assert report.error.startswith("no [2J x") and len(report.error) == MOST
        (lease,) = bench.seen(LeaseReport)
        assert (lease.detail, lease.holder) == ("held by eve", "?")


async def test_a_hanging_disk_stops_neither_pages_nor_status() -> None:
    async with running(Bench()) as bench:
        bench.journal.gate.clear()
        answer = await bench.engine.order(shift())
        assert "has not answered" in answer.error
        turns = bench.turns
        await until(lambda: bench.turns > turns + 3, "the engine still turns")
        assert bench.traffic == []


async def test_overload_drops_readings_and_never_an_order() -> None:
    bench = Bench()
    for number in range(500):
        bench.engine.post(DeviceBatch(STAMP, f"crac_{number % 5}", (), str(number)))
        bench.engine.post(OrderReceived(STAMP, shift(number)))
    async with running(bench):
        await until(lambda: len(bench.seen(OrderReceived)) == 500, "every order", 20)
        orders = [event.order.id for event in bench.seen(OrderReceived)]  # type: ignore[attr-defined]
        assert orders == [f"o{number}" for number in range(500)]
        batches = [event.error for event in bench.seen(DeviceBatch)]  # type: ignore[attr-defined]
        assert batches == ["495", "496", "497", "498", "499"]
        assert bench.counters.coalesced_batches == 495
        await until(lambda: len(bench.traffic) == 500, "every effect")
        assert set(bench.on_disk_at_traffic) == {1}


async def test_ticks_come_by_themselves_once_a_virtual_second() -> None:
    async with running(Bench(speed=20.0)) as bench:
        await until(lambda: len(bench.seen(Tick)) >= 6, "six ticks")
        moments = [event.at.mono_ns / 1e9 for event in bench.seen(Tick)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        assert 0.5 < sorted(gaps)[len(gaps) // 2] < 1.5, gaps
        assert bench.counters.ticks >= 6
        assert 0.0 <= bench.counters.engine_lag_s < 20.0


async def test_a_quiet_world_is_still_saved() -> None:
    async with running(Bench(speed=200.0)) as bench:
        await until(lambda: len(bench.journal.snapshots) >= 2, "a snapshot every ten virtual seconds")
        assert bench.journal.records == []


async def test_the_first_and_the_last_line() -> None:
    bench = Bench()
    await bench.engine.begin("1.2")
    async with running(bench):
        await bench.engine.order(shift())
    entries = [record.entry for record in bench.journal.records]
    assert (entries[0], entries[-1]) == (Entry.START, Entry.STOP)
    assert bench.journal.records[0].extra == {"version": "1.2"}
    assert all(record.state_hash for record in bench.journal.records)
