"""The demo's promise: with envmon no call is lost, without it calls are."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SPEED = "10"  # both Pythons may run this at once, on two cores


def play(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "envmon.cli.main", "demo", "--headless", "--speed", SPEED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


async def test_the_storm_is_survived_and_lost_without_envmon(tmp_path: Path) -> None:
    """Both at once; the watched one with the embedded broker, as on a bare machine."""
    watched, alone = await asyncio.gather(
        asyncio.to_thread(play, "--seed", "7", "--embedded-broker"),
        asyncio.to_thread(play, "--seed", "7", "--without-envmon"),
    )
    code, result = watched
    assert (code, result["scenario"], result["verdict"], result["proof"]) == (0, "june-2015", "survived", "proven"), (
        result
    )
    assert result["calls"]["offered"] >= 1_000
    assert result["calls"]["failed"] == 0, result
    assert result["seconds_before_limit"] > 0
    told = [decision["rule"] for decision in result["decisions"]]
    moved = [rule for rule in told if rule in {"T10", "T60", "T20", "T23"}]
    assert moved in (["T60", "T20", "T23"], ["T10", "T20", "T23"])
    assert all(set(decision) == {"t", "rule", "why"} for decision in result["decisions"])
    code, result = alone
    assert (code, result["verdict"], result["decisions"]) == (1, "lost", [])
    assert result["calls"]["failed"] > 0


@pytest.mark.parametrize("arguments", [["--scenario", "no-such-storm"], ["--speed", "0"], ["--seed", "x"]])
def test_a_wrong_argument_is_one_clear_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "envmon.cli.main", "demo", "--headless", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
