"""A telephone network of real programs on loopback: Kamailio edges with deploy/kamailio, sipp as sites and callers.

    async with Rig(tmp_path, edges=2) as rig:
        stats = await rig.call(rate=20, calls=40, hold_ms=500)

The files of deploy/kamailio are used as they are shipped; only edge-local.cfg and dispatcher.list are written.
Every program is started by the rig, on free ports, and ended by its own process id.
"""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from envmon.actuators.contract import EdgeError
from envmon.actuators.kamailio import KamailioEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from tests.ports import HOST, free_ports

SHIPPED = Path(__file__).parents[2] / "deploy" / "kamailio"
SCENARIOS = Path(__file__).parent / "scenarios"
SITES = ("primary", "backup")


@dataclass(frozen=True, slots=True)
class CallStats:
    """What became of one batch of calls, from the message logs of the caller and of both sites.

    A call is on the site that answered it last; a call that nobody answered is on neither.
    """

    offered: int
    setup_failed: int
    bye_failed: int
    on_primary: int
    on_backup: int


class Rig:
    """Starts everything on entering and ends it on leaving; ``edges`` share the two sites."""

    def __init__(
        self, directory: Path, edges: int = 1, routes: tuple[str, ...] = ("outbound",), token: str = "rig-token"
    ) -> None:
        for program in ("kamailio", "sipp"):
            if shutil.which(program) is None:
                raise RuntimeError(f"{program} is missing: apt-get install kamailio kamailio-sqlite-modules sip-tester")
        self._directory = self.folder = directory
        self._routes = routes
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._batches = 0
        self.token = token
        self.token_file = directory / "token"
        self.token_file.write_text(f"{token}\n", encoding="utf-8")
        ports = free_ports(edges + 2 * len(SITES))
        self.sip_ports = [next(ports) for _ in range(edges)]
        self.site_ports = {site: next(ports) for site in SITES}
        self._media = {site: next(ports) for site in SITES}

    async def __aenter__(self) -> Self:
        try:
            for site in SITES:
                self.start_site(site)
            for index in range(len(self.sip_ports)):
                await self.start_edge(index)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            await self._end(name, signal.SIGKILL)

    def edge(self, index: int = 0, token_file: Path | None = None) -> EdgeSettings:
        """The settings an operator would write for this edge."""
        return EdgeSettings(
            id=f"edge{index}",
            kind="kamailio",
            zone="elsewhere",
            url=f"http://{HOST}:{self.sip_ports[index]}",
            sip_host=HOST,
            sip_port=self.sip_ports[index],
            token=Secret(f"file:{token_file or self.token_file}"),
        )

    def directory(self, index: int = 0) -> Path:
        """Where this edge keeps its configuration, its log and its database (envmon.sqlite)."""
        return self._directory / f"edge{index}"

    def configure(self, index: int = 0, extra: str = "", sources: str = f"{HOST}/32") -> None:
        """Write this edge's own files, ``extra`` at the end of edge-local.cfg; in force when it starts next."""
        home = self.directory(index)
        home.mkdir(exist_ok=True)
        for name in ("edge.cfg", "envmon.cfg"):
            shutil.copy(SHIPPED / name, home / name)
        (home / "dispatcher.list").write_text(
            f"1 sip:{HOST}:{self.site_ports['primary']} 0 0\n2 sip:{HOST}:{self.site_ports['backup']} 0 0\n"
        )
        digest = hashlib.sha256(self.token.encode()).hexdigest()
        (home / "edge-local.cfg").write_text(
            f"listen=udp:{HOST}:{self.sip_ports[index]}\n"
            f"listen=tcp:{HOST}:{self.sip_ports[index]}\n"
            f'#!substdef "!EDGE_DISPATCHER_LIST!{home}/dispatcher.list!g"\n'
            f'#!substdef "!ENVMON_TOKEN_SHA256!{digest}!g"\n'
            f'#!substdef "!ENVMON_ROUTES!{",".join(self._routes)}!g"\n'
            f'#!substdef "!ENVMON_SOURCES!{sources}!g"\n'
            f'#!substdef "!ENVMON_DB!{home}/envmon.sqlite!g"\n' + extra
        )

    async def start_edge(self, index: int = 0, *, ready: bool = True) -> None:
        """Start Kamailio and wait until it reports its status, unless it is not to be ``ready``."""
        home = self.directory(index)
        if not (home / "edge-local.cfg").exists():
            self.configure(index)
        command = ["kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(home), "-f", str(home / "edge.cfg")]
        self._start(f"edge{index}", command, home / "kamailio.log")
        if not ready:
            return
        async with KamailioEdge(self.edge(index)) as edge:
            deadline = asyncio.get_running_loop().time() + 30
            while True:
                try:
                    await edge.status()
                except EdgeError as error:
                    self._must_run(f"edge{index}", home / "kamailio.log")
                    if asyncio.get_running_loop().time() > deadline:
                        raise RuntimeError(
                            f"edge{index} did not start: {error}\n{_tail(home / 'kamailio.log')}"
                        ) from None
                    await asyncio.sleep(0.05)
                else:
                    return

    async def stop_edge(self, index: int = 0, *, crash: bool = False) -> None:
        """End one edge, in order (SIGTERM) or not (SIGKILL)."""
        await self._end(f"edge{index}", signal.SIGKILL if crash else signal.SIGTERM)

    async def restart_edge(self, index: int = 0, *, crash: bool = False) -> None:
        """Stop and start one edge."""
        await self.stop_edge(index, crash=crash)
        await self.start_edge(index)

    def start_site(self, site: str, scenario: str = "uas.xml") -> None:
        """Start the media server of one site; ``full.xml`` is one that refuses every call with 503."""
        home = self._directory
        command = [
            *("sipp", "-sf", str(SCENARIOS / scenario), "-i", HOST, "-p", str(self.site_ports[site])),
            *("-mp", str(self._media[site]), "-nostdin", "-nd"),
            *("-trace_shortmsg", "-shortmessage_file", str(home / f"{site}.msg"), "-shortmessage_overwrite", "true"),
        ]
        self._start(site, command, home / f"{site}.log")

    async def stop_site(self, site: str) -> None:
        """End the media server of one site at once: its port is closed."""
        await self._end(site, signal.SIGKILL)

    def freeze(self, *names: str) -> None:
        """Make sites ("primary", "backup") or edges ("edge0") silent without ending them."""
        for name in names:
            os.killpg(self._running[name].pid, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        """End a freeze."""
        for name in names:
            os.killpg(self._running[name].pid, signal.SIGCONT)

    async def call(
        self, rate: float, calls: int, hold_ms: int, *, edge: int = 0, service: str = "15551234567"
    ) -> CallStats:
        """Place ``calls`` calls at ``rate`` per second through one edge and wait for the last to end."""
        return self._count(await self._callers("uac.xml", rate, calls, hold_ms, edge, service))

    async def register(self, phones: int, *, edge: int = 0) -> dict[str, int]:
        """Register ``phones`` phones through one edge; how many registrations each site has answered."""
        log = await self._callers("register.xml", 50, phones, 0, edge, "phone")
        answered = {row.call_id for row in _rows(log) if not row.sent and row.first.startswith("SIP/2.0 200")}
        return {site: len(answered & self.answered(site, "REGISTER")) for site in SITES}

    async def _callers(self, scenario: str, rate: float, calls: int, hold_ms: int, edge: int, service: str) -> Path:
        """Run sipp to its end; its message log."""
        self._batches += 1
        name = f"caller{self._batches}"
        log, port = self._directory / f"{name}.msg", free_ports(2)
        command = [
            *("sipp", "-sf", str(SCENARIOS / scenario), "-i", HOST, "-p", str(next(port)), "-mp", str(next(port))),
            *("-s", service, f"{HOST}:{self.sip_ports[edge]}", "-r", str(rate), "-m", str(calls), "-d", str(hold_ms)),
            *("-l", str(calls), "-nostdin", "-max_invite_retrans", "6", "-max_non_invite_retrans", "6"),
            *("-trace_shortmsg", "-shortmessage_file", str(log), "-shortmessage_overwrite", "true"),
        ]
        process = self._start(name, command, self._directory / f"{name}.log")
        try:
            await until(lambda: process.poll() is not None, calls / rate + hold_ms / 1000 + 60, f"{name} to end")
        finally:
            await self._end(name, signal.SIGKILL)
        if process.returncode not in (0, 1):  # 1: some calls failed, which the statistics tell
            raise RuntimeError(f"sipp ended with {process.returncode}: {_tail(self._directory / f'{name}.log')}")
        return log

    def answered(self, site: str, method: str = "INVITE") -> set[str]:
        """The Call-IDs of every request of this method that the site has answered with 200."""
        rows = _rows(self._directory / f"{site}.msg")
        return {row.call_id for row in rows if row.sent and row.first.startswith("SIP/2.0 200") and method in row.cseq}

    def _count(self, log: Path) -> CallStats:
        rows = list(_rows(log))
        offered = {row.call_id for row in rows if row.sent and row.first.startswith("INVITE")}
        got = {
            (row.call_id, row.cseq.split()[-1]): row.first.split()[1]
            for row in rows
            if not row.sent and "SIP/2.0 1" not in row.first
        }
        ended = {row.call_id for row in rows if row.sent and row.first.startswith("BYE")}
        up = {call for call in offered if got.get((call, "INVITE")) == "200"}
        on_backup = up & self.answered("backup")
        return CallStats(
            offered=len(offered),
            setup_failed=len(offered - up),
            bye_failed=sum(1 for call in up if call not in ended or got.get((call, "BYE")) != "200"),
            on_primary=len((up & self.answered("primary")) - on_backup),
            on_backup=len(on_backup),
        )

    def _start(self, name: str, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._directory,
                env={**os.environ, "TERM": "dumb"},
            )
        self._running[name] = process
        return process

    def _must_run(self, name: str, log: Path) -> None:
        if (code := self._running[name].poll()) is not None:
            raise RuntimeError(f"{name} ended with {code}:\n{_tail(log)}")

    async def _end(self, name: str, how: signal.Signals) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        for kind in (signal.SIGCONT, how):  # a frozen process does not hear SIGTERM
            with suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
        try:
            await until(lambda: process.poll() is not None, 20, f"{name} to end")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of sipp's short message log."""

    sent: bool
    call_id: str
    cseq: str
    first: str


def _rows(log: Path) -> Iterator[_Row]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split("\t")
        if len(fields) >= 7:
            yield _Row(fields[3] == "S", fields[4], fields[5], fields[6])


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition, or fail after ``seconds`` saying ``what`` did not happen."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
