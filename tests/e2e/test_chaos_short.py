"""A few runs of the chaos bench, as it is run by hand for 500: frozen writes, kill -9, partitions, stale orders."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench" / "chaos.py"
# A command frozen on its way, and a full disk; kill -9, a clock step and an order to a frozen daemon; a hold that is
# ordered where the lease is being lost.
SEEDS = (55, 13, 1016)


def test_a_few_seeds_hold(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "network namespaces need root: run the tests as root, as CI does"
    state = tmp_path / "state.jsonl"
    command = [sys.executable, str(BENCH), "--only", ",".join(map(str, SEEDS)), "--workers", "3", "-v"]
    command += ["--state", str(state), "--evidence", str(tmp_path / "evidence")]
    first = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500, check=False
    )
    assert first.returncode == 0, first.stdout
    told = [json.loads(line) for line in state.read_text().splitlines()]
    assert sorted(each["seed"] for each in told) == sorted(SEEDS)
    assert [each["wrong"] for each in told] == [[]] * len(SEEDS)
    seen: Counter[str] = sum((Counter(each["seen"]) for each in told), Counter())
    assert seen["trapped"] >= 1, "a command was frozen on its way"
    assert seen["refused 409"] >= 1, "and the edge refused it, for another had taken over"
    assert seen["epochs"] > len(SEEDS), "the lease changed hands"
    assert seen["inherited"] >= 1, "and what was decided went with it"
    assert seen["calls"] >= 20 * len(SEEDS)
    assert seen["pages"] >= 3 * len(SEEDS)
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("0 runs"), "finished runs are not run again"
