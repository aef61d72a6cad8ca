"""A resolver that never answers holds every thread names are looked up in: what needs no name goes on beside it."""

import asyncio
import itertools
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from envmon.actuators.dns_update import DnsEdge
from envmon.config.edge_settings import DnsRecord, DnsSettings, EdgeSettings
from envmon.config.secret import Secret
from envmon.config.settings import PagerSettings, SnmpSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_framing import TcpFraming
from envmon.drivers.modbus_link import connect
from envmon.drivers.snmp_session import open_session
from envmon.drivers.traps import _addresses as addresses_that_may_send
from envmon.host.names import addresses
from envmon.host.threads import NAMES, aside, spread_names
from envmon.leases.local import LocalLease
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Envelope
from envmon.pagers.queue import PageQueue
from envmon.pagers.webhook import WebhookPager
from tests.ports import free_port

WITHIN_S = 10.0  # of a busy machine; none of it takes more than milliseconds
LOOKUPS = 40  # more than the loop's default threads, on any machine


@pytest.fixture
async def dead_resolver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every thread that resolves names is taken, and more names wait."""
    over = threading.Event()
    real = socket.getaddrinfo

    def hang(host: Any, *args: Any, **more: Any) -> Any:
        if str(host).endswith(".example"):
            over.wait(120)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    loop = asyncio.get_running_loop()
    asked = [asyncio.ensure_future(loop.getaddrinfo(f"crac-{n}.example", 161)) for n in range(LOOKUPS)]
    await asyncio.sleep(0)
    yield asked
    over.set()
    await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.usefixtures("dead_resolver")
async def test_the_lease_is_taken_and_stays_ours(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN_S), LocalLease(tmp_path) as lease:
        assert await lease.acquire(6) == 7
        assert await lease.held()


@pytest.mark.usefixtures("dead_resolver")
async def test_a_page_with_a_token_leaves_and_the_queue_ends(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    port, seen = free_port(), []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    url, token = f"http://127.0.0.1:{port}/", Secret(f"file:{tmp_path / 'token'}")
    async with asyncio.timeout(WITHIN_S), await asyncio.start_server(take, "127.0.0.1", port):
        async with WebhookPager(PagerSettings("a", "webhook", "z", url=url, token=token)) as pager:
            await pager.send(Envelope(1, 0.0, "dallas", Page("k", True, Urgency.CRITICAL, "hot")))
        assert "Bearer t" in seen[0]
        queue = asyncio.create_task(PageQueue(tmp_path / "pages.db", "dallas", {}).run())
        await asyncio.sleep(0)
        queue.cancel()
        await asyncio.wait({queue})


@pytest.mark.usefixtures("dead_resolver")
async def test_an_edge_named_by_its_address_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("c2VjcmV0c2VjcmV0")
    record = DnsRecord("outbound", "_sip._udp.zone.test", ("a.zone.test", 5060), ("b.zone.test", 5060))
    dns = DnsSettings("127.0.0.1", free_port(), "zone.test", "key", (record,))
    token = Secret(f"file:{tmp_path / 'key'}")
    edge = EdgeSettings("edge0", "dns", "z", "", "127.0.0.1", 5060, token, dns=dns, deadline_s=WITHIN_S)
    async with DnsEdge(edge) as actuator:
        with pytest.raises(Exception, match="cannot connect: Connect call failed"):
            await actuator.status()


async def test_names_that_hang_leave_room_for_names_that_do_not(dead_resolver: list[asyncio.Future[Any]]) -> None:
    for future in dead_resolver:
        future.cancel()
    spread_names()
    loop = asyncio.get_running_loop()
    hanging = [asyncio.ensure_future(loop.getaddrinfo(f"sensor-{n}.example", 161)) for n in range(NAMES - 1)]
    await asyncio.sleep(0)
    async with asyncio.timeout(WITHIN_S):
        assert await loop.getaddrinfo("localhost", 1)
    dead_resolver.extend(hanging)


async def snmp_polls(number: int) -> None:
    with suppress(DeviceError):
        await open_session(f"crac-{number}.example", 161, SnmpSettings(version="2c"), "it")


async def modbus_polls(number: int) -> None:
    with suppress(DeviceError):
        await connect(f"pump-{number}.example", 502, TcpFraming(itertools.count(1)))


async def device_traps(number: int) -> None:
    assert await addresses_that_may_send(f"crac-{number}.example") == ()


@pytest.mark.parametrize("ask", [snmp_polls, modbus_polls, device_traps])
async def test_names_of_devices_hold_up_no_other_name(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many devices there are: edges, pagers and the lease find their names."""
    over, real = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *args: Any, **more: Any) -> Any:
        if str(host).endswith(".example"):
            over.wait(120)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    asking = [asyncio.ensure_future(ask(number)) for number in range(200)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        assert not any(each.done() for each in asking)
    finally:
        over.set()
        await asyncio.gather(*asking)


async def test_a_device_named_by_its_address_waits_for_no_name() -> None:
    assert await addresses("192.0.2.7") == ("192.0.2.7",)
    assert await addresses("2001:DB8::7") == ("2001:db8::7",)
    assert "127.0.0.1" in await addresses("localhost")


async def test_what_runs_aside_answers_and_fails_as_it_would_here() -> None:
    assert await aside(max, 1, 2, key=lambda number: -number) == 1
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 1, 0)
