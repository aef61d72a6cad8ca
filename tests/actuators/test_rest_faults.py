"""A carrier's API that misbehaves: one clear sentence each, nothing guessed, nothing written twice."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envmon.actuators.contract import EdgeError
from envmon.actuators.rest import RestEdge
from envmon.actuators.rest_template import at, body_of, percent_of
from envmon.config.edge_settings import EdgeSettings, RestRoute
from tests.actuators.levers import ROUTES, Carrier
from tests.ports import HOST, free_port

SHARE = RestRoute("outbound", "https://api.example/r", (("share", "{percent}"),), "/share")
LONG = "x" * 70_000
FLIP = replace(SHARE, fields=(("on", "{value}"),), read="/on", primary=True, backup=False)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Carrier]:
    async with Carrier(tmp_path, "twilio-origination") as carrier:
        yield carrier


async def refusal(settings: EdgeSettings, percent: int = 100) -> str:
    async with RestEdge(settings) as edge:
        with pytest.raises(EdgeError) as error:
            await edge.set_percent("outbound", percent, 7)
    assert "carrier-key" not in str(error.value)
    return str(error.value)


async def test_what_is_written_is_the_carriers_own_field_and_only_once(api: Carrier) -> None:
    async with RestEdge(api.settings()) as edge:
        for percent in (100, 100, 0):
            await edge.set_percent("outbound", percent, 7)
    assert api.writes == [{"Priority": "30"}, {"Priority": "10"}], "what is in force is not written again"


async def test_a_carrier_that_takes_a_moment_is_read_until_it_shows(api: Carrier) -> None:
    api.settles_after = 3
    async with RestEdge(api.settings(deadline_s=15.0)) as edge:
        await edge.set_percent("outbound", 100, 7)
        assert (await edge.status())[0].percent == 100


async def test_a_carrier_that_takes_an_order_and_does_not_follow_it_is_found_out(api: Carrier) -> None:
    api.settles_after = 1_000
    told = await refusal(api.settings(deadline_s=4.0))
    assert told.endswith("it took 100 % of epoch 7 for route outbound, but reports 0 % of epoch 7")


async def test_what_goes_wrong_in_reading_after_a_write_is_read_again_and_no_other_route_is(api: Carrier) -> None:
    api.hiccups = [(429, {}), (503, {}), (200, {"enabled": False, "priority": 30})]
    api.answers = {"inbound": (404, {})}
    async with RestEdge(api.settings(deadline_s=30.0)) as edge:
        await edge.set_percent("outbound", 100, 7)
    assert api.writes == [{"Priority": "30"}]
    assert api.hiccups == [] and set(api.reads) == {"outbound"}


async def test_a_connection_that_breaks_after_a_write_is_read_over(tmp_path: Path) -> None:
    async with Carrier(tmp_path, "twilio-origination") as api, RestEdge(api.settings(deadline_s=30.0)) as edge:
        api.breaks = 2
        await edge.set_percent("outbound", 100, 7)
    assert (api.writes, api.breaks) == ([{"Priority": "30"}], 0)


async def test_a_read_after_a_write_that_stays_wrong_is_an_error(api: Carrier) -> None:
    api.hiccups = [(429, {})] * 1_000
    assert "(429)" in await refusal(api.settings(deadline_s=4.0))
    assert api.writes == [{"Priority": "30"}] and len(api.reads) > 2


async def test_a_long_answer_to_a_write_is_none_of_our_concern(api: Carrier) -> None:
    api.padded = True
    async with RestEdge(api.settings(deadline_s=15.0)) as edge:
        await edge.set_percent("outbound", 100, 7)
    assert api.writes == [{"Priority": "30"}]


@pytest.mark.parametrize("fault", [(404, {}), (429, {}), (200, {"enabled": False, "priority": 10}), (200, {})])
async def test_one_routes_fault_leaves_the_other_to_be_seen(
    api: Carrier, fault: tuple[int, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with RestEdge(api.settings(deadline_s=15.0)) as edge:
        await edge.set_percent("inbound", 100, 7)
        for route, other in (("outbound", "inbound"), ("inbound", "outbound")):
            api.answers = {route: fault}
            caplog.clear()
            for _ in range(3):
                (status,) = await edge.status()
                assert (status.route, status.percent, status.fence) == (other, 100 * (other == "inbound"), 7)
            (line,) = caplog.messages
            assert line.startswith(f"route {route} cannot be read: edge edge0 at ")
        api.answers = dict.fromkeys(ROUTES, fault)
        with pytest.raises(EdgeError, match="edge edge0 at "):
            await edge.status()


async def test_a_route_elsewhere_that_refuses_the_connection_leaves_the_other_to_be_seen(api: Carrier) -> None:
    settings = api.settings(deadline_s=15.0)
    assert settings.rest is not None
    away, near = settings.rest.routes
    away = replace(away, url=f"http://{HOST}:{free_port()}/")
    async with RestEdge(replace(settings, rest=replace(settings.rest, routes=(away, near)))) as edge:
        assert [status.route for status in await edge.status()] == [near.route]


@pytest.mark.parametrize(
    ("code", "answer", "words"),
    [
        (401, {}, "it refused our credentials (401)"),
        (403, {}, "our credentials may not do this (403)"),
        (404, {}, "there is nothing at this URL (404)"),
        (429, {}, "it takes no more requests for now (429)"),
        (302, {}, "it answered 302: compare the template with the carrier's documents"),
        (500, {"error": "trunk carrier-key is broken"}, "it answered 500: 'trunk <secret> is broken'"),
        (200, {"enabled": True}, "route outbound: its answer has no /priority"),
        (200, [], "route outbound: its answer has no /enabled"),
        (200, {"enabled": True, "priority": 17}, "it shows 17 at /priority, neither 10 (primary) nor 30 (backup)"),
        (200, {"enabled": True, "priority": 10, "x": LONG}, "its answer is longer than 65536 bytes: ask it for less"),
        (403, {"error": LONG}, "our credentials may not do this (403)"),
        (200, {"enabled": False, "priority": 10}, "it shows False at /enabled, not true: the position means nothing"),
    ],
)
async def test_every_fault_of_a_carrier_is_one_sentence(api: Carrier, code: int, answer: Any, words: str) -> None:
    api.answer = (code, answer)
    told = await refusal(api.settings())
    assert words in told
    assert told.startswith(f"edge edge0 at http://127.0.0.1:{api.port}: ")


async def test_a_share_that_the_template_does_not_name_is_refused_before_anything_is_sent(api: Carrier) -> None:
    told = await refusal(api.settings(), percent=50)
    assert "the percent must be 0 or 100, not 50: its template names nothing between" in told
    assert api.writes == []


async def test_a_damaged_memory_of_epochs_is_not_guessed_at(api: Carrier, tmp_path: Path) -> None:
    (tmp_path / "edge.epochs").write_text("torn")
    assert "write the greatest epoch the journal shows" in await refusal(api.settings())


def test_fields_are_names_or_places_in_nested_objects_and_keep_their_kind() -> None:
    fields = (
        ("share", "{percent}"), ("/a/b", "{remainder}"), ("/a/c~1d", "by {route}, epoch {epoch}"), ("keep", True),
        ("/a/n", 3),
    )  # fmt: skip
    kind, body = body_of(replace(SHARE, fields=fields), 40, 8)
    assert kind == "application/json"
    assert json.loads(body) == {
        "share": 40, "a": {"b": 60, "c/d": "by outbound, epoch 8", "n": 3}, "keep": True,
    }  # fmt: skip
    assert json.loads(body_of(FLIP, 100, 8)[1]) == {"on": False}
    form = replace(FLIP, form=True, fields=(("On", "{value}"), ("Note", "a&b={epoch}")))
    assert body_of(form, 0, 8) == ("application/x-www-form-urlencoded", b"On=true&Note=a%26b%3D8")


def test_what_an_order_carries_is_put_into_fields_and_never_read_as_a_template() -> None:
    odd = replace(SHARE, route="{percent}", fields=(("note", "for {route}"), ("share", "{percent}")))
    assert json.loads(body_of(odd, 40, 8)[1]) == {"note": "for {percent}", "share": 40}


@pytest.mark.parametrize(("shows", "percent"), [(0, 0), (40, 40), (100.0, 100)])
def test_a_whole_percentage_is_a_position(shows: object, percent: int) -> None:
    assert percent_of(SHARE, {"share": shows}) == percent


@pytest.mark.parametrize("shows", [0.4, -1, 101, True, None, "40", float("nan"), [], {}])
def test_anything_else_is_not(shows: object) -> None:
    with pytest.raises(ValueError, match="at /share, no whole percentage"):
        percent_of(SHARE, {"share": shows})


@pytest.mark.parametrize("pointer", ["/a/2", "/a/-1", "/a/x", "/b", "/a/0/c/d", "/a/99999999999999999999", "/a/\u0661"])
def test_a_pointer_that_leads_nowhere_says_so(pointer: str) -> None:
    document = {"a": [{"c": 1}, 2]}
    assert at(document, "/a/0/c") == 1
    with pytest.raises(ValueError, match="its answer has no "):
        at(document, pointer)
