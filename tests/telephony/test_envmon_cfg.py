"""deploy/kamailio/envmon.cfg in a real Kamailio: what its token opens, what it stores, which calls it moves."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.kamailio import KamailioEdge
from envmon.model.event import EdgeStatus
from tests.telephony.rig import CallStats, Rig, until

# An edge whose operator also uses Kamailio's RPC: loaded, reachable from this host's own console only.
CONSOLE = """
loadmodule "jsonrpcs.so"
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{home}/console.sock")
"""


@asynccontextmanager
async def edge_of(rig: Rig, index: int = 0) -> AsyncIterator[KamailioEdge]:
    async with KamailioEdge(rig.edge(index)) as edge:
        yield edge


async def read(rig: Rig, index: int = 0) -> EdgeStatus:
    async with edge_of(rig, index) as edge:
        return (await edge.status())[0]


def console(rig: Rig, method: str, params: list[str]) -> dict[str, Any]:
    """Give Kamailio an RPC as an engineer at its own console would."""
    home = rig.directory()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ours:
        ours.bind(str(home / f"me{time.monotonic_ns()}"))
        ours.settimeout(10)
        ours.sendto(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(),
            str(home / "console.sock"),
        )
        answer: dict[str, Any] = json.loads(ours.recv(65_536))
        return answer


async def ask(rig: Rig, method: str, path: str, token: str | None = None, body: Any = None) -> tuple[int, str]:
    """One HTTP request as a stranger would send it; the token of the rig unless another is given."""
    headers = {} if token == "" else {"Authorization": f"Bearer {rig.token}" if token is None else token}
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.request(method, f"{rig.edge().url}{path}", headers=headers, json=body) as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Bearer rig-token-", "Basic rig-token", "rig-token"])
async def test_without_the_token_nothing_is_told_or_done(rig: Rig, token: str) -> None:
    for method, path in (
        ("GET", "/envmon/v1/status"),
        ("PUT", "/envmon/v1/routes/outbound/9/100"),
        ("POST", "/envmon"),
    ):
        code, text = await ask(rig, method, path, token)
        assert code == 401
        assert "fence" not in text
    status = await read(rig)
    assert (status.percent, status.fence) == (0, 0)


async def test_a_good_token_opens_no_door_for_the_next_request(rig: Rig) -> None:
    """Kamailio's $var outlives a request in its process: a failed assignment must not leave the last digest there."""
    for _ in range(6):
        assert (await ask(rig, "GET", "/envmon/v1/status"))[0] == 200
        for token in ("", "Bearer ", "Bearer"):
            assert (await ask(rig, "GET", "/envmon/v1/status", token))[0] == 401


async def test_the_token_opens_no_rpc(rig: Rig) -> None:
    await rig.stop_edge()
    rig.configure(extra=CONSOLE.format(home=rig.directory()))
    await rig.start_edge()
    up_since = (await read(rig)).up_since
    for path in ("/RPC", "/rpc", "/envmon/v1/RPC", "/envmon/v1/status", "/envmon/v1/rpc", "/envmon", "/", "/metrics"):
        for method, params in (
            ("core.kill", []),
            ("htable.sets", ["envmon", "pct::outbound", "100"]),
            ("dispatcher.set_state", ["d", 1, "all"]),
            ("dispatcher.reload", []),
        ):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            code, text = await ask(rig, "POST", path, body=body)
            assert code == (405 if path.startswith("/envmon") else 404)
            assert "result" not in text
    status = await read(rig)
    assert (status.percent, status.up_since) == (0, up_since)
    assert (await rig.call(50, 5, 50)).on_primary == 5


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PUT", "/envmon/v1/routes/outbound/9/101", 400),
        ("PUT", "/envmon/v1/routes/outbound/9/007", 400),
        ("PUT", "/envmon/v1/routes/outbound/9/5x", 400),
        ("PUT", "/envmon/v1/routes/outbound/2147483648/5", 400),
        ("PUT", "/envmon/v1/routes/outbound/4294967305/5", 400),
        ("PUT", "/envmon/v1/routes/outbound/99999999999999999999/5", 400),
        ("PUT", "/envmon/v1/routes/outbound/09/5", 400),
        ("PUT", "/envmon/v1/routes/outbound/-1/5", 400),
        ("PUT", "/envmon/v1/fence/2147483648", 400),
        ("PUT", "/envmon/v1/fence/-1", 400),
        ("PUT", "/envmon/v1/routes/inbound/9/5", 404),
        ("PUT", "/envmon/v1/routes/*/9/5", 404),
        ("PUT", "/envmon/v1/routes/$sht(envmon=>fence)/9/5", 404),
        ("PUT", "/envmon/v1/routes/x'/9/5", 404),
        ("PUT", "/envmon/v1/routes/x');DELETE FROM envmon;--/9/5", 404),
        ("POST", "/envmon/v1/routes/outbound/9/5", 405),
        ("DELETE", "/envmon/v1/status", 405),
        ("PUT", "/envmon/v1/status", 405),
        ("GET", "/envmon/v1/fence/9", 405),
        ("PUT", "/envmon/v1/routes/outbound/9/5/1", 405),
        ("GET", "/envmonx/v1/status", 404),
    ],
)
async def test_a_bad_request_changes_nothing(rig: Rig, method: str, path: str, code: int) -> None:
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 40, 3)
    assert (await ask(rig, method, path))[0] == code
    status = await read(rig)
    assert (status.percent, status.set_epoch, status.fence) == (40, 3, 3)
    with closing(sqlite3.connect(rig.directory() / "envmon.sqlite")) as disk:
        assert sorted(disk.execute("SELECT * FROM envmon")) == [("*", 0, 3), ("outbound", 40, 3)]


