"""The dispatcher against simulated edges: lanes, superseding, outcomes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest
from runtime_rig import MemoryLease, SlowEdge, until

from envmon.actuators.contract import Actuator
from envmon.leases.contract import Lease
from envmon.model.effect import SetPercent, StampEpoch
from envmon.model.event import EffectReport, Outcome
from envmon.runtime.clock import ScaledClock, SystemClock
from envmon.runtime.counters import Counters
from envmon.runtime.dispatcher import Dispatcher


def move(number: int, percent: int, *edges: str, epoch: int = 7, route: str = "outbound") -> SetPercent:
    return SetPercent(f"e{number}", route, edges or ("a",), percent, epoch)


@contextlib.asynccontextmanager
async def dispatching(
    edges: Mapping[str, Actuator], speed: float = 0.0, patience_s: float = 15.0, lease: Lease | None = None
) -> AsyncIterator[tuple[Dispatcher, list[EffectReport], Counters]]:
    reports: list[EffectReport] = []
    counters = Counters()
    clock = ScaledClock(speed, 0.0) if speed else SystemClock()
    if lease is None:
        lease = MemoryLease()
        await lease.acquire(0)
    dispatcher = Dispatcher(edges, lease, clock, counters, reports.append, patience_s)
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher, reports, counters
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_edges_are_written_side_by_side_and_each_one_write_at_a_time() -> None:
    slow, quick = SlowEdge("a", ("outbound", "inbound")), SlowEdge("b", ("outbound", "inbound"))
    slow.gate.clear()
    async with dispatching({"a": slow, "b": quick}) as (dispatcher, reports, _):
        dispatcher.execute([move(1, 100, "a", "b"), move(2, 100, "a", "b", route="inbound")])
        await until(lambda: len(reports) == 2, "both writes of the quick edge")
        assert {(r.edge, r.outcome) for r in reports} == {("b", Outcome.DONE)}
        slow.gate.set()
        await until(lambda: len(reports) == 4, "both writes of the slow edge")
        assert slow.busiest == 1
        assert slow.writes == [("outbound", 100, 7), ("inbound", 100, 7)]


async def test_the_newest_position_supersedes_what_has_not_started() -> None:
    edge = SlowEdge("a", ("outbound", "inbound"))
    edge.gate.clear()
    async with dispatching({"a": edge}) as (dispatcher, reports, counters):
        dispatcher.execute([move(1, 100)])
        await until(lambda: edge.busy == 1, "the first write to start")
        dispatcher.execute([move(2, 50), move(3, 70, route="inbound"), StampEpoch("s", ("a",), 7), move(4, 0)])
        edge.gate.set()
        await until(lambda: len(reports) == 5, "a report for each effect")
        assert edge.writes == [("outbound", 100, 7), ("inbound", 70, 7), ("outbound", 0, 7)]
        outcomes = {r.effect: (r.outcome, r.detail) for r in reports}
        assert outcomes["e2"] == (Outcome.FAILED, "not started: superseded by e4")
        assert {outcomes[e][0] for e in ("e1", "e3", "s", "e4")} == {Outcome.DONE}
        assert counters.superseded_writes == 1


class BrokenEdge(SlowEdge):
    """An edge whose adapter has a bug of ours."""

    async def set_percent(self, *_: object) -> None:
        raise ZeroDivisionError("percent")


async def test_every_way_a_write_can_end_is_reported() -> None:
    silent, hung, fenced = SlowEdge("silent"), SlowEdge("hung"), SlowEdge("fenced")
    silent.silence(True)
    hung.gate.clear()
    await fenced.stamp(9)
    edges = {"silent": silent, "hung": hung, "fenced": fenced, "broken": BrokenEdge("broken")}
    async with dispatching(edges, patience_s=0.1) as (dispatcher, reports, counters):
        dispatcher.execute([move(1, 100, *edges, "gone")])
        await until(lambda: len(reports) == 5, "five reports")
    told = {r.edge: (r.outcome, r.detail) for r in reports}
    assert told["silent"] == (Outcome.FAILED, "edge silent, simulated: no answer")
    assert told["hung"] == (Outcome.FAILED, "no end within 0.1 s; it may have happened")
    assert told["fenced"][0] is Outcome.FENCED and "epoch 9" in told["fenced"][1]
    assert told["broken"] == (Outcome.FAILED, "the actuator failed: ZeroDivisionError: percent")
    assert told["gone"] == (Outcome.FAILED, "no such edge is configured here")
    assert counters.writes == {Outcome.FAILED: 4, Outcome.FENCED: 1}


async def test_an_effect_that_waited_too_long_is_never_executed() -> None:
    edge = SlowEdge("a", ("outbound", "inbound"))
    edge.gate.clear()
    async with dispatching({"a": edge}, speed=1000.0) as (dispatcher, reports, _):
        dispatcher.execute([move(1, 100)])
        await until(lambda: edge.busy == 1, "the first write to start")
        dispatcher.execute([move(2, 100, route="inbound")])
        await asyncio.sleep(0.05)  # 50 s of its clock
        edge.gate.set()
        await until(lambda: len(reports) == 2, "both reports")
    assert edge.writes == [("outbound", 100, 7)]
    assert "not started within 30 s" in reports[1].detail


async def test_a_lease_lost_while_a_write_waited_stops_the_write() -> None:
    lease, edge = MemoryLease(), SlowEdge("a")
    await lease.acquire(0)
    edge.gate.clear()
    async with dispatching({"a": edge}, lease=lease) as (dispatcher, reports, _):
        dispatcher.execute([move(1, 100)])
        await until(lambda: edge.busy == 1, "the first write to start")
        dispatcher.execute([StampEpoch("s", ("a",), 7), move(2, 50)])
        lease.ours = False
        edge.gate.set()
        await until(lambda: len(reports) == 3, "a report for each effect")
    assert edge.writes == [("outbound", 100, 7)]
    assert [r.outcome for r in reports] == [Outcome.DONE, Outcome.FAILED, Outcome.FAILED]
    assert all("lease" in r.detail for r in reports[1:])


class SlowStamp(SlowEdge):
    """An edge that takes its time to be shown an epoch."""

    async def stamp(self, epoch: int) -> None:
        await self.gate.wait()
        await super().stamp(epoch)


async def test_no_call_is_moved_anywhere_before_every_edge_was_shown_the_new_epoch() -> None:
    slow, quick = SlowStamp("a"), SlowEdge("b")
    slow.gate.clear()
    async with dispatching({"a": slow, "b": quick}) as (dispatcher, reports, _):
        dispatcher.execute([StampEpoch("s", ("a", "b"), 7), move(1, 100, "b")])
        await until(lambda: [r.edge for r in reports] == ["b"], "the stamp of the quick edge")
        await asyncio.sleep(0.1)
        assert quick.writes == []
        slow.gate.set()
        await until(lambda: quick.writes == [("outbound", 100, 7)], "the move")
        assert [r.effect for r in reports] == ["s", "s", "e1"]


async def test_an_edge_that_hangs_while_it_is_stamped_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.runtime.dispatcher.STAMP_S", 0.2)
    slow, quick = SlowStamp("a"), SlowEdge("b")
    slow.gate.clear()
    async with dispatching({"a": slow, "b": quick}) as (dispatcher, _, _counters):
        dispatcher.execute([StampEpoch("s", ("a", "b"), 7), move(1, 100, "b")])
        await until(lambda: quick.writes == [("outbound", 100, 7)], "the move")


async def test_an_edge_that_hangs_is_waited_for_once_and_not_by_each_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.runtime.dispatcher.STAMP_S", 2.0)
    routes = ("outbound", "inbound", "emergency")
    slow, quick = SlowStamp("a"), SlowEdge("b", routes)
    slow.gate.clear()
    began = asyncio.get_running_loop().time()
    async with dispatching({"a": slow, "b": quick}) as (dispatcher, _, _counters):
        moves = [move(number, 100, "b", route=route) for number, route in enumerate(routes)]
        dispatcher.execute([StampEpoch("s", ("a", "b"), 7), *moves])
        await until(lambda: len(quick.writes) == 3, "three moves")
    took = asyncio.get_running_loop().time() - began
    assert 2.0 <= took < 4.0, "one wait, not two"
