"""What stays alive over many runs of one worker: three etcd members, two Kamailio edges, the plant, sites and pager.

Rules
- The worker itself stands in the hub's namespace; every program it starts stands in one of its own.
- etcd and the edges keep their data in memory (tmpfs): what is tested is envmon, not the disk of this machine.
- Everything is ended by its pid; a frozen process is thawed before.
"""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

from chaos_net import NETWORK, PREFIX, Network, address, inside
from chaos_phones import PORT as SITE_PORT
from chaos_phones import Caller, OnCall, Site

from envmon.actuators.contract import EdgeError
from envmon.actuators.kamailio import KamailioEdge
from envmon.config.secret import Secret
from envmon.config.settings import EdgeSettings
from envmon.profiles.loader import load_builtin
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent

SHIPPED = Path(__file__).parents[2] / "deploy" / "kamailio"
MEMBERS = ("one", "two", "three")
EDGES = ("edge0", "edge1")
EDGE_PORT = 5060
WITNESS_NICE = -10
COMMUNITY, TOKEN = "chaos-community", "chaos-edge-token-chaos-edge-token"
UNITS = {"crac_1": "apc-inrow-rc", "crac_2": "apc-inrow-sc-modbus", "probes": "comet-t-modbus"}
BACKUP_UNITS = {"bcrac_1": "apc-inrow-rc", "bprobes": "comet-t-modbus"}