async def test_strangers_are_refused_by_address(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        await rig.stop_edge()
        rig.configure(sources="127.0.0.9/32,192.0.2.0/24")
        await rig.start_edge(ready=False)
        deadline = time.monotonic() + 30
        while True:
            try:
                code, text = await ask(rig, "GET", "/envmon/v1/status")
                break
            except aiohttp.ClientError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert code == 403
        assert "127.0.0.9" not in text
        stats = await rig.call(50, 3, 50, service="envmon-probe-backup")
        assert (stats.setup_failed, rig.answered("backup"), rig.answered("primary")) == (3, set(), set())
        assert (await rig.call(50, 3, 50)).on_primary == 3


async def test_an_operators_own_http_service_stays(rig: Rig) -> None:
    await rig.stop_edge()
    rig.configure(
        extra='#!define ENVMON_OWN_XHTTP\nevent_route[xhttp:request] {\n\tif ($hu == "/mine") {\n'
        '\t\txhttp_reply("200", "OK", "text/plain", "mine");\n\t\texit;\n\t}\n\troute(ENVMON_HTTP);\n'
        '\txhttp_reply("418", "Teapot", "text/plain", "not mine");\n}\n'
    )
    # The operator's event route needs the modules first: at the end of the file is where it would be.
    local, edge = rig.directory() / "edge-local.cfg", rig.directory() / "edge.cfg"
    head, _, own = local.read_text().partition("event_route")
    local.write_text(head)
    edge.write_text(f"{edge.read_text()}\nevent_route{own}")
    await rig.start_edge()
    assert await ask(rig, "GET", "/mine", "") == (200, "mine")
    assert (await ask(rig, "GET", "/else"))[0] == 418
    async with edge_of(rig) as actuator:
        await actuator.set_percent("outbound", 10, 1)


async def test_a_crash_after_the_answer_loses_nothing(rig: Rig) -> None:
    for epoch, percent in ((1, 100), (20, 35), (40, 70)):
        async with edge_of(rig) as edge:
            await edge.set_percent("outbound", percent, epoch)
            await edge.stamp(epoch + 10)
        await rig.restart_edge(crash=True)
        status = await read(rig)
        assert (status.percent, status.set_epoch, status.fence) == (percent, epoch, epoch + 10)


async def test_a_crash_among_writes_keeps_what_was_answered(rig: Rig) -> None:
    answered = 0

    async def write() -> None:
        nonlocal answered
        async with edge_of(rig) as edge:
            for epoch in range(1, 10_000):
                await edge.set_percent("outbound", epoch % 101, epoch)
                answered = epoch

    writer = asyncio.create_task(write())
    await until(lambda: answered >= 20, 40, "twenty writes")
    await rig.stop_edge(crash=True)
    with pytest.raises(EdgeError):
        await writer
    await rig.start_edge()
    status = await read(rig)
    assert status.set_epoch in (answered, answered + 1)
    assert status.percent == status.set_epoch % 101
    assert status.fence == status.set_epoch


async def test_a_full_disk_does_not_stop_the_shift_but_is_told(rig: Rig) -> None:
    async with KamailioEdge(replace(rig.edge(), deadline_s=5.0)) as edge:
        await edge.set_percent("outbound", 0, 1)
        with closing(sqlite3.connect(rig.directory() / "envmon.sqlite", isolation_level=None)) as disk:
            disk.execute("BEGIN EXCLUSIVE")
            with pytest.raises(EdgeError, match="in force, but not stored on disk"):
                await edge.set_percent("outbound", 100, 2)
            (status,) = await edge.status()
            assert (status.percent, status.set_epoch, status.fence) == (100, 2, 2)
            assert (await rig.call(50, 3, 50)).on_backup == 3
            disk.execute("ROLLBACK")
        await edge.set_percent("outbound", 100, 2)
        await rig.restart_edge(crash=True)
        (status,) = await edge.status()
        assert (status.percent, status.set_epoch) == (100, 2)


async def test_a_database_that_cannot_be_read_is_told_and_carries_calls(rig: Rig) -> None:
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 100, 4)
        await rig.stop_edge()
        good = (rig.directory() / "envmon.sqlite").read_bytes()
        (rig.directory() / "envmon.sqlite").write_bytes(b"this is no database" * 100)
        await rig.start_edge(ready=False)
        assert await rig.call(50, 3, 50) == CallStats(3, 0, 0, 3, 0)
        with pytest.raises(EdgeError, match="the stored position cannot be read"):
            await edge.status()
        with pytest.raises(EdgeError, match="the stored position cannot be read"):
            await edge.set_percent("outbound", 0, 5)
        (rig.directory() / "envmon.sqlite").write_bytes(good)
        await rig.restart_edge()
        assert (await read(rig)).percent == 100


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("htable.flush", ["envmon"]),
        ("htable.delete", ["envmon", "pct::outbound"]),
        ("htable.delete", ["envmon", "fence"]),
    ],
)
async def test_what_a_console_deleted_is_read_from_disk_again(rig: Rig, method: str, params: list[str]) -> None:
    await rig.stop_edge()
    rig.configure(extra=CONSOLE.format(home=rig.directory()))
    await rig.start_edge()
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 100, 4)
        assert "result" in console(rig, method, params)
        assert (await rig.call(50, 3, 50)).on_backup == 3
        console(rig, method, params)
        (status,) = await edge.status()
        assert (status.percent, status.set_epoch, status.fence) == (100, 4, 4)
        console(rig, method, params)
        with pytest.raises(Fenced):
            await edge.set_percent("outbound", 0, 3)


