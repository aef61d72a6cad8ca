"""Every readiness item on the real component: failing alone it disarms, refuses a shift, says why, clears by itself.

One laboratory for all of them: two Kamailio edges, sipp as both sites and as the carrier, mosquitto, three members of
etcd, an HTTP server and programs.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.e2e.lab import BACKUP_UNITS, Lab
from tests.leases.etcd_cluster import NAMES, Cluster
from tests.ports import HOST
from tests.probes.sip_peers import Peers
from tests.publishers.mqtt_broker import Broker, needed
from tests.telephony.rig import Rig

TOPIC = "envmon/v1/houston/state"
AGE, CANARY = "replication_age", "canary"  # what programs tell


class Peer:
    """What the backup's own envmon publishes and what it serves; ``said`` counts up with every answer."""

    def __init__(self, broker: Broker) -> None:
        self.verdict = "ok"
        self.digest: dict[str, Any] = {}
        self.capacity: dict[str, Any] = {"pass": True, "why": "licences for 300 calls", "value": 300}
        self.url = ""
        self._broker = broker
        self._said = 0

    def life(self) -> dict[str, Any]:
        self._said += 1
        return {"boot": "houston-1", "seq": self._said}

    async def answer(self, request: web.Request) -> web.Response:
        told = self.digest if request.path == "/parity" else self.capacity
        return web.json_response({**told, **self.life()})

    async def publish(self) -> None:
        """Publish the status as an envmon does: retained, with a number that advances."""
        command = [needed("mosquitto_pub"), "-h", HOST, "-p", str(self._broker.port), "-t", TOPIC, "-r", "-l"]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        try:
            while True:
                zones = {"hall_1": {"here": True, "verdict": self.verdict}}
                document = {"site": "houston", "zones": zones, "daemon": self.life()}
                process.stdin.write(f"{json.dumps(document)}\n".encode())
                await process.stdin.drain()
                await asyncio.sleep(0.3)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Door:
    """What carries commands to an edge: closed, its SIP goes on."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        self._writers.add(writer)
        try:
            if self._open:
                back, there = await asyncio.open_connection(HOST, self._to)
                self._writers.add(there)
                await asyncio.gather(_pump(reader, there), _pump(back, writer))
        except OSError:
            pass
        finally:
            for each in filter(None, (writer, there)):
                self._writers.discard(each)
                each.close()

    def open(self) -> None:
        self._open = True

    def shut(self) -> None:
        self._open = False
        for writer in list(self._writers):
            writer.close()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class Site:
    """The laboratory, and what can be broken in it."""

    lab: Lab
    rig: Rig
    cluster: Cluster
    peer: Peer
    door: Door
    carrier: Peers


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(Rig(folder, edges=2))
        (folder / "etcd").mkdir()
        (folder / "carrier").mkdir()
        (folder / "broker").mkdir()
        cluster = await stack.enter_async_context(Cluster(folder / "etcd"))
        carrier = await stack.enter_async_context(Peers(folder / "carrier"))
        await carrier.site("-t", "t1")
        broker = Broker(folder / "broker")
        stack.callback(broker.kill)
        broker.start()
        peer = Peer(broker)
        speaking = asyncio.create_task(peer.publish())
        stack.push_async_callback(_ended, speaking)
        runner = web.AppRunner(web.Application())
        runner.app.router.add_get("/{what}", peer.answer)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, 0).start()
        peer.url = f"http://{HOST}:{runner.addresses[0][1]}"
        door = Door(rig.sip_ports[1])
        server = await stack.enter_async_context(await asyncio.start_server(door.serve, HOST, 0))
        stack.callback(door.shut)
        second = replace(rig.edge(1), url=f"http://{HOST}:{server.sockets[0].getsockname()[1]}")
        lab = await stack.enter_async_context(Lab(folder, [rig.edge(0), second], (10, 100)))
        found = Site(lab, rig, cluster, peer, door, carrier)
        await _configure(found, broker)
        lab.start()
        yield found


async def _configure(site: Site, broker: Broker) -> None:
    lab, folder = site.lab, site.lab.folder
    ours = folder / "ours.json"
    (folder / "list").write_text("12145550101\n12145550102\n")
    digest = [sys.executable, "-m", "envmon.cli.main", "parity", "digest", str(folder / "list")]
    done = await asyncio.to_thread(subprocess.run, digest, capture_output=True, text=True, check=True)
    ours.write_text(done.stdout)
    site.peer.digest = json.loads(done.stdout)
    _tell(site, AGE, True)
    _tell(site, CANARY, True)
    config = yaml.safe_load((folder / "envmon.yaml").read_text())
    config["routes"]["outbound"]["proofs"] = {
        "backup_cooling": {
            "mqtt": {"host": HOST, "port": broker.port, "topic": TOPIC}, "every": "1s", "deadline": "10s",
        },
        "call_capacity": {"url": f"{site.peer.url}/capacity", "every": "1s"},
        "list_parity": {"url": f"{site.peer.url}/parity", "ours": str(ours), "every": "1s"},
        "carrier_trunk": {
            "sip": f"{HOST}:{site.carrier.site_port}", "probe": {"transport": "tcp"}, "every": "1s", "deadline": "1s",
        },
        "replication_age": {"command": ["/bin/cat", str(folder / "replication_age.json")], "every": "1s"},
        "canary": {
            "sip": f"{HOST}:{site.rig.site_ports['primary']}", "call": "12145550199", "every": "2s", "deadline": "15s",
            "command": ["/bin/cat", str(folder / "canary.json")],
        },
    }  # fmt: skip
    config["routes"]["outbound"]["dwell"] = f"{DWELL_S}s"
    members = {each.id: {"url": each.url, "zone": "outside"} for each in site.cluster.settings().members}
    lab.configure(
        routes=config["routes"],
        lease={"kind": "etcd", "endpoints": members, "ttl": "4s"},
        judgement={"stale": "5s", "edge_stands": "4s", "probe_every": "2s"},
    )


def _tell(site: Site, item: str, passed: bool) -> None:
    """What a program of the operator's says next; written whole, for it may be read at any moment."""
    why = f"{item} is {'as it should be' if passed else 'not what it was'}"
    part = site.lab.folder / f"{item}.part"
    part.write_text(json.dumps({"pass": passed, "why": why}))
    part.rename(site.lab.folder / f"{item}.json")


