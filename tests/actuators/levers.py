"""The far ends of the actuators: Debian's bind9, a Kamailio with dispatcher and rpc.cfg, a webhook receiver, a program.

Every server is started on loopback and a free port, and ended by its own process id.
"""

import asyncio
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dns.exception
import dns.message
import dns.query
import dns.tsigkeyring
import dns.update
import yaml
from aiohttp import web

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.dispatcher import DispatcherEdge
from envmon.actuators.simulated import SimulatedEdge
from envmon.config.compile_levers import rest_of
from envmon.config.edge_settings import DispatcherSettings, DispatcherTargets, DnsRecord, DnsSettings, EdgeSettings
from envmon.config.secret import Secret
from envmon.config.shape_rest import RestEntry
from tests.ports import HOST, free_port, free_ports
from tests.telephony.rig import SHIPPED, until

ROUTES = ("outbound", "inbound")
ZONE = "voice.test"
KEY = "envmon-key"


class Process:
    """A server in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def start(self) -> None:
        raise NotImplementedError

    def launch(self, *command: str) -> None:
        if shutil.which(command[0]) is None:
            raise RuntimeError(f"{command[0]} is missing: apt-get install bind9 kamailio")
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.directory
            )

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def stop(self) -> None:
        """End in order."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, 20, "the server to end")
        self.kill()

    def freeze(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def must_run(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"it ended:\n{(self.directory / 'log').read_text(errors='replace')[-2000:]}")


class Bind(Process):
    """Debian's bind9 with one zone that takes updates by one key."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.secret = directory / "secret"

    async def start(self) -> None:
        home = self.directory
        if not self.secret.exists():
            told = await asyncio.to_thread(subprocess.check_output, ["tsig-keygen", KEY], text=True)
            (home / "key.conf").write_text(told)
            self.secret.write_text(told.split('secret "')[1].split('"')[0] + "\n")
            (home / "zone").write_text(
                f"$ORIGIN {ZONE}.\n$TTL 30\n@ SOA ns hostmaster 1 60 60 3600 30\n@ NS ns\nns A 127.0.0.1\n"
                + "".join(f"_sip._udp.{route} SRV 10 100 5060 a\n" for route in ROUTES)
                + "a A 192.0.2.1\nb A 192.0.2.2\n"
            )
            grants = "".join(f"grant {KEY} name _sip._udp.{route}.{ZONE}. SRV; " for route in ROUTES)
            (home / "named.conf").write_text(
                'include "key.conf";\ncontrols {};\n'
                f'options {{ directory "{home}"; pid-file "{home}/pid"; session-keyfile "{home}/session";\n'
                f"  listen-on port {self.port} {{ {HOST}; }}; listen-on-v6 {{ none; }}; recursion no; notify no;\n"
                "  dnssec-validation no; };\n"
                f'zone "{ZONE}" {{ type primary; file "zone";\n'
                f"  update-policy {{ {grants}grant {KEY} name _envmon-edge0.{ZONE}. TXT; }}; }};\n"
            )
        self.launch("named", "-g", "-4", "-n", "1", "-c", str(home / "named.conf"))
        for _ in range(400):
            with suppress(OSError, dns.exception.Timeout):
                query = dns.message.make_query(ZONE, "SOA")
                if dns.query.udp(query, HOST, port=self.port, timeout=0.5).answer:
                    return
            self.must_run()
            await asyncio.sleep(0.05)
        raise RuntimeError("named did not start")

    def settings(self, **changes: Any) -> EdgeSettings:
        records = (
            DnsRecord(route, f"_sip._udp.{route}.{ZONE}", (f"a.{ZONE}", 5060), (f"b.{ZONE}", 5070)) for route in ROUTES
        )
        dns_settings = DnsSettings(HOST, self.port, ZONE, KEY, tuple(records))
        token = changes.pop("token", Secret(f"file:{self.secret}"))
        return EdgeSettings("edge0", "dns", "elsewhere", "", HOST, 5060, token, dns=dns_settings, **changes)

    def update(self, name: str, *texts: str, kind: str = "SRV") -> None:
        """Change the zone as somebody else with the key would."""
        ring = dns.tsigkeyring.from_text({f"{KEY}.": self.secret.read_text().strip()})
        update = dns.update.UpdateMessage(ZONE, keyring=ring, keyalgorithm="hmac-sha256")
        update.delete(f"{name}.", kind)
        for text in texts:
            update.add(f"{name}.", 30, kind, text)
        assert dns.query.tcp(update, HOST, port=self.port, timeout=10).rcode() == 0

    def srv(self, route: str) -> list[str]:
        query = dns.message.make_query(f"_sip._udp.{route}.{ZONE}", "SRV")
        return sorted(str(rdata) for rdata in dns.query.udp(query, HOST, port=self.port, timeout=10).answer[0])


class Dispatcher(Process):
    """A Kamailio whose script knows nothing of envmon: dispatcher sets, and rpc.cfg."""

    def __init__(self, directory: Path, token: str = "rpc-token") -> None:
        super().__init__(directory)
        self.port = free_port()
        self.token = token
        (directory / "token").write_text(token)
        sites = free_ports(4)
        self.uris = {route: (f"sip:{HOST}:{next(sites)}", f"sip:{HOST}:{next(sites)}") for route in ROUTES}

    async def start(self) -> None:
        home = self.directory
        digest = hashlib.sha256(self.token.encode()).hexdigest()
        rows = [f"{at} {uri} 0 0\n" for at, route in enumerate(ROUTES, 1) for uri in self.uris[route]]
        (home / "list").write_text("".join([*rows, f"9 {self.uris['outbound'][0]} 0 0\n"]))
        (home / "rpc.cfg").write_text((SHIPPED / "rpc.cfg").read_text())
        modules = ["tm", "sl", "pv", "textops", "ipops", "dispatcher", "xhttp", "jsonrpcs"]
        (home / "kamailio.cfg").write_text(
            f'#!KAMAILIO\n#!substdef "!ENVMON_TOKEN_SHA256!{digest}!g"\n'
            f"listen=udp:{HOST}:{self.port}\nlisten=tcp:{HOST}:{self.port}\n"
            "children=1\ntcp_children=2\nauto_aliases=no\nlog_stderror=yes\n"
            + "".join(f'loadmodule "{module}.so"\n' for module in modules)
            + f'modparam("dispatcher", "list_file", "{home}/list")\nmodparam("dispatcher", "flags", 2)\n'
            'modparam("dispatcher", "ds_ping_interval", 1)\nmodparam("dispatcher", "ds_probing_mode", 0)\n'
            'include_file "rpc.cfg"\nrequest_route { sl_send_reply("404", "Not here"); exit; }\n'
        )
        self.launch("kamailio", "-DD", "-E", "-m", "16", "-M", "4", "-Y", str(home), "-f", str(home / "kamailio.cfg"))
        async with DispatcherEdge(self.settings()) as edge:
            for _ in range(400):
                with suppress(EdgeError):
                    await edge.status()
                    return
                self.must_run()
                await asyncio.sleep(0.05)
        raise RuntimeError("kamailio did not start")

    async def restart(self) -> None:
        await self.stop()
        await asyncio.sleep(1.3 - time.time() % 1)  # up_since counts whole seconds, of a clock that may lag ours
        await self.start()

    def settings(self, **changes: Any) -> EdgeSettings:
        targets = tuple(DispatcherTargets(route, at, self.uris[route]) for at, route in enumerate(ROUTES, 1))
        url = f"http://{HOST}:{self.port}/RPC"
        token = changes.pop("token", Secret(f"file:{self.directory}/token"))
        dispatcher = DispatcherSettings(targets, self.directory / "edge.epochs")
        return EdgeSettings(
            "edge0", "dispatcher", "elsewhere", url, HOST, self.port, token, dispatcher=dispatcher, **changes
        )


def status_json(told: Any) -> dict[str, Any]:
    """The status of a simulated edge as a receiver or a program reports it."""
    names = ("percent", "set_epoch", "calls_primary", "calls_backup", "active_primary", "active_backup")
    routes = {status.route: {name: getattr(status, name) for name in names} for status in told}
    return {"fence": told[0].fence, "up_since": told[0].up_since, "routes": routes}


class Receiver:
    """What deploy/actuators.md asks of a webhook receiver, written from its text, around a simulated edge."""

    def __init__(self, directory: Path, key: str = "hook-key") -> None:
        self._key = key
        (directory / "hook-key").write_text(f"{key}\n")
        self._secret = Secret(f"file:{directory}/hook-key")
        self.edge = SimulatedEdge(EdgeSettings("edge0", "simulated", "elsewhere", "", "", 0, None), ROUTES)
        self.port = free_port()
        self.silent = False
        self.seen: list[web.Request] = []
        self._newest: dict[str, float] = {}
        self._runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        self._runner.app.router.add_route("*", "/{path:.*}", self._answer)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    def settings(self, **changes: Any) -> EdgeSettings:
        url = f"http://{HOST}:{self.port}/envmon?trunk=7"
        token = changes.pop("token", self._secret)
        return EdgeSettings("edge0", "webhook", "elsewhere", url, HOST, 5060, token, **changes)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if self.silent:
            await asyncio.sleep(30)
        body = await request.read()
        now, epoch = request.headers["Envmon-Time"], request.headers["Envmon-Epoch"]
        signed = f"{now}\n{epoch}\n{request.method}\n{request.raw_path}\n".encode() + body
        wanted = "v1=" + hmac.new(self._key.encode(), signed, hashlib.sha256).hexdigest()
        fresh = abs(time.time() - float(now)) <= 30
        if not hmac.compare_digest(wanted, request.headers["Envmon-Signature"]) or not fresh:
            return web.json_response({"error": "signature"}, status=401)
        if request.method == "GET":
            return web.json_response(status_json(await self.edge.status()))
        return await self._obey(json.loads(body), int(epoch), float(now))

    async def _obey(self, order: Any, epoch: int, now: float) -> web.StreamResponse:
        if order["epoch"] != epoch or now <= self._newest.get(str(order.get("route")), 0):
            return web.json_response({"error": "an old request"}, status=400)
        self._newest[str(order.get("route"))] = now
        try:
            if order["order"] == "stamp":
                await self.edge.stamp(epoch)
            else:
                await self.edge.set_percent(order["route"], order["percent"], epoch)
        except Fenced as fenced:
            return web.json_response({"fence": fenced.fence}, status=409)
        except EdgeError as error:
            return web.json_response({"error": str(error)}, status=404)
        return web.json_response({})


PROGRAM = """#!{python}
import fcntl, json, sys, time
place, mode = "{place}", open("{place}/mode").read()
if mode == "silent":
    time.sleep(60)
order = json.load(sys.stdin)
lock = open(place + "/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
state = json.load(open(place + "/state"))
epoch, route = order.get("epoch", 0), order.get("route")
if order["order"] != "status" and epoch >= state["fence"]:
    if order["order"] == "set":
        if route not in state["routes"]:
            sys.exit("no such route: " + route)
        state["routes"][route].update(percent=order["percent"], set_epoch=epoch)
    state["fence"] = epoch
    json.dump(state, open(place + "/state", "w"))
print(json.dumps(state))
"""


class Program:
    """What deploy/actuators.md asks of a program."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mode("")
        zero = {"percent": 0, "set_epoch": 0}
        state = {"fence": 0, "up_since": int(time.time()), "routes": dict.fromkeys(ROUTES, zero)}
        self.write(state)
        self._script = directory / "program"
        self._script.write_text(PROGRAM.format(python=sys.executable, place=directory))
        self._script.chmod(0o755)

    def mode(self, mode: str) -> None:
        (self.directory / "mode").write_text(mode)

    def write(self, state: Any) -> None:
        (self.directory / "state").write_text(json.dumps(state))

    def settings(self, *argv: str, **changes: Any) -> EdgeSettings:
        return EdgeSettings(
            "edge0", "command", "elsewhere", "", HOST, 5060, None, argv=argv or (str(self._script),), **changes
        )


CARRIERS = Path(__file__).parents[2] / "config" / "carriers"


class Carrier:
    """A carrier's own API, as ``config/carriers/NAME`` describes it; it knows nothing of envmon."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.directory = directory
        (directory / "carrier-key").write_text("carrier-key\n")
        self.port = free_port()
        self.silent = False
        self.settles_after = 0  # reads that still show what was before
        self.answer: tuple[int, Any] | None = None
        self.answers: dict[str, tuple[int, Any]] = {}  # of one route
        self.hiccups: list[tuple[int, Any]] = []  # what the reads after a write are answered with, one each
        self.breaks = 0  # reads after a write whose connection ends without an answer
        self.padded = False  # it answers a write at length
        self.reads: list[str] = []  # of which route
        self.writes: list[Any] = []
        self.held: dict[str, dict[str, Any]] = {route: self._new() for route in ROUTES}
        self._before: dict[str, tuple[int, dict[str, Any]]] = {}
        self._runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        self._runner.app.router.add_route("*", "/{path:.*}", self._answer)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    def settings(self, **changes: Any) -> EdgeSettings:
        """The shipped template, its route's URL here, for both routes."""
        entry = RestEntry.model_validate(
            yaml.safe_load((CARRIERS / f"{self.name}.yaml").read_text())["edges"]["carrier"]["rest"]
        )
        [known] = entry.routes.values()
        routes = {route: known.model_copy(update={"url": f"http://{HOST}:{self.port}/{route}"}) for route in ROUTES}
        rest = rest_of(entry.model_copy(update={"routes": routes}), self.directory / "edge.epochs")
        token = changes.pop("token", Secret(f"file:{self.directory}/carrier-key"))
        return EdgeSettings("edge0", "rest", "elsewhere", "", HOST, 5060, token, rest=rest, **changes)

    def _new(self) -> dict[str, Any]:
        if self.name == "percent-api":
            return {"active": True, "distribution": {"backup": 0, "primary": 100}}
        return {"priority": 10, "weight": 10, "enabled": True}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await asyncio.sleep(30)
        if self.answer is not None:
            return web.json_response(self.answer[1], status=self.answer[0])
        route = request.path.strip("/")
        if request.method == "GET":
            self.reads.append(route)
            if self.writes and self.breaks:
                self.breaks -= 1
                assert request.transport is not None
                request.transport.abort()
            if (told := self.hiccups.pop(0) if self.writes and self.hiccups else self.answers.get(route)) is not None:
                return web.json_response(told[1], status=told[0])
        if not self._logged_in(request):
            return web.json_response({"error": "who is that?"}, status=401)
        if route not in self.held:
            return web.json_response({}, status=404)
        if request.method != "GET":
            before = self.held[route]
            self.held[route] = await self._obey(before, request)
            self._before[route] = (self.settles_after, before)
        padding = 70_000 if self.padded and request.method != "GET" else 0
        left, before = self._before.get(route, (0, {}))
        self._before[route] = (left - 1, before)
        return web.json_response({**(before if left > 0 else self.held[route]), "note": "x" * padding})

    def _logged_in(self, request: web.Request) -> bool:
        told = request.headers.get("Authorization", "")
        if self.name == "percent-api":
            return told == "Bearer carrier-key"
        return told == f"Basic {b64encode(b'SK' + 32 * b'x' + b':carrier-key').decode()}"

    async def _obey(self, held: dict[str, Any], request: web.Request) -> dict[str, Any]:
        """Do what the API's document says; a field it does not know is a fault of the template."""
        if self.name == "percent-api":
            told = await request.json()
            assert (request.method, request.content_type) == ("PUT", "application/json")
            assert set(told) == {"distribution", "note"}
            assert set(told["distribution"]) == {"backup", "primary"}
            assert sum(told["distribution"].values()) == 100
            self.writes.append(told)
            return {**held, **told}
        form = dict(await request.post())
        assert (request.method, request.content_type) == ("POST", "application/x-www-form-urlencoded")
        assert set(form) == {"Priority"}
        self.writes.append(form)
        return {**held, "priority": int(str(form["Priority"]))}
