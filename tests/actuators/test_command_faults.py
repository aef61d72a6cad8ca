"""The command actuator and programs that fail, babble, hang, leave children behind or are not there."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from envmon.actuators.command import CommandEdge
from envmon.actuators.contract import EdgeError, Fenced
from tests.actuators.levers import Program
from tests.telephony.rig import until


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("/no/such/program",), "at /no/such/program: it cannot be started: No such file or directory"),
        (("/etc",), "cannot be started: Permission denied"),
        (("/bin/false",), "it ended with 1$"),
        (("/bin/sh", "-c", "echo first >&2; echo 'trunk 7 is locked' >&2; exit 3"), "with 3: 'trunk 7 is locked'"),
        (("/bin/sh", "-c", "kill -9 $$"), "it ended with -9"),
        (("/bin/true",), "its answer is not a status"),
        (("/bin/cat",), "its answer is not a status: no routes"),
        (("/usr/bin/head", "-c", "70000", "/dev/zero"), "longer than 65536 bytes"),
        (("/bin/echo", "[" * 20_000), "its answer is not a status"),
        (("/bin/echo", '{"fence": 1, "up_since": 0, "routes": {"outbound": {}}}'), "percent is None"),
    ],
)
async def test_a_program_that_fails_says_how(program: Program, argv: tuple[str, ...], says: str) -> None:
    async with CommandEdge(program.settings(*argv)) as edge:
        with pytest.raises(EdgeError, match=says) as fault:
            await edge.status()
        assert str(fault.value).startswith(f"edge edge0 at {argv[0]}: ")
        assert len(str(fault.value)) < 400


async def test_no_shell_reads_the_arguments(program: Program, tmp_path: Path) -> None:
    state = json.dumps({"fence": 0, "up_since": 0, "routes": {"outbound": {"percent": 0, "set_epoch": 0}}})
    async with CommandEdge(program.settings("/bin/echo", state, f"; touch {tmp_path}/pwned")) as edge:
        with pytest.raises(EdgeError, match="Extra data"):
            await edge.status()
    assert not (tmp_path / "pwned").exists()


async def test_it_and_its_children_end_at_the_deadline_and_when_we_are_cancelled(
    program: Program, tmp_path: Path
) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    async with CommandEdge(program.settings("/bin/sh", "-c", script, deadline_s=2)) as edge:
        with pytest.raises(EdgeError, match=r"no answer within 2 s; it was killed"):
            await edge.status()
    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child), 20, "the child to end")
    (tmp_path / "child").unlink()
    async with CommandEdge(program.settings("/bin/sh", "-c", script, deadline_s=30)) as edge:
        asking = asyncio.create_task(edge.status())
        await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "", 20, "the child")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child), 20, "the child to end")


@pytest.mark.parametrize("child", ["sleep 30", "setsid sleep 12"])
async def test_a_child_that_keeps_the_streams_open_does_not_hold_us(program: Program, child: str) -> None:
    began = time.monotonic()
    async with CommandEdge(program.settings("/bin/sh", "-c", f"{child} & exit 0", deadline_s=0.5)) as edge:
        with pytest.raises(EdgeError, match=r"no answer within 0\.5 s"):
            await edge.status()
    assert time.monotonic() - began < 8


async def test_it_does_not_speak_for_the_daemon(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("MOVE_REGION", "tx")
    script = 'echo "$NOTIFY_SOCKET $MOVE_REGION" >&2; exit 1'
    async with CommandEdge(program.settings("/bin/sh", "-c", script)) as edge:
        with pytest.raises(EdgeError, match="'tx'"):
            await edge.status()


async def test_a_program_that_did_something_else_is_not_believed(program: Program) -> None:
    zero = {"percent": 0, "set_epoch": 0}
    told = json.dumps({"fence": 3, "up_since": 0, "routes": {"outbound": zero}})
    async with CommandEdge(program.settings("/bin/echo", told)) as edge:
        await edge.stamp(3)
        with pytest.raises(EdgeError, match=r"took 100 % of epoch 3.*reports 0 % of epoch 0"):
            await edge.set_percent("outbound", 100, 3)
        with pytest.raises(EdgeError, match="took epoch 4, but reports the fence 3"):
            await edge.stamp(4)
        with pytest.raises(Fenced):
            await edge.set_percent("outbound", 100, 2)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
