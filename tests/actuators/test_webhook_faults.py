"""The webhook actuator: its signature by another's hand, receivers that lie, and what its errors do not say."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.webhook import WebhookEdge, signature
from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from tests.actuators.levers import Receiver, status_json
from tests.ports import HOST, free_port


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with Receiver(tmp_path) as started:
        yield started


def test_the_signature_is_the_one_openssl_makes() -> None:
    signed = b'1700000000.000000\n7\nPOST\n/envmon?trunk=7\n{"order": "stamp", "epoch": 7}'
    told = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "hook-key"], input=signed, capture_output=True, check=True
    ).stdout.decode()
    ours = signature("hook-key", "1700000000.000000", 7, "POST", "/envmon?trunk=7", signed.rpartition(b"\n")[2])
    assert ours == told.strip().rpartition(" ")[2]


async def test_a_request_changed_on_the_way_or_sent_again_is_refused(receiver: Receiver) -> None:
    async with WebhookEdge(receiver.settings()) as edge:
        await edge.set_percent("outbound", 100, 7)
    order = next(request for request in receiver.seen if request.method == "POST")
    headers = {name: order.headers[name] for name in ("Envmon-Time", "Envmon-Epoch", "Envmon-Signature")}
    body = await order.read()
    url = receiver.settings().url
    async with ClientSession() as session:
        for changed, to, code in (
            ({}, body, 400),
            ({"Envmon-Epoch": "8"}, body.replace(b"7", b"8"), 401),
            ({"Envmon-Time": "1700000000.000000"}, body, 401),
            ({}, body.replace(b"100", b"0"), 401),
        ):
            async with session.post(url, data=to, headers={**headers, **changed}) as answer:
                assert answer.status == code
    assert (await receiver.edge.status())[0].percent == 100


async def test_a_wrong_key_says_so_and_no_error_shows_the_path(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("hook-kez")
    async with WebhookEdge(receiver.settings(token=Secret(f"file:{tmp_path}/other"))) as edge:
        for attempt in (edge.status(), edge.stamp(1)):
            with pytest.raises(EdgeError, match=r"refused our signature \(401\)") as fault:
                await attempt
            assert "trunk" not in str(fault.value) and "hook-kez" not in str(fault.value)
    async with WebhookEdge(receiver.settings(token=None)) as edge:
        with pytest.raises(EdgeError, match="no key is configured"):
            await edge.status()


@asynccontextmanager
async def lying(answers: dict[str, Any], tmp_path: Path) -> AsyncIterator[EdgeSettings]:
    async def answer(request: web.Request) -> web.StreamResponse:
        code, content = answers[request.method]
        return web.json_response(content, status=code)

    runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/", answer)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    (tmp_path / "key").write_text("key-of-the-receiver")
    try:
        yield EdgeSettings("e1", "webhook", "z", f"http://{HOST}:{port}/", HOST, 5060, Secret(f"file:{tmp_path}/key"))
    finally:
        await runner.cleanup()


ROUTE = {"percent": 10, "set_epoch": 3}
COUNTS = {"calls_primary": 1, "calls_backup": 0, "active_primary": 1, "active_backup": 0}


def told(route: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"fence": 3, "up_since": 0, "routes": {"outbound": route}, **changes}


@pytest.mark.parametrize(
    ("content", "counts"), [(told(ROUTE), False), (told({**ROUTE, **COUNTS}), True), (told(ROUTE, extra=1), False)]
)
async def test_a_receiver_counts_calls_or_says_nothing_of_them(content: Any, counts: bool, tmp_path: Path) -> None:
    async with lying({"GET": (200, content)}, tmp_path) as settings, WebhookEdge(settings) as edge:
        (status,) = await edge.status()
        assert (status.counts, status.active_primary) == (counts, int(counts))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (told({**ROUTE, "calls_primary": 1}), "calls_backup is None"),
        (told({"percent": 10}), "set_epoch is None"),
        (told(ROUTE, fence="3"), "fence is '3'"),
        (told(5), "percent is None"),  # type: ignore[arg-type]
        ([], "no routes"),
    ],
)
async def test_half_a_status_is_none(content: Any, says: str, tmp_path: Path) -> None:
    async with lying({"GET": (200, content)}, tmp_path) as settings, WebhookEdge(settings) as edge:
        with pytest.raises(EdgeError, match=says):
            await edge.status()


async def test_accepted_but_not_reported_is_not_done(tmp_path: Path) -> None:
    async with (
        lying({"POST": (200, {}), "GET": (200, told(ROUTE))}, tmp_path) as settings,
        WebhookEdge(settings) as edge,
    ):
        await edge.set_percent("outbound", 10, 3)
        with pytest.raises(EdgeError, match=r"took 50 % of epoch 3.*reports 10 % of epoch 3"):
            await edge.set_percent("outbound", 50, 3)
        with pytest.raises(EdgeError, match="took epoch 4, but reports the fence 3"):
            await edge.stamp(4)
        with pytest.raises(Fenced):
            await edge.stamp(2)


@pytest.mark.parametrize(
    ("code", "content", "says"),
    [
        (500, {"error": "carrier is down"}, "answered 500: 'carrier is down'"),
        (404, "x", "answered 404: is this the URL of a receiver"),
        (409, {"fence": "9"}, "answered 409"),
        (202, {}, "answered 202"),
    ],
)
async def test_a_refusal_says_what_it_is(code: int, content: Any, says: str, tmp_path: Path) -> None:
    async with (
        lying({"POST": (code, content), "GET": (200, told(ROUTE))}, tmp_path) as settings,
        WebhookEdge(settings) as edge,
    ):
        with pytest.raises(EdgeError, match=says) as fault:
            await edge.stamp(3)
        assert not isinstance(fault.value, Fenced)


async def test_what_is_sent_is_what_is_documented(receiver: Receiver) -> None:
    async with WebhookEdge(receiver.settings()) as edge:
        await edge.stamp(3)
        await edge.set_percent("inbound", 40, 4)
    orders = [json.loads(await each.read()) for each in receiver.seen if each.method == "POST"]
    assert orders == [
        {"order": "stamp", "epoch": 3},
        {"order": "set", "route": "inbound", "percent": 40, "epoch": 4},
    ]
    assert {each.headers["Envmon-Epoch"] for each in receiver.seen if each.method == "GET"} == {"0"}
    assert status_json(await receiver.edge.status())["routes"]["inbound"]["percent"] == 40
