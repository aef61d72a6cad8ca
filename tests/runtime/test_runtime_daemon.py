"""The daemon whole: the real core and journal, a simulated edge, real signals."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from runtime_rig import CountingProbe, Listener, MemoryLease, Pages, SlowEdge, UdpDevice, UdpDriver, point, until

from envmon.config.settings import ProofSettings
from envmon.core.advance import advance
from envmon.core.snapshot import dump
from envmon.core.status import status
from envmon.core.world import World, initial
from envmon.journal.record import Entry
from envmon.journal.store import Journal
from envmon.model.event import EdgeReport, Event, ReadinessReport, Target, WeatherReport
from envmon.model.policy import FeedPolicy, Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.weather import WeatherWarning
from envmon.probes.evidence import Evidence
from envmon.runtime.ask import ask
from envmon.runtime.clock import ScaledClock
from envmon.runtime.daemon import Daemon
from envmon.runtime.engine import Mind
from envmon.runtime.notify import Notifier
from envmon.runtime.orders import DeskError
from envmon.runtime.parts import Frame, Parts, ReloadError
from envmon.runtime.poller import PolledDevice
from envmon.runtime.supervisor import VitalTaskError
from envmon.runtime.watch import ProbeTarget

ZONE = ZonePolicy("hall_a", True, 30.0, Limits(), (UnitPolicy("crac_1", 36.0),), 1)
BACKUP = dataclasses.replace(ZONE, id="hall_b", here=False)
ROUTE = RoutePolicy("outbound", ("edge_1",), ("hall_a",), ("hall_b",))
POLICY = Policy("dallas", (ZONE, BACKUP), (ROUTE,), ("crac_1",), start_automatic=True, feeds=(FeedPolicy("nws", 1e6),))
MIND = Mind(advance, dump, status)


class Manager:
    """A service manager on a real datagram socket."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.heard: list[str] = []

    def states(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.sock.recv(4096).decode())
        return [message.split("\n")[0] for message in self.heard]

    def count(self, state: str) -> int:
        return self.states().count(state)


@dataclass
class Site:
    """Everything around one daemon."""

    path: Path
    device: UdpDevice
    mind: Mind[World] = MIND
    watchdog_s: float = 0.0
    clock: ScaledClock = field(default_factory=lambda: ScaledClock(20.0, 1_700_000_000.0))
    edge: SlowEdge = field(default_factory=lambda: SlowEdge("edge_1"))
    lease: MemoryLease = field(default_factory=MemoryLease)
    probe: CountingProbe = field(default_factory=CountingProbe)
    pages: Pages = field(default_factory=Pages)
    listener: Listener = field(default_factory=Listener)
    events: list[Event] = field(default_factory=list)
    reload: Callable[[], Parts] | None = None
    proofs: tuple[tuple[tuple[str, str], Evidence, float], ...] = ()
    in_force: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.manager = Manager(self.path / "notify")
        self.journal = Journal.open(self.path / "journal.db", room=0)
        target = ProbeTarget("outbound", "edge_1", Target.BACKUP, "127.0.0.1", 5060, "probe")
        self.frame = Frame(
            {"edge_1": self.edge},
            (target,),
            {"edge_1": self.probe},
            self.lease,
            self.journal,
            self.path / "socket",
            "0.1.0",
            recorded=lambda event, _: self.events.append(event),
            proofs=self.proofs,
        )
        notifier = Notifier(str(self.path / "notify"), self.watchdog_s)
        parts = self.parts("crac_1")
        self.daemon = Daemon(self.mind, initial(), self.frame, parts, self.read_again, self.clock, notifier)

    def read_again(self) -> Parts:
        return self.reload() if self.reload else self.parts("crac_1")

    def parts(self, device: str, **changes: Any) -> Parts:
        points = (point(device),)
        driver = UdpDriver(self.device.address, points, 0.2)
        polled = PolledDevice(device, "hall_a", 5.0, 0.2, points, driver)
        policy = dataclasses.replace(POLICY, devices=(device,))
        return dataclasses.replace(Parts(policy, "d1", (polled,), (self.listener,), self.pages), **changes)

    def entries(self) -> list[Entry]:
        return [line.record.entry for line in self.journal.records()]

    def seen_fence(self) -> int:
        reports = [event for event in self.events if isinstance(event, EdgeReport)]
        return max((status.fence for report in reports for status in report.statuses), default=0)

    def outcomes(self) -> list[str]:
        return [line.record.extra.get("outcome", "") for line in self.journal.records()]

    async def ask(self, command: str, route: str = "", reason: str = "test") -> dict[str, Any]:
        request = {"command": command, "route": route, "reason": reason}
        return await asyncio.to_thread(ask, self.path / "socket", request)

    async def reaches(self, rule: str) -> None:
        await until(lambda: rule in [line.record.rule for line in self.journal.records()], rule, 20.0)

    async def runtime(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("status"))["status"]["daemon"]
        return found


