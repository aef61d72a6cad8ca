"""Two daemons, three members of etcd, real edges: who follows goes on from what the other had decided.

The second daemon stands on another machine where ``apart``: its boot, and its clocks, are not those of the first.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from envmon.actuators.kamailio import KamailioEdge
from envmon.config.edge_settings import EdgeSettings
from tests.e2e.lab import COMMUNITY, Lab, exchange, position
from tests.e2e.machine import machine
from tests.leases.etcd_cluster import NAMES, Cluster
from tests.telephony.rig import Rig

TTL_S = 6.0
SLACK_S = 4.0  # two busy cores
MAX_CALL_S, VERIFY_S, MARGIN_S = 12.0, 30.0, 900.0  # of the lab's route
FREEZE = """
import os, signal
from envmon.actuators.kamailio import KamailioEdge
from envmon.runtime.dispatcher import Dispatcher
Dispatcher.__init__.__defaults__ = (600.0,)  # the patience of a write: here only the fence stands in its way
write = KamailioEdge.set_percent
async def frozen(self, route, percent, epoch):
    os.kill(os.getpid(), signal.SIGSTOP)
    await write(self, route, percent, epoch)
KamailioEdge.set_percent = frozen
"""


@asynccontextmanager
async def pair(
    folder: Path, edges: list[EdgeSettings], stages: Sequence[int] = (100,), *, apart: bool = True
) -> AsyncIterator[tuple[Lab, Lab, Cluster]]:
    """Two hosts of one site that share plant, edges and etcd; neither runs yet."""
    etcd, other = folder / "etcd", folder / "other"
    etcd.mkdir()
    other.mkdir()
    async with Cluster(etcd) as cluster, machine(other) if apart else nullcontext(()) as on:
        members = {each.id: {"url": each.url, "zone": "outside"} for each in cluster.settings().members}
        lease = {"kind": "etcd", "endpoints": members, "ttl": f"{TTL_S:g}s"}
        async with Lab(folder, edges, stages, lease=lease) as first:
            second = Lab(other, edges, stages, on, lease=lease)
            second.devices, second.on_call, second._ports = first.devices, first.on_call, first._ports
            (other / "community").write_text(COMMUNITY)
            second.configure()
            try:
                yield first, second, cluster
            finally:
                await first.end(signal.SIGKILL)  # it may be frozen
                await second.end(signal.SIGKILL)


def holds(status: dict[str, Any]) -> bool:
    return bool(status["lease"]["held"])


def could_follow(status: dict[str, Any]) -> bool:
    return bool(status["standby"] and status["standby"]["inherits"])


def ends(status: dict[str, Any]) -> dict[str, float]:
    """When what ends by itself does, in Unix seconds, by the seconds that are said to be left."""
    lasting = {**status["requests"], **({"hold": status["hold"]} if status["hold"] else {})}
    return {name: status["time"] + each["left_s"] for name, each in lasting.items()}


def same_moments(heirs: dict[str, Any], holders: dict[str, Any]) -> None:
    """What the holder let end, ends at the heir: then, and never later."""
    assert ends(heirs).keys() == ends(holders).keys() != set()
    for name, end in ends(heirs).items():
        assert -TTL_S <= end - ends(holders)[name] <= 2.0, (name, heirs, holders)


async def start_both(first: Lab, second: Lab, **how: Any) -> int:
    """The first holds the lease and is armed, the second could go on for it; the epoch."""
    first.start(**how)
    await first.armed()
    second.start()
    await second.until(lambda s: could_follow(s) and s["mode"] == "automatic", 60, "a standby that could go on")
    return int((await first.status())["lease"]["epoch"])


async def read(edge: EdgeSettings) -> tuple[int, int, int]:
    """Percent, the epoch that set it, fence."""
    async with KamailioEdge(edge) as asked:
        (status,) = await asked.status()
    return status.percent, status.set_epoch, status.fence


async def taken_over(heir: Lab, epoch: int) -> float:
    """Seconds until the heir holds the lease under the next epoch."""
    began = asyncio.get_running_loop().time()
    status = await heir.until(holds, 60, "the takeover")
    assert status["lease"]["epoch"] == epoch + 1
    assert status["mode"] in {"automatic", "held"}
    return asyncio.get_running_loop().time() - began


async def test_a_failover_its_latch_and_a_hold_outlive_whoever_decided_them(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, edge), pair(tmp_path, [edge]) as (first, second, cluster):
        epoch = await start_both(first, second)
        told = await second.status()
        assert str(first.daemon.pid if first.daemon else "") in told["standby"]["for"]
        code, said = await second.order("hold")
        assert code == 2 and "O02" in said, "orders are given to the holder"

        code, said = await first.order("disarm")
        assert code == 3 and "P20" in said, "it waits for a second person"
        left = await first.status()
        await first.end(signal.SIGKILL)
        assert await taken_over(second, epoch) <= 2 * TTL_S + SLACK_S
        same_moments(await second.until(lambda s: s["armed"]["now"], 60, "an heir that is armed"), left)
        assert "M53" in second.rules() and "M52" not in second.rules()

        first.start()
        await first.until(could_follow, 60, "the old holder standing by")
        second.lose_the_cooling()
        await first.until(lambda s: position("backup")(s) and s["routes"]["outbound"]["latched"], 90, "the failover")
        code, said = await second.order("hold", "--for", "20min")
        assert code == 0, said
        await first.until(lambda s: s["mode"] == "held", 30, "the hold to be kept")
        left = await second.status()
        assert "hold" in ends(left)

        await second.end(signal.SIGKILL)
        assert await taken_over(first, epoch + 1) <= 2 * TTL_S + SLACK_S
        status = await first.status()
        same_moments(status, left)
        assert (status["mode"], status["routes"]["outbound"]["position"]) == ("held", "backup")
        assert status["routes"]["outbound"]["latched"], "the one failover of the episode stays spent"
        await first.until(lambda s: s["routes"]["outbound"]["edges_say"] == "agree", 30, "edges that agree")

        before = (100, epoch + 1, epoch + 2)  # moved by the second, then shown the first one's epoch
        await shows(edge, before)
        for name in NAMES:
            cluster.kill(name)
        await first.until(lambda s: not holds(s), 30, "a lease that is lost with etcd")
        await asyncio.sleep(TTL_S / 2)
        assert await read(edge) == before, "losing everything leaves traffic where it is"
        for name in NAMES:
            cluster.start(name)
        await cluster.ready()
        await first.until(holds, 60, "the lease again")
        assert (await first.status())["mode"] == "held"
        await first.end()
        moves = [line.record.rule for line in (*first.lines(), *second.lines()) if line.record.rule[:2] in {"T1", "T6"}]
    assert [rule for rule in moves if rule in {"T10", "T60"}] == ["T10"], "one failover by whoever"


async def test_a_move_cut_short_by_kill_9_is_carried_on_to_its_proof_by_the_standby(tmp_path: Path) -> None:
    async with Rig(tmp_path, edges=2) as rig:
        edges = [rig.edge(0), rig.edge(1)]
        async with pair(tmp_path, edges, (10, 50, 100)) as (first, second, _):
            epoch = await start_both(first, second)
            code, said = await first.order("shift")
            assert code == 0 and "O17" in said, said
            for edge in edges:
                await shows(edge, (10, epoch, epoch))
            await second.until(position("shifting"), 20, "a standby that knows of the move")
            await first.end(signal.SIGKILL)
            assert {(await read(edge))[0] for edge in edges} <= {10, 50}, "not moved whole yet"
            assert await taken_over(second, epoch) <= 2 * TTL_S + SLACK_S
            await second.until(position("backup"), 90, "the end of the other's move")
            for edge in edges:
                await shows(edge, (100, epoch + 1, epoch + 1))
            rules = second.rules()
            evacuate_s = (await second.status())["routes"]["outbound"]["time_to_evacuate_s"]
            await second.end()
    assert "T20" in rules, "proven"
    assert evacuate_s < MAX_CALL_S + 2 * VERIFY_S + MARGIN_S, "the move took seconds, whichever clock began it"
    assert not {"O17", "O10", "M50", "M52", "T03"} & set(rules)
    stamp, *rest = [line.record for line in second.lines() if line.record.effect]
    assert stamp.rule == "L10", "the epoch is shown before anything else is written"
    assert all("set_percent" in each.effect or each.rule == "L10" for each in rest)


async def test_a_holder_frozen_at_its_write_is_refused_by_the_edge_when_it_thaws(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig, pair(tmp_path, [rig.edge()], apart=False) as (first, second, _):
        epoch = await start_both(first, second, script=FREEZE)
        order = asyncio.create_task(first.order("shift"))
        await taken_over(second, epoch)  # the first stands still between its look at the lease and its write
        await second.until(position("backup"), 60, "the ordered move, by the heir")
        await shows(rig.edge(), (100, epoch + 1, epoch + 1))
        assert first.daemon is not None
        first.daemon.send_signal(signal.SIGCONT)
        await order
        status = await first.until(lambda s: s["standby"] is not None, 60, "the thawed one to stand by")
        assert "process" in status["standby"]["for"]
        await first.end()
        fenced = [line.record.text for line in first.lines() if line.record.extra.get("outcome") == "fenced"]
        assert fenced and f"the edge has seen epoch {epoch + 1}" in fenced[0], first.lines()[-8:]
        assert await read(rig.edge()) == (100, epoch + 1, epoch + 1)
        assert "M51" not in second.rules()


async def shows(edge: EdgeSettings, wanted: tuple[int, int, int], what: str = "what was commanded") -> None:
    """Wait until an edge shows percent, its epoch, and the fence."""
    for _ in range(300):
        if (now := await read(edge)) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the edge does not show {what}, {wanted}, but {now}")
