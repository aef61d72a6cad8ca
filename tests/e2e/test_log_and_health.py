"""What journalctl and /healthz tell of a daemon at work: its decisions by priority, a recorder that cannot write."""

import asyncio
from pathlib import Path

import aiohttp

from tests.e2e.lab import Lab, exchange
from tests.ports import HOST, free_port


async def test_decisions_are_in_the_log_and_a_dead_recorder_is_not_healthy(tmp_path: Path) -> None:
    port = free_port()
    async with (
        exchange(tmp_path) as (_, edge),
        Lab(tmp_path, [edge], publish={"http": {"listen": f"{HOST}:{port}"}}) as lab,
    ):
        lab.state.mkdir(parents=True, exist_ok=True)
        (lab.state / "recordings").write_text("in the way")
        lab.start(JOURNAL_STREAM="8:1")
        await lab.armed()
        assert (await lab.order("hold", "--for", "1h"))[0] == 0
        await lab.until(lambda _: "M30 mode: Held by order" in lab.log(), 20, "the decision in the log")
        lines = lab.log().splitlines()
        assert any(line.startswith("<6>envmon.decisions: M10 mode: Armed") for line in lines)
        assert any(line.startswith("<3>envmon.decisions: M30 mode: Held by order") for line in lines)
        async with aiohttp.ClientSession() as client, asyncio.timeout(20):
            async with client.get(f"http://{HOST}:{port}/healthz") as answer:
                told = (answer.status, await answer.json())
            async with client.get(f"http://{HOST}:{port}/metrics") as answer:
                metrics = await answer.text()
        assert told[0] == 503
        assert "nothing is recorded" in told[1]["why"]["recorder"]
        assert 'envmon_hold_end_timestamp_seconds{site="dallas"}' in metrics
        assert 'envmon_posture{site="dallas",posture="calm"}' in metrics
        assert "envmon_journal_has_room 1.0" in metrics
        assert "envmon_recorder_failing 1.0" in metrics
        assert await lab.end() == 0
