"""What every actuator promises, asked of the simulated edge and of a real Kamailio with deploy/kamailio."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from envmon.actuators import ACTUATORS
from envmon.actuators.contract import Actuator, EdgeError, Fenced
from envmon.actuators.simulated import SimulatedEdge
from envmon.config.settings import EdgeSettings
from envmon.model.event import EdgeStatus
from tests.telephony.rig import Rig

ROUTES = ("outbound", "inbound")


@dataclass(frozen=True)
class Subject:
    """An edge under test: an open actuator, and what happens to the edge without us."""

    actuator: Actuator
    restart: Callable[[], Awaitable[None]]
    silence: Callable[[], None]
    carry: Callable[[int], Awaitable[None]]

    async def read(self, route: str = "outbound") -> EdgeStatus:
        return {status.route: status for status in await self.actuator.status()}[route]


@pytest.fixture(params=["simulated", "kamailio"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "simulated":
        edge = SimulatedEdge(EdgeSettings("edge0", "simulated", "elsewhere", "", "", 0, None), ROUTES)

        async def restart() -> None:
            edge.restart()

        async def carry(calls: int) -> None:
            edge.carry("outbound", calls)
            edge.hang_up("outbound")

        async with edge:
            yield Subject(edge, restart, lambda: edge.silence(True), carry)
        return
    async with Rig(tmp_path, routes=ROUTES) as rig:
        settings = replace(rig.edge(), deadline_s=1.0)

        async def place(calls: int) -> None:
            stats = await rig.call(50, calls, 50)
            assert (stats.setup_failed, stats.bye_failed) == (0, 0)

        async with ACTUATORS["kamailio"](settings) as actuator:
            yield Subject(actuator, lambda: rig.restart_edge(0), lambda: rig.freeze("edge0"), place)


async def test_a_new_edge_is_at_home(subject: Subject) -> None:
    statuses = await subject.actuator.status()
    assert [status.route for status in statuses] == list(ROUTES)
    for status in statuses:
        assert replace(status, route="", up_since=0) == EdgeStatus("edge0", "", 0, 0, 0, 0, 0, 0, 0, 0)
        assert abs(status.up_since - time.time()) < 20


async def test_a_stamp_moves_no_traffic(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 30, 4)
    await subject.actuator.stamp(9)
    status = await subject.read()
    assert (status.percent, status.set_epoch, status.fence) == (30, 4, 9)


async def test_a_percent_is_read_back(subject: Subject) -> None:
    for percent in (1, 50, 99, 100, 0):
        await subject.actuator.set_percent("outbound", percent, 7)
        await subject.actuator.set_percent("outbound", percent, 7)
        status = await subject.read()
        assert (status.percent, status.set_epoch, status.fence) == (percent, 7, 7)


async def test_routes_are_independent(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 100, 1)
    await subject.actuator.set_percent("inbound", 20, 2)
    outbound, inbound = await subject.read("outbound"), await subject.read("inbound")
    assert (outbound.percent, outbound.set_epoch, outbound.fence) == (100, 1, 2)
    assert (inbound.percent, inbound.set_epoch, inbound.fence) == (20, 2, 2)


async def test_an_older_epoch_is_fenced_and_changes_nothing(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 60, 8)
    before = await subject.actuator.status()
    for write in (subject.actuator.set_percent("outbound", 0, 7), subject.actuator.stamp(7)):
        with pytest.raises(Fenced, match="epoch 8") as refusal:
            await write
        assert refusal.value.fence == 8
    assert await subject.actuator.status() == before


@pytest.mark.parametrize("epoch", [2**31, -1])
async def test_an_epoch_beyond_31_bits_is_refused(subject: Subject, epoch: int) -> None:
    before = await subject.actuator.status()
    for write in (subject.actuator.set_percent("outbound", 5, epoch), subject.actuator.stamp(epoch)):
        with pytest.raises(EdgeError, match="epoch") as refusal:
            await write
        assert not isinstance(refusal.value, Fenced)
    assert await subject.actuator.status() == before
    await subject.actuator.stamp(2**31 - 1)
    assert (await subject.read()).fence == 2**31 - 1


@pytest.mark.parametrize(("route", "percent"), [("outbound", 101), ("outbound", -1), ("nowhere", 5)])
async def test_what_the_edge_cannot_do_is_refused(subject: Subject, route: str, percent: int) -> None:
    before = await subject.actuator.status()
    with pytest.raises(EdgeError, match=r"percent must be|no such route") as refusal:
        await subject.actuator.set_percent(route, percent, 3)
    assert not isinstance(refusal.value, Fenced)
    assert await subject.actuator.status() == before


async def test_a_restart_forgets_counters_only(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 100, 5)
    await subject.actuator.stamp(6)
    await subject.carry(3)
    before = await subject.read()
    assert before.calls_backup == 3
    await subject.restart()
    after = await subject.read()
    assert (after.percent, after.set_epoch, after.fence) == (100, 5, 6)
    assert (after.calls_primary, after.calls_backup) == (0, 0)
    assert after.up_since >= before.up_since
    with pytest.raises(Fenced):
        await subject.actuator.set_percent("outbound", 0, 5)


async def test_calls_are_counted_where_they_go(subject: Subject) -> None:
    await subject.carry(4)
    await subject.actuator.set_percent("outbound", 100, 1)
    await subject.carry(6)
    status, other = await subject.read(), await subject.read("inbound")
    assert (status.calls_primary, status.calls_backup) == (4, 6)
    assert (status.active_primary, status.active_backup) == (0, 0)
    assert (other.calls_primary, other.calls_backup) == (0, 0)


async def test_the_newest_of_many_writers_wins(subject: Subject) -> None:
    epochs = (3, 17, 1, 20, 9, 14, 2, 19, 5, 11)
    told = await asyncio.gather(
        *(subject.actuator.set_percent("outbound", epoch, epoch) for epoch in epochs), return_exceptions=True
    )
    status = await subject.read()
    assert (status.percent, status.set_epoch, status.fence) == (20, 20, 20)
    assert told[3] is None
    for epoch, answer in zip(epochs, told, strict=True):
        assert answer is None or (isinstance(answer, Fenced) and answer.fence > epoch)


async def test_a_silent_edge_is_an_error_in_time(subject: Subject) -> None:
    subject.silence()
    began = time.monotonic()
    for attempt in (subject.actuator.status, lambda: subject.actuator.stamp(1)):
        with pytest.raises(EdgeError, match=r"edge edge0.*no answer"):
            await attempt()
    assert time.monotonic() - began < 4
