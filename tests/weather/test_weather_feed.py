"""Weather services over real HTTP: what is heeded, what is over, and how every failure becomes unknown, never clear."""

import asyncio
import gzip
import json
import socket
from dataclasses import replace

import pytest
from aiohttp import web

from envmon.config.settings import WeatherSettings
from envmon.weather import FEEDS
from envmon.weather.contract import Look
from envmon.weather.fetch import LARGEST
from tests.weather.weather_server import (
    AROUND,
    DALLAS,
    ELSEWHERE,
    WALL,
    alert,
    at,
    atom,
    collection,
    feature,
    rss,
    serving,
)


async def look(settings: WeatherSettings, now: float = WALL) -> Look:
    async with FEEDS[settings.kind](settings, "1.2.3") as feed:
        return await feed.look(now)


async def seen(body: bytes, kind: str = "nws", now: float = WALL, **changes) -> Look:
    async with serving() as site:
        site.pages["/feed"] = body
        return await look(site.settings(kind, **changes), now)


# --- the National Weather Service ---------------------------------------------------------------------------------


async def test_an_alert_of_the_nws_becomes_a_warning_and_we_say_who_asks():
    async with serving() as site:
        site.pages["/feed"] = collection(feature())
        told = await look(site.settings("nws"))
        (request,) = site.asked
    (warning,) = told.warnings
    assert told.error == ""
    assert (warning.event, warning.severity, warning.id) == ("Severe Thunderstorm Warning", "severe", "urn:oid:1")
    assert (warning.onset, warning.until) == (WALL - 600, WALL + 5400)
    assert warning.headline == "A storm is coming"
    assert request.headers["User-Agent"] == "envmon/1.2.3 (noc@example.com)"
    assert request.headers["Accept"] == "application/geo+json"
    assert request.query_string == "point=32.7767,-96.7970"


async def test_areas_are_asked_for_as_zones_and_a_query_of_ones_own_is_kept():
    async with serving() as site:
        site.pages["/feed"] = collection()
        await look(site.settings("nws", areas=("TXC113", "TXZ119")))
        await look(site.settings("nws", "/feed?area=TX"))
        assert [request.query_string for request in site.asked] == ["zone=TXC113,TXZ119", "area=TX"]


async def test_the_events_own_end_counts_not_the_messages():
    told = await seen(collection(feature(ends=at(300))))
    assert told.warnings[0].until == WALL + 300 * 60


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": at(-1)},
        {"status": "Test"},
        {"status": "Exercise"},
        {"messageType": "Cancel"},
        {"messageType": "Ack"},
        {"severity": "Minor"},
        {"urgency": "Past"},
        {"response": "AllClear"},
    ],
)
async def test_what_is_over_a_test_or_minor_is_no_warning_and_no_fault(changes):
    assert await seen(collection(feature(**changes))) == Look(())


async def test_named_events_are_heeded_whatever_their_severity_and_no_others():
    some = collection(
        feature("a", event="Tornado Watch", severity="Moderate"), feature("b", event="Dust Advisory"), feature("c")
    )
    told = await seen(some, events=("tornado *", "Dust Advisory"))
    assert sorted(warning.id for warning in told.warnings) == ["a", "b"]


async def test_an_unknown_severity_is_not_taken_for_harmless():
    (warning,) = (await seen(collection(feature(severity="Unknown")))).warnings
    assert warning.severity == "unknown"


async def test_an_update_and_a_cancel_end_what_they_refer_to():
    def refers(name, sender="w-nws.webmaster@noaa.gov"):
        return [{"@id": "x", "identifier": name, "sender": sender, "sent": at(-10)}]

    old, other = feature("old", event="Tornado Warning"), feature("other")
    update = feature("new", messageType="Update", references=refers("old"), expires=at(30))
    cancel = feature("end", messageType="Cancel", references=refers("other"))
    assert [w.id for w in (await seen(collection(old, update))).warnings] == ["new"]
    assert [w.id for w in (await seen(collection(old, other, cancel))).warnings] == ["old"]
    stranger = feature("end", messageType="Cancel", references=refers("old"), sender="mallory@example.com")
    assert [w.id for w in (await seen(collection(old, stranger))).warnings] == ["old"]


async def test_the_place_decides():
    assert len((await seen(collection(feature(ring=AROUND)))).warnings) == 1
    assert (await seen(collection(feature(ring=ELSEWHERE)))).warnings == ()
    assert (
        len((await seen(collection(feature(ring=None)))).warnings) == 1
    )  # by zone: the service was asked for us alone
    assert len((await seen(collection(feature(ring=None)), point=None, areas=("txc113",))).warnings) == 1
    assert (await seen(collection(feature(ring=None)), point=None, areas=("TXC001",))).warnings == ()
    many = feature()
    many["geometry"] = {"type": "MultiPolygon", "coordinates": [[ELSEWHERE], [AROUND]]}
    assert len((await seen(collection(many))).warnings) == 1


