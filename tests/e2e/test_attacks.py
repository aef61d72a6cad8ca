"""Full disks, changed journals, lying edges, floods, rude clients: reported, survived, and no call moved by them."""

import asyncio
import gzip
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from envmon.cli.demo_broker import Broker
from envmon.journal.reader import JournalReader
from envmon.probes.sip import SipProbe
from envmon.sim.telephony_edge import SipEdge
from tests.e2e.lab import COMMUNITY, EVERY_S, TOKEN, Lab, exchange, position
from tests.ports import free_port

SLACK_S = 2.0  # on two busy cores; what waits for another device or for a disk is later still
QUICK_LOOKS = """
from envmon.runtime.watch import EdgeWatch
EdgeWatch.__init__.__defaults__ = (0.1, None)
"""  # an edge is asked every 0.1 s, not every 2 s
Lie = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse | None]]


class CrookedEdge:
    """The HTTP side of an edge as somebody in between changes it; ``lie`` None passes everything on unchanged.

    A lie gets the request and what the edge would have answered to a status; None from it is the truth.
    """

    def __init__(self, behind: SipEdge) -> None:
        self.lie: Lie | None = None
        self.url = ""
        self._behind = behind
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._client = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.lie is not None and (told := await self.lie(request, self._behind.switch.status())) is not None:
            return told
        url, headers = self._behind.url + request.path, {"Authorization": request.headers["Authorization"]}
        async with self._client.request(request.method, url, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


@asynccontextmanager
async def site(folder: Path, **more: Any) -> AsyncIterator[tuple[Lab, SipEdge]]:
    """A lab with a simulated edge; the daemon is not started."""
    async with exchange(folder) as (edge, settings), Lab(folder, [settings], **more) as lab:
        yield lab, edge


@asynccontextmanager
async def crooked_site(folder: Path) -> AsyncIterator[tuple[Lab, SipEdge, CrookedEdge]]:
    """A lab whose edge can be made to lie."""
    async with (
        exchange(folder) as (edge, settings),
        CrookedEdge(edge) as crooked,
        Lab(folder, [replace(settings, url=crooked.url)]) as lab,
    ):
        yield lab, edge, crooked


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


def paged(lab: Lab, key: str, action: str = "trigger") -> list[dict[str, Any]]:
    """The pages of this kind that have arrived."""
    return [page for page in lab.on_call.pages if key in page["dedup_key"] and page["event_action"] == action]


def no_crash(lab: Lab, status: dict[str, Any]) -> None:
    assert status["daemon"]["counters"]["task_restarts"] == 0
    assert "Traceback" not in lab.log()


# --- the disk ----------------------------------------------------------------------------------------------------


async def test_a_disk_that_takes_nothing_moves_nothing_and_pages_and_recovers(tmp_path: Path) -> None:
    """RLIMIT_FSIZE 0 on the living daemon: every write of every file fails from one moment to the next."""
    port = free_port()
    os.mkfifo(tmp_path / "said")  # the log must not be a file, which could not be written either
    said = os.open(tmp_path / "said", os.O_RDWR | os.O_NONBLOCK)
    to_fifo = f"import os\nos.dup2(os.open({str(tmp_path / 'said')!r}, os.O_WRONLY), 2)\n"
    publish = {"http": {"listen": f"127.0.0.1:{port}"}}
    async with site(tmp_path, publish=publish) as (lab, edge), aiohttp.ClientSession() as client:
        lab.start(script=to_fifo)
        await lab.armed()
        assert lab.daemon is not None
        _, hard = resource.prlimit(lab.daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(lab.daemon.pid, resource.RLIMIT_FSIZE, (0, hard))
        lab.lose_the_cooling()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await until(lambda: bool(paged(lab, "journal/failed")), 30, "the page")
        status = await lab.until(lambda s: s["routes"]["outbound"]["threat"] == "act", 30, "the threat")
        code, words = await lab.order("hold")
        assert code == 1, "decided, but nobody will know after a restart"
        assert "the journal cannot be written" in words
        code, words = await lab.order("resume")
        await asyncio.sleep(1.0)
        assert edge.switch.percent("outbound") == 0, "no line, no move"
        async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = await answer.text()
        async with client.get(f"http://127.0.0.1:{port}/healthz") as answer:
            health = (answer.status, (await answer.json())["why"])
        status = await lab.status()
        assert {name: gap for name, gap in lab.gaps(start).items() if gap > EVERY_S + SLACK_S} == {}
        lines = len(lab.lines())
        resource.prlimit(lab.daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await lab.until(lambda s: s["routes"]["outbound"]["commanded"] == 100, 40, "the move once the disk takes it")
        await until(lambda: edge.switch.percent("outbound") == 100, 20, "the edge")
        await until(lambda: bool(paged(lab, "journal/failed", "resolve")), 30, "the all-clear")
        status_after = await lab.status()
        assert await lab.end() == 0
        found = lab.lines()
        with JournalReader.open(lab.journal) as journal:
            assert journal.verify().ok
    words = os.read(said, 65536).decode()
    os.close(said)
    assert "envmon_journal_failing 1.0" in metrics
    assert 'device="crac_1"' in metrics
    assert health[0] == 503
    assert "journal" in health[1]
    assert status["daemon"]["journal"]["failure"]
    assert status["daemon"]["journal"]["seq"] == lines - 1
    assert status_after["daemon"]["counters"]["journal_lost"] == 0
    done = [line.record for line in found if line.record.entry == "result" and line.record.extra["outcome"] == "done"]
    permitted = {json.loads(line.record.effect)["id"] for line in found if line.record.effect}
    assert {record.extra["effect"] for record in done} <= permitted
    orders = [line.record.text for line in found if line.record.entry == "order"]
    assert [text.split()[1] for text in orders] == ["arm", "hold", "resume"], "kept while the disk was away"
    assert words.count("the journal cannot be written, no call will be moved") == 1, "said once, not every second"
    assert "Traceback" not in words


MOUNT = 'mount -t tmpfs -o size=40m,mode=700 none "$0" && exec "$@"'


async def test_a_full_disk_still_holds_a_whole_move(tmp_path: Path) -> None:
    """A small file system of the daemon's own, filled to its last byte by somebody else."""
    async with site(tmp_path) as (lab, edge):
        lab.state.mkdir()
        rooted = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        lab.start(before=("unshare", *rooted, "--mount", "--", "sh", "-c", MOUNT, str(lab.state)))
        await lab.armed()
        assert lab.daemon is not None
        inside = Path(f"/proc/{lab.daemon.pid}/root{lab.state}")
        assert (inside / "journal.db").exists()
        fill(inside / "somebody-elses.log")
        lab.lose_the_cooling()
        await lab.until(position("shifting"), 40, "the decision")
        await until(lambda: edge.switch.percent("outbound") == 100, 20, "the edge")
        fill(inside / "somebody-elses.log")
        status = await lab.status()
        lab.daemon.send_signal(signal.SIGSTOP)  # SQLite opens nothing below /proc: look at a copy
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(inside / name, tmp_path / name)
        lab.daemon.send_signal(signal.SIGCONT)
        with JournalReader.open(tmp_path / "journal.db") as journal:
            rules = [line.record.rule for line in journal.records()]
            assert journal.verify().ok
        assert status["daemon"]["journal"]["failure"] == ""
        assert "T10" in rules
        no_crash(lab, status)
        await lab.end()


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as log:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    log.write(b"x" * size)


# --- the journal -------------------------------------------------------------------------------------------------


def sql(journal: Path, *statements: str) -> None:
    with sqlite3.connect(journal) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def overwrite(journal: Path) -> None:
    """Flip bits in every page but the first."""
    data = bytearray(journal.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    journal.write_bytes(data)


LAST = "(SELECT max(seq) FROM line)"
REFUSED_STARTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "its last line was changed": (
        lambda path: sql(path, f"UPDATE line SET text = 'nothing happened' WHERE seq = {LAST}"),
        r"journal\.db does not end in the line it last recorded \(\d+\): its end was changed; keep it as evidence",
        r"line \d+ was changed after it was written",
    ),
    "its last line was cut off": (
        lambda path: sql(path, f"DELETE FROM line WHERE seq = {LAST}"),
        r"its end was changed; keep it as evidence, move it away, and start again in observe",
        r"its end was removed",
    ),
    "it is garbage": (
        lambda path: path.write_bytes(b"\0" + os.urandom(99_999)),
        r"journal\.db is damaged; keep it as evidence, move it away, and start again in observe",
        r"is damaged",
    ),
    "its pages were overwritten": (overwrite, r"is damaged; keep it as evidence", r"is damaged|was changed"),
    "it is another program's": (
        lambda path: sql(path, "PRAGMA application_id = 1"),
        r"is not an envmon journal; name another file, or move it away",
        r"is not an envmon journal",
    ),
}


async def test_a_journal_that_was_touched_is_found_out(tmp_path: Path) -> None:
    async with site(tmp_path) as (lab, edge):
        lab.start()
        await lab.armed()
        head = (await lab.status())["daemon"]["journal"]["head"]
        assert await lab.end() == 0
        good = shutil.copytree(lab.state, tmp_path / "good")
        cases = list(REFUSED_STARTS)
        for pair in zip(cases[::2], [*cases[1::2], ""], strict=False):
            await asyncio.gather(*(refused_start(lab, good, case) for case in pair if case))
        await changed_in_the_middle(lab, good, head)

        restore_state(good, lab)
        sql(lab.journal, "UPDATE snapshot SET text = replace(text, 'automatic', 'held')")
        lab.start()
        status = await lab.until(position("primary"), 30, "a position read from the edge")
        assert status["mode"] == "observe", "a memory that was changed is no memory"
        assert re.search("snapshot .* damaged", lab.log())
        assert edge.switch.percent("outbound") == 0
        no_crash(lab, status)


async def refused_start(lab: Lab, good: Path, case: str) -> None:
    """A daemon on a copy of the good state, damaged: it says what is wrong in one line and ends; so does verify."""
    damage, refusal, verdict = REFUSED_STARTS[case]
    state = shutil.copytree(good, lab.folder / case)
    damage(state / "journal.db")
    config = yaml.safe_load((lab.folder / "envmon.yaml").read_text())
    config["daemon"] |= {"state_dir": str(state), "socket": str(lab.folder / f"{case}.sock")}
    path = lab.folder / f"{case}.yaml"
    path.write_text(yaml.safe_dump(config))
    code, said = await envmon("run", "--config", str(path))
    assert code == 1
    assert re.fullmatch(rf"envmon: [^\n]*{refusal}[^\n]*\n", said), f"{case}: {said}"
    verified = await verify(state / "journal.db")
    assert re.search(verdict, verified), f"{case}: {verified}"


async def changed_in_the_middle(lab: Lab, good: Path, head: str) -> None:
    """What a daemon does not look for at its start, verify finds."""
    restore_state(good, lab)
    sql(lab.journal, "UPDATE line SET who = 'nobody' WHERE rule = 'M10'")
    number = next(line.seq for line in lab.lines() if line.record.rule == "M10")
    assert f"line {number} was changed after it was written" in await verify(lab.journal)
    restore_state(good, lab)
    shorter = "UPDATE head SET seq = 2, hash = (SELECT hash FROM line WHERE seq = 2)"
    sql(lab.journal, "DELETE FROM line WHERE seq > 2", shorter)
    assert "unbroken" in await verify(lab.journal), "cut off cleanly: the chain alone cannot show it"
    assert "its end was removed" in await verify(lab.journal, "--head", head)


def restore_state(good: Path, lab: Lab) -> None:
    shutil.rmtree(lab.state)
    shutil.copytree(good, lab.state)


async def envmon(*arguments: str) -> tuple[int, str]:
    """Run ``envmon`` to its end; exit code and what it printed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "envmon.cli.main", *arguments, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, (out + err).decode()


async def verify(journal: Path, *arguments: str) -> str:
    code, said = await envmon("journal", "verify", "--path", str(journal), *arguments)
    assert "Traceback" not in said
    assert (code == 0) == ("unbroken" in said)
    return said


async def test_without_its_journal_it_observes_and_adopts_where_the_calls_are(tmp_path: Path) -> None:
    async with site(tmp_path) as (lab, edge):
        lab.start()
        await lab.armed()
        await lab.until(lambda _: edge.switch.fence == 1, 20, "the stamp")
        assert await lab.end() == 0
        edge.switch.set_percent("outbound", 100, 1)
        shutil.rmtree(lab.state)
        lab.start()
        status = await lab.until(position("backup"), 30, "the position it reads")
        assert (status["mode"], status["routes"]["outbound"]["commanded"]) == ("observe", 100)
        code, words = await lab.order("restore")
        assert (code, "O11" in words) == (2, True), words
        await lab.until(lambda s: s["lease"]["held"], 30, "the lease")
        assert (edge.switch.percent("outbound"), edge.switch.fence) == (100, 1), "observing writes nothing"
        code, words = await lab.order("arm")
        assert code == 0, words
        await until(lambda: edge.switch.fence == 2, 30, "an epoch above the one it had forgotten")
        assert edge.switch.percent("outbound") == 100
        no_crash(lab, await lab.status())


async def test_a_journal_removed_under_the_daemon_is_as_good_as_a_dead_disk(tmp_path: Path) -> None:
    async with site(tmp_path) as (lab, edge):
        lab.start()
        await lab.armed()
        away = lab.journal.rename(lab.state / "away.db")
        code, words = await lab.order("shift")
        assert code == 1, words
        assert "journal.db was removed or replaced" in words
        await until(lambda: bool(paged(lab, "journal/failed")), 30, "the page")
        assert edge.switch.percent("outbound") == 0
        away.rename(lab.journal)
        await until(lambda: bool(paged(lab, "journal/failed", "resolve")), 30, "the all-clear")
        await lab.until(lambda s: s["daemon"]["journal"]["failure"] == "", 30, "a journal that can be written")
        assert await lab.end() == 0
        assert "unbroken" in await verify(lab.journal)


# --- the edge ----------------------------------------------------------------------------------------------------


def with_route(told: dict[str, Any], **changes: object) -> web.Response:
    return web.json_response({**told, "routes": {"outbound": {**told["routes"]["outbound"], **changes}}})


def raw(data: bytes) -> Lie:
    """Bytes that need not be HTTP."""

    async def lie(request: web.Request, _told: dict[str, Any]) -> web.StreamResponse | None:
        assert request.transport is not None
        with suppress(OSError):
            request.transport.write(data)
        request.transport.close()
        return web.Response()

    return lie


async def endless(request: web.Request, _told: dict[str, Any]) -> web.StreamResponse | None:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(OSError):
        for _ in range(10_000):
            await response.write(b"[" * 65_536)
    return response


async def bomb(_request: web.Request, _told: dict[str, Any]) -> web.StreamResponse | None:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def never(_request: web.Request, _told: dict[str, Any]) -> web.StreamResponse | None:
    await asyncio.sleep(60)
    return None


def always(make: Callable[[dict[str, Any]], web.Response]) -> Lie:
    async def lie(_request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
        return make(told)

    return lie


BOMB = gzip.compress(bytes(200 * 2**20))
LIES: dict[str, tuple[Lie, str]] = {
    "no JSON": (always(lambda _: web.Response(text="<html>welcome</html>")), "no routes in it"),
    "a list": (always(lambda _: web.json_response([1, 2])), "no routes in it"),
    "a tower": (always(lambda _: web.Response(text="[" * 60_000)), "no routes in it"),
    "nothing": (always(lambda _: web.Response()), "no routes in it"),
    "a text for a number": (always(lambda told: with_route(told, percent="100")), "percent is '100', not a count"),
    "a truth value": (always(lambda told: with_route(told, percent=True)), "percent is True, not a count"),
    "more than all": (always(lambda told: with_route(told, percent=101)), "percent is 101, not a count"),
    "half a percent": (always(lambda told: with_route(told, percent=99.5)), "percent is 99.5, not a count"),
    "a missing field": (always(lambda told: with_route(told, calls_backup=None)), "calls_backup is None"),
    "a negative fence": (always(lambda told: web.json_response({**told, "fence": -1})), "fence is -1, not a count"),
    "no number": (always(lambda told: web.Response(text=json.dumps({**told, "fence": float("nan")}))), "fence is nan"),
    "10,000 digits": (always(lambda _: web.Response(text='{"fence": ' + "9" * 10_000 + "}")), "no routes in it"),
    "another place": (
        always(lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})),
        "it answered 302",
    ),
    "a refusal": (always(lambda _: web.json_response({"error": "no"}, status=401)), "it refused our token"),
    "an accident": (always(lambda _: web.Response(status=500, text="boom")), "it answered 500"),
    "another protocol": (raw(b"\x00\xff\xfeSSH-2.0-OpenSSH_9.2\r\n\r\n"), "the connection broke"),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), "the connection broke"),
    "endless headers": (raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 1_000_000 + b"\r\n"), "the connection broke"),
    "an endless body": (endless, "longer than 65536 bytes"),
    "a body that unpacks to 200 MB": (bomb, "longer than 65536 bytes|the connection broke"),
    "silence": (never, "no answer within 2 s"),
}


async def test_an_edge_that_answers_nonsense_is_told_and_never_believed(tmp_path: Path) -> None:
    async with crooked_site(tmp_path) as (lab, edge, crooked):
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        assert lab.daemon is not None
        before = peak_mb(lab.daemon.pid)
        for name, (lie, words) in LIES.items():
            begun = len(lab.log())
            crooked.lie = lie
            told = lambda: lab.log()[begun:]  # noqa: B023, E731 - used within this turn only
            await until(lambda: "edge edge0 does not answer" in told(), 30, f"{name}: told")  # noqa: B023
            assert re.search(words, told()), f"{name}: {told()}"
            assert len(told()) < 1_000, f"{name}: a short report"
            crooked.lie = None
            await until(lambda: "edge edge0 answers again" in told(), 30, f"{name}: over")  # noqa: B023
        grown = peak_mb(lab.daemon.pid) - before
        status = await lab.status()
        assert (status["mode"], status["routes"]["outbound"]["position"]) == ("automatic", "primary")
        assert edge.switch.percent("outbound") == 0
        assert grown < 64, f"{grown:.0f} MB for answers of an edge"
        no_crash(lab, status)


def peak_mb(pid: int) -> float:
    """The most memory the process ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


async def test_a_move_that_the_edge_only_claims_is_contradicted_by_its_calls(tmp_path: Path) -> None:
    """The edge says 200 and reads back 100 %, and still sends every call to the primary."""
    claimed: dict[str, int] = {}
    looks = 0

    async def claim(request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
        nonlocal looks
        looks += 1
        if found := re.fullmatch(r"/envmon/v1/routes/outbound/(\d+)/(\d+)", request.path):
            claimed.update(set_epoch=int(found[1]), percent=int(found[2]))
            return web.json_response({})
        return with_route(told, **claimed) if request.path.endswith("/status") else None

    async with crooked_site(tmp_path) as (lab, edge, crooked):
        crooked.lie = claim
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        code, words = await lab.order("shift")
        assert code == 0, words
        await lab.until(position("shifting"), 30, "the command")
        seen = looks
        await until(lambda: looks >= seen + 6, 30, "the command confirmed, the counters' starting line drawn")
        host, port = edge.address
        assert (await SipProbe().call(host, port, "15551234567")).answered
        status = await lab.until(lambda s: s["routes"]["outbound"]["proof"] == "contradicted", 30, "the contradiction")
        await until(lambda: "T22" in lab.rules(), 20, "the rule")
        await until(lambda: any("contradicted" in page["summary"] for page in lab.on_call.pages), 20, "the page")
        status = await lab.status()
        assert status["routes"]["outbound"]["position"] == "shifting", "never called the backup"
        assert edge.switch.percent("outbound") == 0
        assert "T20" not in lab.rules()
        no_crash(lab, status)


async def test_a_stage_that_the_edge_only_claims_stops_there_and_pages(tmp_path: Path) -> None:
    """The edge reads back a tenth, and sends not one of two hundred calls to the backup."""
    claimed: dict[str, int] = {}

    async def claim(request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
        if found := re.fullmatch(r"/envmon/v1/routes/outbound/(\d+)/(\d+)", request.path):
            claimed.update(set_epoch=int(found[1]), percent=int(found[2]))
            return web.json_response({})
        return with_route(told, **claimed) if request.path.endswith("/status") else None

    async with crooked_site(tmp_path) as (lab, edge, crooked):
        crooked.lie = claim
        lab.stages = [10, 100]
        lab.configure()
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        await until(lambda: "L10" in lab.rules(), 10, "the epoch on the edge")  # which its lie leaves out
        code, words = await lab.order("shift")
        assert code == 0, words
        await lab.until(position("shifting"), 10, "the command")
        await asyncio.sleep(1.0)  # two looks: the command confirmed, the counters' starting line drawn
        host, port = edge.address
        for _ in range(20):
            answers = await asyncio.gather(*(SipProbe().call(host, port, "15551234567") for _ in range(10)))
            assert all(answer.answered for answer in answers)
        await until(lambda: "T65" in lab.rules(), 10, "the rule")
        await until(lambda: any("contradicted" in page["summary"] for page in lab.on_call.pages), 5, "the page")
        await asyncio.sleep(2.0)  # two more decisions
        status = await lab.status()
        route = status["routes"]["outbound"]
        assert (route["position"], route["commanded"], route["proof"]) == ("shifting", 10, "contradicted")
        no_crash(lab, status)


async def test_a_move_nobody_can_read_back_stays_unproven(tmp_path: Path) -> None:
    """The edge takes the write, and then answers nonsense to every question."""
    async with crooked_site(tmp_path) as (lab, edge, crooked):
        written = False

        async def mute(request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
            nonlocal written
            written = written or request.method == "PUT"
            return web.json_response([]) if written and request.path.endswith("/status") else None

        lab.configure(judgement={"stale": "5s", "edge_stands": "2s"})
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        crooked.lie = mute
        code, words = await lab.order("shift")
        assert code == 0, words
        await until(lambda: edge.switch.percent("outbound") == 100, 20, "the write")
        status = await lab.until(lambda s: s["routes"]["outbound"]["edges_say"] == "unread", 30, "an unread edge")
        await asyncio.sleep(1.0)
        status = await lab.status()
        assert status["routes"]["outbound"]["position"] == "shifting"
        assert status["routes"]["outbound"]["percent"] is None
        results = [line.record.text for line in lab.lines() if line.record.entry == "result"]
        assert any("failed" in text and "no routes in it" in text for text in results), results
        no_crash(lab, status)


async def test_a_newer_epoch_at_an_edge_holds_and_is_never_outbid(tmp_path: Path) -> None:
    async with site(tmp_path) as (lab, edge):
        lab.start()
        await lab.armed()
        await until(lambda: edge.switch.fence == 1, 20, "our stamp")
        edge.switch.stamp(7)
        status = await lab.until(lambda s: s["mode"] == "held", 30, "the hold")
        await until(lambda: "M51" in lab.rules(), 20, "its line")
        await until(lambda: any("newer epoch" in page["summary"] for page in lab.on_call.pages), 20, "the page")
        lab.lose_the_cooling()
        status = await lab.until(lambda s: s["routes"]["outbound"]["threat"] == "act", 30, "the threat")
        for command in ("resume", "shift", "arm"):
            code, words = await lab.order(command)
            assert code == 2, words
            assert "Refused" in words
        assert edge.switch.fence == 7, "this life never bids more than it was given"
        assert await lab.end() == 0
        lab.start()
        status = await lab.until(lambda s: s["lease"]["epoch"] == 8, 30, "a new life, with a lease above every fence")
        assert status["mode"] == "held", "a restart ends no hold: that is for an operator"
        assert edge.switch.fence == 7, "and outbids nobody by itself"
        assert edge.switch.percent("outbound") == 0
        moves = [line.record.effect for line in lab.lines() if "set_percent" in line.record.effect]
        assert moves == []
        code, words = await lab.order("resume")
        assert (code, "M40" in words) == (0, True), words
        await until(lambda: edge.switch.fence == 8, 30, "the stamp, once an operator resumed")
        no_crash(lab, status)


# --- devices -----------------------------------------------------------------------------------------------------


class UdpFlood(asyncio.DatagramProtocol):
    """A device on UDP that answers every request with three thousand datagrams of nonsense."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for number in range(3_000):
            self.transport.sendto(os.urandom(8) + data if number % 3 else os.urandom(1_400), addr)


async def tcp_flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A device on TCP that talks without being asked, and never stops."""
    noise = os.urandom(65_536)
    with suppress(OSError):
        while True:
            writer.write(noise)
            await writer.drain()


async def test_devices_that_flood_delay_nobody(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with site(tmp_path) as (lab, _), AsyncExitStack() as stack:
        udp, _ = await loop.create_datagram_endpoint(UdpFlood, local_addr=("127.0.0.1", 0))
        stack.callback(udp.close)
        tcp = await asyncio.start_server(tcp_flood, "127.0.0.1", 0)
        stack.callback(tcp.close)
        devices = yaml.safe_load((lab.folder / "envmon.yaml").read_text())["devices"]
        for name, kind, port in (
            ("udp_flood", "crac_1", udp.get_extra_info("sockname")[1]),
            ("tcp_flood", "probes", tcp.sockets[0].getsockname()[1]),
        ):
            devices[name] = {**devices[kind], "address": f"127.0.0.1:{port}", "path": name, "zone": "hall_a"}
            devices[name].pop("serves", None)
        lab.configure(devices=devices)
        lab.start()
        flooding = lambda s: all("not polled" not in s["devices"][n]["error"] for n in ("udp_flood", "tcp_flood"))  # noqa: E731
        await lab.until(flooding, 40, "the first poll of each")
        await lab.until(lambda s: s["routes"]["outbound"]["ready"] == "yes", 40, "readiness among the noise")
        start = loop.time()
        assert lab.daemon is not None
        before = peak_mb(lab.daemon.pid)
        await asyncio.sleep(3.0)
        gaps = lab.gaps(start)
        status = await lab.status()
        assert {name: gap for name, gap in gaps.items() if gap > EVERY_S + SLACK_S} == {}
        assert not status["devices"]["udp_flood"]["up"]
        assert not status["devices"]["tcp_flood"]["up"]
        assert status["devices"]["tcp_flood"]["error"]
        assert status["zones"]["hall_a"]["verdict"] == "ok"
        assert peak_mb(lab.daemon.pid) - before < 32
        no_crash(lab, status)


async def test_forged_datagrams_to_every_port_of_the_daemon_change_nothing(tmp_path: Path) -> None:
    """Somebody on the network answers in a device's name, from another port: with noise, and with old answers."""
    async with site(tmp_path) as (lab, _):
        patient = {
            name: {**entry, "every": "2s", "deadline": "1900ms"} for name, entry in lab._config()["devices"].items()
        }
        lab.configure(devices=patient)
        lab.start()
        await lab.until(lambda s: all(d["up"] for d in s["devices"].values()), 40, "every device")
        assert lab.daemon is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            loop = asyncio.get_running_loop()
            start, sent = loop.time(), 0
            while loop.time() < start + 3.0:
                for port in udp_ports(lab.daemon.pid):
                    for noise in (b"", os.urandom(600), b"0\x82\xff\xff" + bytes(200), b"SIP/2.0 200 OK\r\n\r\n"):
                        with suppress(OSError):
                            stranger.sendto(noise, ("127.0.0.1", port))
                            sent += 1
                await asyncio.sleep(0.01)
        assert sent > 100
        status = await lab.status()
        assert all(device["up"] for device in status["devices"].values())
        assert status["daemon"]["counters"]["failed_polls"] == 0
        no_crash(lab, status)


def udp_ports(pid: int) -> set[int]:
    """The UDP ports a process has open now (proc(5), net/udp)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(found[1])
    rows = [row.split() for row in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if row[9] in inodes}


# --- the order socket --------------------------------------------------------------------------------------------


async def until_told(lab: Lab, asked: bytes, words: bytes) -> None:
    """Ask until the answer holds these words."""
    async with asyncio.timeout(20):
        while words not in await say(lab, asked):
            pass


async def say(lab: Lab, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes to the order socket and return all it answers until it is closed."""
    reader, writer = await asyncio.open_unix_connection(lab.socket)
    try:
        with suppress(OSError):
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
        async with asyncio.timeout(20):
            try:
                return await reader.read()
            except (BrokenPipeError, ConnectionResetError):
                return b""
    finally:
        writer.close()


async def test_rude_clients_of_the_order_socket(tmp_path: Path) -> None:
    async with site(tmp_path) as (lab, _):
        lab.start()
        await lab.until(lambda s: all(d["up"] for d in s["devices"].values()), 40, "every device")
        loop = asyncio.get_running_loop()
        start = loop.time()
        for data, words in (
            (os.urandom(500).replace(b"\n", b"") + b"\n", b"expected one JSON object a line"),
            (b"\n", b"expected one JSON object a line"),
            (b"[" * 4_000 + b"\n", b"expected one JSON object a line"),
            (b'{"command": "shift"}\n', b"a reason is required"),
            (b'{"command": ["shift"]}\n', b"command must be a text, not list"),
            (b'{"command": "fire", "reason": "x"}\n', b"unknown command 'fire'; known: "),
            (b'{"command": "shift", "reason": "x", "force": "yes"}\n', b"unknown key 'force'"),
            (b'{"command": "status"', b"the request has no end of line"),
        ):
            answer = await say(lab, data)
            assert words in answer, (data[:40], answer[:200])
            assert answer.count(b"\n") == 1
            assert json.loads(answer)["ok"] is False
        assert len(await say(lab, b"a" * 1_000_000 + b"\n")) < 200, "told that a request is at most 4096 bytes, or cut"
        assert b"Refused" in await say(lab, b'{"command": "disarm", "reason": "\\u001b[2J\\ud800"}\n')
        crowd = []
        for _ in range(50):
            crowd.append(await asyncio.open_unix_connection(lab.socket))
            await asyncio.sleep(0.005)  # not faster than the kernel's backlog of unaccepted clients
        try:
            answers = [asyncio.create_task(reader.readline()) for reader, _ in crowd]
            await until(lambda: sum(answer.done() for answer in answers) >= 34, 20, "34 refusals")
            assert all(
                b"16 clients of yours are connected already; try again" in answer.result()
                for answer in answers
                if answer.done()
            )
            for answer in answers:
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
            for _, writer in crowd[:8]:
                with suppress(OSError):
                    writer.write(b'{"command": "status"}\n' * 2_000)  # asks and asks, and never reads
        finally:
            for _, writer in crowd[8:]:
                writer.close()
        await until_told(lab, b'{"command": "status"}\n', b'"status"')  # those that left have made room
        status = await lab.until(lambda s: s["routes"]["outbound"]["ready"] == "yes", 30, "an answer beside them")
        assert {name: gap for name, gap in lab.gaps(start).items() if gap > EVERY_S + SLACK_S} == {}
        for _, writer in crowd[:8]:
            writer.close()
        code, words = await lab.order("arm")
        assert code == 0, words
        no_crash(lab, status)
        shown = [line.record.text for line in lab.lines() if line.record.entry == "order"]
        assert any("([2J)" in text for text in shown), "nobody's typing stops the journal, or reaches a terminal"
        assert await lab.end() == 0


# --- secrets -----------------------------------------------------------------------------------------------------


def process(pid: int, name: str) -> str:
    """What anybody (cmdline) or its own user (environ) can read of a process."""
    return Path(f"/proc/{pid}/{name}").read_bytes().decode("latin-1")


def kept(path: Path) -> str:
    """What a file of the daemon's holds; a recording is packed, and still being written."""
    data = path.read_bytes()
    packed = data.startswith(b"\x1f\x8b")
    return (zlib.decompressobj(31).decompress(data) if packed else data).decode("latin-1")


async def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    """A whole move, a pager that repeats our token in its refusals, a device that refuses us, a failed reload."""
    secrets = {"token": TOKEN, "community": COMMUNITY, "mqtt": "lab-mqtt-secret", "pager": "lab-pager-secret"}
    secrets |= {"auth": "lab-v3-auth-secret", "privacy": "lab-v3-privacy-secret"}
    port = free_port()

    async def parrot(request: web.Request) -> web.Response:
        return web.Response(status=503, text=f"who is {request.headers.get('Authorization')}?")

    async with Broker(tmp_path) as broker, crooked_site(tmp_path) as (lab, _, crooked), AsyncExitStack() as stack:
        for name, text in secrets.items():
            (tmp_path / name).write_text(text)
        app = web.Application()
        app.router.add_post("/page", parrot)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = yaml.safe_load((lab.folder / "envmon.yaml").read_text())
        config["pagers"]["parrot"] = {
            **config["pagers"]["oncall"], "url": f"http://127.0.0.1:{runner.addresses[0][1]}/page",
            "token": f"file:{tmp_path / 'pager'}",
        }  # fmt: skip
        config["devices"]["crac_3"]["snmp"] = {
            "version": "3", "user": "envmon", "auth": "sha", "auth_password": f"file:{tmp_path / 'auth'}",
            "privacy": "aes128", "privacy_password": f"file:{tmp_path / 'privacy'}",
        }  # fmt: skip
        mqtt = {"host": "127.0.0.1", "port": broker.port, "zone": "noc_room", "username": "envmon"}
        mqtt["password"] = f"file:{tmp_path / 'mqtt'}"
        publish = {"mqtt": mqtt, "http": {"listen": f"127.0.0.1:{port}"}}
        lab.configure(pagers=config["pagers"], devices=config["devices"], publish=publish)
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        lab.lose_the_cooling()
        await lab.until(position("shifting"), 40, "the decision")
        crooked.lie = LIES["a refusal"][0]
        await until(lambda: "edge edge0 does not answer" in lab.log(), 30, "the edge's refusal")
        await until(lambda: "parrot" in lab.log(), 30, "the pager's refusal")
        lab.configure(bogus=TOKEN[:4])
        assert lab.daemon is not None
        lab.daemon.send_signal(signal.SIGHUP)
        status = await lab.until(lambda s: s["daemon"]["reload_error"], 30, "the refused reload")
        shown = {"status": json.dumps(status), "pages": json.dumps(list(lab.on_call.pages))}
        async with aiohttp.ClientSession() as client:
            for path in ("metrics", "status", "healthz", ""):
                async with client.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    shown[f"/{path}"] = await answer.text()
        _, shown["order"] = await lab.order("shift")
        shown |= {path.name: kept(path) for path in lab.state.rglob("*") if path.is_file()}
        shown["journal"] = "".join(str(line) for line in lab.lines())
        shown |= {name: process(lab.daemon.pid, name) for name in ("cmdline", "environ")}
        no_crash(lab, status)
        await lab.end()
        shown["log"] = lab.log()
    assert {name for name, said in shown.items() if not said} == set()
    leaks = [f"{name} in {where}" for name, text in secrets.items() for where, said in shown.items() if text in said]
    assert leaks == []


async def test_an_edge_is_quoted_shortly_and_without_our_token(tmp_path: Path) -> None:
    """An edge, or what stands before it, that repeats what it was sent: in an error, in a field, at length."""

    async def in_an_error(request: web.Request, _told: dict[str, Any]) -> web.StreamResponse | None:
        return web.json_response({"error": f"bad header: {request.headers['Authorization']}"}, status=500)

    async def in_a_field(request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
        return with_route(told, percent=request.headers["Authorization"])

    async def at_length(_request: web.Request, told: dict[str, Any]) -> web.StreamResponse | None:
        return with_route(told, percent="long " * 10_000)

    async with crooked_site(tmp_path) as (lab, _, crooked):
        lab.configure(judgement={"edge_stands": "2s"})
        lab.start(script=QUICK_LOOKS)
        await lab.armed()
        for lie, words in ((in_an_error, "it answered 500"), (in_a_field, "percent is"), (at_length, "percent is")):
            begun = len(lab.log())
            crooked.lie = lie
            told = lambda: lab.log()[begun:]  # noqa: B023, E731 - used within this turn only
            await until(lambda: words in told(), 10, words)  # noqa: B023
            assert len(told()) < 1_000
            crooked.lie = None
            await until(lambda: "answers again" in told(), 30, f"{words}: over")  # noqa: B023
        crooked.lie = in_an_error
        status = await lab.until(
            lambda s: s["routes"]["outbound"]["ready"] != "yes", 40, "an edge that is not believed"
        )
        _, ordered = await lab.order("shift")
        await lab.end()
        shown = {"log": lab.log(), "status": json.dumps(status), "order": ordered}
        shown["journal"] = "".join(str(line) for line in lab.lines())
    assert [where for where, said in shown.items() if TOKEN in said] == []
