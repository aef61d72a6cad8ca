"""The dispatcher actuator and deploy/kamailio/rpc.cfg: what undoes a state, what is never touched, what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.dispatcher import DispatcherEdge
from envmon.config.edge_settings import DispatcherSettings, DispatcherTargets, EdgeSettings
from envmon.config.secret import Secret
from envmon.model.event import EdgeStatus
from tests.actuators.levers import Dispatcher


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Dispatcher]:
    async with Dispatcher(tmp_path / "proxy") as started:
        yield started


async def rpc(proxy: Dispatcher, body: str, token: str = "rpc-token", method: str = "POST") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        ClientSession() as session,
        session.request(method, proxy.settings().url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


def call(method: str, *params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})


async def flags(proxy: Dispatcher, number: int) -> dict[str, str]:
    _, text = await rpc(proxy, call("dispatcher.list", "short"))
    records = json.loads(text)["result"]["RECORDS"]
    (found,) = [record["SET"]["TARGETS"] for record in records if record["SET"]["ID"] == number]
    return {each["DEST"]["URI"]: each["DEST"]["FLAGS"] for each in found}


async def outbound(edge: DispatcherEdge) -> EdgeStatus:
    return (await edge.status())[0]


async def test_the_primarys_destinations_are_disabled_in_their_set_only(proxy: Dispatcher) -> None:
    async with DispatcherEdge(proxy.settings()) as edge:
        await edge.set_percent("outbound", 100, 1)
        assert {state[0] for state in (await flags(proxy, 1)).values()} == {"D"}
        assert {state[0] for state in (await flags(proxy, 9)).values()} == {"A"}, "the same URI in another set"
        await edge.set_percent("outbound", 0, 1)
        assert {state[0] for state in (await flags(proxy, 1)).values()} <= {"A", "I"}


async def test_what_undoes_the_state_is_seen_and_written_again(proxy: Dispatcher) -> None:
    async with DispatcherEdge(proxy.settings()) as edge:
        await edge.set_percent("outbound", 100, 3)
        first, second = proxy.uris["outbound"]
        await rpc(proxy, call("dispatcher.set_state", "ap", 1, first))
        status = await outbound(edge)
        assert (status.percent, status.set_epoch) == (50, 3)
        await edge.set_percent("outbound", 100, 3)
        await rpc(proxy, call("dispatcher.set_state", "i", 1, second))
        assert (await outbound(edge)).percent == 50, "inactive is not disabled: probing brings it back"
        await edge.set_percent("outbound", 100, 3)
        assert (await outbound(edge)).percent == 100


async def test_a_half_is_refused_before_anything_is_sent(proxy: Dispatcher) -> None:
    async with DispatcherEdge(proxy.settings()) as edge:
        with pytest.raises(EdgeError, match="must be 0 or 100, not 50"):
            await edge.set_percent("outbound", 50, 3)
        assert (await outbound(edge)).fence == 0


async def test_a_destination_that_is_not_there_is_named(proxy: Dispatcher) -> None:
    settings = proxy.settings()
    assert settings.dispatcher is not None
    for target in (
        replace(settings.dispatcher.targets[0], set=77),
        replace(settings.dispatcher.targets[0], uris=("sip:192.0.2.1",)),
    ):
        wrong = replace(settings, dispatcher=DispatcherSettings((target,), settings.dispatcher.memory))
        async with DispatcherEdge(wrong) as edge:
            for attempt in (edge.status(), edge.set_percent("outbound", 100, 1), edge.stamp(1)):
                with pytest.raises(EdgeError, match=rf"set {target.set} has no destination sip:"):
                    await attempt


@pytest.mark.parametrize(
    ("list_says", "uptime", "says"),
    [
        (
            '[{"SET":{"ID":1e999,"TARGETS":[{"DEST":{"URI":"u","FLAGS":"AP"}}]}}]',
            "5",
            "dispatcher.list is not Kamailio's",
        ),
        ('[{"SET":{"ID":1,"TARGETS":[{"DEST":{"URI":%s,"FLAGS":"AP"}}]}}]' % ("[" * 900 + "]" * 900), "5", "edge_1"),
        ("[]", "1e999", "core.uptime is not Kamailio's"),
        ("[]", "1" + "0" * 400, "core.uptime is not Kamailio's"),
        ("[]", "NaN", "core.uptime is not Kamailio's"),
        ("[]", "-1e300", "core.uptime would have it start"),
    ],
)
async def test_numbers_no_proxy_has_are_one_error(tmp_path: Path, list_says: str, uptime: str, says: str) -> None:
    started = '"up_since":"Sun Nov 22 19:00:00 2026"'

    async def told(request: web.Request) -> web.Response:
        method = (await request.json())["method"]
        result = f'{{"RECORDS":{list_says}}}' if method == "dispatcher.list" else f'{{{started},"uptime":{uptime}}}'
        return web.Response(text=f'{{"jsonrpc":"2.0","id":1,"result":{result}}}')

    app = web.Application()
    app.router.add_post("/", told)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (tmp_path / "token").write_text("rpc-token")
        target = DispatcherTargets("outbound", 1, ("sip:192.0.2.1",))
        settings = EdgeSettings("edge_1", "dispatcher", "hall_a", "", "127.0.0.1", 5060, None)
        settings = replace(
            settings,
            url=f"http://127.0.0.1:{runner.addresses[0][1]}/",
            token=Secret(f"file:{tmp_path / 'token'}"),
            dispatcher=DispatcherSettings((target,), tmp_path / "epochs"),
        )
        async with DispatcherEdge(settings) as edge:
            with pytest.raises(EdgeError, match=says) as error:
                await edge.status()
        assert len(str(error.value)) < 300
    finally:
        await runner.cleanup()


async def test_the_epochs_survive_us(proxy: Dispatcher) -> None:
    async with DispatcherEdge(proxy.settings()) as edge:
        await edge.set_percent("outbound", 100, 5)
        await edge.stamp(7)
    async with DispatcherEdge(proxy.settings()) as edge:
        status = await outbound(edge)
        assert (status.percent, status.set_epoch, status.fence) == (100, 5, 7)
        with pytest.raises(Fenced) as refusal:
            await edge.stamp(6)
        assert refusal.value.fence == 7


@pytest.mark.parametrize("text", ["", "[]", '{"fence": -1, "routes": {}}', '{"fence": 1}', '{"fence": 1, "routes": 5}'])
async def test_epochs_that_are_not_ours_are_never_guessed(proxy: Dispatcher, text: str) -> None:
    (proxy.directory / "edge.epochs").write_text(text)
    async with DispatcherEdge(proxy.settings()) as edge:
        for attempt in (edge.status(), edge.stamp(9), edge.set_percent("outbound", 100, 9)):
            with pytest.raises(EdgeError, match=r"edge\.epochs cannot be read: .*; write the greatest epoch"):
                await attempt
    assert {state[0] for state in (await flags(proxy, 1)).values()} == {"A"}


async def test_a_disk_that_refuses_moves_nothing(proxy: Dispatcher) -> None:
    (proxy.directory / "edge.epochs.new").mkdir()
    async with DispatcherEdge(proxy.settings()) as edge:
        with pytest.raises(EdgeError, match="cannot be written: Is a directory"):
            await edge.set_percent("outbound", 100, 9)
    assert {state[0] for state in (await flags(proxy, 1)).values()} == {"A"}


async def test_a_wrong_token_and_a_wrong_path(proxy: Dispatcher, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("rpc-tokeN")
    settings = proxy.settings(token=Secret(f"file:{tmp_path}/mine"))
    async with DispatcherEdge(settings) as edge:
        with pytest.raises(EdgeError, match=r"refused our token \(401\)"):
            await edge.set_percent("outbound", 100, 1)
    async with DispatcherEdge(replace(proxy.settings(), url=settings.url.removesuffix("/RPC"))) as edge:
        with pytest.raises(EdgeError, match=r"no JSON-RPC at this URL \(404\)"):
            await edge.status()


@pytest.mark.parametrize(
    "body",
    [
        call("core.kill", 15),
        call("dispatcher.reload"),
        call("dispatcher.remove", 1, "sip:x"),
        call("core.uptime").replace('"id"', '"method": "core.kill", "id"'),
        call("core.uptime").replace('"params": []', '"params": [], "meth\\u006fd": "core.kill"'),
        call("core.uptime").replace("[]", '[{"method": "core.kill"}]'),
        call("core.uptime") + call("core.kill"),
        f"[{call('core.uptime')}, {call('core.kill')}]",
        call("core.uptime").replace("{", '{"method": "core.kill", ', 1),
        call("core.uptimeX"),
        "",
    ],
)
async def test_rpc_cfg_opens_three_methods_and_no_other(proxy: Dispatcher, body: str) -> None:
    assert (await rpc(proxy, body))[0] in (400, 403)
    assert (await rpc(proxy, call("core.uptime"), token=""))[0] == 401
    assert (await rpc(proxy, call("core.uptime"), method="PUT"))[0] == 404
    await asyncio.sleep(0)
    proxy.must_run()
    assert (await rpc(proxy, call("core.uptime")))[0] == 200