async def test_a_place_that_cannot_be_compared_is_not_clear():
    async with serving() as site:
        site.pages["/feed"] = collection(feature(ring=None))
        told = await look(site.settings("nws", "/feed?area=TX"))
    assert told.warnings == ()
    assert "1 warnings do not say where" in told.error


async def test_one_alert_that_cannot_be_read_is_a_fault_beside_the_others():
    broken = feature("broken", expires=7)
    told = await seen(collection(feature("sound"), broken, "nonsense"))
    assert [warning.id for warning in told.warnings] == ["sound"]
    assert "features[1].properties.expires is no text; features[2] has no properties" in told.error


async def test_a_code_that_is_no_text_is_nobodys():
    odd = feature("odd")
    odd["properties"]["geocode"] = {"SAME": [["nested"], {}, 7, "048113"]}
    told = await seen(collection(odd))
    assert [warning.id for warning in told.warnings] == ["odd"]


async def test_more_pages_than_one_are_not_the_whole_sky():
    told = await seen(collection(feature(), pagination={"next": "https://api.weather.gov/alerts?cursor=x"}))
    assert len(told.warnings) == 1
    assert "there are more pages" in told.error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff garbage",
        b"<html>captive portal</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"features": {}}',
        b"[" * 100_000,
        json.dumps(
            {"features": [{"properties": {"id": "x"}, "geometry": {"type": "Point", "coordinates": 1}}]}
        ).encode(),
        json.dumps(
            {"features": [{"properties": {"id": "x"}, "geometry": {"type": "Polygon", "coordinates": []}}]}
        ).encode(),
        json.dumps({"features": [{"properties": {"id": "x"}, "geometry": 3}]}).encode(),
        *(
            f'{{"features":[{{"properties":{{"id":"x"}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}'.encode()
            for ring in ("[]", "[[1,2],[3,4]]", "[[1,2],[3,1e999],[5,6]]", f"[[1,2],[3,1{'0' * 400}],[5,6]]")
        ),
    ],
)
async def test_garbage_is_unknown_and_told_in_one_line(body):
    told = await seen(body)
    assert told.warnings == ()
    assert told.error.startswith("127.0.0.1: ")
    assert "\n" not in told.error
    assert len(told.error) < 300


# --- times --------------------------------------------------------------------------------------------------------


async def test_a_time_without_a_zone_never_ends_a_warning_early():
    naive = feature(expires="2015-05-29T03:20:00", onset="2015-05-29T04:00:00")  # Dallas wall time, zone forgotten
    (warning,) = (await seen(collection(naive))).warnings
    assert warning.until == WALL - 600 + (12 - 5) * 3600  # 03:20 at UTC-12
    assert warning.onset == WALL + 1800 - (14 + 5) * 3600  # 04:00 at UTC+14


@pytest.mark.parametrize("expires", ["tomorrow", "", "2015-13-45T99:00:00Z", "9999-12-31T23:59:59-23:59"])
async def test_an_end_that_cannot_be_read_is_twelve_hours_from_the_sending_or_two_weeks_at_most(expires):
    (warning,) = (await seen(collection(feature(expires=expires)))).warnings
    assert warning.until in (WALL - 600 + 43_200, WALL + 14 * 86_400)


async def test_times_in_other_zones_and_in_utc_are_the_same_moments():
    for text in ("2015-05-29T10:00:00Z", "2015-05-29T10:00:00-00:00", "2015-05-29T19:00:00+09:00"):
        (warning,) = (await seen(collection(feature(expires=text)))).warnings
        assert warning.until == WALL + 5400


# --- CAP ----------------------------------------------------------------------------------------------------------


async def test_a_cap_document_by_its_url():
    (warning,) = (await seen(alert(), "cap")).warnings
    assert (warning.id, warning.event, warning.headline) == ("A1", "Orkan", "Sturm")
    assert (warning.onset, warning.until) == (WALL - 300, WALL + 5400)


async def test_cap_without_an_end_and_with_an_event_ending_time():
    (warning,) = (await seen(alert(expires=""), "cap")).warnings
    assert warning.until == WALL - 600 + 43_200
    ending = f"<parameter><valueName>eventEndingTime</valueName><value>{at(240)}</value></parameter>"
    (warning,) = (await seen(alert(extra=ending), "cap")).warnings
    assert warning.until == WALL + 240 * 60


