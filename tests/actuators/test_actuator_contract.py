"""What every actuator promises, asked of each against its real far end: see ``levers`` and ``tests.telephony.rig``."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from envmon.actuators import ACTUATORS
from envmon.actuators.contract import Actuator, EdgeError, Fenced
from envmon.actuators.simulated import SimulatedEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus
from tests.actuators.levers import ROUTES, Bind, Carrier, Dispatcher, Program, Receiver
from tests.telephony.rig import Rig


async def nothing_to_restart() -> None:
    """A program, or a zone on disk, has no life of its own."""


@dataclass(frozen=True)
class Subject:
    """An edge under test: an open actuator, and what happens to the edge without us.

    ``carry`` is None for one that sees no calls; ``halves`` False for one that moves all or nothing; ``keeps`` False
    for one that forgets its position when it restarts.
    """

    actuator: Actuator
    silence: Callable[[], object]
    restart: Callable[[], Awaitable[None]] = nothing_to_restart
    carry: Callable[[int], Awaitable[None]] | None = None
    halves: bool = True
    keeps: bool = True

    async def read(self, route: str = "outbound") -> EdgeStatus:
        return {status.route: status for status in await self.actuator.status()}[route]

    def can(self, percent: int) -> int:
        """The nearest percent it can do."""
        return percent if self.halves else 100 * (percent >= 50)


@asynccontextmanager
async def simulated(_place: Path, _deadline_s: float) -> AsyncIterator[Subject]:
    edge = SimulatedEdge(EdgeSettings("edge0", "simulated", "elsewhere", "", "", 0, None), ROUTES)

    async def restart() -> None:
        edge.restart()

    async def carry(calls: int) -> None:
        edge.carry("outbound", calls)
        edge.hang_up("outbound")

    async with edge:
        yield Subject(edge, lambda: edge.silence(True), restart, carry)


@asynccontextmanager
async def kamailio(place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    async with Rig(place, routes=ROUTES) as rig:

        async def carry(calls: int) -> None:
            stats = await rig.call(50, calls, 50)
            assert (stats.setup_failed, stats.bye_failed) == (0, 0)

        async with ACTUATORS["kamailio"](replace(rig.edge(), deadline_s=deadline_s)) as actuator:
            yield Subject(actuator, lambda: rig.freeze("edge0"), lambda: rig.restart_edge(0), carry)


@asynccontextmanager
async def dispatcher(place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    async with (
        Dispatcher(place / "proxy") as proxy,
        ACTUATORS["dispatcher"](proxy.settings(deadline_s=deadline_s)) as edge,
    ):
        yield Subject(edge, proxy.freeze, proxy.restart, halves=False, keeps=False)


@asynccontextmanager
async def dns(place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    async with Bind(place / "bind") as bind, ACTUATORS["dns"](bind.settings(deadline_s=deadline_s)) as edge:

        async def restart() -> None:
            await bind.stop()
            await bind.start()

        yield Subject(edge, bind.freeze, restart)


@asynccontextmanager
async def webhook(place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    async with Receiver(place) as receiver, ACTUATORS["webhook"](receiver.settings(deadline_s=deadline_s)) as edge:

        async def restart() -> None:
            receiver.edge.restart()

        async def carry(calls: int) -> None:
            receiver.edge.carry("outbound", calls)
            receiver.edge.hang_up("outbound")

        def silence() -> None:
            receiver.silent = True

        yield Subject(edge, silence, restart, carry)


@asynccontextmanager
async def carrier(name: str, place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    """One with a percentage, and one whose template names two positions."""
    async with Carrier(place, name) as api, ACTUATORS["rest"](api.settings(deadline_s=deadline_s)) as edge:

        def silence() -> None:
            api.silent = True

        yield Subject(edge, silence, halves=name == "percent-api")


@asynccontextmanager
async def command(place: Path, deadline_s: float) -> AsyncIterator[Subject]:
    program = Program(place)
    async with ACTUATORS["command"](program.settings(deadline_s=deadline_s)) as edge:
        yield Subject(edge, lambda: program.mode("silent"))


SUBJECTS = {
    "simulated": simulated,
    "kamailio": kamailio,
    "dispatcher": dispatcher,
    "dns": dns,
    "webhook": webhook,
    "rest percent-api": partial(carrier, "percent-api"),
    "rest twilio-origination": partial(carrier, "twilio-origination"),
    "command": command,
}


@pytest.fixture
def deadline_s() -> float:
    """Of every edge: long, for a busy machine, but where a test is about silence."""
    return 15.0


@pytest.fixture(params=list(SUBJECTS))
async def subject(request: pytest.FixtureRequest, tmp_path: Path, deadline_s: float) -> AsyncIterator[Subject]:
    async with SUBJECTS[request.param](tmp_path, deadline_s) as opened:
        yield opened


@pytest.fixture(params=["simulated", "kamailio", "webhook"])
async def counting(request: pytest.FixtureRequest, tmp_path: Path, deadline_s: float) -> AsyncIterator[Subject]:
    """A subject that sees calls."""
    async with SUBJECTS[request.param](tmp_path, deadline_s) as opened:
        yield opened


def test_every_kind_of_the_product_is_tested() -> None:
    assert {name.split()[0] for name in SUBJECTS} == set(ACTUATORS)


async def test_a_new_edge_is_at_home(subject: Subject) -> None:
    statuses = await subject.actuator.status()
    assert [status.route for status in statuses] == list(ROUTES)
    for status in statuses:
        counts = subject.carry is not None
        assert counts or not status.ends, "who sees no calls counts no ends"
        assert replace(status, route="", up_since=0, ends=False) == EdgeStatus(
            "edge0", "", 0, 0, 0, 0, 0, 0, 0, 0, counts
        )
        assert status.up_since == 0 or abs(status.up_since - time.time()) < 20


async def test_a_stamp_moves_no_traffic(subject: Subject) -> None:
    percent = subject.can(70)
    await subject.actuator.set_percent("outbound", percent, 4)
    await subject.actuator.stamp(9)
    status = await subject.read()
    assert (status.percent, status.set_epoch, status.fence) == (percent, 4, 9)


async def test_a_percent_is_read_back(subject: Subject) -> None:
    for percent in dict.fromkeys(map(subject.can, (1, 50, 99, 100, 0))):
        await subject.actuator.set_percent("outbound", percent, 7)
        await subject.actuator.set_percent("outbound", percent, 7)
        status = await subject.read()
        assert (status.percent, status.set_epoch, status.fence) == (percent, 7, 7)


async def test_routes_are_independent(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 100, 1)
    await subject.actuator.set_percent("inbound", subject.can(20), 2)
    outbound, inbound = await subject.read("outbound"), await subject.read("inbound")
    assert (outbound.percent, outbound.set_epoch, outbound.fence) == (100, 1, 2)
    assert (inbound.percent, inbound.set_epoch, inbound.fence) == (subject.can(20), 2, 2)


async def test_an_older_epoch_is_fenced_and_changes_nothing(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", subject.can(60), 8)
    before = await subject.actuator.status()
    for write in (subject.actuator.set_percent("outbound", 0, 7), subject.actuator.stamp(7)):
        with pytest.raises(Fenced, match="epoch 8") as refusal:
            await write
        assert refusal.value.fence == 8
    assert await subject.actuator.status() == before


@pytest.mark.parametrize("epoch", [2**31, -1])
async def test_an_epoch_beyond_31_bits_is_refused(subject: Subject, epoch: int) -> None:
    before = await subject.actuator.status()
    for write in (subject.actuator.set_percent("outbound", 0, epoch), subject.actuator.stamp(epoch)):
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


async def test_a_restart_forgets_no_epoch(subject: Subject) -> None:
    await subject.actuator.set_percent("outbound", 100, 5)
    await subject.actuator.stamp(6)
    before = await subject.read()
    await subject.restart()
    after = await subject.read()
    assert (after.percent, after.set_epoch, after.fence) == ((100, 5, 6) if subject.keeps else (0, 0, 6))
    assert after.up_since > before.up_since or subject.keeps
    with pytest.raises(Fenced):
        await subject.actuator.set_percent("outbound", 0, 5)
    await subject.actuator.set_percent("outbound", 100, 6)
    assert (await subject.read()).percent == 100


async def test_a_restart_forgets_counters(counting: Subject) -> None:
    assert counting.carry is not None
    await counting.actuator.set_percent("outbound", 100, 5)
    await counting.carry(3)
    before = await counting.read()
    assert before.calls_backup == 3
    await counting.restart()
    after = await counting.read()
    assert (after.calls_primary, after.calls_backup) == (0, 0)
    assert after.up_since >= before.up_since


async def test_calls_are_counted_where_they_go(counting: Subject) -> None:
    assert counting.carry is not None
    await counting.carry(4)
    await counting.actuator.set_percent("outbound", 100, 1)
    await counting.carry(6)
    status, other = await counting.read(), await counting.read("inbound")
    assert (status.calls_primary, status.calls_backup) == (4, 6)
    assert (status.active_primary, status.active_backup) == (0, 0)
    assert (other.calls_primary, other.calls_backup) == (0, 0)


async def test_the_newest_of_many_writers_wins(subject: Subject) -> None:
    epochs = (3, 17, 1, 20, 9, 14, 2, 19, 5, 11)
    writes = (subject.actuator.set_percent("outbound", subject.can(5 * epoch), epoch) for epoch in epochs)
    told = await asyncio.gather(*writes, return_exceptions=True)
    status = await subject.read()
    assert (status.percent, status.set_epoch, status.fence) == (100, 20, 20)
    assert told[3] is None
    for epoch, answer in zip(epochs, told, strict=True):
        assert answer is None or (isinstance(answer, Fenced) and answer.fence > epoch)


@pytest.mark.parametrize("deadline_s", [1.5])
async def test_a_silent_edge_is_an_error_in_time(subject: Subject) -> None:
    subject.silence()
    began = time.monotonic()
    for attempt in (subject.actuator.status, lambda: subject.actuator.stamp(1)):
        with pytest.raises(EdgeError, match=r"edge edge0.*no answer"):
            await attempt()
    assert time.monotonic() - began < 8  # twice its deadline, and some slack