Step = Callable[[Site], None]


@dataclass(frozen=True)
class Case:
    """One way an item fails: how it is broken and repaired, and what the status must say."""

    item: str
    says: str
    broken: Step
    repaired: Step
    follows: tuple[str, ...] = ()  # items that cannot be known without this one


def _etcd(site: Site, *, up: bool) -> None:
    for name in NAMES[:2]:
        site.cluster.thaw(name) if up else site.cluster.freeze(name)


def _verdict(site: Site, verdict: str) -> None:
    site.peer.verdict = verdict


def _capacity(site: Site, passed: bool) -> None:
    site.peer.capacity = {"pass": passed, "why": "no licences are left", "value": 300}


def _digest(site: Site, change: int) -> None:
    site.peer.digest["count"] += change


def _plant(site: Site, state: str) -> None:
    for name in BACKUP_UNITS:
        site.lab.show(name, inlet=22.0, back=32.0, state=state)


DWELL, DWELL_S = "dwell", 10
MOVES = {"T10", "T20", "T60", "T61", "O17"}
EDGES = ("edge0", "edge1")
CASES = (
    Case(
        "backup_cooling", "houston: hall_1 is critical", lambda s: _verdict(s, "critical"), lambda s: _verdict(s, "ok")
    ),
    Case("backup_cooling", "bcrac_1, bcrac_2 lost", lambda s: _plant(s, "off"), lambda s: _plant(s, "running")),
    Case("call_capacity", "no licences are left; ", lambda s: _capacity(s, False), lambda s: _capacity(s, True)),
    Case("list_parity", "3 numbers there, 2 here, not the same", lambda s: _digest(s, 1), lambda s: _digest(s, -1)),
    Case("replication_age", "is not what it was", lambda s: _tell(s, AGE, False), lambda s: _tell(s, AGE, True)),
    Case("canary", "is not what it was", lambda s: _tell(s, CANARY, False), lambda s: _tell(s, CANARY, True)),
    Case("carrier_trunk", "no answer to OPTIONS", lambda s: s.carrier.freeze(), lambda s: s.carrier.thaw()),
    Case("every_edge", "edge1 takes calls but no commands", lambda s: s.door.shut(), lambda s: s.door.open()),
    Case("lease", "the lease is not held: ", lambda s: _etcd(s, up=False), lambda s: _etcd(s, up=True)),
    Case(
        "probe_call",
        "the backup did not answer",
        lambda s: s.rig.freeze("backup"),
        lambda s: s.rig.thaw("backup"),
    ),
    Case(
        "edges",
        "edge0: edge edge0",
        lambda s: s.rig.freeze(*EDGES),
        lambda s: s.rig.thaw(*EDGES),
        ("every_edge", "probe_call"),
    ),
)


async def test_an_item_that_fails_alone_blocks_says_why_and_clears_by_itself(tmp_path: Path) -> None:
    async with site(tmp_path) as found, asyncio.timeout(300):
        lab = found.lab
        await lab.armed()
        for case in CASES:
            case.broken(found)
            status = await lab.until(lambda s, c=case: _blocked(s, c), 60, f"{case.item} to fail")
            failing = _failing(status)
            assert case.item in failing and failing <= {case.item, *case.follows}, status["armed"]
            assert case.item in status["armed"]["why"]
            code, said = await lab.order("shift")
            assert code == 2, (case, said)
            assert f"{case.item}: " in said
            case.repaired(found)
            await lab.until(lambda s: s["armed"]["now"], 60, f"{case.item} to clear")
        moved = [line.record.rule for line in lab.lines() if line.record.rule in MOVES]
        assert moved == [], "no call was moved"
        await _dwells(found)


async def _dwells(site: Site) -> None:
    """A move that was rolled back, for the backup's cooling failed during it, is not tried again at once."""
    lab = site.lab
    code, said = await lab.order("shift")
    assert code == 0, said
    await lab.until(lambda s: s["routes"]["outbound"]["percent"] == 10, 30, "the first stage")
    _plant(site, "off")
    await lab.until(lambda s: s["routes"]["outbound"]["percent"] == 0, 60, "the way back")
    _plant(site, "running")
    case = Case(DWELL, "a move was rolled back", lambda _: None, lambda _: None)
    await lab.until(lambda s: _blocked(s, case) and len(_failing(s)) == 1, 60, "the dwell to be all that is left")
    code, said = await lab.order("shift")
    assert code == 2, said
    assert "dwell: a move was rolled back" in said
    await lab.until(lambda s: s["armed"]["now"], 60, "the dwell to end")


def _failing(status: dict[str, Any]) -> set[str]:
    readiness = status["routes"]["outbound"]["readiness"]
    return {name for name, each in readiness.items() if each["pass"] is not True}


def _blocked(status: dict[str, Any], case: Case) -> bool:
    """Whether it is not armed for this reason, in these words."""
    passed = status["routes"]["outbound"]["readiness"][case.item]["pass"]
    return passed is not True and not status["armed"]["now"] and case.says in status["armed"]["why"]
