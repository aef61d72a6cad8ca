"""What an operator meets at the command line: faults, orders, reloads, the journal, systemd. Always the real daemon."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from envmon import __version__
from envmon.model.event import Command
from envmon.sim.modbus_server import ModbusServer
from tests.e2e.lab import Lab, exchange

FAULT = re.compile(r"^(?P<file>/\S+\.yaml):(?P<line>\d+):(?P<col>\d+): (?P<path>[\w.]+: )?\S.*$")


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


async def envmon(*arguments: str | Path) -> Said:
    """Run ``envmon`` as an operator does."""
    command = [sys.executable, "-m", "envmon.cli.main", *map(str, arguments)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def site(folder: Path, **more: Any) -> AsyncIterator[Lab]:
    """A lab with a simulated edge; the daemon is not started."""
    async with exchange(folder) as (_, edge), Lab(folder, [edge], **more) as lab:
        yield lab


@asynccontextmanager
async def living(folder: Path, **more: Any) -> AsyncIterator[Lab]:
    """The same, with a daemon that answers."""
    async with site(folder, **more) as lab:
        lab.start()
        await lab.until(lambda _: True, 40, "status")
        yield lab


async def refuses_to_start(lab: Lab) -> str:
    """A daemon that ends by itself with exit code 1 and one line; the line."""
    said = await envmon("run", "--config", lab.folder / "envmon.yaml")
    assert said.code == 1, said
    assert said.out == ""
    *_, line = said.err.splitlines()
    assert line.startswith("envmon: ")
    assert [other for other in said.err.splitlines() if not other.startswith(("envmon: ", "WARNING ", "INFO "))] == []
    return line


async def reloaded(lab: Lab, count: str) -> dict[str, Any]:
    """Send SIGHUP and wait until a reload ended: ``count`` is "reloads" or "failed_reloads"."""
    before = (await lab.status())["daemon"]["counters"][count]
    assert lab.daemon is not None
    lab.daemon.send_signal(signal.SIGHUP)
    return await lab.until(lambda s: s["daemon"]["counters"][count] > before, 30, count)


# --- starting ----------------------------------------------------------------------------------------------------


async def test_every_fault_of_a_configuration_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    async with site(tmp_path, mode="sometimes", places=["noc_room", "outside"], bogus=1) as lab:
        path = lab.folder / "envmon.yaml"
        ran = await envmon("run", "--config", path)
        checked = await envmon("check", "--config", path)
        lines = path.read_text().splitlines()
        assert not lab.state.exists(), "a configuration with faults changes nothing"
    assert (ran.code, ran.out) == (1, "")
    assert (checked.code, checked.err) == (1, ran.err), "check says what run says"
    faults = [FAULT.match(line) for line in ran.err.splitlines()]
    assert None not in faults, ran.err
    found = {(fault["path"] or "").rstrip(": "): fault for fault in faults if fault}
    assert set(found) == {"mode", "bogus", "edges.edge0.zone"}
    for path_text, fault in found.items():
        assert Path(fault["file"]) == path
        assert lines[int(fault["line"]) - 1][int(fault["col"]) - 1 :].startswith(
            ("sometimes", "bogus", "meet_me_room")
        ), f"{path_text} points at its place"


async def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    said = await envmon("run", "--config", tmp_path / "none.yaml")
    assert said == Said(1, "", f"{tmp_path}/none.yaml:1:1: there is no such file\n")


async def test_missing_secrets_are_named_at_the_start_and_stop_nothing_else(tmp_path: Path) -> None:
    mqtt = {"host": "127.0.0.1", "port": 1, "zone": "noc_room", "username": "u", "password": f"file:{tmp_path}/nope.pw"}
    async with site(tmp_path, publish={"mqtt": mqtt}) as lab:
        config = yaml.safe_load((lab.folder / "envmon.yaml").read_text())
        config["pagers"]["oncall"]["token"] = "credential:pager_token"
        config["devices"]["crac_1"]["snmp"]["community"] = f"file:{tmp_path}/nope.community"
        lab.configure(pagers=config["pagers"], devices=config["devices"])
        lab.start()
        status = await lab.until(
            lambda s: "nope" in s["devices"]["crac_1"]["error"] and s["devices"]["crac_3"]["up"],
            30,
            "the other devices",
        )
        log = lab.log()
    assert f"file:{tmp_path}/nope.community: cannot read" in status["devices"]["crac_1"]["error"]
    for owner, reference in (
        ("pager oncall", "credential:pager_token: $CREDENTIALS_DIRECTORY is not set"),
        ("mqtt", f"file:{tmp_path}/nope.pw: cannot read"),
        ("device crac_1", f"file:{tmp_path}/nope.community: cannot read"),
    ):
        assert f"{owner}: {reference}" in log, "told before the first page is lost for want of it"
    assert "Traceback" not in log


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with site(tmp_path, publish={"http": {"listen": f"127.0.0.1:{port}"}}) as lab:
            line = await refuses_to_start(lab)
    assert f"127.0.0.1 port {port}: Address already in use" in line


async def test_a_socket_whose_daemon_lives_and_one_whose_daemon_died(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        daemon = {"zone": "noc_room", "socket": str(lab.socket)}
        lab.configure(daemon={**daemon, "state_dir": str(lab.folder / "other")})
        assert "another envmon answers there; stop it first" in await refuses_to_start(lab)
        await lab.until(lambda _: True, 20, "the first daemon still answering")
        lab.configure()
        assert await lab.end(signal.SIGKILL) == -signal.SIGKILL
        assert lab.socket.is_socket(), "kill -9 leaves the socket behind"
        assert (await envmon("status", "--socket", lab.socket)).code == 1
        lab.start()
        await lab.until(lambda _: True, 30, "an answer on the same path")
        assert lab.socket.stat().st_mode & 0o777 == 0o660
        assert await lab.end() == 0
        assert not lab.socket.exists()


async def test_a_second_daemon_on_one_state_directory(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        assert lab.daemon is not None
        pid = lab.daemon.pid
        other = {"zone": "noc_room", "state_dir": str(lab.state), "socket": str(lab.folder / "other.sock")}
        lab.configure(daemon=other)
        line = await refuses_to_start(lab)
        lines = lab.lines()
        assert f"is written by another envmon (process {pid}); end that one first" in line
        assert [each.record.entry for each in lines].count("start") == 1, "it has written nothing"
        assert not (lab.folder / "other.sock").exists()


async def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """Root may write anywhere, so the places here are ones where nobody can."""
    async with site(tmp_path) as lab:
        for number, where in enumerate((tmp_path / "token", tmp_path / "token" / "below", "/proc", "/proc/below")):
            lab.configure(daemon={"zone": "noc_room", "state_dir": str(where), "socket": str(tmp_path / f"{number}")})
            line = await refuses_to_start(lab)
            assert str(where) in line
            assert "Errno" not in line
            assert re.search("daemon.state_dir|check the directory's owner", line), f"it says what to do: {line}"


# --- reloading ---------------------------------------------------------------------------------------------------


async def test_a_reload_that_cannot_take_force_keeps_the_old_configuration_and_says_why(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        old = (await lab.until(lambda s: s["policy"], 30, "a policy"))["policy"]
        lab.configure(bogus=1)
        status = await reloaded(lab, "failed_reloads")
        assert re.search(r"envmon\.yaml:\d+:1: bogus: unknown key", status["daemon"]["reload_error"])
        told = await envmon("status", "--socket", lab.socket)
        assert "reload refused: " in told.out
        assert "bogus: unknown key" in told.out
        edges = yaml.safe_load(lab.configure().read_text())["edges"]
        edges["edge0"]["sip"] = "127.0.0.1:9"
        lab.configure(edges=edges)
        status = await reloaded(lab, "failed_reloads")
        assert "edges" in status["daemon"]["reload_error"]
        assert "only a restart can change these" in status["daemon"]["reload_error"]
        assert status["policy"] == old
        await lab.until(lambda s: all(device["up"] for device in s["devices"].values()), 30, "every device, as before")
        (lab.folder / "envmon.yaml").unlink()
        status = await reloaded(lab, "failed_reloads")
        assert "there is no such file" in status["daemon"]["reload_error"]
        lab.configure()
        status = await reloaded(lab, "reloads")
        assert status["daemon"]["reload_error"] == ""
        assert "reload refused" not in (await envmon("status", "--socket", lab.socket)).out
        assert "Traceback" not in lab.log()


async def test_a_reload_polls_what_is_new_and_forgets_what_is_gone(tmp_path: Path) -> None:
    async with living(tmp_path) as lab, ModbusServer({1: lab.devices["probes"]}) as server:
        await lab.until(lambda s: len([d for d in s["devices"].values() if d["up"]]) == 7, 30, "every device")
        config = yaml.safe_load((lab.folder / "envmon.yaml").read_text())
        devices = config["devices"]
        devices["probes_2"] = {**devices["probes"], "address": f"127.0.0.1:{server.port}", "path": "path_probes_2"}
        del devices["bprobes"]
        lab.configure(devices=devices)
        status = await reloaded(lab, "reloads")
        before = status["policy"]
        status = await lab.until(lambda s: s["devices"].get("probes_2", {}).get("up"), 30, "the new device")
        assert "bprobes" not in status["devices"]
        assert status["policy"] == before
        asked = len(lab.devices["bprobes"].polls)
        polled = len(lab.devices["crac_1"].polls)
        await lab.until(lambda _: len(lab.devices["crac_1"].polls) >= polled + 2, 30, "two more rounds")
        assert len(lab.devices["bprobes"].polls) == asked, "a device that is gone is asked no more"
        policies = [line.record for line in lab.lines() if line.record.entry == "policy"]
    assert [record.who for record in policies] == ["envmon", "envmon (reload)"]
    assert policies[0].extra["sha256"] != policies[1].extra["sha256"]


# --- asking and ordering -----------------------------------------------------------------------------------------


async def test_status_for_people_and_for_programs(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        lab.devices["crac_3"].trouble.silent = True
        ready: Callable[[dict[str, Any]], bool] = lambda s: (  # noqa: E731 - a condition, used once
            s["routes"]["outbound"]["ready"] == "yes" and s["zones"]["hall_a"]["verdict"] != "unknown"
            and "no answer" in s["devices"]["crac_3"]["error"]
        )  # fmt: skip
        await lab.until(ready, 40, "readiness")
        people = await envmon("status", "--socket", lab.socket)
        programs = await envmon("status", "--socket", lab.socket, "--json")
    assert (people.code, people.err, programs.code, programs.err) == (0, "", 0, "")
    first, *rest = people.out.splitlines()
    assert first.startswith("dallas: observe, not armed (")
    assert rest[0] == "route outbound: primary, 0 % to the backup, ready: yes"
    assert any(line.startswith("zone hall_a: ok (measured), N+") for line in rest)
    assert any(line.startswith("device crac_3: ") and "no answer" in line for line in rest)
    told = json.loads(programs.out)
    assert told["site"] == "dallas"
    assert told["routes"]["outbound"]["percent"] == 0
    assert told["daemon"]["version"] == __version__
    assert told["devices"]["crac_3"]["up"] is False


async def test_without_a_daemon_every_command_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    until, names = ("--until", "2h"), {"maintenance_end": ("maintenance", "crac_1", "--end")}
    more = {"maintenance": ("crac_1", *until), "shelve": ("key", *until), "unshelve": ("key",), "approve": ("1a2b",)}
    more["drill"] = ("outbound",)
    orders = [(*names.get(each, (each, *more.get(each, ()))), "--reason", "test") for each in Command]
    said = await asyncio.gather(*(envmon(*words, "--socket", path) for words in [("status",), *orders]))
    assert len(said) == len(Command) + 1
    assert set(said) == {Said(1, "", f"envmon: {path}: no daemon answers there; is envmon running?\n")}


async def test_an_order_loads_only_what_it_needs(tmp_path: Path) -> None:
    """At night it must leave at once: a tenth of the time the daemon's libraries take to load."""
    code = (
        "import sys; from envmon.cli.main import main\n"
        f"code = main(['shift', '--reason', 'x', '--socket', {str(tmp_path / 'none')!r}])\n"
        "print(code, sorted({'aiohttp', 'pydantic', 'yaml', 'prometheus_client', 'cryptography'} & set(sys.modules)))"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 []\n"


async def test_a_refused_order_names_its_rule_and_its_facts(tmp_path: Path) -> None:
    """One life of the daemon, every order in the wrong moment."""
    async with living(tmp_path) as lab:
        await lab.until(lambda s: s["routes"]["outbound"]["position"] == "primary", 40, "the position")
        refused: dict[str, str] = {}

        async def refuse(rule: str, command: str, *arguments: str) -> None:
            code, said = await lab.order(command, *arguments)
            assert code == 2, said
            assert re.search(rf"^{rule} \S+: Refused: ", said, re.MULTILINE), said
            assert re.search(r"^   facts: \w+=\S+", said, re.MULTILINE), said
            refused[rule] = said

        async def obey(rule: str, command: str) -> None:
            code, said = await lab.order(command)
            assert code == 0, said
            assert said.startswith(f"{rule} mode: ")

        await refuse("O11", "shift")
        await refuse("O11", "restore", "--route", "outbound")
        await refuse("M21", "disarm")
        await refuse("M41", "resume")
        await lab.armed()
        await refuse("M12", "arm")
        await obey("M30", "hold")
        await obey("M33", "hold")
        await refuse("M34", "hold", "--until", "2020-01-01T00:00")
        await refuse("M35", "hold", "--for", "2d")
        await refuse("M13", "arm")
        await obey("M40", "resume")
        await refuse("O22", "restore")
        code, said = await lab.order("shift", "--route", "inbound")
        assert code != 0
        assert "inbound" in said
        assert "outbound" in said, "it names the routes there are"
        lines = lab.lines()
        status = await lab.status()
    assert status["routes"]["outbound"]["percent"] == 0
    assert "mode=observe" in refused["O11"]
    assert "position=primary" in refused["O22"]
    journalled = {line.record.rule for line in lines if line.record.extra.get("refused")}
    assert journalled >= set(refused)
    orders = [line.record for line in lines if line.record.entry == "order"]
    assert {(order.who.split()[0], order.text.rpartition("(")[2]) for order in orders} == {
        ("root", "test)")
    } or os.getuid()


async def test_an_order_needs_a_reason(tmp_path: Path) -> None:
    said = await envmon("arm", "--socket", tmp_path / "none.sock")
    assert said.code == 2
    assert "--reason" in said.err
    async with living(tmp_path) as lab:
        code, words = await lab.order("arm", "--reason", "  ")
        assert (code, words) == (1, "envmon: arm: a reason is required; it goes into the journal\n")


async def test_the_journal_is_read_while_the_daemon_writes_it(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        await lab.armed()
        path = ("--path", lab.journal)
        head = (await lab.status())["daemon"]["journal"]["head"]
        assert (await lab.order("disarm", "--break-glass"))[0] == 0
        shown = await envmon("journal", "show", *path)
        told = await envmon("journal", "show", "--json", "--since", "2", *path)
        good = await envmon("journal", "verify", "--head", head, *path)
        number, _, digest = head.partition(":")
        rebuilt = await envmon("journal", "verify", "--head", f"{number}:{digest[::-1]}", *path)
        cut = await envmon("journal", "verify", "--head", f"{int(number) + 999}:{digest}", *path)
        nonsense = await envmon("journal", "verify", "--head", "nonsense", *path)
        none = await envmon("journal", "verify", "--path", lab.folder / "none.db")
        assert await lab.end() == 0
    assert (shown.code, shown.err, told.code, good.code) == (0, "", 0, 0)
    assert re.search(r"#\d+  mode  order: arm \(test\) \[\w", shown.out)
    assert "(M10)" in shown.out
    numbers = [json.loads(line)["seq"] for line in told.out.splitlines()]
    assert numbers == list(range(2, len(shown.out.splitlines())))
    assert re.fullmatch(r"\d+ lines, unbroken; head \d+:[0-9a-f]{64}; the published head is its line \d+\n", good.out)
    assert good.out.endswith(f" {number}\n")
    assert rebuilt.code == 1
    assert "the chain was rebuilt" in rebuilt.out
    assert cut.code == 1
    assert "its end was removed" in cut.out
    assert nonsense.code == none.code == 1
    assert "not a journal head" in nonsense.err
    assert "there is no journal at" in none.err


async def test_journal_show_into_a_reader_that_leaves(tmp_path: Path) -> None:
    async with living(tmp_path) as lab:
        await lab.end()
        command = f"{sys.executable} -m envmon.cli.main journal show --path {lab.journal} | true"
        done = await asyncio.to_thread(
            subprocess.run, ["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
        )
    assert done.stderr == ""


# --- what needs no daemon ----------------------------------------------------------------------------------------


async def test_the_schema_is_one_an_editor_can_follow() -> None:
    said = await envmon("check", "--schema")
    assert (said.code, said.err) == (0, "")
    schema = json.loads(said.out)
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12/")
    assert schema["type"] == "object"

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                *_, name = node["$ref"].split("/")
                assert node["$ref"] == f"#/$defs/{name}"
                assert name in schema["$defs"]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(schema)
    example = yaml.safe_load((Path(__file__).parents[2] / "config" / "envmon.example.yaml").read_text())
    assert set(example) <= set(schema["properties"])
    assert set(schema["required"]) <= set(example)


async def test_version_and_rules() -> None:
    version, rules, nothing = await asyncio.gather(envmon("--version"), envmon("rules"), envmon())
    assert version == Said(0, f"envmon {__version__}\n", "")
    written = (Path(__file__).parents[2] / "envmon" / "core" / "RULES.md").read_text()
    assert rules == Said(0, written, "")
    assert nothing.code == 2
    assert nothing.err.startswith("usage: envmon")


def test_the_console_script_is_installed() -> None:
    script = shutil.which("envmon", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"envmon {__version__}\n"


# --- systemd -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def managed(folder: Path) -> AsyncIterator[tuple[Lab, list[str]]]:
    """A lab with a service manager at ``folder``/notify, and what that is told (sd_notify(3))."""
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.setblocking(False)
        listening = asyncio.create_task(_listen(manager, told))
        try:
            async with site(folder) as lab:
                yield lab, told
        finally:
            listening.cancel()


async def test_systemd_is_told_of_every_step(tmp_path: Path) -> None:
    async with managed(tmp_path) as (lab, told):
        lab.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="2000000")
        await _told(told, lambda: "READY=1\nSTATUS=watching" in told)
        await _told(told, lambda: told.count("WATCHDOG=1") >= 3)
        await _told(told, lambda: any(text.startswith("STATUS=observe: ") for text in told))
        await reloaded(lab, "reloads")
        begun = next(number for number, text in enumerate(told) if text.startswith("RELOADING=1\n"))
        assert re.search(r"^MONOTONIC_USEC=\d+$", told[begun], re.MULTILINE)
        await _told(told, lambda: "READY=1\nSTATUS=watching" in told[begun:])
        lab.configure(bogus=1)
        await reloaded(lab, "failed_reloads")
        await _told(told, lambda: told[-1].startswith("READY=1\nSTATUS=reload refused") or "bogus" in told[-1])
        assert await lab.end() == 0
        await _told(told, lambda: "STOPPING=1\nSTATUS=stopping; calls stay where they are" in told)


STICK = """
import asyncio, signal
from envmon.runtime.engine import Engine
turn, stuck = Engine._turn, []
async def sticky(self, event):
    if stuck:
        await asyncio.Event().wait()
    await turn(self, event)
Engine._turn = sticky
signal.signal(signal.SIGUSR1, lambda *_: stuck.append(True))
"""


async def test_an_engine_that_hangs_is_not_covered_up(tmp_path: Path) -> None:
    """Every other task lives on, and the watchdog still goes hungry: systemd restarts it, calls stay."""
    async with managed(tmp_path) as (lab, told):
        lab.start(script=STICK, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
        await _told(told, lambda: told.count("WATCHDOG=1") >= 3)
        assert lab.daemon is not None
        lab.daemon.send_signal(signal.SIGUSR1)
        status = await lab.until(lambda s: s["daemon"]["engine_silence_s"] > 1.5, 30, "the silence to be told")
        fed = told.count("WATCHDOG=1")
        polled = status["daemon"]["counters"]["polls"]
        status = await lab.until(lambda s: s["daemon"]["engine_silence_s"] > 3.0, 30, "more silence")
        assert told.count("WATCHDOG=1") == fed
        assert status["daemon"]["counters"]["polls"] > polled
        await lab.end(signal.SIGKILL)


async def _listen(manager: socket.socket, told: list[str]) -> None:
    while True:
        told.append((await asyncio.get_running_loop().sock_recv(manager, 65536)).decode())


async def _told(told: list[str], condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 40
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, told
        await asyncio.sleep(0.02)
