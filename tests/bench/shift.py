"""How many calls a shift by stages and a failback lose, and how soon an urgent shift moves the first one.

    .venv/bin/python tests/bench/shift.py                  # about four minutes, over 5,000 calls

A real pair of Kamailio edges, sipp as callers and sites, the daemon as it ships. Prints figures; judges nothing.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.lab import Lab, position
from tests.e2e.test_stages_kamailio import first_invite_after
from tests.telephony.rig import CallStats, Rig, until

STAGES = (10, 50, 100)


async def traffic(rig: Rig, rate: float, calls: int, hold_ms: int) -> list[CallStats]:
    """The same calls through each edge at once."""
    return list(await asyncio.gather(*(rig.call(rate / 2, calls // 2, hold_ms, edge=edge) for edge in range(2))))


async def staged(folder: Path, rate: float, seconds: int) -> None:
    """A shift by stages and a failback by stages under steady calls."""
    async with Rig(folder, edges=2) as rig, Lab(folder, [rig.edge(0), rig.edge(1)], STAGES) as lab:
        lab.start()
        await lab.armed()
        calls = asyncio.create_task(traffic(rig, rate, int(rate * seconds), 5_000))
        await until(lambda: len(rig.answered("primary")) >= 5 * rate, 60, "calls at the primary")
        for order, there in (("shift", "backup"), ("restore", "primary")):
            code, said = await lab.order(order)
            print(said.splitlines()[0])
            if code:
                raise RuntimeError(said)
            await lab.until(position(there), 120, there)
        stats = await calls
        await lab.end()
        lines = [line.record for line in lab.lines() if line.record.rule[:1] in {"T", "O"}]
    for record in lines:
        print(f"  {record.wall - lines[0].wall:7.2f} s  {record.rule}  {dict(record.facts).get('percent', '?'):>3} %")
    offered = sum(each.offered for each in stats)
    print(
        f"staged shift and failback at {rate:g} calls/s: {offered} calls, "
        f"{sum(each.setup_failed for each in stats)} not set up, {sum(each.bye_failed for each in stats)} cut, "
        f"{sum(each.on_backup for each in stats)} served by the backup"
    )


async def urgent(folder: Path, rate: float) -> None:
    """A room without time: decision to first INVITE at the backup."""
    async with Rig(folder, edges=2) as rig, Lab(folder, [rig.edge(0), rig.edge(1)], STAGES) as lab:
        lab.start()
        await lab.armed()
        calls = asyncio.create_task(traffic(rig, rate, int(rate * 20), 2_000))
        await until(lambda: len(rig.answered("primary")) >= 2 * rate, 60, "calls at the primary")
        lab.lose_the_cooling()
        await lab.until(position("shifting"), 40, "the decision")
        stats = await calls
        await lab.end()
        (decided,) = [line.record for line in lab.lines() if line.record.rule == "T10"]
        millis = 1_000 * first_invite_after(rig, decided.wall)
    lost = sum(each.setup_failed + each.bye_failed for each in stats)
    offered = sum(each.offered for each in stats)
    print(f"urgent shift at {rate:g} calls/s: first INVITE at the backup {millis:.0f} ms after the decision, "
          f"{lost} of {offered} calls lost")  # fmt: skip


async def main() -> None:
    """Run both, the urgent one as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="calls a second over both edges")
    parser.add_argument("--seconds", type=int, default=110)
    parser.add_argument("--urgent", type=int, default=3, help="urgent shifts to measure")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envmon-bench-") as folder:
        for number in range(asked.urgent + 1):
            place = Path(folder) / str(number)
            place.mkdir()
            await (staged(place, asked.rate, asked.seconds) if number == 0 else urgent(place, asked.rate))


if __name__ == "__main__":
    asyncio.run(main())
