"""``envmon edge check`` on real Kamailio edges: sound ones, and each way in which one can be unsound."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envmon.actuators.checks import Check
from envmon.actuators.kamailio import KamailioEdge
from envmon.actuators.kamailio_check import KamailioCheck, Wish
from envmon.actuators.kamailio_script_check import check_script
from envmon.cli.edge import check_edge
from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from tests.config.config_samples import SOUND
from tests.telephony.rig import SHIPPED, Rig, until

EPOCH = 5
CAPPED = '#!substdef "!ENVMON_BACKUP_CAP!40!g"\n'


async def found(rig: Rig, script: Path | None = None, token: Secret | None = None, **wish: Any) -> dict[str, Check]:
    settings = replace(rig.edge(), token=token or rig.edge().token)
    checks = await KamailioCheck(settings).run(Wish(("outbound",), script, **wish))
    return {check.name: check for check in checks}


async def seen(rig: Rig, percent: int = 30) -> None:
    """Let the edge see an epoch and take a position."""
    async with KamailioEdge(rig.edge()) as edge:
        await edge.set_percent("outbound", percent, EPOCH)


def changed(rig: Rig, name: str, before: str, after: str) -> None:
    path = rig.directory() / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def made(tmp_path: Path, *changes: tuple[str, str, str], extra: str = CAPPED) -> Rig:
    """A rig whose edge runs changed files."""
    rig = Rig(tmp_path)
    rig.configure(extra=extra)
    for change in changes:
        changed(rig, *change)
    return rig


def failing(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.passed is False}


async def test_a_sound_edge_passes_and_nothing_moves(tmp_path: Path) -> None:
    async with made(tmp_path) as rig:
        await seen(rig)
        checks = await found(rig, rig.directory() / "edge.cfg")
        async with KamailioEdge(rig.edge()) as edge:
            (status,) = await edge.status()
    assert [name for name, check in checks.items() if check.passed is not True] == ["memory"]
    assert checks["memory"].passed is None
    assert "--restart" in checks["memory"].do
    assert "5" in checks["old-epoch"].why
    assert (status.percent, status.set_epoch, status.fence) == (30, EPOCH, EPOCH)


async def test_what_is_not_known_is_unknown(tmp_path: Path) -> None:
    async with made(tmp_path, extra="") as rig:
        checks = await found(rig)
        assert {name for name, check in checks.items() if check.passed is None} == {
            "old-epoch", "pick", "retry", "memory",
        }  # fmt: skip
        assert failing(checks) == {"cap-503"}
        await rig.stop_site("primary")
        await rig.call(50, 2, 50)
        checks = await found(rig)
    assert checks["pick"].passed
    assert "2 calls were tried again" in checks["retry"].why


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("old-epoch", ("envmon.cfg", "$var(envmon_epoch) >= $var(envmon_fence)", "1 == 1")),
        ("old-epoch", ("envmon.cfg", "($var(envmon_epoch) < $var(envmon_fence))", "(1 == 0)")),
        ("token", ("envmon.cfg", '$var(envmon_given) != "ENVMON_TOKEN_SHA256"', "1 == 0")),
    ],
    ids=["takes an old epoch", "says 200 to one", "asks for no token"],
)
async def test_a_broken_include_is_found(tmp_path: Path, name: str, change: tuple[str, str, str]) -> None:
    async with made(tmp_path, change) as rig:
        await seen(rig)
        checks = await found(rig)
    assert name in failing(checks)
    assert checks[name].do


async def test_a_script_without_the_include_is_found(tmp_path: Path) -> None:
    async with made(tmp_path) as rig:
        await rig.stop_edge(crash=True)
        changed(rig, "edge.cfg", 'include_file "envmon.cfg"', "tcp_accept_no_cl=yes")
        changed(rig, "edge.cfg", "route(ENVMON_PICK);", "")
        changed(rig, "edge.cfg", "if (route(ENVMON_RETRY)) route(TO_SITE);", "")
        script = rig.directory() / "edge.cfg"
        own = 'event_route[xhttp:request] {\n\txhttp_reply("404", "No", "text/plain", "");\n}\n'
        script.write_text(script.read_text() + own)
        await rig.start_edge(ready=False)
        deadline = time.monotonic() + 30
        while "cannot connect" in (checks := await found(rig))["include"].why:
            assert time.monotonic() < deadline
    assert list(checks) == ["include"]
    assert "404" in checks["include"].why
    assert "include envmon.cfg" in checks["include"].do


async def test_an_open_rpc_is_a_way_round_the_fence(tmp_path: Path) -> None:
    rig = made(
        tmp_path,
        extra=f'{CAPPED}loadmodule "jsonrpcs.so"\nmodparam("jsonrpcs", "transport", 1)\n#!define ENVMON_OWN_XHTTP\n',
    )
    own = 'event_route[xhttp:request] {\n\troute(ENVMON_HTTP);\n\tif ($hu =~ "^/RPC") jsonrpc_dispatch();\n}\n'
    # jsonrpcs must come after xhttp, whose functions its transport needs
    local, script = rig.directory() / "edge-local.cfg", rig.directory() / "edge.cfg"
    local.write_text(local.read_text().replace('loadmodule "jsonrpcs.so"\nmodparam("jsonrpcs", "transport", 1)\n', ""))
    script.write_text(
        script.read_text().replace(
            'loadmodule "xhttp.so"\n',
            'loadmodule "xhttp.so"\nloadmodule "jsonrpcs.so"\nmodparam("jsonrpcs", "transport", 1)\n',
        )
        + own
    )
    async with rig:
        await seen(rig)
        checks = await found(rig, script)
    assert failing(checks) == {"no-way-round", "doors"}
    assert "POST /RPC" in checks["no-way-round"].why
    assert "jsonrpc_dispatch() in event_route[xhttp:request]" in checks["doors"].why


@pytest.mark.parametrize("loses", [False, True])
async def test_what_a_restart_leaves_is_compared(tmp_path: Path, loses: bool) -> None:
    async with made(tmp_path) as rig:
        await seen(rig, 70)
        now = asyncio.Event()
        check = asyncio.create_task(found(rig, restart_s=60, waiting=now.set))
        async with asyncio.timeout(30):
            await now.wait()
        await rig.stop_edge()
        if loses:
            (rig.directory() / "envmon.sqlite").unlink()
        await asyncio.sleep(1.3 - time.time() % 1)  # up_since counts whole seconds
        await rig.start_edge()
        memory = (await check)["memory"]
    assert memory.passed is not loses
    assert ("(0, 0, 0)" in memory.why) is loses


async def test_an_edge_that_is_not_restarted_proves_nothing(tmp_path: Path) -> None:
    async with made(tmp_path) as rig:
        await seen(rig)
        memory = (await found(rig, restart_s=0.5))["memory"]
    assert (memory.passed, "not restarted within 0.5 s" in memory.why) == (None, True)


async def test_a_wrong_token_and_a_silent_edge_are_told(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not-the-token")
    async with made(tmp_path) as rig:
        checks = await found(rig, token=Secret(f"file:{tmp_path}/other"))
        assert list(checks) == ["include"]
        assert "401" in checks["include"].why
        await rig.stop_edge()
        assert "cannot connect" in (await found(rig))["include"].why


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("pick", lambda s: s.replace("route(ENVMON_PICK);", ""), "nothing that request_route leads to"),
        ("retry", lambda s: s.replace("\tif (route(ENVMON_RETRY)) route(TO_SITE);\n}", "}"), "OTHER_SITE is armed"),
        ("retry", lambda s: s.replace('t_on_failure("OTHER_SITE");', "# none"), "no t_on_failure() is called"),
        ("retry", lambda s: s.replace("failure_route[OTHER_SITE]", "failure_route[ANOTHER]"), "OTHER_SITE is armed"),
        ("doors", lambda s: s + 'modparam("ctl", "binrpc", "tcp:0.0.0.0:2046")\n', "binrpc listens on tcp:0.0.0.0"),
        ("doors", lambda s: s + 'loadmodule "xmlrpc.so"\n', "xmlrpc answers on every TCP port"),
        ("script", lambda s: s.replace('include_file "envmon.cfg"', "#"), "does not include envmon.cfg"),
        ("pick", lambda s: s.replace("route(ENVMON_PICK);", "/* route(ENVMON_PICK); */"), "nothing that request_route"),
        (
            "pick",
            lambda s: s.replace("\troute(ENVMON_PICK);", "#!ifdef NEVER\n\troute(ENVMON_PICK);\n#!endif"),
            "nothing that request_route",
        ),
    ],
)
def test_a_script_that_does_not_use_the_include_is_found(
    tmp_path: Path, name: str, change: Callable[[str], str], says: str
) -> None:
    Rig(tmp_path).configure()
    script = tmp_path / "edge0" / "edge.cfg"
    assert {check.name: check.passed for check in check_script(script)} == dict.fromkeys(
        ("pick", "retry", "doors"), True
    )
    script.write_text(change(script.read_text()))
    wrong = {check.name: check.why for check in check_script(script) if check.passed is False}
    assert says in wrong[name]


def test_a_position_kept_in_a_passing_place_is_found(tmp_path: Path) -> None:
    Rig(tmp_path).configure()
    local = tmp_path / "edge0" / "edge-local.cfg"
    local.write_text(local.read_text().replace(f"{tmp_path}/edge0/envmon.sqlite", "/dev/shm/envmon.sqlite"))
    (disk,) = [check for check in check_script(tmp_path / "edge0" / "edge.cfg") if check.name == "disk"]
    assert "/dev/shm/envmon.sqlite" in disk.why


@pytest.mark.parametrize("text", ["request_route {", 'include_file "none.cfg"', 'include_file "edge.cfg"'])
def test_a_script_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    script = tmp_path / "edge.cfg"
    script.write_text(text)
    (check,) = check_script(script)
    assert (check.passed, str(script.parent) in check.why) == (None, True)


def test_the_shipped_files_pass_their_own_check() -> None:
    assert all(check.passed for check in check_script(SHIPPED / "edge.cfg"))


async def test_a_cap_refuses_what_the_backup_has_no_room_for(tmp_path: Path) -> None:
    async with made(tmp_path, extra='#!substdef "!ENVMON_BACKUP_CAP!3!g"\n') as rig:
        await seen(rig, 100)
        calls = asyncio.create_task(rig.call(50, 3, 5000))
        await until(lambda: len(rig.answered("backup")) == 3, 20, "three calls at the backup site")
        over = await rig.call(50, 4, 50)
        assert (over.offered, over.setup_failed, over.on_primary) == (4, 4, 0)
        assert (await rig.call(50, 1, 50, service="envmon-probe-backup")).on_backup == 1, "a probe call is not capped"
        async with KamailioEdge(rig.edge()) as edge:
            (status,) = await edge.status()
        assert (status.calls_backup, status.active_backup, status.failed_backup) == (3, 3, 0)
        assert (await calls).setup_failed == 0
        assert (await rig.call(50, 3, 50)).on_backup == 3, "there is room again"


def configuration(folder: Path, edge: EdgeSettings) -> Path:
    token = folder / "token"
    text = SOUND.replace("url: http://192.0.2.20:5060", f"url: {edge.url}")
    path = folder / "envmon.yaml"
    path.write_text(text.replace("token: credential:edge", f"token: file:{token}"))
    return path


async def test_the_command_tells_and_its_exit_code_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with made(tmp_path) as rig:
        await seen(rig)
        path = configuration(tmp_path, rig.edge())
        script = rig.directory() / "edge.cfg"

        async def run(name: str = "edge_1", *, as_json: bool = False) -> int:
            return await asyncio.to_thread(check_edge, path, name, script, False, as_json=as_json)

        assert await run() == 3, "nobody restarted it: that is unknown"
        out = capsys.readouterr().out
        assert out.startswith("edge edge_1, kind kamailio, http://")
        assert "\npass    old-epoch: " in out
        assert "\nunknown memory: " in out
        assert rig.token not in out
        script.write_text(script.read_text().replace("route(ENVMON_RETRY)", "route(ENVMON_NONE)"))
        assert await run(as_json=True) == 2
        told = {each["name"]: each["passed"] for each in json.loads(capsys.readouterr().out)}
        assert (told["retry"], told["pick"], told["memory"]) == (False, True, None)
        assert await run("edge_9") == 1
        assert "edges: edge_1" in capsys.readouterr().err
        with closing(sqlite3.connect(rig.directory() / "envmon.sqlite")) as disk:
            assert sorted(disk.execute("SELECT * FROM envmon")) == [("*", 0, EPOCH), ("outbound", 30, EPOCH)]
