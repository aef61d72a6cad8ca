"""Traps make polls and floods do not spoil them: the listener, the poller and a device on real sockets."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest

from envmon.config.secret import Secret
from envmon.config.settings import DeviceSettings, SnmpSettings, TrapSettings
from envmon.drivers import open_driver
from envmon.drivers.trap_gate import Outcome
from envmon.drivers.traps import TrapListener
from envmon.model.event import DeviceBatch
from envmon.profiles.bind import bind_at, place
from envmon.profiles.loader import load_builtin
from envmon.runtime.clock import SystemClock
from envmon.runtime.counters import Counters
from envmon.runtime.looks import gap_s
from envmon.runtime.poller import PolledDevice, Poller
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent
from tests.e2e.lab import COMMUNITY, Lab, exchange
from tests.ports import free_port

PROFILE = load_builtin()["rfc1628-ups"]


@contextlib.asynccontextmanager
async def room(
    directory: Path, every_s: float, number: int = 1
) -> AsyncIterator[tuple[TrapListener, list[tuple[float, DeviceBatch]], Counters]]:
    """A listener and a poller with ``number`` UPSs, each an SNMP agent."""
    (directory / "community").write_text("public\n")
    login = SnmpSettings(community=Secret(f"file:{directory / 'community'}"))
    batches: list[tuple[float, DeviceBatch]] = []
    counters = Counters()
    async with contextlib.AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(SnmpAgent(SimulatedDevice(PROFILE))) for _ in range(number)]
        ups = DeviceSettings("ups_1", PROFILE.name, "127.0.0.1", 0, "hall_a", "", "net", every_s, 3.0, snmp=login)
        settings = [replace(ups, id=f"ups_{n}", port=agent.port) for n, agent in enumerate(agents)]
        poller = Poller(
            [_polled(each) for each in settings],
            SystemClock(),
            counters,
            [lambda batch: batches.append((time.monotonic(), batch))],
        )
        listener = TrapListener(TrapSettings("127.0.0.1", free_port()), "dallas", settings, poller.look)
        tasks = [asyncio.create_task(run()) for run in (poller.run, listener.run)]
        try:
            await reached(lambda: not listener.failure)
            yield listener, batches, counters
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _polled(device: DeviceSettings) -> PolledDevice:
    at = place(
        PROFILE,
        site="dallas",
        device=device.id,
        path=device.path,
        zone=device.zone,
        serves="",
        units={},
        commissioned=True,
    )
    points = bind_at(PROFILE, at)
    driver = open_driver(device, PROFILE, points, at=at)
    return PolledDevice(
        device.id, device.zone, device.interval_s, device.deadline_s, tuple(bound.point for bound in points), driver
    )


async def reached(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.005)


async def trap(directory: Path, port: int, community: str = "public") -> None:
    program = shutil.which("snmptrap")
    assert program is not None, "snmptrap is not installed: apt install snmp"
    process = await asyncio.create_subprocess_exec(
        program, "-v", "2c", "-c", community, f"127.0.0.1:{port}", "", "1.3.6.1.2.1.33.2.1",
        env={**os.environ, "SNMP_PERSISTENT_DIR": str(directory), "SNMPCONFPATH": str(directory), "MIBS": ""},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


async def test_a_trap_brings_the_devices_state_within_a_moment(tmp_path: Path) -> None:
    async with room(tmp_path, every_s=300.0) as (listener, batches, counters):
        assert batches == []
        sent = time.monotonic()
        await trap(tmp_path, listener.port)
        await reached(lambda: batches)
        at, batch = batches[0]
        assert at - sent < 10.0
        assert (batch.device, batch.error) == ("ups_0", "")
        assert any(reading.good for reading in batch.readings)
        assert counters.prompted_polls == {"ups_0": 1}


@pytest.mark.parametrize("known", [True, False], ids=["from a device", "from a stranger"])
async def test_ten_thousand_traps_leave_polls_on_time(tmp_path: Path, known: bool) -> None:
    def flood(port: int, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            if not known:
                sender.bind(("127.0.0.2", 0))
            for number in range(10_000):
                sender.sendto(data, ("127.0.0.1", port))
                if number % 100 == 99:
                    time.sleep(0.01)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        await trap(tmp_path, sink.getsockname()[1])
        data = sink.recv(2000)
    async with room(tmp_path, every_s=0.5, number=20) as (listener, batches, counters):
        await asyncio.to_thread(flood, listener.port, data)
        counts = listener.gate.counts
        await reached(lambda: len({batch.device for _, batch in batches}) == 20)
        assert counts.total() > 1000
        assert counts[Outcome.ACCEPTED] <= 20 if known else not counts[Outcome.ACCEPTED]
        assert counters.late_polls.total() <= 20 * 5, "a machine that stood still may cost each device some slots"
        assert counters.failed_polls.total() == 0
        for device in {batch.device for _, batch in batches}:
            moments = [at for at, batch in batches if batch.device == device]
            gaps = [later - earlier for earlier, later in pairwise(moments)]
            assert not gaps or max(gaps) < 3.0, (device, gaps)
            assert not gaps or statistics.median(gaps) < 1.0


def numbers(port: int) -> dict[str, float]:
    """What /metrics says of traps."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r"^(envmon_(?:traps|prompted_polls)\S*) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def test_the_daemon_hears_traps_counts_them_and_follows_a_reload(tmp_path: Path) -> None:
    port, http = free_port(), free_port()
    traps = {"listen": f"127.0.0.1:{port}"}
    more = {"publish": {"http": {"listen": f"127.0.0.1:{http}"}}}
    async with exchange(tmp_path) as (_, edge), Lab(tmp_path, [edge], **more) as lab:
        slow = {name: {**entry, "every": "20s"} for name, entry in lab._config()["devices"].items()}
        lab.configure(traps=traps, devices=slow, judgement={"stale": "60s"})
        lab.start()
        await lab.until(lambda _: True, 40, "status")
        await reached(lambda: "traps are received on" in lab.log(), 20)
        await trap(tmp_path, port, "wrong-community")
        everyone = {f'envmon_prompted_polls_total{{device="{name}"}}' for name in ("crac_1", "crac_3", "bcrac_1")}
        sent = 0
        async with asyncio.timeout(60):
            while {name for name in await asyncio.to_thread(numbers, http) if name.startswith("envmon_p")} != everyone:
                await trap(tmp_path, port, COMMUNITY)
                sent += 1
                await asyncio.sleep(
                    gap_s(20.0) + 0.5
                )  # a slot that came before the look has answered a call: then it calls again
        told = await asyncio.to_thread(numbers, http)
        assert told['envmon_traps_total{outcome="accepted"}'] == sent
        assert told['envmon_traps_total{outcome="refused"}'] == 1
        assert (await lab.status())["daemon"]["counters"]["late_polls"] == 0
        assert COMMUNITY not in lab.log()
        lab.configure()
        assert lab.daemon is not None
        lab.daemon.send_signal(signal.SIGHUP)
        await lab.until(lambda s: s["daemon"]["counters"]["reloads"] == 1, 40, "the reload")
        assert not [name for name in await asyncio.to_thread(numbers, http) if name.startswith("envmon_traps")]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", port))  # let go of with the configuration that wanted it
