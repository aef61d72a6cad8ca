"""One worker of chaos.py, in its hub's namespace: a seed a line on standard input, a verdict a line on standard output.

    nsenter --net=/run/netns/envchaos0-hub python tests/bench/chaos_worker.py 0 /var/tmp/envchaos/0 /var/tmp/evidence

Rules
- The rig lives from the first seed to the end of the input; a rig that a run has broken is made anew.
- The bench's own faults are told apart from findings: ``error`` instead of ``wrong``. What a bench saw that was itself
  kept waiting (another load on the machine) is no finding: ``starved``, and the run is made again.
"""

import asyncio
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from chaos_plan import plan
from chaos_rig import Rig, disk_name, stand_out
from chaos_run import keep, run
from chaos_site import unmount, wiped

STARVED_S = 0.8


async def serve(worker: int, folder: Path, evidence: Path) -> None:
    """Run seeds until the input ends."""
    slower = stand_out()
    seed = await _next()
    while seed is not None:
        wiped(folder)
        async with Rig(worker, folder, slower) as rig:
            while seed is not None and await _one(rig, seed, evidence):
                seed = await _next()
            if seed is not None:
                seed = await _next()
        unmount(f"{disk_name(worker)}-state")


async def _one(rig: Rig, seed: int, evidence: Path) -> bool:
    """One run, told on standard output; whether the rig is still good."""
    drawn = plan(seed)
    try:
        verdict = await run(rig, drawn)
    except Exception as error:  # noqa: BLE001 - the next seed must not pay for it
        told = {"seed": seed, "error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-4000:]}
        print(json.dumps(told), flush=True)
        return False
    if verdict.wrong and verdict.lag_s > STARVED_S:
        doubtful = f"this machine kept the bench waiting for {verdict.lag_s} s: {len(verdict.wrong)} doubtful findings"
        told = {"seed": seed, "starved": verdict.lag_s, "error": doubtful, "wrong": verdict.wrong, "trace": ""}
        print(json.dumps(told), flush=True)
        return False
    told = asdict(verdict)
    if verdict.wrong or os.environ.get("CHAOS_KEEP"):
        told["evidence"] = str(await asyncio.to_thread(keep, rig, drawn, verdict, evidence))
    print(json.dumps(told), flush=True)
    return True


async def _next() -> int | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return int(line) if line.strip() else None


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
