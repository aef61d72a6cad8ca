"""The Kamailio actuator against edges that lie, drip, redirect or are not there: one clear sentence each time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.kamailio import KamailioEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from tests.ports import free_port
from tests.telephony.rig import Rig

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "s3cret-token"
ROUTE = {
    "percent": 100,
    "set_epoch": 3,
    "calls_primary": 0,
    "calls_backup": 0,
    "active_primary": 0,
    "active_backup": 0,
}


def status(route: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"up_since": 1, "fence": 3, "routes": {"outbound": {**ROUTE, **(route or {})}}, **changes}


@pytest.fixture
def token(tmp_path: Path) -> Secret:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return Secret(f"file:{tmp_path}/token")


def settings(port: int, token: Secret | None) -> EdgeSettings:
    return EdgeSettings("e1", "kamailio", "z", f"http://127.0.0.1:{port}", "127.0.0.1", port, token, deadline_s=2.0)


@asynccontextmanager
async def foreign_edge(answer: Answer, token: Secret) -> AsyncIterator[KamailioEdge]:
    """An HTTP server that is no edge of ours and answers what the test wants."""
    runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with KamailioEdge(settings(port, token)) as edge:
            yield edge
    finally:
        await runner.cleanup()


def always(content: Any, code: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(content, status=code)

    return answer


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<html>", "no routes"),
        ([], "no routes"),
        ({}, "no routes"),
        (status(routes={}), "no routes"),
        (status(routes={"outbound": 5}), "percent is None"),
        (status(fence=None), "fence is None"),
        (status(fence=True), "fence is True"),
        (status(up_since=1.5), "up_since is 1.5"),
        (status({"percent": 101}), "percent is 101"),
        (status({"percent": "100"}), "percent is '100'"),
        (status({"calls_backup": -1}), "calls_backup is -1"),
        (status({"active_primary": 2**70}), "active_primary is"),
    ],
)
async def test_a_status_that_is_none_is_no_status(content: Any, says: str, token: Secret) -> None:
    async with foreign_edge(always(content), token) as edge:
        with pytest.raises(EdgeError, match=says) as fault:
            await edge.status()
    assert "edge e1 at http://127.0.0.1:" in str(fault.value)


async def test_accepted_but_not_reported_is_not_done(token: Secret) -> None:
    async with foreign_edge(always(status()), token) as edge:
        await edge.set_percent("outbound", 100, 3)
        await edge.stamp(3)
        with pytest.raises(EdgeError, match=r"took 50 % of epoch 3.*reports 100 % of epoch 3"):
            await edge.set_percent("outbound", 50, 3)
        with pytest.raises(EdgeError, match="took epoch 4, but reports the fence 3"):
            await edge.set_percent("outbound", 100, 4)
        with pytest.raises(EdgeError, match="took epoch 4, but reports the fence 3"):
            await edge.stamp(4)
        with pytest.raises(EdgeError, match="does not report that route"):
            await edge.set_percent("inbound", 100, 3)
        with pytest.raises(Fenced) as refusal:
            await edge.stamp(2)
        assert refusal.value.fence == 3


@pytest.mark.parametrize(
    ("code", "content", "says"),
    [
        (401, {"error": "x"}, "refused our token.*ENVMON_TOKEN_SHA256"),
        (403, None, "our address.*ENVMON_SOURCES"),
        (404, None, "answered 404: is envmon.cfg included"),
        (409, {"fence": "x"}, "answered 409"),
        (500, {"error": "in force, but not stored"}, "answered 500: 'in force, but not stored'"),
        (302, None, "answered 302"),
        (500, {"error": "a\nb" * 10_000}, r"answered 500: 'a\\nb"),
    ],
)
async def test_a_refusal_says_what_to_do(code: int, content: Any, says: str, token: Secret) -> None:
    async with foreign_edge(always(content, code), token) as edge:
        for attempt in (edge.status(), edge.stamp(1), edge.set_percent("outbound", 1, 1)):
            with pytest.raises(EdgeError, match=says) as fault:
                await attempt
            assert not isinstance(fault.value, Fenced)
            assert TOKEN not in str(fault.value)
            assert "\n" not in str(fault.value)
            assert len(str(fault.value)) < 500


async def test_no_redirect_carries_the_token_away(token: Secret) -> None:
    seen: list[str] = []

    async def thief(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        if "stolen" not in request.path:
            raise web.HTTPFound("/stolen")
        return web.json_response(status())

    async with foreign_edge(thief, token) as edge:
        with pytest.raises(EdgeError, match="302"):
            await edge.status()
    assert seen == ["/envmon/v1/status"]


async def test_an_answer_that_never_ends_ends_at_the_deadline(token: Secret) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(100):
            await answer.write(b" ")
            await asyncio.sleep(0.05)
        return answer

    async def flood(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(10_000):
            await answer.write(b"[" * 65_536)
        return answer

    async with foreign_edge(drip, token) as edge:
        with pytest.raises(EdgeError, match=r"no answer within 2 s"):
            await edge.status()
    async with foreign_edge(flood, token) as edge:
        with pytest.raises(EdgeError, match="its answer is longer than 65536 bytes"):
            await edge.status()


async def test_a_connection_that_breaks_is_an_edge_error(token: Secret) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with foreign_edge(cut, token) as edge:
        with pytest.raises(EdgeError, match="the connection broke"):
            await edge.status()
    async with KamailioEdge(settings(free_port(), token)) as edge:
        with pytest.raises(EdgeError, match="cannot connect"):
            await edge.status()


@pytest.mark.parametrize("bad", ["", "two words", "line\nfeed", "schlüssel"])
async def test_a_token_that_cannot_be_sent_is_named_by_its_reference(bad: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(bad, encoding="utf-8")
    async with foreign_edge(always(status()), Secret(f"file:{tmp_path}/token")) as edge:
        with pytest.raises(EdgeError, match="the token is empty or holds"):
            await edge.status()
    async with foreign_edge(always(status()), Secret(f"file:{tmp_path}/absent")) as edge:
        with pytest.raises(EdgeError, match="absent: No such file"):
            await edge.status()


async def test_a_wrong_or_rotated_token_at_a_real_edge(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        mine = tmp_path / "mine"
        mine.write_text("rig-tokeN")
        async with KamailioEdge(replace(rig.edge(token_file=mine), deadline_s=5.0)) as edge:
            with pytest.raises(EdgeError, match="refused our token"):
                await edge.set_percent("outbound", 100, 1)
            mine.write_text(rig.token)
            (at_edge,) = await edge.status()
            assert (at_edge.percent, at_edge.fence) == (0, 0)


async def test_an_edge_that_is_not_open_says_so(token: Secret) -> None:
    with pytest.raises(EdgeError, match="not open"):
        await KamailioEdge(settings(1, token)).status()
