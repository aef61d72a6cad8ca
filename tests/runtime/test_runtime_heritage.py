"""What an heir must know: kept before a call is moved, never in the way of anything else."""

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from typing import Self

import pytest
from runtime_rig import MemoryJournal, MemoryLease, TinyStep, TinyWorld, tiny_advance, tiny_dump, tiny_status, until

from envmon.leases.contract import LeaseError
from envmon.model.effect import Page, SetPercent, StampEpoch, TrafficEffect
from envmon.model.event import Command, EffectReport, Event, Order, Outcome
from envmon.runtime.clock import SystemClock
from envmon.runtime.counters import Counters
from envmon.runtime.engine import Engine, Mind, Outlets
from envmon.runtime.heritage import Heritage
from envmon.runtime.ledger import Ledger


class Store(MemoryLease):
    """A lease whose store can be slow (``gate`` cleared) or refuse (``fault``)."""

    def __init__(self, ttl_s: float = 0.5) -> None:
        super().__init__(ttl_s=ttl_s)
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault = ""
        self.texts: list[str] = []
        self.busy = self.busiest = 0

    async def keep(self, epoch: int, text: str) -> None:
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await self.gate.wait()
            if self.fault:
                raise LeaseError(self.fault)
            await super().keep(epoch, text)
            self.texts.append(text)
        finally:
            self.busy -= 1


@dataclass(frozen=True)
class Said:
    epoch: int
    text: str


@dataclass(frozen=True)
class Dated:
    epoch: int
    at: int = field(compare=False)

    @property
    def text(self) -> str:
        return f"decided before {self.at}"


def will(world: TinyWorld) -> Said | None:
    return Said(7, f"{world.effects} effects") if world.effects else None


def stamping(world: TinyWorld, event: Event) -> TinyStep:
    step = tiny_advance(world, event)
    stamp = StampEpoch("s", ("edge_1",), 7)
    return replace(step, effects=(stamp, *step.effects)) if step.effects else step


@dataclass
class Site:
    """An engine whose traffic and pages are kept."""

    lease: Store
    traffic: list[TrafficEffect] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        outlets = Outlets(self.traffic.extend, self.pages.append, lambda _hint: None, lambda: None)
        mind = Mind(stamping, tiny_dump, tiny_status, will=will)
        counters = Counters()
        journal = Ledger(MemoryJournal(), counters)
        heritage = Heritage(self.lease, will)
        self.engine = Engine(mind, TinyWorld(), journal, outlets, SystemClock(), counters, heritage)
        self._run = asyncio.create_task(self.engine.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)

    @property
    def moves(self) -> list[str]:
        return [effect.id for effect in self.traffic if isinstance(effect, SetPercent)]

    def reports(self) -> list[EffectReport]:
        return [event for event in self.engine._world.events if isinstance(event, EffectReport)]

    async def shift(self, number: int) -> None:
        await self.engine.order(Order(f"o{number}", Command.SHIFT, "outbound", "alice", "because"))


async def test_a_call_is_moved_only_after_an_heir_would_know() -> None:
    async with Site(Store(ttl_s=60.0)) as site:
        site.lease.gate.clear()
        ordering = asyncio.create_task(site.shift(1))
        await until(lambda: site.lease.busy, "the memory to be written")
        await until(lambda: site.traffic, "the stamp")
        assert site.moves == [], "the stamp waits for nobody, the move does"
        site.lease.gate.set()
        await ordering
        assert site.moves == ["e1"]
        assert site.lease.texts == ["1 effects"]


@pytest.mark.parametrize("how", ["slow", "refused"])
async def test_what_an_heir_would_not_know_of_is_not_executed_and_reported(how: str) -> None:
    async with Site(Store(ttl_s=60.0)) as site:
        if how == "slow":
            site.lease.gate.clear()
        else:
            site.lease.fault = "etcd: no leader"
        await site.shift(1)
        await until(site.reports, "the report of what was withheld")
        (report,) = site.reports()
        assert (report.effect, report.outcome) == ("e1", Outcome.FAILED)
        assert "what an heir must know is not kept under the lease" in report.detail
        assert ("etcd: no leader" in report.detail) == (how == "refused")
        assert site.moves == []
        site.lease.fault = ""
        site.lease.gate.set()
        await until(lambda: site.lease.texts == ["1 effects"], "the memory, tried again")
        await site.shift(2)
        assert site.moves == ["e2"]


async def test_a_store_that_refuses_for_a_whole_ttl_does_not_keep_calls_in_a_dying_room() -> None:
    async with Site(Store(ttl_s=1.0)) as site:
        site.lease.fault = "etcd: no space"
        await site.shift(1)
        assert site.moves == []
        await until(lambda: any(page.key == "envmon/dallas/lease/memory" for page in site.pages), "the page")
        await site.shift(2)
        assert site.moves == ["e2"]
        site.lease.fault = ""
        await until(lambda: any(not page.raised for page in site.pages if "lease/memory" in page.key), "its end")
        assert [page.raised for page in site.pages if "lease/memory" in page.key] == [True, False]


async def test_one_write_at_a_time_and_the_newest_last() -> None:
    lease = Store(ttl_s=60.0)
    heritage = Heritage(lease, will)
    lease.gate.clear()
    for effects in range(1, 6):
        heritage.look(TinyWorld(effects=effects))
        await asyncio.sleep(0)
    lease.gate.set()
    assert await heritage.settled() == ""
    assert lease.texts == ["1 effects", "5 effects"]
    assert lease.busiest == 1
    heritage.look(TinyWorld(effects=5))
    assert await heritage.settled() == ""
    assert len(lease.texts) == 2, "what is stored is not stored again"


async def test_what_is_stored_late_has_the_date_of_then() -> None:
    """An heir on another machine takes what it sees for new: a hold would last longer there by what etcd was late."""
    lease = Store(ttl_s=60.0)
    date = itertools.count(1)
    heritage = Heritage(lease, lambda _: Dated(7, next(date)))
    lease.fault = "etcd: no leader"
    heritage.look(TinyWorld())
    assert "no leader" in await heritage.settled()
    lease.fault = ""
    heritage.look(TinyWorld())
    assert await heritage.settled() == ""
    heritage.look(TinyWorld())
    assert await heritage.settled() == ""
    assert lease.texts == ["decided before 2"], "and it is not stored again for its date alone"


async def test_nothing_is_kept_where_nobody_can_follow() -> None:
    lease = Store(ttl_s=0.0)
    heritage = Heritage(lease, will)
    heritage.look(TinyWorld(effects=1))
    assert await heritage.settled() == ""
    assert lease.texts == [] and lease.busiest == 0


async def test_the_last_word_is_kept_before_the_lease_is_given_back() -> None:
    async with Site(Store(ttl_s=60.0)) as site:
        site.lease.gate.clear()
        ordering = asyncio.create_task(site.shift(1))
        await until(lambda: site.lease.busy, "the memory to be written")
        asyncio.get_running_loop().call_later(0.1, site.lease.gate.set)
    ordering.cancel()
    assert site.lease.texts == ["1 effects"]


async def test_a_store_that_hangs_does_not_keep_a_daemon_from_ending() -> None:
    async with Site(Store(ttl_s=1.0)) as site:
        site.lease.gate.clear()
        ordering = asyncio.create_task(site.shift(1))
        await until(lambda: site.lease.busy, "the memory to be written")
    ordering.cancel()
    assert site.lease.texts == []
    assert site.lease.busy == 0
