"""The two daemons of one run: their configuration, their lives, and the orders they are given."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from chaos_doors import PORTS, Door
from chaos_history import Ordered
from chaos_net import address
from chaos_plan import Plan
from chaos_rig import BACKUP_UNITS, EDGE_PORT, MEMBERS, UNITS, Rig

from envmon.runtime.ask import AskError, ask

DAEMONS = ("a", "b")
TTL_S = 4  # the shortest that a configuration may have
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SECOND_PERSON = 64_999  # a user id that is not ours


class Host:
    """One daemon: its folder, its door, its process."""

    def __init__(self, rig: Rig, plan: Plan, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.state = folder / "state"
        self.socket = folder / "envmon.sock"
        self.door = Door(name, self.state / "journal.db")
        self.orders: list[Ordered] = []
        self.stopped = False
        self.killed = False  # at least once
        self.spent_s = 0.0  # CPU of all its lives
        self._rig = rig
        self._plan = plan
        self._steps = any(fault.kind == "clock" for fault in plan.faults)
        self.state.mkdir(parents=True, exist_ok=True)
        self.configure()

    # --- its life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the daemon, as a service manager does."""
        more = {}
        if self._steps:
            self.step_clock("+0")
            more = {
                "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_NO_CACHE": "0",
            }  # fmt: skip
        command = [sys.executable, "-m", "envmon.cli.main", "run", "--config", str(self.folder / "envmon.yaml")]
        self.pid = self._rig.start(self.name, self.name, command, self.folder / "daemon.log", **more)
        self.stopped = False

    @property
    def runs(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._rig.runs(self.name)

    async def kill(self) -> None:
        """kill -9."""
        self.killed = True
        self.cpu_s()
        await self._rig.end(self.name)

    def cpu_s(self) -> None:
        """Add what this life has used to the account."""
        self.spent_s += self._rig.cpu_s(self.name)

    async def end(self) -> int | None:
        """SIGTERM; the exit code."""
        return await self._rig.end(self.name, signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.stopped = True
        self._rig.send(self.name, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.stopped = False
        self._rig.send(self.name, signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP, with a configuration that differs in what may differ."""
        self.configure(every="900ms")
        self._rig.send(self.name, signal.SIGHUP)

    def step_clock(self, by: str) -> None:
        """Put the daemon's wall clock forward or back by seconds ("+5"); its monotonic clock is left alone."""
        fresh = self.folder / "clock.new"
        fresh.write_text(f"{by}\n")
        fresh.replace(self.folder / "clock")

    # --- asking --------------------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any] | None:
        """The daemon's status, None where it does not answer."""
        if self.stopped or not self.runs:
            return None
        try:
            return dict((await asyncio.to_thread(ask, self.socket, {"command": "status"}, 5.0))["status"])
        except (AskError, KeyError):
            return None

    async def order(self, command: str, reason: str, wait_s: float = 30.0, **more: Any) -> dict[str, Any]:
        """Give an order and write down how it was answered; {} where it was not."""
        at = time.monotonic()
        request = {"command": command, "reason": reason, **more}
        answer: dict[str, Any] = {}
        try:
            answer = await asyncio.to_thread(ask, self.socket, request, wait_s)
        except AskError as error:
            told = "" if "no answer" in str(error) else str(error)
        else:
            told = json.dumps(answer)
        self.orders.append(Ordered(self.name, command, reason, at, time.monotonic(), told))
        return answer

    async def approve(self, request: str) -> None:
        """A second person approves what the first has asked for."""
        code = (
            "import os, sys, json; from pathlib import Path; from envmon.runtime.ask import ask; "
            f"os.setgroups([]); os.setuid({SECOND_PERSON}); "
            "print(json.dumps(ask(Path(sys.argv[1]), json.loads(sys.argv[2]), 10.0)))"
        )
        asked = {"command": "approve", "request": request, "reason": "chaos approves"}
        at = time.monotonic()
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code, str(self.socket), json.dumps(asked)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        self.orders.append(Ordered(self.name, "approve", "chaos approves", at, time.monotonic(), done.stdout.strip()))

    # --- its configuration ---------------------------------------------------------------------------------------

    def configure(self, every: str = "1s") -> None:
        """Write the configuration file."""
        rig = self._rig

        def device(name: str, profile: str, hall: str) -> dict[str, Any]:
            entry: dict[str, Any] = {
                "profile": profile, "address": f"{address('devices')}:{rig.ports[name]}", "every": every,
                "deadline": "800ms", "path": f"path_{name}", "commissioned": True,
            }  # fmt: skip
            entry |= {"zone": hall} if "probes" in name else {"serves": f"{hall}.{name}"}
            if profile == "apc-inrow-rc":
                entry["snmp"] = {"version": "2c", "community": f"file:{rig.folder / 'community'}"}
            return entry

        halls = {"hall_a": UNITS, "hall_b": BACKUP_UNITS}
        units = {hall: [name for name in names if "probes" not in name] for hall, names in halls.items()}
        edges = {
            edge: {
                "kind": "kamailio", "zone": "meet_me_room", "url": self.door.url(edge),
                "sip": f"{address(edge)}:{EDGE_PORT}", "token": f"file:{rig.folder / 'token'}",
            }
            for edge in PORTS
        }  # fmt: skip
        members = {name: {"url": f"http://{address(name)}:2379", "zone": f"place_{name}"} for name in MEMBERS}
        (self.folder / "envmon.yaml").write_text(yaml.safe_dump({
            "site": site_of(self._plan),
            "mode": "observe",
            "daemon": {
                "zone": "noc_room", "state_dir": str(self.state), "socket": str(self.socket), "recordings_mb": 8,
            },
            "places": ["noc_room", "meet_me_room", "outside", *(f"place_{name}" for name in MEMBERS)],
            "zones": {
                "hall_a": {
                    "it_load_kw": 30, "units": {n: {"sensible_kw": 36} for n in units["hall_a"]}, "units_needed": 1,
                    "restart_expected": "0s",
                },
                "hall_b": {
                    "at": "backup", "it_load_kw": 30, "units": {n: {"sensible_kw": 36} for n in units["hall_b"]},
                    "units_needed": 1,
                },
            },
            "backup": {"site": "houston"},
            "devices": {n: device(n, p, hall) for hall, names in halls.items() for n, p in names.items()},
            "edges": edges,
            "lease": {"kind": "etcd", "ttl": f"{TTL_S}s", "endpoints": members},
            "routes": {
                "outbound": {
                    "edges": list(PORTS), "depends_on": ["hall_a"], "backup": ["hall_b"], "max_call": "12s",
                    "verify": "30s", "margin": "15min", "soak": "5s", "stages": list(self._plan.stages),
                }
            },
            "pagers": {"oncall": {
                "kind": "webhook", "zone": "outside", "url": rig.on_call.url(self.name), "deadline": "2s",
            }},
            "judgement": {"stale": "5s"},
        }, sort_keys=False))  # fmt: skip


def site_of(plan: Plan) -> str:
    """The site's name: a new one for each run, so that nothing of an earlier one is taken for its own."""
    return f"chaos_{plan.seed}"


async def until_asked(host: Host, seconds: float) -> dict[str, Any]:
    """Wait for an answer. Raises TimeoutError with the daemon's log."""
    async with asyncio.timeout(seconds):
        while (status := await host.status()) is None:
            if not host.runs:
                raise RuntimeError(f"{host.name} ended: {(host.folder / 'daemon.log').read_text()[-1500:]}")
            await asyncio.sleep(0.1)
    return status


def fill(folder: Path) -> Path:
    """Fill the disk below a folder to its last byte; the file that does it."""
    path = folder / "filling"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def on_tmpfs(source: str, folder: Path, size_mb: int) -> None:
    """Mount a disk in memory, whose name in /proc/mounts is ``source``."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", source, str(folder)], check=True)


def unmount(source: str) -> None:
    """Unmount every disk of this name, and those whose name goes on after a dash."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        name, folder, *_ = line.split()
        if name == source or name.startswith(f"{source}-"):
            subprocess.run(["umount", "-l", folder], check=False)


def wiped(folder: Path) -> Path:
    """The folder, with nothing in it."""
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    return folder
