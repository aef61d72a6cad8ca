"""The HTTP server, asked by real clients."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from envmon.config.settings import HttpSettings
from envmon.web.page import page
from envmon.web.server import ListenError, WebServer

STATUS: dict[str, Any] = {
    "site": "dallas",
    "mode": "automatic",
    "armed": {"now": False, "why": "outbound: probe: no answer"},
    "lease": {"held": True, "epoch": 7},
    "time": 1_800_000_000.0,
    "devices": {"crac_1_card": {"up": True, "error": ""}, "crac_3_card": {"up": False, "error": "timed out"}},
    "zones": {
        "hall_a": {
            "verdict": "critical",
            "basis": "projected",
            "phase": "hot",
            "temperature_c": 33.25,
            "time_to_limit": {"sight": "forecast", "lower_s": 420.0, "median_s": 600.0, "says": "at least 7 min"},
            "margin_kw": None,
            "n_plus": -1,
            "why": "two of three units stopped",
        }
    },
    "routes": {
        "outbound": {
            "position": "shifting",
            "percent": 50,
            "proof": "waiting",
            "calls_left": 12,
            "readiness": {"probe": {"pass": False, "why": "no answer"}, "parity": {"pass": None, "why": ""}},
            "why": "",
        }
    },
}


class Daemon:
    """What the server asks; the tests change it as they go."""

    def __init__(self) -> None:
        self.text = b"envmon_armed 1\n"
        self.status: Mapping[str, Any] = STATUS
        self.health: dict[str, str] = {}


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@contextlib.asynccontextmanager
async def serving(daemon: Daemon, settings: HttpSettings | None = None) -> AsyncIterator[WebServer]:
    settings = settings or HttpSettings(port=0)
    async with WebServer(settings, lambda: daemon.text, lambda: daemon.status, lambda: daemon.health) as server:
        yield server


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(daemon) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session


async def test_a_page_of_many_megabytes_arrives_whole(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    daemon.text = b"".join(b'envmon_reading{point="%d"} 1\n' % number for number in range(150_000))
    async with client.get("/metrics") as response:
        assert await response.read() == daemon.text


async def test_metrics(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    async with client.get("/metrics") as answer:
        assert (answer.status, await answer.read()) == (200, daemon.text)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_health_says_why(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"healthy": True, "why": {}})
    daemon.health = {"engine": "no tick for 12 s"}
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (503, {"healthy": False, "why": daemon.health})


async def test_status_is_the_loops_own_words(client: aiohttp.ClientSession) -> None:
    async with client.get("/status") as answer:
        assert (answer.status, await answer.json()) == (200, json.loads(json.dumps(STATUS)))


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/status", "/style.css", "/orders"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_ordered(client: aiohttp.ClientSession, method: str, path: str) -> None:
    async with client.request(method, path, json={"command": "shift"}) as answer:
        assert answer.status in {404, 405}


async def test_head_has_no_body(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    async with client.head("/metrics") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(daemon.text)))
        assert await answer.read() == b""


async def test_page_is_closed_to_everything_foreign(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as answer:
        text = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script" not in text and "style=" not in text
    for link in re.findall(r'(?:href|src)="([^"]*)"', text):
        async with client.get(link) as answer:
            assert answer.status == 200, link
    async with client.get("/favicon.ico") as answer:
        assert answer.status == 204


async def test_page_shows_the_status(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    daemon.health = {"journal": "the disk is full"}
    async with client.get("/") as answer:
        text = await answer.text()
    for shown in (
        '<span class="critical">critical</span> (projected)',
        "33.25&nbsp;°C",
        "at least 7 min",
        '<span class="shifting">shifting</span>',
        'probe <span class="fail">fail</span>: no answer',
        'parity <span class="unknown">unknown</span>',
        "not armed",
        "2027-01-15 08:00:00 UTC",
        "<td>crac_3_card</td><td>timed out</td>",
        "the disk is full",
    ):
        assert shown in text, shown
    assert "None" not in text and "crac_1_card" not in text


EVIL = '<img src=x onerror="alert(1)">\'&'


def poison(value: Any) -> Any:
    """The same status with every text replaced by one that would break out of any context."""
    match value:
        case Mapping():
            return {
                (EVIL if key in {"hall_a", "outbound", "probe"} else key): poison(item) for key, item in value.items()
            }
        case str():
            return EVIL
        case _:
            return value


def test_page_escapes_everything() -> None:
    text = page(poison(STATUS), {EVIL: EVIL})
    assert text.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#x27;&amp;") >= 15
    assert "<img" not in text and 'onerror="' not in text


def test_page_before_the_first_status() -> None:
    assert "has not told its status yet" in page({}, {})


@pytest.mark.parametrize(
    "holes", [{"zones": {"a": {}}, "routes": {"r": {}}}, {"zones": {}, "routes": {}, "armed": None}]
)
def test_page_with_holes_shows_dashes(holes: dict[str, Any]) -> None:
    text = page(holes, {})
    assert "None" not in text and ">0<" not in text


async def test_twenty_scrapers_at_once(client: aiohttp.ClientSession, daemon: Daemon) -> None:
    daemon.text = b"x" * 200_000

    async def scrape() -> int:
        async with client.get("/metrics") as answer:
            return len(await answer.read())

    assert await asyncio.gather(*(scrape() for _ in range(20))) == [200_000] * 20


async def test_a_client_that_does_not_read_blocks_nobody_and_is_cut(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.web.server.SEND_S", 0.5)
    daemon.text = b"x" * 30_000_000
    async with serving(daemon) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        deadline, answers = time.monotonic() + 1.0, 0
        while time.monotonic() < deadline:
            async with session.get("/healthz") as answer:
                assert answer.status == 200
                answers += 1
        assert answers > 3, "others are served while one client does not read"
        read = 0
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(1_000_000), 20):
                read += len(chunk)
        assert read < 30_000_000, "the connection was cut"
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_busy_port_is_one_clear_error(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            async with serving(daemon, HttpSettings(port=port)):
                raise AssertionError
    text = str(caught.value)
    assert text == (
        f"http: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "stop the other program or change publish.http.listen"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
async def test_an_address_that_is_not_ours_is_one_clear_error(daemon: Daemon, host: str) -> None:
    with pytest.raises(ListenError, match=f"http: cannot listen on {host} port"):
        async with serving(daemon, HttpSettings(host, 0)):
            raise AssertionError


async def test_the_port_is_free_after_leaving(daemon: Daemon) -> None:
    async with serving(daemon) as server:
        port = server.port
    async with serving(daemon, HttpSettings(port=port)) as again:
        assert again.port == port
