"""Moves by stages through a real pair of Kamailio edges under sipp's calls; bench/shift.py is the long version."""

import asyncio
from datetime import datetime
from pathlib import Path

from tests.e2e.lab import Lab, position
from tests.telephony.rig import CallStats, Rig, until

RATE, HOLD_MS = 12, 2_000
STAGES = (10, 100)


async def both(rig: Rig, calls: int, rate: float = RATE) -> list[CallStats]:
    """The same calls through each edge at once."""
    return list(await asyncio.gather(*(rig.call(rate, calls, HOLD_MS, edge=edge) for edge in range(2))))


def lost(stats: list[CallStats]) -> int:
    return sum(each.setup_failed + each.bye_failed for each in stats)


def first_invite_after(rig: Rig, wall: float) -> float:
    """Seconds from a moment to the first call the backup site got after it, probe calls left out."""
    for line in (rig.folder / "backup.msg").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split("\t")
        if len(fields) >= 7 and fields[3] == "R" and fields[6].startswith("INVITE sip:1555"):
            at = datetime.fromisoformat(f"{fields[0]}T{fields[1]}").timestamp()
            if at >= wall:
                return at - wall
    raise AssertionError("the backup got no call")


async def test_a_shift_and_a_return_by_stages_lose_no_call(tmp_path: Path) -> None:
    """Under a minute: a tenth, all, home to a tenth away, all home; every stage proven by what the edges count."""
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)], STAGES) as lab:
        lab.start()
        await lab.armed()
        traffic = asyncio.create_task(both(rig, 42 * RATE))
        await until(lambda: len(rig.answered("primary")) >= 60, 20, "60 calls at the primary")
        code, said = await lab.order("shift")
        assert code == 0, said
        assert "O17" in said
        await lab.until(position("backup"), 60, "the shift")
        code, said = await lab.order("restore")
        assert code == 0, said
        assert "O27" in said
        await lab.until(position("primary"), 60, "the return")
        stats = await traffic
        await lab.end()
        moves = [line.record.rule for line in lab.lines() if line.record.rule[:1] in {"T", "O"}]
    assert lost(stats) == 0
    assert sum(each.on_backup for each in stats) >= 100
    told = [rule for rule in moves if rule in {"O17", "T61", "T62", "T63", "T20", "O27", "T80", "T40"}]
    assert told == ["O17", "T61", "T20", "O27", "T80", "T40"]


async def test_a_loss_without_time_moves_all_calls_at_once_and_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)], (10, 50, 100)) as lab:
        lab.start()
        await lab.armed()
        traffic = asyncio.create_task(both(rig, 15 * RATE))
        await until(lambda: len(rig.answered("primary")) >= 60, 20, "60 calls at the primary")
        lab.lose_the_cooling()
        await lab.until(position("shifting"), 30, "the decision")
        stats = await traffic
        await lab.end()
        (decided,) = [line.record for line in lab.lines() if line.record.rule == "T10"]
        seconds = first_invite_after(rig, decided.wall)
    assert lost(stats) == 0
    assert seconds < 3.0, "a quarter of a second on a quiet machine: see the bench"


async def test_a_backup_that_refuses_calls_gets_them_no_longer(tmp_path: Path) -> None:
    """It answers the probe call of every edge, and fails the callers: the stop rule sends the tenth home."""
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)], (50, 100)) as lab:
        lab.start()
        await lab.armed()
        traffic = asyncio.create_task(both(rig, 60 * RATE))
        await until(lambda: len(rig.answered("primary")) >= 60, 20, "60 calls at the primary")
        code, said = await lab.order("shift")
        assert code == 0, said
        await rig.stop_site("backup")
        rig.start_site("backup", "full.xml")
        await until(lambda: {"T66", "T64"} & set(lab.rules()), 30, "the roll-back")
        await lab.until(position("primary"), 20, "home")
        status = await lab.until(lambda s: s["routes"]["outbound"]["percent"] == 0, 10, "read back")
        assert status["routes"]["outbound"]["latched"] is False
        traffic.cancel()
        await asyncio.wait((traffic,))
        await lab.end()


async def test_a_drill_measures_real_calls_and_brings_them_home(tmp_path: Path) -> None:
    async with Rig(tmp_path, edges=2) as rig, Lab(tmp_path, [rig.edge(0), rig.edge(1)], STAGES) as lab:
        lab.start()
        await lab.armed()
        traffic = asyncio.create_task(both(rig, 28 * RATE))
        await until(lambda: len(rig.answered("primary")) >= 60, 20, "60 calls at the primary")
        code, said = await lab.order("drill", "outbound")
        for _ in range(20):  # the soak of this configuration is 5 s
            if "O38" not in said:
                break
            await asyncio.sleep(0.5)
            code, said = await lab.order("drill", "outbound")
        assert code == 0, said
        assert "O30" in said
        await until(lambda: "T94" in lab.rules(), 60, "the end of the drill")
        status = await lab.status()
        stats = await traffic
        await lab.end()
        (done,) = [line.record for line in lab.lines() if line.record.rule == "T94"]
    assert lost(stats) == 0
    (drill,) = status["routes"]["outbound"]["drills"]
    assert 0.5 <= drill["drain_s"] <= 12.0
    assert dict(done.facts)["seen_drain_s"] == f"{drill['drain_s']:.1f}"
