"""A small telephone network for the tests: two far ends, an edge, and sipp beside them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from envmon.runtime.clock import ScaledClock
from envmon.sim.telephony import BACKUP, PRIMARY
from envmon.sim.telephony_caller import Caller, CallPlan
from envmon.sim.telephony_edge import SipEdge
from envmon.sim.telephony_far_end import FarEnd

TOKEN = "let-me-in"
HERE = Path(__file__).parent


@dataclass
class Network:
    primary: FarEnd
    backup: FarEnd
    edge: SipEdge
    http: aiohttp.ClientSession

    async def put(self, path: str, token: str = TOKEN) -> tuple[int, dict[str, object]]:
        return await self.ask("PUT", path, token)

    async def ask(self, method: str, path: str, token: str = TOKEN) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, self.edge.url + path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def status(self) -> dict[str, object]:
        code, told = await self.ask("GET", "/envmon/v1/status")
        assert code == 200
        return told

    async def outbound(self) -> dict[str, int]:
        return (await self.status())["routes"]["outbound"]

    @asynccontextmanager
    async def caller(self, speed: float = 100.0, **plan: float) -> AsyncIterator[Caller]:
        sites = {self.primary.address[1]: PRIMARY, self.backup.address[1]: BACKUP}
        patient = CallPlan(**{"deadline_s": 20.0, **plan})
        async with Caller(ScaledClock(speed, 0.0), self.edge.address, sites, patient, seed=1) as caller:
            yield caller


@asynccontextmanager
async def network(routes: tuple[str, ...] = ("outbound",), ring_s: float = 0.0) -> AsyncIterator[Network]:
    async with FarEnd(PRIMARY, ring_s=ring_s) as primary, FarEnd(BACKUP) as backup:
        ends = {PRIMARY: [primary.address], BACKUP: [backup.address]}
        async with SipEdge(ends, TOKEN, routes) as edge, aiohttp.ClientSession() as http:
            yield Network(primary, backup, edge, http)


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def sipp(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    assert shutil.which("sipp"), "sipp is missing: apt-get install sip-tester"
    return await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        "-i",
        "127.0.0.1",
        "-nostdin",
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