@contextlib.asynccontextmanager
async def site(path: Path, **changes: Any) -> AsyncIterator[tuple[Site, "asyncio.Task[None]"]]:
    async with UdpDevice() as device:
        made = Site(path, device, **changes)
        task = asyncio.create_task(made.daemon.run())
        try:
            await until(lambda: task.done() or made.manager.count("READY=1"), "READY=1")
            yield made, task
        finally:
            made.daemon.stop()
            with contextlib.suppress(VitalTaskError, DeskError):
                await asyncio.wait_for(task, 10)
            made.manager.sock.close()
            made.journal.close()


async def test_it_starts_watches_obeys_and_leaves_traffic_where_it_is(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, task):
        await until(lambda: made.listener.batches and made.listener.statuses, "readings and status at the publisher")
        await until(lambda: made.lease.ours and made.probe.calls, "the lease and a probe call")
        assert (await made.ask("arm"))["ok"]
        refused = await made.ask("shift", "outbound")
        assert refused["refused"] and not refused["ok"]
        assert (await made.ask("status"))["status"]["mode"] == "automatic"
        writes = list(made.edge.writes)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 10)
        assert made.edge.writes == writes
        assert made.manager.states()[-1] == "STOPPING=1"
        assert not (tmp_path / "socket").exists()
        assert not made.lease.ours
        assert made.listener.running == 0
        entries = made.entries()
        assert (entries[0], entries[1], entries[-1]) == (Entry.START, Entry.POLICY, Entry.STOP)
        assert entries.count(Entry.ORDER) == 2


async def test_a_new_epoch_is_journalled_then_stamped_on_the_edge(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, _):
        await made.edge.stamp(40)
        await until(lambda: made.seen_fence() == 40, "the edge's fence is read")
        assert (await made.ask("arm"))["ok"]
        await made.reaches("M51")  # held: somebody else's epoch is at the edge
        made.lease.ours = False  # lost; the next epoch must be above what the edge has seen
        await until(lambda: made.lease.last > 40, "the next epoch", 20.0)
        for _ in range(50):  # nothing outbids the other by itself: an operator resumes, once the lease is told
            if (await made.ask("resume"))["ok"]:
                break
            await asyncio.sleep(0.2)
        await until(lambda: "done" in made.outcomes(), "the stamp's result in the journal", 20.0)
        assert made.lease.last > 40
        assert {status.fence for status in await made.edge.status()} == {made.lease.last}
        lines = [line.record for line in made.journal.records()]
        done = next(n for n, r in enumerate(lines) if r.extra.get("outcome") == "done")
        permits = [json.loads(r.effect) for r in lines[:done] if r.effect]
        permit = next(effect for effect in permits if effect["id"] == lines[done].extra["effect"])
        assert (permit["do"], permit["epoch"]) == ("stamp_epoch", made.lease.last)
        assert all(record.state_hash for record in lines)


async def test_a_bad_configuration_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, task):

        def bad() -> Parts:
            raise ReloadError("envmon.yaml:3:5: zones.hall_a: no such unit")

        made.reload = bad
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: made.manager.count("READY=1") == 2, "the end of the reload")
        assert "STATUS=observe: the mode is observe" in "".join(made.manager.heard)
        assert "RELOADING=1" in made.manager.states()
        assert "envmon.yaml:3:5" in made.manager.heard[-1]
        runtime = await made.runtime()
        assert runtime["reload_error"] == "envmon.yaml:3:5: zones.hall_a: no such unit"
        assert runtime["counters"]["failed_reloads"] == 1
        batches = len(made.listener.batches)
        await until(lambda: len(made.listener.batches) > batches, "the old devices are still polled")
        assert not task.done()


async def test_what_was_accepted_but_waits_for_a_restart_is_said_and_is_no_fault(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, _):
        waits = "accepted; the doors follow at a restart"
        made.reload = lambda: made.parts("crac_1", digest="d2", at_restart=waits)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: made.manager.count("READY=1") == 2, "the end of the reload")
        assert f"READY=1\nSTATUS={waits}" in made.manager.heard
        runtime = await made.runtime()
        assert (runtime["at_restart"], runtime["reload_error"]) == (waits, "")
        assert (runtime["counters"]["reloads"], runtime["counters"]["failed_reloads"]) == (1, 0)
        told = f"STATUS=observe: the mode is observe; {waits}"
        await until(lambda: any(told in line for line in made.manager.states()), "the line of systemctl status")
        made.reload = None
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: made.manager.count("READY=1") == 3, "the end of the second reload")
        assert (await made.runtime())["at_restart"] == ""


