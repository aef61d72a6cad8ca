"""What every program of the operator's may do to us, and what each of the three who run them makes of it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from envmon.actuators.command import CommandEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.config.settings import PagerSettings, ProofSettings
from envmon.host.program import Ended, StartError, run
from envmon.model.effect import Page, Urgency
from envmon.pagers.command import CommandPager
from envmon.pagers.contract import Envelope
from envmon.probes.evidence import Evidence

LONG_S = 30.0
SLACK_S = 15.0  # of a busy machine


def sh(script: str, *args: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script, *args)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_there(pid: int) -> bool:
    """Also as a zombie."""
    return Path(f"/proc/{pid}").exists()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def number_in(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


async def test_it_is_told_heard_and_its_code_is_known() -> None:
    assert await run(sh("cat; echo no >&2; exit 3"), b"order\n", deadline_s=LONG_S, most=100) == Ended(
        3, b"order\n", b"no\n"
    )
    assert (await run(sh("kill -9 $$"), deadline_s=LONG_S)).code == -9


async def test_an_answer_in_parts_is_one_answer() -> None:
    ended = await run(sh("printf 'one,'; sleep 0.3; printf two"), deadline_s=LONG_S, most=100)
    assert ended.answer == b"one,two"


@pytest.mark.parametrize("where", ["", ">&2"])
async def test_what_is_too_much_is_read_to_its_end_and_cut(where: str) -> None:
    ended = await run(sh(f"head -c 3000000 /dev/zero {where}; exit 4"), deadline_s=LONG_S, most=1000)
    assert (ended.code, len(ended.answer) + len(ended.errors)) == (4, 1001)


async def test_both_pipes_flow_while_it_is_told() -> None:
    """It writes more than a pipe holds to both, before it reads more than a pipe holds."""
    script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; wc -c"
    ended = await run(sh(script), b"x" * 1_000_000, deadline_s=LONG_S, most=400_000)
    assert ended.answer.endswith(b"1000000\n")
    assert len(ended.errors) == 300_000


async def test_it_need_not_read_and_nobody_need_listen() -> None:
    assert (await run(sh("exec <&-; exit 5"), b"x" * 1_000_000, deadline_s=LONG_S)).code == 5
    assert await run(sh("head -c 3000000 /dev/zero; echo x >&2"), deadline_s=LONG_S) == Ended(0, b"", b"")


@pytest.mark.parametrize(
    ("argv", "says"), [(("/no/such",), "No such file"), (("/etc",), "Permission denied"), (("/bin/a\0b",), "null byte")]
)
async def test_what_cannot_be_started_says_why(argv: tuple[str, ...], says: str) -> None:
    with pytest.raises(StartError, match=f"^it cannot be started: .*{says}"):
        await run(argv, deadline_s=LONG_S)


@pytest.mark.parametrize("most", [0, 100])
@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "sleep 60 & echo $! > $0/child; wait",
        "setsid sleep 25 & exec sleep 60",
        "exec 3<&0; setsid sleep 25 <&3 & exec sleep 60",
        "trap '' TERM INT HUP; while :; do echo x; done",
    ],
)
async def test_its_time_is_over_at_the_deadline(script: str, most: int, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await run(sh(f"echo $$ > $0/pid; {script}", str(tmp_path)), b"x" * 200_000, deadline_s=0.5, most=most)
    assert time.monotonic() - began < SLACK_S
    assert not is_there(number_in(tmp_path / "pid")), "no zombie either"
    child = number_in(tmp_path / "child")
    await until(lambda: not child or not alive(child), "its child ends, too")


async def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    assert (await run(sh("sleep 60 & echo $! > $0/child", str(tmp_path)), deadline_s=LONG_S)).code == 0
    await until(lambda: not alive(number_in(tmp_path / "child")), "its child ends")


async def test_who_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > $0/child; echo $$ > $0/pid; wait"
    running = asyncio.create_task(run(sh(script, str(tmp_path)), deadline_s=LONG_S, most=10))
    await until(lambda: number_in(tmp_path / "pid") > 0, "it runs")
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert not is_there(number_in(tmp_path / "pid"))
    await until(lambda: not alive(number_in(tmp_path / "child")), "its child ends")


async def test_its_environment_is_ours_but_for_what_is_the_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "REGION"):
        monkeypatch.setenv(name, "x")
    ended = await run(("/usr/bin/env",), deadline_s=LONG_S, most=100_000, more={"CALL": "7"})
    told = dict(line.split("=", 1) for line in ended.answer.decode().splitlines() if "=" in line)
    assert (told["REGION"], told["CALL"], told["PATH"]) == ("x", "7", os.environ["PATH"])
    assert not {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} & set(told)


async def ask_an_edge(argv: tuple[str, ...]) -> None:
    async with CommandEdge(EdgeSettings("edge0", "command", "z", "", "", 0, None, argv=argv, deadline_s=0.5)) as edge:
        await edge.status()


async def look_for_evidence(argv: tuple[str, ...]) -> None:
    await Evidence(ProofSettings("outbound", "item", argv=argv, deadline_s=0.5)).look()


async def send_a_page(argv: tuple[str, ...]) -> None:
    settings = PagerSettings("a", "command", "z", "", argv=argv, deadline_s=0.5)
    await CommandPager(settings).send(Envelope(1, 0.0, "dallas", Page("k", True, Urgency.INFO, "s", "d" * 90_000)))


@pytest.mark.parametrize("ask", [ask_an_edge, look_for_evidence, send_a_page])
async def test_whoever_runs_one_is_back_at_its_deadline(
    ask: Callable[[tuple[str, ...]], Awaitable[None]], tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(Exception, match=r"within 0\.5 s|in 0\.5 s"):
        await ask(sh("echo $$ > $0/pid; setsid sleep 25 & while :; do echo x; echo y >&2; done", str(tmp_path)))
    assert time.monotonic() - began < SLACK_S
    assert not is_there(number_in(tmp_path / "pid"))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("""printf '{"pass":'; sleep 0.2; printf 'true,"why":"x"}'""", "x"),
        ("""printf '{"pass":true,"why":"'; head -c 400000 /dev/zero | tr '\\0' y; printf '"}'""", "y" * 499 + "…"),
    ],
)
async def test_evidence_in_parts_or_at_length_is_read_whole(script: str, says: str) -> None:
    found = await Evidence(ProofSettings("outbound", "item", argv=sh(script), deadline_s=LONG_S)).look()
    assert found is not None
    assert (found.passed, found.why) == (True, says)


async def test_evidence_that_never_ends_is_refused() -> None:
    argv = sh("head -c 2200000 /dev/zero")
    with pytest.raises(Exception, match="longer than 2097152 bytes"):
        await Evidence(ProofSettings("outbound", "item", argv=argv, deadline_s=LONG_S)).look()