def stand_out() -> list[str]:
    """Raise our own priority, for we are the witness; return what gives the programs we start the one we had."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, WITNESS_NICE)
    return ["nice", "-n", str(before - WITNESS_NICE)]


def disk_name(worker: int) -> str:
    """What the disks in memory of a worker are called in /proc/mounts."""
    return f"{PREFIX}{worker}"


class Rig:
    """Everything but the daemons. ``folder`` is on a tmpfs of this worker; ``slower`` lowers a program's priority."""

    def __init__(self, worker: int, folder: Path, slower: Sequence[str] = ()) -> None:
        self.worker = worker
        self.folder = folder
        self.disk = disk_name(worker)
        self._slower = slower
        self.network = Network(worker)
        self.on_call = OnCall()
        self.sites = (Site("primary"), Site("backup"))
        self.devices: dict[str, SimulatedDevice] = {}
        self.ports: dict[str, int] = {}
        self._stack = AsyncExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        self._stack.callback(self._end_all)
        for part in (self.on_call, *self.sites):
            await self._stack.enter_async_context(part)
        await self._plant()
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "community").write_text(COMMUNITY)
        for member in MEMBERS:
            self.start_member(member)
        for edge in EDGES:
            self._configure(edge)
            self.start_edge(edge)
        for edge in EDGES:
            await self.edge_answers(edge)
        await self._etcd_answers()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def caller(self) -> Caller:
        """A new caller, whose calls are of one run."""
        for site in self.sites:
            site.invited.clear()
        return Caller(self.sites)

    # --- the plant -----------------------------------------------------------------------------------------------

    async def _plant(self) -> None:
        profiles = load_builtin()
        for name, profile in {**UNITS, **BACKUP_UNITS}.items():
            device = self.devices[name] = SimulatedDevice(profiles[profile])
            server: SnmpAgent | ModbusServer = (
                SnmpAgent(device, community=COMMUNITY, host=address("devices"))
                if profiles[profile].protocol.value == "snmp"
                else ModbusServer({1: device}, host=address("devices"))
            )
            await self._stack.enter_async_context(server)
            self.ports[name] = server.port
        self.cool()

    def cool(self) -> None:
        """All is well."""
        for name in self.devices:
            self._show(name, 22.0, "running")

    def lose_the_cooling(self) -> None:
        """Every unit of hall_a stops, and the air is warmer at once."""
        for name in UNITS:
            self._show(name, 25.5, "off")

    def _show(self, name: str, inlet: float, state: str) -> None:
        device = self.devices[name]
        device.set("rack_inlet_temp", inlet)
        if "probes" not in name:
            device.set("operate_mode", state)
            device.set("supply_air_temp", inlet - 2.0)
            device.set("return_air_temp", inlet + 10.0)

    # --- etcd ----------------------------------------------------------------------------------------------------

    def start_member(self, name: str) -> None:
        """Start a member, or start it again with what it has kept."""
        cluster = ",".join(f"{each}=http://{address(each)}:2380" for each in MEMBERS)
        mine = f"http://{address(name)}"
        command = [
            *("etcd", "--name", name, "--data-dir", str(self.folder / f"etcd-{name}"), "--logger", "zap"),
            *("--listen-client-urls", f"{mine}:2379", "--advertise-client-urls", f"{mine}:2379"),
            *("--listen-peer-urls", f"{mine}:2380", "--initial-advertise-peer-urls", f"{mine}:2380"),
            *("--initial-cluster", cluster, "--initial-cluster-token", "chaos", "--log-level", "error"),
        ]
        self.start(name, name, command, self.folder / f"etcd-{name}.log", GOMAXPROCS="1")

    async def leader(self) -> str:
        """The member that leads now; the first one where nobody knows."""
        for name in MEMBERS:
            with suppress(OSError, ValueError, KeyError):
                told = await _post(name, "maintenance/status", {})
                members = (await _post(name, "cluster/member/list", {}))["members"]
                return next(str(each["name"]) for each in members if each["ID"] == told["leader"])
        return MEMBERS[0]

    async def _etcd_answers(self) -> None:
        for name in MEMBERS:
            for _ in range(300):
                with suppress(OSError, ValueError):
                    if "header" in await _post(name, "kv/range", {"key": "AA=="}):
                        break
                await asyncio.sleep(0.1)
            else:
                raise RuntimeError(f"etcd {name} does not answer: {self.folder}/etcd-{name}.log")

    # --- edges ---------------------------------------------------------------------------------------------------

    def _configure(self, edge: str) -> None:
        home = self.folder / edge
        home.mkdir(exist_ok=True)
        for name in ("edge.cfg", "envmon.cfg"):
            shutil.copy(SHIPPED / name, home / name)
        sites = "".join(f"{n} sip:{address(s)}:{SITE_PORT} 0 0\n" for n, s in enumerate(("primary", "backup"), 1))
        (home / "dispatcher.list").write_text(sites)
        listen = f"{address(edge)}:{EDGE_PORT}"
        (home / "edge-local.cfg").write_text(
            "debug=1\n"  # NOTICE: what it accepts is told at this level
            f"listen=udp:{listen}\nlisten=tcp:{listen}\n"
            f'#!substdef "!EDGE_DISPATCHER_LIST!{home}/dispatcher.list!g"\n'
            f'#!substdef "!ENVMON_TOKEN_SHA256!{hashlib.sha256(TOKEN.encode()).hexdigest()}!g"\n'
            f'#!substdef "!ENVMON_SOURCES!{NETWORK}0/24!g"\n'
            f'#!substdef "!ENVMON_DB!{home}/envmon.sqlite!g"\n'
        )

    def start_edge(self, edge: str) -> None:
        """Start Kamailio; it answers a moment later."""
        home = self.folder / edge
        command = ["kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(home), "-f", str(home / "edge.cfg")]
        self.start(edge, edge, command, home / "kamailio.log")

    def edge(self, edge: str, url: str = "") -> EdgeSettings:
        """The settings of an edge, for the bench's own hand unless ``url`` is a door's."""
        where = url or f"http://{address(edge)}:{EDGE_PORT}"
        token = Secret(f"file:{self.folder / 'token'}")
        return EdgeSettings(edge, "kamailio", "meet_me_room", where, address(edge), EDGE_PORT, token)

    async def edge_answers(self, edge: str, seconds: float = 30.0) -> tuple[int, int]:
        """Wait until an edge reports; its percent and its fence."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with KamailioEdge(self.edge(edge)) as hand:
            while True:
                try:
                    (told,) = await hand.status()
                except EdgeError as error:
                    if loop.time() > deadline:
                        raise RuntimeError(f"{edge} does not answer: {error}") from None
                    await asyncio.sleep(0.05)
                else:
                    return told.percent, told.fence

    async def send_home(self) -> None:
        """All new calls go to the primary, by the bench's own hand, before a run."""
        for edge in EDGES:
            _, fence = await self.edge_answers(edge)
            async with KamailioEdge(self.edge(edge)) as hand:
                await hand.set_percent("outbound", 0, fence)

    def edge_log(self, edge: str) -> Path:
        """Where an edge says what it accepted."""
        return self.folder / edge / "kamailio.log"

    # --- processes -----------------------------------------------------------------------------------------------

    def start(self, name: str, node: str, command: Sequence[str], log: Path, **environment: str) -> int:
        """Start a program in a node's namespace; its pid."""
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                [*self._slower, *inside(self.worker, node), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb", **environment},
            )
        return self._running[name].pid

    def runs(self, name: str) -> bool:
        """Whether a program that was started has not ended."""
        return name in self._running and self._running[name].poll() is None

    def send(self, name: str, how: signal.Signals) -> None:
        """Send a signal to all of a program's processes."""
        if self.runs(name):
            with suppress(ProcessLookupError):
                os.killpg(self._running[name].pid, how)

    async def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> int | None:
        """End a program and wait for it; its exit code."""
        process = self._running.pop(name, None)
        if process is None:
            return None
        for kind in (signal.SIGCONT, how):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(process.wait, 15)
        _kill(process)
        return None

    def cpu_s(self, name: str) -> float:
        """CPU seconds of a program that runs, so far."""
        with suppress(OSError, KeyError):
            fields = Path(f"/proc/{self._running[name].pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def _end_all(self) -> None:
        for process in self._running.values():
            _kill(process)
        self._running.clear()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def _post(member: str, path: str, body: dict[str, Any]) -> Any:
    """One request to the JSON gateway of a member. Raises OSError, ValueError."""

    def ask() -> Any:
        request = urllib.request.Request(f"http://{address(member)}:2379/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=2) as answer:
            return json.loads(answer.read())

    return await asyncio.to_thread(ask)