@pytest.mark.parametrize(
    ("area", "here"),
    [
        ("<circle>32.78,-96.80 10</circle>", True),
        ("<circle>33.78,-96.80 10</circle>", False),
        ("<geocode><valueName>EMMA_ID</valueName><value>de413</value></geocode>", True),
        ("<geocode><valueName>FIPS6</valueName><value>048113 048085</value></geocode>", False),
        ("<polygon>32.5,-97.2 32.5,nonsense</polygon>", None),
        ("<polygon>1,2</polygon><circle>nan,0 1</circle>", None),
        ("", None),
    ],
)
async def test_cap_areas(area, here):
    told = await seen(alert(area=area), "cap", areas=("DE413",))
    assert len(told.warnings) == (here is True)
    assert bool(told.error) == (here is None)


async def test_a_polygon_over_the_date_line():
    fiji = "<polygon>-20,177 -20,-178 -15,-178 -15,177 -20,177</polygon>"
    for point in ((-17.0, 179.5), (-17.0, -179.5)):
        assert len((await seen(alert(area=fiji), "cap", point=point)).warnings) == 1
    assert (await seen(alert(area=fiji), "cap", point=(-17.0, 0.0))).warnings == ()


async def test_the_same_warning_in_two_languages_is_one():
    german, english = (alert(event=event).decode() for event in ("Orkan", "Hurricane"))
    second = english[english.index("<info>") : english.index("</alert>")]
    told = await seen(german.replace("</alert>", f"{second}</alert>").encode(), "cap")
    assert [warning.event for warning in told.warnings] == ["Orkan"]


async def test_an_atom_index_with_the_alerts_own_elements_needs_one_request():
    entry = (
        "<id>e1</id><updated>2015-05-29T08:20:00Z</updated><title>Hitze</title><cap:event>Hitze</cap:event>"
        f"<cap:expires>{at(60)}</cap:expires><cap:severity>Extreme</cap:severity><cap:status>Actual</cap:status>"
        "<cap:message_type>Alert</cap:message_type>"
        "<cap:geocode><valueName>EMMA_ID</valueName><value>DE413</value></cap:geocode>"
    )
    async with serving() as site:
        site.pages["/feed"] = atom(entry, entry.replace("e1", "e2").replace("DE413", "DE999"))
        told = await look(site.settings(point=None, areas=("DE413",)))
        assert site.paths == ["/feed"]
    assert [(w.id, w.event, w.severity, w.headline) for w in told.warnings] == [("e1", "Hitze", "extreme", "Hitze")]


@pytest.mark.parametrize("index", ["atom", "rss"])
async def test_an_index_of_links_is_followed_once_and_a_cancel_in_it_counts(index):
    async with serving() as site:
        links = ["/a1", "/a2", "/c1"]
        site.pages["/feed"] = (
            rss(*links) if index == "rss" else atom(*(f'<link type="application/cap+xml" href="{x}"/>' for x in links))
        )
        site.pages |= {"/a1": alert("A1"), "/a2": alert("A2")}
        site.pages["/c1"] = alert("C1", kind="Cancel", references=f"wetter@example.net,A1,{at(-10)}")
        async with FEEDS["cap"](site.settings(), "1") as feed:
            first, second = await feed.look(WALL), await feed.look(WALL)
    assert [warning.id for warning in first.warnings] == ["A2"]
    assert first == second
    assert sorted(site.paths) == ["/a1", "/a2", "/c1", "/feed", "/feed"]


async def test_a_linked_document_that_fails_is_a_fault_and_is_tried_again():
    async with serving() as site:
        site.pages |= {"/feed": rss("/a1", "/a2"), "/a1": alert("A1")}
        async with FEEDS["cap"](site.settings(), "1") as feed:
            first = await feed.look(WALL)
            site.pages["/a2"] = alert("A2")
            second = await feed.look(WALL)
    assert [warning.id for warning in first.warnings] == ["A1"]
    assert "/a2: it answered 404" in first.error
    assert len(second.warnings) == 2
    assert second.error == ""


async def test_other_hosts_are_asked_only_when_configured():
    async with serving() as site, serving() as other:
        site.pages["/feed"] = rss(f"{other.url}/a1".replace("127.0.0.1", "localhost"), "file:///etc/passwd", "http://[")
        other.pages["/a1"] = alert()
        told = await look(site.settings())
        assert told.warnings == ()
        assert "on a host that is not configured; add it to hosts: [localhost]" in told.error
        assert not other.asked
        told = await look(site.settings(hosts=("localhost",)))
        assert len(told.warnings) == 1


