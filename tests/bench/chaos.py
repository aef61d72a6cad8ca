"""Breaks a site with a standby in every way it can think of, and checks what everybody saw of it.

    python tests/bench/chaos.py --runs 500 --seed 1 --workers 4 --state /var/tmp/chaos.jsonl     about an hour, as root
    python tests/bench/chaos.py --runs 1 --seed 77                                               one run again

See README.md beside this file. Exit code 0: every run held; 1: findings; 2: the bench itself failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from chaos_net import Network, inside, sweep
from chaos_plan import EDITION, plan
from chaos_rig import disk_name
from chaos_site import on_tmpfs, unmount

NEEDED = ("ip", "nsenter", "kamailio", "etcd", "mount", "faketime")
WORK = Path(tempfile.gettempdir()) / "envchaos"
DISK_MB = 1500
LARGEST = 32  # workers of all benches on one machine
SILENCE_S = 400.0
TRIES = 4  # of a run whose bench was starved by another load


class Worker(threading.Thread):
    """Makes a network, runs chaos_worker.py in it, gives it seeds and takes its verdicts."""

    def __init__(
        self, number: int, seeds: "SimpleQueue[int]", verdicts: "SimpleQueue[dict[str, Any]]", evidence: Path
    ) -> None:
        super().__init__(name=f"worker {number}", daemon=True)
        self._number = number
        self._seeds = seeds
        self._verdicts = verdicts
        self._evidence = evidence
        self._network = Network(number)
        self.process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Until no seed is left."""
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - told to the bench, which ends with it
            self._verdicts.put({"worker": self._number, "broken": f"{type(error).__name__}: {error}"})

    def _serve(self) -> None:
        folder = WORK / str(self._number)
        on_tmpfs(disk_name(self._number), folder, DISK_MB)
        self._network.make()
        script = Path(__file__).with_name("chaos_worker.py")
        command = [
            *inside(self._number, "hub"),
            sys.executable,
            str(script),
            str(self._number),
            str(folder),
            str(self._evidence),
        ]
        with (WORK / f"worker{self._number}.log").open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        while True:
            try:
                seed = self._seeds.get_nowait()
            except Empty:
                self.process.stdin.close()
                self.process.wait(30)
                return
            for _ in range(TRIES):
                print(seed, file=self.process.stdin, flush=True)
                line = self.process.stdout.readline()
                if not line:
                    raise RuntimeError(f"it ended with {self.process.wait()} in seed {seed}: see {log.name}")
                told = json.loads(line)
                if "starved" not in told:
                    break
            self._verdicts.put(told)


class Numbers:
    """The numbers of our workers: locked for as long as we live, so that two benches do not share one.

    What a bench that was killed has left is removed when its numbers are found unlocked.
    """

    def __init__(self, count: int) -> None:
        self.taken: list[int] = []
        self._locks = ExitStack()
        for number in range(LARGEST):
            lock = self._locks.enter_context((WORK / f"{number}.lock").open("w"))
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except OSError:
                continue
            clear(number)
            if len(self.taken) < count:
                self.taken.append(number)
            else:
                lock.close()

    def close(self) -> None:
        """Remove what was made under our numbers, and let go of them."""
        for number in self.taken:
            clear(number)
        self._locks.close()


def clear(number: int) -> None:
    """End and remove everything of one worker."""
    sweep(number)
    unmount(disk_name(number))


def finished(state: Path) -> dict[int, dict[str, Any]]:
    """The runs a state file holds. Raises SystemExit for one of another edition."""
    done = {}
    for line in state.read_text().splitlines() if state.exists() else ():
        told = json.loads(line)
        if told.get("edition") != EDITION:
            raise SystemExit(
                f"{state}: it is of edition {told.get('edition')} of the plans, this is {EDITION}: use another file"
            )
        if "error" not in told:
            done[told["seed"]] = told
    return done


def main() -> int:
    """Run and judge."""
    asked = _asked()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # also where a shell has put us into the background
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root")
    done = finished(asked.state)
    seeds: SimpleQueue[int] = SimpleQueue()
    wanted = asked.only or range(asked.seed, asked.seed + asked.runs)
    todo = [seed for seed in wanted if seed not in done]
    for seed in todo:
        seeds.put(seed)
    WORK.mkdir(parents=True, exist_ok=True)
    numbers = Numbers(min(asked.workers, len(todo)))
    verdicts: SimpleQueue[dict[str, Any]] = SimpleQueue()
    workers = [Worker(number, seeds, verdicts, asked.evidence) for number in numbers.taken]
    began = time.monotonic()
    failed = broken = 0
    totals: Counter[str] = Counter()
    try:
        for worker in workers:
            worker.start()
        with asked.state.open("a") as state:
            for number in range(1, len(todo) + 1):
                told = verdicts.get(timeout=SILENCE_S)
                if "broken" in told:
                    print(f"worker {told['worker']} broke: {told['broken']}")
                    return 2
                print(json.dumps({"edition": EDITION, **told}), file=state, flush=True)
                failed += bool(told.get("wrong"))
                broken += "error" in told
                totals.update(told.get("seen", {}))
                totals["wall"] += told.get("wall_s", 0)
                totals["cpu"] += told.get("cpu_s", 0)
                _tell(number, len(todo), told, asked)
    except KeyboardInterrupt:
        print("interrupted: the state file knows what is done")
        return 2
    except Empty:
        print(f"no run has ended for {SILENCE_S:g} s")
        return 2
    finally:
        numbers.close()
    took = time.monotonic() - began
    print(f"{len(todo)} runs in {took:.0f} s, {failed} with findings, {broken} not run; {dict(totals)}")
    return 1 if failed else 2 if broken else 0


def _tell(number: int, of: int, told: dict[str, Any], asked: argparse.Namespace) -> None:
    seed = told["seed"]
    if "error" in told:
        print(f"{number}/{of} seed {seed}: NOT RUN: {told['error']}\n{told['trace']}", flush=True)
        return
    verdict = "held" if not told["wrong"] else "FOUND"
    cost = f"{told['wall_s']} s, {told['cpu_s']} s CPU, {told['lag_s']} s late"
    print(f"{number}/{of} seed {seed}: {verdict}, {cost}; {'; '.join(told['faults'])}", flush=True)
    if asked.verbose:
        print(f"     {told['seen']}")
    for wrong in told["wrong"]:
        print(f"     {wrong}")
    if told["wrong"]:
        print(f"     evidence: {told['evidence']}; again: {sys.argv[0]} --runs 1 --seed {seed}", flush=True)


def _seeds(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others follow")
    parser.add_argument("--only", type=_seeds, help="just these seeds, comma between")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--state", type=Path, default=Path(os.devnull), help="file of finished runs: they are not run again"
    )
    parser.add_argument("--evidence", type=Path, default=WORK / "evidence", help="where failed runs are kept")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of every run")
    parser.add_argument("--plan", action="store_true", help="only say what would be done")
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    if asked.keep:
        os.environ["CHAOS_KEEP"] = "1"
    if asked.plan:
        for seed in range(asked.seed, asked.seed + asked.runs):
            print(seed, *plan(seed).faults, sep="\n    ")
        raise SystemExit(0)
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
