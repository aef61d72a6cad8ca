"""The closed loop on real protocols: devices over SNMP and Modbus, the daemon, Kamailio, sipp."""

import asyncio
import signal
from pathlib import Path

from tests.e2e.lab import Lab, position
from tests.telephony.rig import Rig, until

RATE, CALLS, HOLD_MS = 40, 1_100, 10_000


async def test_a_cooling_loss_moves_calls_and_loses_none(tmp_path: Path) -> None:
    """1,100 calls of 10 s at 40 per second. One edge loses its memory and restarts meanwhile."""
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)]) as lab:
        lab.start()
        await lab.armed()
        traffic = asyncio.create_task(rig.call(RATE, CALLS, HOLD_MS))
        await until(lambda: len(rig.answered("primary")) >= 200, 60, "200 calls at the primary")
        lab.lose_the_cooling()
        await lab.until(position("shifting"), 60, "the decision")
        await rig.stop_edge(1)
        (rig.directory(1) / "envmon.sqlite").unlink()
        await rig.start_edge(1)
        loop = asyncio.get_running_loop()
        restarted = loop.time()
        await lab.until(lambda s: s["routes"]["outbound"]["edges"]["edge1"] == 100, 30, "the edge written again")
        assert loop.time() - restarted < 15.0
        await lab.until(position("backup"), 60, "the proof")
        stats = await traffic
        await lab.until(lambda s: s["routes"]["outbound"]["calls_left"] == 0, 60, "the last call to leave")
        await lab.end()
        rules = lab.rules()
    assert (stats.offered, stats.setup_failed, stats.bye_failed) == (CALLS, 0, 0)
    assert stats.on_primary >= 200
    assert stats.on_backup >= 300
    assert [rule for rule in rules if rule in {"T10", "T20", "T23"}] == ["T10", "T20", "T23"]
    assert "T30" in rules


async def test_a_frozen_backup_stops_the_move_by_rule_and_by_order(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig, Lab(tmp_path, [rig.edge()]) as lab:
        lab.start()
        await lab.armed()
        rig.freeze("backup")
        code, said = await lab.order("shift")
        assert code == 2, said
        assert "O14" in said
        assert "did not answer the probe call" in said
        lab.lose_the_cooling()
        status = await lab.until(lambda s: "not ready" in s["routes"]["outbound"]["why"], 60, "the refusal")
        assert "did not answer" in status["routes"]["outbound"]["readiness"]["probe_call"]["why"]
        assert status["routes"]["outbound"]["percent"] == 0
        rig.thaw("backup")
        await lab.until(position("backup"), 60, "the move once the backup answers")


async def test_an_operator_shifts_and_restores_and_sigterm_moves_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig, Lab(tmp_path, [rig.edge()]) as lab:
        lab.start()
        await lab.until(lambda s: s["routes"]["outbound"]["ready"] == "yes", 60, "readiness")
        code, said = await lab.order("shift")
        assert (code, "O11" in said) == (2, True), said
        await lab.armed()
        code, said = await lab.order("shift", "--route", "outbound")
        assert code == 0, said
        await lab.until(position("backup"), 60, "the shift")
        assert await lab.end(signal.SIGTERM) == 0
        lab.start()
        status = await lab.until(position("backup"), 40, "the position after a restart")
        assert status["mode"] == "automatic"
        await lab.until(lambda s: s["armed"]["now"] or "latched" in s["armed"]["why"], 60, "readiness")
        await lab.until(lambda s: s["routes"]["outbound"]["edges_say"] == "agree", 30, "agreement")
        async with asyncio.timeout(60):
            while (answer := await lab.order("restore"))[0] == 2:  # the soak of this configuration is 5 s
                assert "O25" in answer[1]
                await asyncio.sleep(0.5)
        assert answer[0] == 0, answer[1]
        status = await lab.until(position("primary"), 60, "the return")
        assert status["routes"]["outbound"]["percent"] == 0
