"""kill -9 at every step of a failover: one position afterwards, no lost effect, a sound journal."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from envmon.actuators.kamailio import KamailioEdge
from envmon.journal.reader import JournalReader
from tests.e2e.lab import Lab, position
from tests.telephony.rig import Rig

DIE = """
import os, signal
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""
AT_THE_MOVE = "any('\"percent\":100' in record.effect for record in records)"
STEPS = {
    "before the journal": f"""
from envmon.journal.store import Journal
append = Journal.append
def dying(self, records, snapshot=None):
    if {AT_THE_MOVE}:
        die()
    return append(self, records, snapshot)
Journal.append = dying
""",
    "after the journal": f"""
from envmon.journal.store import Journal
append = Journal.append
def dying(self, records, snapshot=None):
    head = append(self, records, snapshot)
    if {AT_THE_MOVE}:
        die()
    return head
Journal.append = dying
""",
    "before the edge write": """
from envmon.actuators.kamailio import KamailioEdge
async def dying(self, route, percent, epoch):
    die()
KamailioEdge.set_percent = dying
""",
    "after the edge write": """
from envmon.actuators.kamailio import KamailioEdge
write = KamailioEdge.set_percent
async def dying(self, route, percent, epoch):
    await write(self, route, percent, epoch)
    die()
KamailioEdge.set_percent = dying
""",
    "while it is being proven": """
from envmon.runtime.engine import Engine
from envmon.model.event import EffectReport
post = Engine.post
def dying(self, event):
    post(self, event)
    if isinstance(event, EffectReport) and event.outcome == "done" and event.effect != "1.1":  # 1.1 is the stamp
        die()
Engine.post = dying
""",
    "while calls drain": """
from envmon.journal.store import Journal
append = Journal.append
def dying(self, records, snapshot=None):
    head = append(self, records, snapshot)
    if any(record.rule == "T20" for record in records):
        die()
    return head
Journal.append = dying
""",
}


@pytest.mark.parametrize("step", STEPS)
async def test_the_daemon_continues_after_kill_9(tmp_path: Path, step: str) -> None:
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)]) as lab:
        lab.start(script=DIE + STEPS[step])
        await lab.armed()
        lab.lose_the_cooling()
        assert lab.daemon is not None
        daemon = lab.daemon
        await asyncio.wait_for(asyncio.to_thread(daemon.wait), 60)
        assert daemon.returncode == -9, lab.log()[-2000:]
        lab.daemon = None
        lab.start()
        status = await lab.until(finished, 60, f"the failover after a death {step}")
        assert status["mode"] == "automatic"
        await until_shown(rig, {(100, 2)})
        await lab.end()
        lines = lab.lines()
        with JournalReader.open(lab.journal) as journal:
            assert journal.verify().ok
    moves = [line.record.rule for line in lines if line.record.rule in {"T10", "T20"}]
    assert moves.count("T10") == 1, "one failover in one episode, however often the daemon dies"
    assert moves[-1] == "T20"
    epochs = [line.record.epoch for line in lines if line.record.effect]
    assert epochs == sorted(epochs)


async def until_shown(rig: Rig, wanted: set[tuple[int, int]]) -> None:
    """Wait until the new life has stamped its epoch on every edge."""
    for _ in range(200):
        if await shown(rig) == wanted:
            return
        await asyncio.sleep(0.2)
    assert await shown(rig) == wanted


async def shown(rig: Rig) -> set[tuple[int, int]]:
    """Percent and fence of both edges."""
    found = set()
    for index in range(2):
        async with KamailioEdge(rig.edge(index)) as edge:
            (read,) = await edge.status()
        found.add((read.percent, read.fence))
    return found


def finished(status: dict[str, Any]) -> bool:
    """At the backup, under the second life's epoch, on every edge."""
    route = status["routes"]["outbound"]
    return position("backup")(status) and status["lease"]["epoch"] == 2 and route["edges_say"] == "agree"
