"""A whole site for end-to-end tests: simulated devices on real sockets, real edges, the daemon as its own process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import yaml

from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from envmon.journal.chain import Line
from envmon.journal.reader import JournalReader
from envmon.profiles.loader import load_builtin
from envmon.runtime.ask import AskError, ask
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.on_call import OnCall
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent
from envmon.sim.telephony import BACKUP, PRIMARY
from envmon.sim.telephony_edge import SipEdge
from envmon.sim.telephony_far_end import FarEnd

COMMUNITY = "lab-community"
TOKEN = "lab-edge-token"
UNITS = {"crac_1": "apc-inrow-rc", "crac_2": "apc-inrow-sc-modbus", "crac_3": "apc-inrow-rc"}
BACKUP_UNITS = {"bcrac_1": "apc-inrow-rc", "bcrac_2": "apc-inrow-sc-modbus"}
PROBES = {"probes": "hall_a", "bprobes": "hall_b"}
EVERY_S = 1.0


class Lab:
    """Devices of two halls and a daemon that watches them; ``edges`` are what it commands.

    Its route moves in one step unless ``stages`` says otherwise. ``on`` is what runs a command on its machine.
    """

    def __init__(
        self,
        folder: Path,
        edges: list[EdgeSettings],
        stages: Sequence[int] = (100,),
        on: Sequence[str] = (),
        **more: Any,
    ) -> None:
        self.folder = folder
        self.on = on
        self.stages = list(stages)
        self.edges = edges
        self.state = folder / "state"
        self.socket = folder / "envmon.sock"
        self.journal = self.state / "journal.db"
        self.devices: dict[str, SimulatedDevice] = {}
        self.on_call = OnCall()
        self.daemon: subprocess.Popen[bytes] | None = None
        self._more = more
        self._ports: dict[str, int] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self.on_call)
        profiles = load_builtin()
        wanted = {**UNITS, **BACKUP_UNITS, **dict.fromkeys(PROBES, "comet-t-modbus")}
        for name, profile in wanted.items():
            device = self.devices[name] = SimulatedDevice(profiles[profile])
            server = (
                SnmpAgent(device, community=COMMUNITY)
                if profiles[profile].protocol.value == "snmp"
                else ModbusServer({1: device})
            )
            await self._stack.enter_async_context(server)
            self._ports[name] = server.port
        for name in self.devices:
            self.show(name, inlet=22.0, back=32.0)
        (self.folder / "community").write_text(COMMUNITY)
        self.configure()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.end()
        await self._stack.aclose()

    # --- the plant -----------------------------------------------------------------------------------------------

    def show(self, name: str, *, inlet: float, back: float, state: str = "running") -> None:
        """What a device measures."""
        device = self.devices[name]
        if name in PROBES:
            device.set("rack_inlet_temp", inlet)
            return
        device.set("operate_mode", state)
        device.set("rack_inlet_temp", inlet)
        device.set("supply_air_temp", inlet - 2.0)
        device.set("return_air_temp", back)

    def lose_the_cooling(self, *, rise: float = 3.5) -> None:
        """Every unit of hall_a stops, and the air is ``rise`` K warmer at once."""
        for name in (*UNITS, "probes"):
            self.show(name, inlet=22.0 + rise, back=32.0 + rise, state="off")

    def repair_the_cooling(self) -> None:
        """All is as it was."""
        for name in (*UNITS, "probes"):
            self.show(name, inlet=22.0, back=32.0)

    def gaps(self, since: float) -> Mapping[str, float]:
        """The longest time between two polls of each device since a moment, measured at the device."""
        now = asyncio.get_running_loop().time()
        found = {}
        for name, device in self.devices.items():
            times = [since, *(at for at in device.polls if at >= since), now]
            found[name] = max(b - a for a, b in pairwise(times))
        return found

    # --- the daemon ----------------------------------------------------------------------------------------------

    def configure(self, **changes: Any) -> Path:
        """Write the configuration; ``changes`` replace top-level keys."""
        path = self.folder / "envmon.yaml"
        path.write_text(yaml.safe_dump({**self._config(), **self._more, **changes}, sort_keys=False))
        return path

    def _config(self) -> dict[str, Any]:
        def device(name: str, profile: str, where: dict[str, str]) -> dict[str, Any]:
            entry = {
                "profile": profile,
                "address": f"127.0.0.1:{self._ports[name]}",
                "every": "1s",
                "deadline": "800ms",
            }
            entry |= {"path": f"path_{name}", "commissioned": True, **where}
            if profile == "apc-inrow-rc":
                entry["snmp"] = {"version": "2c", "community": f"file:{self.folder / 'community'}"}
            return entry

        halls = {"hall_a": UNITS, "hall_b": BACKUP_UNITS}
        devices = {
            n: device(n, p, {"serves": f"{hall}.{n}"}) for hall, units in halls.items() for n, p in units.items()
        }
        devices |= {name: device(name, "comet-t-modbus", {"zone": hall}) for name, hall in PROBES.items()}
        return {
            "site": "dallas",
            "mode": "observe",
            "daemon": {"zone": "noc_room", "state_dir": str(self.state), "socket": str(self.socket)},
            "places": ["noc_room", "meet_me_room", "outside"],
            "zones": {
                "hall_a": {
                    "it_load_kw": 60, "units": {n: {"sensible_kw": 36} for n in UNITS}, "units_needed": 2,
                    "restart_expected": "0s",
                },
                "hall_b": {
                    "at": "backup", "it_load_kw": 30, "units": {n: {"sensible_kw": 36} for n in BACKUP_UNITS},
                    "units_needed": 1,
                },
            },
            "backup": {"site": "houston"},
            "devices": devices,
            "edges": {
                e.id: {
                    "kind": e.kind, "zone": "meet_me_room", "url": e.url, "sip": f"{e.sip_host}:{e.sip_port}",
                    "token": e.token.reference if e.token else "",
                }
                for e in self.edges
            },
            "routes": {
                "outbound": {
                    "edges": [e.id for e in self.edges], "depends_on": ["hall_a"], "backup": ["hall_b"],
                    "max_call": "12s", "verify": "30s", "margin": "15min", "soak": "5s",
                    "stages": self.stages,
                }
            },
            "pagers": {"oncall": {"kind": "webhook", "zone": "outside", "url": self.on_call.url}},
            "judgement": {"stale": "5s"},
        }  # fmt: skip

    def start(self, *, script: str = "", before: Sequence[str] = (), **environment: str) -> None:
        """Start the daemon; ``script`` is Python run first in its process, ``before`` a command that runs it."""
        command = ["run", "--config", str(self.folder / "envmon.yaml")]
        code = f"import sys\n{script}\nfrom envmon.cli.main import main\nsys.exit(main({command}))"
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [*self.on, *before, sys.executable, "-c", code],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End the daemon; its exit code."""
        daemon, self.daemon = self.daemon, None
        if daemon is None:
            return None
        if daemon.poll() is None:
            daemon.send_signal(how)
        return await asyncio.to_thread(daemon.wait, 20)

    def log(self) -> str:
        """What the daemon has said."""
        return (self.folder / "daemon.log").read_text(errors="replace")

    async def ask(self, **request: str) -> dict[str, Any]:
        """One request over the daemon's socket."""
        return await asyncio.to_thread(ask, self.socket, request)

    async def status(self) -> dict[str, Any]:
        """The daemon's status."""
        return dict((await self.ask(command="status"))["status"])

    async def order(self, command: str, *arguments: str) -> tuple[int, str]:
        """Give an order as an operator does; exit code and what was printed."""
        command_line = [*self.on, sys.executable, "-m", "envmon.cli.main", command, "--socket", str(self.socket)]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command_line, "--reason", "test", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    async def armed(self) -> None:
        """Wait until the daemon could act, and arm it."""
        await self.until(lambda s: s["routes"]["outbound"]["ready"] == "yes" and s["lease"]["held"], 60, "readiness")
        code, said = await self.order("arm")
        assert code == 0, said
        await self.until(lambda s: s["armed"]["now"], 30, "armed")

    async def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float, what: str) -> dict[str, Any]:
        """Poll the status until a condition holds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        last: Any = "no status yet"
        while loop.time() < deadline:
            try:
                last = await self.status()
            except AskError as error:
                last = str(error)
            else:
                if condition(last):
                    return last
            if self.daemon is not None and self.daemon.poll() is not None:
                raise AssertionError(f"the daemon ended ({self.daemon.returncode}): {self.log()[-2000:]}")
            await asyncio.sleep(0.1)
        raise AssertionError(f"no {what} within {seconds} s: {json.dumps(last)[:3000]}\n{self.log()[-2000:]}")

    def lines(self) -> list[Line]:
        """The journal."""
        with JournalReader.open(self.journal) as journal:
            return list(journal.records())

    def rules(self) -> list[str]:
        """The ids of the rules that fired, in order, but for verdicts."""
        return [line.record.rule for line in self.lines() if line.record.rule and line.record.rule[0] != "Z"]


@asynccontextmanager
async def exchange(folder: Path) -> AsyncIterator[tuple[SipEdge, EdgeSettings]]:
    """A simulated edge between two sites, and its settings: enough where Kamailio itself is not the question."""
    (folder / "token").write_text(TOKEN)
    async with (
        FarEnd(PRIMARY) as primary,
        FarEnd(BACKUP) as backup,
        SipEdge({PRIMARY: [primary.address], BACKUP: [backup.address]}, TOKEN) as edge,
    ):
        host, port = edge.address
        token = Secret(f"file:{folder / 'token'}")
        yield edge, EdgeSettings("edge0", "kamailio", "meet_me_room", edge.url, host, port, token)


def position(name: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the route stands at a position."""
    return lambda status: bool(status["routes"]["outbound"]["position"] == name)
