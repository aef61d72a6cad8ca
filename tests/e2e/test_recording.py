"""A daemon's recordings, replayed: what it decided live is what the mind decides again, kill -9 or not."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.lab import Lab, exchange, position


async def replay(*arguments: object) -> tuple[int, str]:
    """``envmon replay``, as an engineer calls it the next morning."""
    command = [sys.executable, "-m", "envmon.cli.main", "replay", *map(str, arguments)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


async def test_two_lives_and_a_failover_are_replayed_to_the_identical_decisions(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, edge), Lab(tmp_path, [edge]) as lab:
        lab.start()
        await lab.armed()
        await lab.end(signal.SIGKILL)
        lab.start()
        await lab.until(lambda s: s["lease"]["held"] and s["armed"]["now"], 30, "second life, still armed")
        lab.lose_the_cooling()
        await lab.until(position("backup"), 60, "the failover")
        await lab.end()
        rules = lab.rules()
        config = lab.configure()
        looser = lab.configure(routes={"outbound": {**lab._config()["routes"]["outbound"], "margin": "1s"}})
    assert {"T10", "T20"} <= set(rules)
    recordings = lab.state / "recordings"
    code, said = await replay(recordings, "--json", "--plot", tmp_path / "picture.svg")
    assert code == 0, said
    told = json.loads(said)
    assert told["identical"]
    assert told["digest"]["recorded"] == told["digest"]["replayed"]
    assert told["readings"] > 100
    replayed = [line["rule"] for line in told["replayed"]["decisions"] if line["rule"][0] != "Z"]
    written = iter(rules)
    assert all(rule in written for rule in replayed), "the journal in its order, but for the moment before kill -9"
    assert {"T10", "T20"} <= set(replayed)
    assert "<polyline" in (tmp_path / "picture.svg").read_text()
    (episode,) = recordings.glob("episode-*")
    code, said = await replay(episode)
    assert code == 0, said
    assert "T10" in said
    code, said = await replay(recordings, "--policy", looser)
    assert code == 0, said
    assert config == looser
    assert "AS RECORDED" in said


async def test_a_disk_that_takes_no_recording_stops_nothing_and_pages_once(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, edge), Lab(tmp_path, [edge]) as lab:
        lab.state.mkdir()
        (lab.state / "recordings").write_text("in the way")
        lab.start()
        await lab.armed()
        lab.lose_the_cooling()
        await lab.until(position("backup"), 60, "the failover")
        pages = [page for page in lab.on_call.pages if "cannot record" in json.dumps(page)]
        await lab.end()
    assert len(pages) == 1
