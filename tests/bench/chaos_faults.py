"""Makes the faults of a plan happen, and undoes them.

Rules
- Who holds the lease is told by the edges: the daemon of the newest epoch they have accepted.
- Every fault ends by itself; what is left of it is undone by ``heal``, after which nothing is broken.
"""

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from chaos_history import Down, Write
from chaos_net import NODES
from chaos_plan import Fault, Plan
from chaos_rig import EDGES, MEMBERS, Rig
from chaos_site import Host, fill

ROUND_S = 0.05
REFUSED_S = 1.5
PARTIES = {"etcd": MEMBERS, "pager": ("pager",), "devices": ("devices",)}


class Faults:
    """The faults of one run over its rig and its two daemons."""

    def __init__(self, rig: Rig, hosts: Mapping[str, Host], plan: Plan) -> None:
        self.down: list[Down] = []
        self.log: list[str] = []
        self._rig = rig
        self._hosts = hosts
        self._plan = plan
        self._orders = 0
        self._filled: list[Path] = []

    def holder(self) -> str:
        """The daemon of the newest epoch an edge has accepted."""
        stamps = [
            (write.epoch, host.name)
            for host in self._hosts.values()
            for write in host.door.writes
            if write.status == 200
        ]
        return max(stamps, default=(0, "a"))[1]

    async def play(self, began: float) -> None:
        """Make everything happen in its time; returns when every fault has ended."""
        async with asyncio.TaskGroup() as faults:
            for fault in self._plan.faults:
                faults.create_task(self._when_due(began, fault))

    async def _when_due(self, began: float, fault: Fault) -> None:
        await asyncio.sleep(began + fault.at - time.monotonic())
        holder = self.holder()
        name = holder if fault.who == "holder" else next(each for each in self._hosts if each != holder)
        self.log.append(f"{time.monotonic() - began:.2f}: {fault} ({name})")
        await self._do(fault, self._hosts[name])
        self.log.append(f"{time.monotonic() - began:.2f}: end of {fault}")

    async def _do(self, fault: Fault, host: Host) -> None:
        match fault.kind:
            case "kill":
                await self._kill(fault, host)
            case "stop":
                await self._frozen(host, fault.lasts)
            case "frozen write":
                host.door.trap = lambda write: self._trapped(host, write, fault)
            case "part":
                await self._part(fault, host)
            case "edge":
                await self._restart(fault.who, signal.Signals[f"SIG{fault.what}"], fault.lasts)
            case "leader" | "member":
                await self._member(fault)
            case "order" | "stale order":
                await self._order(fault, host)
            case "reload":
                host.reload()
            case "pager":
                await self._pager(fault)
            case "disk":
                filling = fill(host.state)
                self._filled.append(filling)
                await asyncio.sleep(fault.lasts)
                filling.unlink(missing_ok=True)
            case "clock":
                host.step_clock(fault.what)
            case other:
                raise ValueError(f"no such fault: {other}")

    def _start(self, host: Host) -> None:
        if not host.runs:
            host.start()

    async def _kill(self, fault: Fault, host: Host) -> None:
        if fault.what:  # until the daemon is back its pages are refused, those of a while before its death, too
            self._rig.on_call.refuses = True
            await asyncio.sleep(REFUSED_S)
        await host.kill()
        await asyncio.sleep(fault.lasts)
        self._start(host)
        if fault.what:
            self._rig.on_call.refuses = False

    async def _frozen(self, host: Host, seconds: float) -> None:
        host.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            host.thaw()

    async def _trapped(self, host: Host, write: Write, fault: Fault) -> None:
        """A command has left the daemon, and arrives when another has taken over.

        The daemon stops, or ("delayed") lives on, cut off from etcd, and gives the command up.
        """
        self.log.append(f"trapped: {host.name}, epoch {write.epoch}, {write.percent} % for {write.edge}, {fault.what}")
        if fault.what:
            for member in MEMBERS:
                self._rig.network.cut(host.name, member)
        else:
            host.freeze()
        for _ in range(int(fault.lasts / ROUND_S)):
            if self._taken_over(host, write):
                break
            await asyncio.sleep(ROUND_S)
        if fault.what:
            self._rig.network.mend((host.name, *MEMBERS))
        else:
            asyncio.get_running_loop().call_later(0.5, host.thaw)

    def _taken_over(self, host: Host, write: Write) -> bool:
        """Whether the edge has accepted a newer epoch from the other daemon."""
        return any(
            each.epoch > write.epoch and each.status == 200 and each.edge == write.edge
            for other in self._hosts.values()
            if other is not host
            for each in other.door.writes
        )

    async def _part(self, fault: Fault, host: Host) -> None:
        what, _, way = fault.what.partition(" ")
        if what == "members":
            return await self._part_members(fault.lasts)
        others = PARTIES.get(what, (f"door-{host.name}", *EDGES))
        if way != "in":
            for other in others:
                self._rig.network.cut(host.name, other)
        if way != "out":
            for other in others:
                if other in NODES:
                    self._rig.network.cut(other, host.name)
            host.door.loses_answers = what == "edges"
        await asyncio.sleep(fault.lasts)
        host.door.loses_answers = False
        self._rig.network.mend((host.name, *others))
        return None

    async def _part_members(self, seconds: float) -> None:
        leader = await self._rig.leader()
        others = [member for member in MEMBERS if member != leader]
        self._rig.network.part(leader, others)
        await asyncio.sleep(seconds)
        self._rig.network.mend(MEMBERS)

    async def _restart(self, edge: str, how: signal.Signals, seconds: float) -> None:
        since = time.monotonic()
        await self._rig.end(edge, how)
        await asyncio.sleep(seconds)
        if not self._rig.runs(edge):
            self._rig.start_edge(edge)
        await self._rig.edge_answers(edge)
        self.down.append(Down(edge, since, time.monotonic()))

    async def _member(self, fault: Fault) -> None:
        name = await self._rig.leader() if fault.kind == "leader" else MEMBERS[-1]
        if fault.what == "freeze":
            self._rig.send(name, signal.SIGSTOP)
        else:
            await self._rig.end(name)
        await asyncio.sleep(fault.lasts)
        self._rig.send(name, signal.SIGCONT)
        if not self._rig.runs(name):
            self._rig.start_member(name)

    async def _pager(self, fault: Fault) -> None:
        self._rig.on_call.hear(fault.what != "deaf")
        self._rig.on_call.refuses = fault.what == "refuses"
        await asyncio.sleep(fault.lasts)
        self._pager_works()

    def _pager_works(self) -> None:
        self._rig.on_call.refuses = False
        self._rig.on_call.hear()

    async def _order(self, fault: Fault, host: Host) -> None:
        self._orders += 1
        reason = f"chaos {self._orders}"
        if fault.kind == "stale order":
            host.freeze()
            await host.order(fault.what, reason, wait_s=fault.lasts / 2, **_route(fault.what))
            await asyncio.sleep(fault.lasts / 2)
            host.thaw()
            return
        if fault.what != "override":
            await host.order(fault.what, reason, **_route(fault.what))
            return
        answer = await host.order("shift", reason, route="outbound", override=True)
        status = await host.status()
        if any(each["waits"] for each in answer.get("decisions", ())) and status:
            for request in status["requests"]:
                await host.approve(request)

    async def heal(self) -> None:
        """Nothing is broken from here on."""
        self._rig.network.heal()
        self._pager_works()
        for path in self._filled:
            path.unlink(missing_ok=True)
        for host in self._hosts.values():
            host.door.loses_answers, host.door.trap = False, None
            host.thaw()
            self._start(host)
        for member in MEMBERS:
            self._rig.send(member, signal.SIGCONT)
            if not self._rig.runs(member):
                self._rig.start_member(member)
        for edge in EDGES:
            if not self._rig.runs(edge):
                with suppress(RuntimeError):
                    await self._restart(edge, signal.SIGKILL, 0.0)


def _route(command: str) -> dict[str, str]:
    return {"route": "outbound"} if command in ("shift", "restore") else {}