async def test_an_index_in_an_index_and_one_too_long_are_faults():
    async with serving() as site:
        site.pages |= {"/feed": rss("/more", *(f"/{n}" for n in range(60))), "/more": rss("/x")}
        site.pages |= {f"/{n}": alert(f"A{n}") for n in range(60)}
        told = await look(site.settings())
        assert len(site.asked) == 51
    assert "the index names 61 documents, 50 are read" in told.error
    assert "an index within an index" in told.error
    assert len(told.warnings) == 49


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE alert [<!ENTITY a "storm storm"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE alert [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
PARAMETER = '<?xml version="1.0"?><!DOCTYPE alert SYSTEM "http://127.0.0.1:1/x.dtd">'


@pytest.mark.parametrize("head", [BOMB, OUTSIDE, PARAMETER])
async def test_a_document_type_is_refused_before_anything_expands(head):
    told = await seen(alert(head=head, event="&a;"), "cap")
    assert told.warnings == ()
    assert "declares a document type" in told.error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<alert>",
        b"<alert/>",
        b"<html><body>portal</body></html>",
        b"<rss/>",
        b'<?xml version="1.0" encoding="x-no-such"?><alert/>',
        b"<a>" * 100 + b"</a>" * 100,
        b"<feed>" + b"<entry/>" * 3 + b"</feed>",
        alert().replace(b"<event>", b"<event>\x00"),
        alert()[:-20],
    ],
)
async def test_xml_garbage_is_unknown_and_told_in_one_line(body):
    told = await seen(body, "cap")
    assert told.warnings == ()
    assert told.error.startswith("127.0.0.1: ")
    assert "\n" not in told.error
    assert len(told.error) < 300


async def test_a_feed_cannot_fill_our_pages():
    (warning,) = (await seen(alert(event="x" * 100_000 + "&#10;"), "cap")).warnings
    assert len(warning.event) == 200
    many = collection(*(feature(f"n{n}") for n in range(300)))
    assert len((await seen(many)).warnings) == 100


# --- the network --------------------------------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_sent_again_and_still_stands():
    async with serving() as site:

        async def versioned(request: web.Request) -> web.Response:
            if request.headers.get("If-None-Match") == '"v1"' and "If-Modified-Since" in request.headers:
                return web.Response(status=304)
            told = {"ETag": '"v1"', "Last-Modified": "Fri, 29 May 2015 08:00:00 GMT"}
            return web.Response(body=collection(feature()), headers=told)

        site.pages["/feed"] = versioned
        async with FEEDS["nws"](site.settings("nws"), "1") as feed:
            first, second, late = await feed.look(WALL), await feed.look(WALL + 60), await feed.look(WALL + 9_000)
    assert first == second
    assert len(first.warnings) == 1
    assert late == Look(())  # over by its own end, though the document did not change


async def test_after_garbage_the_whole_document_is_asked_for():
    async with serving() as site:
        bodies = [b"garbage", collection(feature())]

        async def versioned(request: web.Request) -> web.Response:
            if "If-None-Match" in request.headers:
                return web.Response(status=304)
            return web.Response(body=bodies.pop(0), headers={"ETag": '"v1"'})

        site.pages["/feed"] = versioned
        async with FEEDS["nws"](site.settings("nws"), "1") as feed:
            assert (await feed.look(WALL)).error
            assert len((await feed.look(WALL)).warnings) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(301, "wants another URL"), (403, "answered 403"), (500, "answered 500"), (304, "answered 304")],
)
async def test_other_answers_are_unknown(status, words):
    async with serving() as site:

        async def refuse(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": "/other"} if status == 301 else {})

        site.pages["/feed"] = refuse
        told = await look(site.settings())
        assert words in told.error
        assert len(site.asked) == 1


@pytest.mark.parametrize(("header", "seconds"), [("120", 120.0), ("999999", 3600.0), ("-1", 0.0), ("soon", 0.0)])
async def test_a_service_that_wants_to_be_left_alone_says_for_how_long(header, seconds):
    async with serving() as site:

        async def busy(request: web.Request) -> web.Response:
            return web.Response(status=429, headers={"Retry-After": header})

        site.pages["/feed"] = busy
        assert (await look(site.settings())).again_s == seconds


async def test_a_huge_answer_is_not_read_to_its_end_even_when_it_is_packed():
    packed = gzip.compress(b" " * (LARGEST + 1))
    async with serving() as site:

        async def bomb(request: web.Request) -> web.Response:
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

        site.pages["/feed"] = bomb
        assert "larger than 4 MiB" in (await look(site.settings())).error


async def test_a_slow_answer_ends_at_the_deadline():
    async with serving() as site:

        async def drip(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(1_000):
                await response.write(b" ")
                await asyncio.sleep(0.05)
            return response

        site.pages["/feed"] = drip
        told = await look(site.settings(deadline_s=0.3))
    assert told == Look((), "127.0.0.1: no whole answer in 0.3 s")


async def test_a_connection_that_breaks_and_none_at_all():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = WeatherSettings("w", "cap", f"http://127.0.0.1:{taken.getsockname()[1]}/", "me", point=DALLAS)
        assert "no connection" in (await look(settings)).error
        assert "no connection" in (await look(replace(settings, kind="nws"))).error

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<alert")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = WeatherSettings("w", "cap", f"http://127.0.0.1:{port}/", "me", point=DALLAS)
        assert "the connection broke" in (await look(settings)).error