async def test_a_percent_splits_new_calls(rig: Rig) -> None:
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 30, 1)
    stats = await rig.call(100, 200, 50)
    assert (stats.setup_failed, stats.bye_failed) == (0, 0)
    assert 20 < stats.on_backup < 110  # 60 expected, 6 standard deviations of 6.5
    status = await read(rig)
    assert (status.calls_primary, status.calls_backup) == (stats.on_primary, stats.on_backup)


async def test_calls_in_progress_are_told_per_site(rig: Rig) -> None:
    async with edge_of(rig) as edge:
        first = asyncio.create_task(rig.call(50, 4, 6000))
        await until(lambda: len(rig.answered("primary")) == 4, 20, "four calls at the primary site")
        await edge.set_percent("outbound", 100, 1)
        second = asyncio.create_task(rig.call(50, 3, 4000))
        await until(lambda: len(rig.answered("backup")) == 3, 20, "three calls at the backup site")
        (status,) = await edge.status()
        assert (status.active_primary, status.active_backup) == (4, 3)
        await asyncio.gather(first, second)
        deadline = time.monotonic() + 20
        while (status.active_primary, status.active_backup) != (0, 0):
            assert time.monotonic() < deadline
            (status,) = await edge.status()


async def test_probe_calls_name_their_site_and_are_not_counted(rig: Rig) -> None:
    for percent in (0, 100):
        async with edge_of(rig) as edge:
            await edge.set_percent("outbound", percent, 1)
        assert (await rig.call(50, 4, 50, service="envmon-probe-backup")).on_backup == 4
        assert (await rig.call(50, 4, 50, service="envmon-probe-primary")).on_primary == 4
    status = await read(rig)
    assert (status.calls_primary, status.calls_backup) == (0, 0)
    assert (status.active_primary, status.active_backup) == (0, 0)


