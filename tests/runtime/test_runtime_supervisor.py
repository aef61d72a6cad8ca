"""Supervision: restarts with a pause, vital crashes, an orderly end."""

import asyncio
import itertools
import time

import pytest
from runtime_rig import until

from envmon.runtime.counters import Counters
from envmon.runtime.supervisor import Supervisor, VitalTaskError


async def test_a_crashed_task_starts_again_after_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    supervisor = Supervisor(counters, shortest_s=0.02)
    starts: list[float] = []

    async def crash() -> None:
        starts.append(time.monotonic())
        raise ZeroDivisionError("ours")

    supervisor.start("poller", crash)
    await until(lambda: len(starts) == 4, "three restarts")
    await supervisor.close()
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[0] >= 0.02 and gaps[1] >= 0.04 and gaps[2] >= 0.08
    assert counters.task_restarts["poller"] in (3, 4)
    assert caplog.records[0].exc_info is not None
    assert "task poller crashed" in caplog.text


async def test_one_crash_leaves_the_others_alone_and_an_end_is_a_crash_too(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    supervisor = Supervisor(counters, shortest_s=0.01)
    ends: list[str] = []

    async def live() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("live")

    async def end() -> None:
        await asyncio.sleep(0)

    supervisor.start("live", live)
    supervisor.start("end", end)
    await until(lambda: counters.task_restarts["end"] >= 2, "two restarts")
    assert ends == []
    assert "task end ended by itself" in caplog.text
    await supervisor.close()
    assert ends == ["live"]
    assert counters.task_restarts["live"] == 0


@pytest.mark.parametrize("crash", [True, False])
async def test_a_vital_task_that_ends_is_the_end(crash: bool) -> None:
    supervisor = Supervisor(Counters())

    async def vital() -> None:
        if crash:
            raise ZeroDivisionError("ours")

    supervisor.start("engine", vital, vital=True)
    with pytest.raises(VitalTaskError, match=r"engine crashed: .*(ours|by itself)"):
        await asyncio.wait_for(supervisor.failure(), 2)
    await supervisor.close()


async def test_the_end_comes_in_reverse_order_and_waits_for_nobody_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(Counters(), stop_s=0.1)
    ends: list[str] = []
    release = asyncio.Event()

    async def task(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(name)

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                ends.append("stubborn")

    supervisor.start("first", lambda: task("first"))
    supervisor.start("stubborn", stubborn)
    supervisor.start("last", lambda: task("last"))
    with pytest.raises(ValueError, match="runs already"):
        supervisor.start("first", stubborn)
    await asyncio.sleep(0)
    await supervisor.close()
    assert ends == ["last", "stubborn", "first"]
    assert "task stubborn did not end within 0.1 s" in caplog.text
    release.set()
    await asyncio.sleep(0.01)
