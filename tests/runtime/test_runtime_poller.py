"""The poller against real sockets: isolation, late polls, losses, hints."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from runtime_rig import UdpDevice, UdpDriver, point, until

from envmon.model.effect import PollFaster
from envmon.model.event import DeviceBatch
from envmon.model.reading import Quality, Reading, Reason
from envmon.runtime.clock import Clock, SystemClock
from envmon.runtime.counters import Counters
from envmon.runtime.poller import PolledDevice, Poller


def polled(
    name: str, device: UdpDevice, interval_s: float = 0.1, deadline_s: float | None = 0.05, zone: str = "hall_a"
) -> PolledDevice:
    points = (point(name), point(name, "return_air_temp"))
    return PolledDevice(name, zone, interval_s, 0.05, points, UdpDriver(device.address, points, deadline_s))


@contextlib.asynccontextmanager
async def polling(
    *devices: PolledDevice, clock: Clock | None = None
) -> AsyncIterator[tuple[Poller, list[DeviceBatch], Counters]]:
    batches: list[DeviceBatch] = []
    counters = Counters()
    poller = Poller(devices, clock or SystemClock(), counters, (batches.append,))
    task = asyncio.create_task(poller.run())
    try:
        yield poller, batches, counters
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_driver_that_hangs_for_ever_delays_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with UdpDevice() as well, UdpDevice(silent=True) as hung:
        devices = (polled("hung", hung, deadline_s=None), polled("well", well))
        async with polling(*devices) as (_, _, counters):
            await until(lambda: len(well.asked) >= 12, "twelve polls of the device that answers")
            gaps = [later - earlier for earlier, later in zip(well.asked, well.asked[1:], strict=False)]
            assert sorted(gaps)[len(gaps) // 2] < 0.6, gaps  # it would be 1.15 s behind the other
            assert len(hung.asked) <= counters.failed_polls["hung"] + 1, (
                "one poll in flight per device, and never a second"
            )
            assert counters.late_polls["hung"] >= 8
            await until(lambda: counters.failed_polls["hung"] >= 1, "the driver that hangs is cut off")
        assert "broke its promise" in caplog.text
        assert all(d.driver.left == 1 for d in devices)  # type: ignore[attr-defined]


async def test_a_lost_device_yields_missing_points_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "envmon")
    async with UdpDevice(silent=True) as device, polling(polled("crac_1", device)) as (_, batches, counters):
        await until(lambda: len(batches) >= 3, "three failed polls")
        lost = batches[-1]
        device.silent = False
        await until(lambda: batches[-1].error == "", "the recovery")
        good = batches[-1]
    assert lost.error == "no answer within 0.05 s"
    assert [r.point.name for r in lost.readings] == ["supply_air_temp", "return_air_temp"]
    assert {(r.value, r.quality, r.reason) for r in lost.readings} == {(None, Quality.MISSING, Reason.TIMEOUT)}
    assert [r.value for r in good.readings] == [21.5, 21.5]
    assert counters.failed_polls["crac_1"] >= 3
    told = [record.message for record in caplog.records]
    assert told == ["device crac_1 does not answer: no answer within 0.05 s", "device crac_1 answers again"]


async def test_rows_found_on_the_device_are_missed_too_when_it_falls_silent() -> None:
    async with UdpDevice() as device:
        found = (point("a"), point("a", "row_of_a_table"))
        driver = UdpDriver(device.address, found, 0.05)
        async with polling(PolledDevice("a", "hall_a", 0.1, 0.05, found[:1], driver)) as (_, batches, _):
            await until(lambda: batches and not batches[-1].error, "an answer")
            device.silent = True
            await until(lambda: batches[-1].error, "a loss")
    assert [r.point.name for r in batches[-1].readings] == [p.name for p in found]


class BrokenDriver(UdpDriver):
    """A driver with a bug of ours."""

    async def poll(self) -> tuple[Reading, ...]:
        raise ZeroDivisionError("scale")


async def test_a_bug_in_a_driver_is_one_devices_loss(caplog: pytest.LogCaptureFixture) -> None:
    async with UdpDevice() as device:
        broken = PolledDevice("b", "hall_a", 0.1, 0.05, (point("b"),), BrokenDriver(device.address, (), 1.0))
        async with polling(broken, polled("a", device)) as (_, batches, _):
            await until(lambda: {b.device for b in batches} == {"a", "b"}, "a batch of each")
    lost = next(b for b in batches if b.device == "b")
    assert lost.readings[0].reason is Reason.GARBAGE
    assert "ZeroDivisionError: scale" in lost.error
    assert caplog.records[0].exc_info is not None


async def test_hints_hurry_one_zone_and_end(caplog: pytest.LogCaptureFixture) -> None:
    async with UdpDevice() as near, UdpDevice() as far:
        devices = (polled("near", near, 60.0), polled("far", far, 60.0, zone="hall_b"))
        async with polling(*devices) as (poller, _, counters):
            poller.faster(PollFaster("hall_a", 0.05))
            assert poller.hints == {"hall_a": 0.05}
            await until(lambda: len(near.asked) >= 5, "five hurried polls")
            poller.faster(PollFaster("hall_a", 0.0))
            assert poller.hints == {}
            asked = len(near.asked)
            await asyncio.sleep(0.3)
            assert len(near.asked) <= asked + 1
            assert len(far.asked) <= 1
            await until(lambda: counters.polls == len(near.asked) + len(far.asked), "every poll asks once")


async def test_hints_outlive_the_poller() -> None:
    async with UdpDevice() as device:
        first = Poller((), SystemClock(), Counters(), ())
        first.faster(PollFaster("hall_a", 0.05))
        batches: list[DeviceBatch] = []
        poller = Poller((polled("a", device, 60.0),), SystemClock(), Counters(), (batches.append,), first.hints)
        task = asyncio.create_task(poller.run())
        await until(lambda: len(batches) >= 3, "three hurried polls of the new poller")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_device_that_calls_is_polled_now_and_no_faster_than_its_share() -> None:
    async with UdpDevice() as calling, UdpDevice() as quiet:
        devices = (polled("calling", calling, 60.0), polled("quiet", quiet, 60.0))
        async with polling(*devices) as (poller, batches, counters):
            poller.look("calling")
            poller.look("calling")
            poller.look("nobody")
            await until(lambda: batches, "the poll out of turn")
            for _ in range(20):
                poller.look("calling")
                await asyncio.sleep(0.01)
            assert len(calling.asked) == 1, "the next one is due in 12 s"
            assert (counters.prompted_polls, counters.late_polls.total()) == ({"calling": 1}, 0)
            assert len(quiet.asked) <= 1


async def test_a_call_during_a_poll_is_answered_by_another_poll() -> None:
    async with UdpDevice(silent=True) as device:
        async with polling(polled("a", device, 5.0, deadline_s=1.05)) as (poller, batches, _):
            poller.look("a")
            await until(lambda: device.asked, "the first poll")
            poller.look("a")
            device.silent = False
            await until(lambda: len(device.asked) == 2, "the second poll, after the first has ended")
            await until(lambda: len(batches) == 2, "both batches")
        assert [batch.error == "" for batch in batches] == [False, True]
        assert device.asked[1] - device.asked[0] >= 1.0


async def test_a_slot_during_a_poll_out_of_turn_is_served_by_it_and_the_one_after_is_late() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with (
        UdpDevice(silent=True) as device,
        polling(polled("a", device, 0.4, deadline_s=None)) as (poller, _, counters),
    ):
        poller.look("a")
        await until(lambda: device.asked, "the poll out of turn")
        assert counters.prompted_polls == {"a": 1}
        await asyncio.sleep(0.35)
        assert counters.late_polls["a"] <= int((loop.time() - began) / 0.4), "of the slots that passed all but one"
        await until(lambda: counters.late_polls["a"] >= 1, "the second slot")