@pytest.mark.parametrize("own_dialogs", [False, True])
async def test_a_dead_primary_is_tried_at_the_backup(rig: Rig, own_dialogs: bool) -> None:
    if own_dialogs:  # an edge that tracks its dialogs itself, before it asks for a site
        await rig.stop_edge()
        script = rig.directory() / "edge.cfg"
        script.write_text(script.read_text().replace("\troute(ENVMON_PICK);", "\tdlg_manage();\n\troute(ENVMON_PICK);"))
        await rig.start_edge()
    await rig.stop_site("primary")
    calls = asyncio.create_task(rig.call(50, 3, 4000))
    await until(lambda: len(rig.answered("backup")) == 3, 20, "three calls at the backup site")
    status = await read(rig)
    assert (status.calls_primary, status.calls_backup) == (3, 3)
    assert (status.active_primary, status.active_backup) == (0, 3)
    assert await calls == CallStats(3, 0, 0, 0, 3)
    assert "ERROR" not in (rig.directory() / "kamailio.log").read_text()


async def test_a_probe_call_is_not_tried_at_the_other_site(rig: Rig) -> None:
    await rig.stop_site("primary")
    assert (await rig.call(50, 2, 50, service="envmon-probe-primary")).setup_failed == 2
    assert rig.answered("backup") == set()


async def test_a_call_the_backup_refused_does_not_come_home(rig: Rig) -> None:
    await rig.stop_site("backup")
    rig.start_site("backup", "full.xml")
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 100, 1)
    stats = await rig.call(50, 3, 50)
    assert (stats.setup_failed, stats.on_primary) == (3, 0)
    assert rig.answered("primary") == set()
    status = await read(rig)
    assert (status.calls_primary, status.calls_backup) == (0, 3)  # tried once each, not over and over


async def test_registrations_never_move(rig: Rig) -> None:
    async with edge_of(rig) as edge:
        await edge.set_percent("outbound", 100, 1)
    assert await rig.register(5) == {"primary": 5, "backup": 0}
    status = await read(rig)
    assert (status.calls_primary, status.calls_backup) == (0, 0)


async def test_two_edges_are_commanded_one_by_one(tmp_path: Path) -> None:
    async with Rig(tmp_path, edges=2) as rig:
        async with edge_of(rig, 0) as first, edge_of(rig, 1) as second:
            await first.set_percent("outbound", 100, 5)
            assert (await read(rig, 1)).fence == 0
            await second.set_percent("outbound", 0, 6)
        both = await asyncio.gather(rig.call(50, 5, 200, edge=0), rig.call(50, 5, 200, edge=1))
        assert both == [CallStats(5, 0, 0, 0, 5), CallStats(5, 0, 0, 5, 0)]
        await rig.restart_edge(1, crash=True)
        assert [(await read(rig, index)).percent for index in (0, 1)] == [100, 0]


async def test_the_edge_does_not_start_without_a_token(rig: Rig) -> None:
    local = rig.directory() / "edge-local.cfg"
    local.write_text("".join(line for line in local.read_text().splitlines(True) if "TOKEN" not in line))
    command = ("kamailio", "-c", "-Y", str(rig.directory()), "-f", str(rig.directory() / "edge.cfg"))
    check = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await check.communicate()
    assert check.returncode != 0
    assert b"envmon.cfg" in said
    assert b"syntax error" in said


async def test_how_calls_end_is_counted_at_the_site_that_had_them(tmp_path: Path) -> None:
    """Answered; failed by a backup that is full, and by one that is silent; tried again after a dead primary."""
    async with Rig(tmp_path) as rig:
        await rig.call(50, 20, 50)
        await rig.stop_site("primary")
        await rig.call(50, 5, 50)
        start = await read(rig)
        assert start.ends
        assert (start.answered_primary, start.failed_primary, start.refused_primary) == (20, 5, 0)
        assert (start.answered_backup, start.failed_backup, start.retried) == (5, 0, 5)
        await rig.stop_site("backup")
        rig.start_site("backup", "full.xml")
        async with edge_of(rig) as edge:
            await edge.set_percent("outbound", 100, 1)
        await rig.call(50, 10, 50)
        full = await read(rig)
        assert (full.failed_backup - start.failed_backup, full.answered_backup - start.answered_backup) == (10, 0)
        rig.freeze("backup")
        await rig.call(50, 4, 50)
        silent = await read(rig)
        assert silent.failed_backup - full.failed_backup == 4
        assert silent.retried == 5
