"""The loops that look: edges, probe calls, the lease."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path

from runtime_rig import CountingProbe, MemoryLease, SlowEdge, until

from envmon.config.settings import ProofSettings
from envmon.leases.contract import Kept, LeaseError
from envmon.model.event import Bequest, EdgeReport, EdgeStatus, LeaseReport, ProbeReport, ReadinessReport, Target
from envmon.probes.contract import ProbeResult, Sign
from envmon.probes.evidence import Evidence
from envmon.runtime.clock import ScaledClock, SystemClock
from envmon.runtime.watch import PROOF_GAP_S, EdgeWatch, LeaseKeeper, ProbeTarget, ProbeWatch, ProofWatch, sign_of_life

TARGET = ProbeTarget("outbound", "edge_1", Target.PRIMARY, "127.0.0.1", 5060, "probe")


@contextlib.asynccontextmanager
async def running(*runs: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(run()) for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class HungEdge(SlowEdge):
    """An edge that never answers a question."""

    async def status(self) -> tuple[EdgeStatus, ...]:
        await asyncio.Event().wait()
        return ()


async def test_edges_are_asked_side_by_side_and_silence_is_a_report() -> None:
    reports: list[EdgeReport] = []
    well, silent = SlowEdge("well"), SlowEdge("silent")
    silent.silence(True)
    clock = ScaledClock(100.0, 0.0)
    names = {"well": well, "silent": silent, "hung": HungEdge("hung")}
    watches = [EdgeWatch(name, edge, clock, reports.append) for name, edge in names.items()]
    async with running(*(watch.run for watch in watches)):
        await until(lambda: sum(r.edge == "well" for r in reports) >= 4, "four reports of the edge that answers")
        assert {(r.edge, r.error) for r in reports} == {("well", ""), ("silent", "edge silent, simulated: no answer")}
        silent.silence(False)
        await until(lambda: reports[-1].edge == "silent" and not reports[-1].error, "it answers again")
        assert reports[-1].statuses[0].route == "outbound"


async def test_a_look_does_not_wait_for_the_next_beat_and_a_report_is_as_old_as_its_question() -> None:
    reports: list[EdgeReport] = []
    edge = SlowEdge("a")
    clock = SystemClock()
    watch = EdgeWatch("a", edge, clock, reports.append, interval_s=600.0)
    async with running(watch.run):
        await until(lambda: len(reports) == 1, "the first report")
        await edge.set_percent("outbound", 100, 5)
        before = clock.stamp().mono_ns
        watch.look()
        await until(lambda: len(reports) == 2, "the report that was asked for")
    assert reports[1].statuses[0].percent == 100
    assert before <= reports[1].at.mono_ns <= clock.stamp().mono_ns
    assert watch.fence == 5


async def test_an_edge_that_takes_no_commands_is_asked_by_sip_whether_calls_still_go_through_it() -> None:
    reports: list[EdgeReport] = []
    edge, probe = SlowEdge("edge_1"), CountingProbe()
    speaks = sign_of_life("edge_1", (TARGET,), {"edge_1": probe})
    assert sign_of_life("another", (TARGET,), {"edge_1": probe}) is None
    watch = EdgeWatch("edge_1", edge, ScaledClock(100.0, 0.0), reports.append, speaks=speaks)
    async with running(watch.run):
        await until(lambda: len(reports) == 2, "reports of an edge that answers")
        assert probe.asked == [], "an edge that takes commands is not asked twice"
        edge.silence(True)
        await until(lambda: reports[-1].error, "its silence")
        probe.sign = Sign(503, "it speaks")
        await until(lambda: reports[-1].speaks, "an answer to OPTIONS, whatever it says")
        probe.sign = Sign(0, "silent")
        await until(lambda: not reports[-1].speaks, "silence there too")
    assert set(probe.asked) == {("127.0.0.1", 5060)}


async def test_probe_calls_are_placed_in_time_and_at_once_when_asked() -> None:
    reports: list[ProbeReport] = []
    probe = CountingProbe()
    watch = ProbeWatch(TARGET, probe, SystemClock(), reports.append, interval_s=600.0)
    async with running(watch.run):
        await until(lambda: len(reports) == 1, "the first call")
        watch.look()
        await until(lambda: len(reports) == 2, "the call a decision waits for")
    assert probe.calls == [("127.0.0.1", 5060, "probe")] * 2
    told = reports[1]
    assert (told.route, told.edge, told.target, told.answered, told.answered_by, told.detail, told.millis) == (
        "outbound",
        "edge_1",
        Target.PRIMARY,
        True,
        "backup",
        "200 OK",
        1.5,
    )


async def test_the_lease_is_taken_above_every_fence_and_only_after_each_edge_was_asked() -> None:
    edge, hung = SlowEdge("a"), HungEdge("b")
    await edge.stamp(41)
    clock = ScaledClock(50.0, 0.0)
    watch, waiting = EdgeWatch("a", edge, clock, lambda _: None), EdgeWatch("b", hung, clock, lambda _: None)
    lease, reports = MemoryLease(last=3), list[LeaseReport]()
    keeper = LeaseKeeper(lease, (watch, waiting), clock, reports.append)
    async with running(watch.run, waiting.run, keeper.run):
        await until(watch.asked.is_set, "the first report")
        await clock.sleep(10)
        assert lease.above == [], "an edge that has not been asked yet may have seen any epoch"
        waiting.asked.set()
        await until(lambda: reports, "the lease")
    assert lease.above == [41]
    assert (reports[0].held, reports[0].epoch) == (True, 42)


async def test_a_lease_lost_is_told_once_and_taken_again_with_a_new_epoch() -> None:
    lease, reports = MemoryLease(), list[LeaseReport]()
    keeper = LeaseKeeper(lease, (), ScaledClock(100.0, 0.0), reports.append)
    lease.holder = "houston"
    async with running(keeper.run):
        await until(lambda: len(lease.above) >= 3, "three attempts")
        assert [(r.held, r.epoch, r.detail) for r in reports] == [(False, 0, "held by houston")]
        lease.holder = ""
        await until(lambda: reports[-1].held, "the lease")
        lease.ours = False
        await until(lambda: len(reports) == 4, "its loss and its return")
    assert [(r.held, r.epoch) for r in reports] == [(False, 0), (True, 1), (False, 0), (True, 2)]
    assert reports[2].detail == "epoch 1 is lost"


async def test_what_lies_under_the_lease_is_told_once_and_before_the_lease() -> None:
    lease, reports = MemoryLease(), list[LeaseReport | Bequest]()
    lease.holder, lease.kept = "houston", Kept("one", 5, 5, 0.5)
    async with running(LeaseKeeper(lease, (), ScaledClock(100.0, 0.0), reports.append).run):
        await until(lambda: len(lease.above) >= 3, "three attempts")
        bequest, refused = reports
        assert isinstance(bequest, Bequest)
        assert (bequest.text, bequest.epoch, bequest.latest, bequest.age_s) == ("one", 5, 5, 0.5)
        assert isinstance(refused, LeaseReport)
        assert refused.holder == "houston"
        lease.holder, lease.kept = "", Kept("two", 5, 5)
        await until(lambda: len(reports) == 4, "the lease")
        assert [type(each) for each in reports[2:]] == [Bequest, LeaseReport]
        await lease.keep(1, "three")
        seen = len(lease.above)
        await asyncio.sleep(0.1)
        assert (len(reports), len(lease.above)) == (4, seen), "what a holder keeps is no news to it"


class DeafLease(MemoryLease):
    """A lease whose store is gone."""

    async def held(self) -> bool:
        raise LeaseError("the store does not answer")


async def test_a_lease_that_cannot_be_checked_is_not_held() -> None:
    lease, reports = DeafLease(), list[LeaseReport]()
    async with running(LeaseKeeper(lease, (), ScaledClock(100.0, 0.0), reports.append).run):
        await until(lambda: len(reports) >= 2, "taken, then not known any more")
    assert (reports[0].held, reports[1].held, reports[1].detail) == (True, False, "the store does not answer")


async def test_a_fresh_call_is_one_placed_after_the_asking() -> None:
    """A call in flight began too early: it may not answer for an order given meanwhile."""
    gate = asyncio.Event()

    class SlowProbe(CountingProbe):
        async def call(self, host: str, port: int, user: str) -> ProbeResult:
            result = await super().call(host, port, user)
            await gate.wait()
            return result

    probe, reports = SlowProbe(), list[ProbeReport]()
    watch = ProbeWatch(TARGET, probe, SystemClock(), reports.append, interval_s=600.0)
    async with running(watch.run):
        await until(lambda: len(probe.calls) == 1, "a call in flight")
        fresh = asyncio.create_task(watch.fresh())
        await asyncio.sleep(0)
        gate.set()
        await asyncio.wait_for(fresh, 5)
        assert len(probe.calls) == 2
        assert len(reports) == 2


async def test_an_item_that_cannot_be_asked_is_reported_with_the_reason_and_asked_again(tmp_path: Path) -> None:
    told, reports = tmp_path / "told.json", list[ReadinessReport]()
    evidence = Evidence(ProofSettings("outbound", "replication_age", argv=("/bin/cat", str(told)), deadline_s=20.0))
    of = ("outbound", "replication_age")
    async with running(ProofWatch(of, evidence, SystemClock(), reports.append, 0.05).run):
        await until(lambda: reports, "the error")
        told.write_text('{"pass": true, "why": "4 s behind"}')
        await until(lambda: not reports[-1].error, "the answer")
    assert (reports[0].route, reports[0].item, reports[0].passed) == ("outbound", "replication_age", False)
    assert reports[0].error == "it ended with 1"
    assert (reports[-1].passed, reports[-1].why) == (True, "4 s behind")


async def test_a_proof_is_asked_out_of_turn_but_not_oftener_than_its_gap(tmp_path: Path) -> None:
    told, reports = tmp_path / "told.json", list[ReadinessReport]()
    told.write_text('{"pass": true, "why": "recorded nowhere"}')
    evidence = Evidence(ProofSettings("outbound", "canary", argv=("/bin/cat", str(told)), deadline_s=20.0))
    clock = ScaledClock(200.0, 0.0)
    watch = ProofWatch(("outbound", "canary"), evidence, clock, reports.append, 1e6)
    async with running(watch.run):

        def asked_often() -> bool:
            watch.look()
            return len(reports) >= 4

        await until(asked_often, "asked again and again, though its turn comes in a week")
    apart = [(later.at.mono_ns - earlier.at.mono_ns) / 1e9 for earlier, later in pairwise(reports)]
    assert all(seconds >= PROOF_GAP_S for seconds in apart), apart
