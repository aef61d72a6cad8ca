"""How a program of the operator's is run, whoever asks for it."""

import asyncio
import os
from pathlib import Path

import pytest

from envmon.programs.run import Ended, StartError, run
from tests.telephony.rig import until

DEADLINE_S = 20.0


def sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


async def test_what_is_written_in_parts_is_read_whole() -> None:
    async with asyncio.timeout(DEADLINE_S):
        ended = await run(sh("cat; sleep 0.2; echo more; echo wrong >&2; exit 3"), b"told ", 100)
    assert ended == Ended(3, b"told more\n", b"wrong\n")


async def test_it_need_not_read_nor_stop_writing() -> None:
    async with asyncio.timeout(DEADLINE_S):
        ended = await run(sh("head -c 300000 /dev/zero"), b"x" * 1_000_000, 1000)
    assert (ended.code, len(ended.out)) == (0, 1001), "one byte more says that it was too much"


async def test_with_nobody_to_write_to_it_is_not_waited_for_longer_than_it_runs() -> None:
    async with asyncio.timeout(DEADLINE_S):
        assert await run(sh(f"setsid sleep {3 * DEADLINE_S} & echo said"), b"", 0) == Ended(0, b"", b"")


async def test_whoever_gives_up_on_it_ends_it_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running = asyncio.create_task(run(sh(f"sleep 600 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"), b"", 10))
    await until(pids.exists, DEADLINE_S, "what it started")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for pid in map(int, pids.read_text().split()):
        await until(lambda pid=pid: not alive(pid), DEADLINE_S, f"the end of {pid}")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_does_not_speak_for_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    ended = await run(sh('echo "$NOTIFY_SOCKET|$CALL|$PATH"'), b"", 1000, {"CALL": "1@here"})
    assert ended.out.decode() == f"|1@here|{os.environ['PATH']}\n"


@pytest.mark.parametrize("argv", [("/nowhere/to/be/found",), ("/bin/tr\0ue",)])
async def test_what_cannot_be_started_is_told(argv: tuple[str, ...]) -> None:
    with pytest.raises(StartError, match=r"cannot be started: \w"):
        await run(argv, b"", 10)