async def test_a_good_configuration_replaces_devices_publishers_and_policy(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, _):
        newer, pages = Listener(), Pages()
        threads: list[str] = []

        def good() -> Parts:
            threads.append(threading.current_thread().name)
            in_force = lambda: made.in_force.append("d2")  # noqa: E731 - one line says it
            return made.parts("crac_2", digest="d2", publishers=(newer,), pages=pages, in_force=in_force)

        made.reload = good
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: any(batch.device == "crac_2" for batch in newer.batches), "a batch of the new device")
        assert made.listener.running == 0 and newer.running == 1
        old = len(made.listener.batches)
        found = (await made.ask("status"))["status"]
        assert (found["policy"], list(found["devices"])) == ("d2", ["crac_2"])
        assert found["daemon"]["reload_error"] == ""
        assert len(made.listener.batches) == old
        assert made.entries().count(Entry.POLICY) == 2
        assert made.in_force == ["d2"]
        assert threads != [threading.main_thread().name]


class StoppingClock(ScaledClock):
    """A clock that can stop: then nobody who sleeps on it wakes up, and the engine gets no tick."""

    def __init__(self) -> None:
        super().__init__(20.0, 1_700_000_000.0)
        self.runs = asyncio.Event()
        self.runs.set()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.runs.wait()


async def test_the_watchdog_starves_when_the_engine_takes_no_tick(tmp_path: Path) -> None:
    clock = StoppingClock()
    async with site(tmp_path, watchdog_s=0.4, clock=clock) as (made, _):
        await until(lambda: made.manager.count("WATCHDOG=1") >= 3, "three feeds")
        clock.runs.clear()
        ticks = made.daemon.counters.ticks
        await until(lambda: made.daemon.status()["daemon"]["engine_silence_s"] > 4.0, "four seconds of silence")
        assert made.daemon.counters.ticks <= ticks + 1
        fed = made.manager.count("WATCHDOG=1")
        await asyncio.sleep(0.5)
        assert made.manager.count("WATCHDOG=1") == fed
        clock.runs.set()
        await until(lambda: made.manager.count("WATCHDOG=1") > fed, "fed again")


async def test_a_crash_of_the_engine_ends_the_process_and_moves_nothing(tmp_path: Path) -> None:
    crash = threading.Event()

    def broken(world: World, event: Event) -> Any:
        if crash.is_set():
            raise ZeroDivisionError("a bug of ours")
        return advance(world, event)

    async with site(tmp_path, mind=Mind(broken, dump, status)) as (made, task):
        crash.set()
        with pytest.raises(VitalTaskError, match="a bug of ours"):
            await asyncio.wait_for(task, 10)
        assert made.edge.writes == []
        last = list(made.journal.records())[-1].record
        assert last.entry is Entry.STOP
        assert "a bug of ours" in last.text


async def test_a_second_daemon_on_the_socket_does_not_start(tmp_path: Path) -> None:
    async with site(tmp_path) as (made, _):
        other = Daemon(MIND, initial(), made.frame, made.parts("x"), lambda: made.parts("x"), ScaledClock(1.0, 0.0),
                       Notifier())  # fmt: skip
        with pytest.raises(DeskError, match="another envmon answers"):
            await other.run()
        assert (await made.ask("status"))["ok"]


async def test_a_storm_asks_for_every_proof_of_the_backup_now_and_again(tmp_path: Path) -> None:
    argv = ("/bin/echo", '{"pass": true, "why": "out over the carrier"}')
    trunk = Evidence(ProofSettings("outbound", "carrier_trunk", argv=argv, deadline_s=20.0))
    proofs = ((("outbound", "carrier_trunk"), trunk, 1e6),)
    async with site(tmp_path, proofs=proofs, clock=ScaledClock(60.0, 1_700_000_000.0)) as (made, _):

        def asked() -> list[int]:
            return [event.at.mono_ns for event in made.events if isinstance(event, ReadinessReport)]

        await until(asked, "the first time")
        at = made.clock.stamp()
        warning = WeatherWarning("w1", "Tornado Warning", "extreme", at.wall - 60.0, at.wall + 36_000.0, "a test")
        made.daemon.post(WeatherReport(at, "nws", (warning,)))
        await until(lambda: len(asked()) >= 3, "twice more, though its turn comes in days")
