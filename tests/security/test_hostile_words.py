"""Whatever devices, edges, peers, services and people say: it is judged, kept, recorded, journalled and shown."""

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envmon.actuators.told import statuses
from envmon.config.settings import ProofSettings, WeatherSettings
from envmon.core.advance import advance
from envmon.core.explain import explain_now, plain
from envmon.core.memory import will
from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.step import Step
from envmon.core.world import World
from envmon.journal.chain import EMPTY, seal
from envmon.leases.etcd import LIMIT
from envmon.model.effect import Page
from envmon.model.event import (
    Access,
    Bequest,
    Command,
    DeviceBatch,
    EdgeReport,
    EffectReport,
    Event,
    LeaseReport,
    OrderReceived,
    Outcome,
    PolicyLoaded,
    ProbeReport,
    ReadinessReport,
    Stamp,
    Target,
    Tick,
    WeatherReport,
)
from envmon.model.policy import FeedPolicy
from envmon.model.readings import columns
from envmon.probes.evidence import Evidence
from envmon.probes.evidence_sources import EvidenceError, read_object
from envmon.profiles.bind import BoundPoint
from envmon.profiles.loader import load_text
from envmon.publishers.documents import Poll, encode, loop_document, loop_key, parts_of, unit_document
from envmon.publishers.exposition import BatchText, join, status_block
from envmon.publishers.mqtt_link import _payload
from envmon.recordings.encode import Encoder, sealed
from envmon.runtime.heard import MOST, heard
from envmon.runtime.order_in import Asking, order_of
from envmon.runtime.order_line import RequestError, parse
from envmon.runtime.order_line import encode as answer_line
from envmon.runtime.scribe import lines
from envmon.weather.heed import heed
from envmon.weather.message import MessageError
from envmon.weather.nws import parse as parse_nws
from envmon.web.page import page
from envmon.web.server import _json
from tests.bound import bind
from tests.core.room import Room, policy
from tests.profiles.one_answer import decode_snmp

WORDS = st.sampled_from([
    "\ud800", "\udcff\udcfe", "a\x00b\x1b[2J\r\n\x85", "\u202egnp.exe", "\ufeff", " \t ", "x" * 5_000, "🧊" * 600,
    '"\\', "</script><b>&", "{}%s%n", "Kühlung 冷却", "",
]) | st.text(st.characters(exclude_categories=()), max_size=20)  # fmt: skip
NUMBERS = st.sampled_from([
    math.inf, -math.inf, math.nan, 1e308, -1e308, 10**400, -(10**400), 2**63, 2**53 + 1, -1, 0, -0.0, 5e-324, True,
    None,
]) | st.floats() | st.integers(0, 100)  # fmt: skip
RAW = (
    WORDS | st.sampled_from(["1e999", "nan", "1" * 400]) | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.binary()
)
JUNK = st.recursive(
    WORDS | NUMBERS, lambda c: st.lists(c, max_size=2) | st.dictionaries(WORDS, c, max_size=2), max_leaves=4
)
PROFILE = """
profile: made-up
vendor: nobody
kind: sensor
protocol: snmp
evidence: document
sources: [{document: a test, revision: "1"}]
points:
- {name: inlet, role: rack_inlet_temp, unit: degC, oid: 1.3.6.1.1}
- {name: label, text: true, oid: 1.3.6.1.2}
"""
FEED = WeatherSettings("nws", "nws", "http://127.0.0.1/", "ops@example.com", point=(32.8, -96.8))


@cache
def points() -> tuple[BoundPoint, ...]:
    profile = load_text(PROFILE, "made-up.yaml")
    return tuple(bind(profile, site="dallas", device="hall_a_probes", path="p", zone="hall_a", serves=None))


@cache
def room() -> Room:
    """An armed site with outside proofs and a weather service, in the middle of a cooling loss."""
    base = policy()
    route = replace(base.routes[0], proofs=("call_capacity", "trunk"))
    found = Room(replace(base, routes=(route,), feeds=(FeedPolicy("nws"),))).armed()
    found.lose_units(1, 2)
    return found.run(60, heat=0.05)


def mixed(shape: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """A document of the right shape, some of its values junk."""
    return {key: data.draw(JUNK) if data.draw(st.integers(0, 3)) == 0 else value for key, value in shape.items()}


def batch(at: Stamp, data: st.DataObject) -> DeviceBatch:
    raws = [data.draw(RAW) for _ in points()]
    readings = [decode_snmp(point, raw) for point, raw in zip(points(), raws, strict=True)]
    return DeviceBatch(at, "hall_a_probes", columns(readings), data.draw(WORDS))


def edge_report(at: Stamp, data: st.DataObject) -> EdgeReport:
    counts = dict.fromkeys(("calls_primary", "calls_backup", "active_primary", "active_backup"), 5)
    told = mixed({"percent": 0, "set_epoch": 7, **counts}, data)
    document = mixed({"fence": 7, "up_since": 1_000, "routes": {"outbound": told, data.draw(WORDS): told}}, data)
    try:
        return EdgeReport(at, "edge_1", statuses("edge_1", through_json(document), counts_needed=True))
    except ValueError as error:
        return EdgeReport(at, "edge_1", (), f"its status is not what envmon.cfg reports: {error}")


def evidence(at: Stamp, data: st.DataObject) -> ReadinessReport:
    shapes: tuple[dict[str, Any], ...] = (
        {"pass": True, "why": "it is so", "value": 30},
        {"site": "houston", "zones": {data.draw(WORDS): mixed({"here": True, "verdict": "ok"}, data)}},
        {"count": 3, "sha256": "ab"},
    )
    document = mixed(data.draw(st.sampled_from(shapes)), data) | mixed({"boot": "a", "seq": 1}, data)
    item, asked = data.draw(st.sampled_from(["call_capacity", "trunk"])), Evidence(ProofSettings("outbound", "x"))
    try:
        told = read_object(json.dumps(document).encode())
        found = asyncio.run(asked._read(told)) if asked._advanced(told) else None
    except EvidenceError as error:
        return ReadinessReport(at, "outbound", item, passed=False, why="", error=str(error))
    why = data.draw(WORDS) if found is None else found.why
    passed, value = (True, None) if found is None else (found.passed, found.value)
    return ReadinessReport(at, "outbound", item, passed, why, value)


def weather(at: Stamp, data: st.DataObject) -> WeatherReport:
    shape = {
        "id": "w", "event": "Tornado Warning", "status": "Actual", "messageType": "Alert", "severity": "Extreme",
        "sent": "2015-05-29T03:00:00Z", "onset": "0001-01-01T00:00:00+14:00", "expires": "9999-12-31T23:59:59-12:00",
        "headline": data.draw(WORDS), "geocode": {"SAME": data.draw(st.lists(JUNK, max_size=2))}, "references": [],
    }  # fmt: skip
    ring = [[data.draw(NUMBERS), data.draw(NUMBERS)] for _ in range(4)]
    area = data.draw(st.sampled_from([None, {"type": "Polygon", "coordinates": [ring]}]) | JUNK)
    document = {"type": "FeatureCollection", "features": [{"properties": mixed(shape, data), "geometry": area}]}
    try:
        found = parse_nws(json.dumps(document).encode())
    except MessageError as error:
        return WeatherReport(at, "nws", (), f"127.0.0.1: {error}")
    heeded = heed(FEED, found.messages, at.wall, asked_for_place=True)
    return WeatherReport(at, "nws", heeded.warnings, "; ".join(found.faults))


def order(at: Stamp, data: st.DataObject) -> Event:
    command = data.draw(st.sampled_from([*Command]))
    shape: dict[str, Any] = {"command": command, "reason": data.draw(WORDS)}
    if command is Command.APPROVE:
        shape["request"] = data.draw(WORDS)
    if command in (Command.SHIFT, Command.RESTORE, Command.DRILL):
        shape["route"] = data.draw(WORDS)
    if command in (Command.SHELVE, Command.UNSHELVE, Command.MAINTENANCE, Command.MAINTENANCE_END):
        shape["target"] = data.draw(WORDS | st.sampled_from(["hall_a", *room().world.raised]))
    if command in (Command.SHELVE, Command.MAINTENANCE, Command.HOLD):
        shape["until"] = data.draw(NUMBERS | st.just(at.wall + 600))
    try:
        asked = parse(json.dumps(shape).encode())
    except RequestError as fault:
        answer_line({"error": str(fault)})
        return Tick(at)
    assert asked.command is not None
    return OrderReceived(at, order_of(asked.command, asked, Asking("eve", "eve", data.draw(st.sampled_from(Access)))))


def bequest(at: Stamp, data: st.DataObject) -> Bequest:
    text = data.draw(WORDS | JUNK.map(json.dumps))
    return Bequest(at, 7, 7, text.encode("utf-8", "replace").decode())


EVENTS: dict[type, Callable[[Stamp, st.DataObject], Event]] = {
    PolicyLoaded: lambda at, data: PolicyLoaded(at, room().policy, "digest", "envmon (reload)", data.draw(WORDS)),
    DeviceBatch: batch,
    Tick: lambda at, _: Tick(at),
    EdgeReport: edge_report,
    ProbeReport: lambda at, data: ProbeReport(
        at, "outbound", "edge_1", Target.BACKUP, data.draw(st.booleans()), data.draw(WORDS), data.draw(WORDS), 3.0
    ),
    ReadinessReport: evidence,
    LeaseReport: lambda at, data: LeaseReport(
        at, data.draw(st.booleans()), 7, data.draw(WORDS), data.draw(st.integers(0, 9)), data.draw(WORDS)
    ),
    Bequest: bequest,
    WeatherReport: weather,
    EffectReport: lambda at, data: EffectReport(
        at, "7.1", "edge_1", data.draw(st.sampled_from(Outcome)), data.draw(WORDS)
    ),
    OrderReceived: order,
}


def through_json(document: Any) -> Any:
    return json.loads(json.dumps(document))


def written(event: Event, step: Step) -> None:
    """Everything that is made of an event and of the world it led to, as bytes."""
    world = step.world
    text = dump(world)
    assert dump(load(text, world.now)).encode() == text.encode()
    for line in [*Encoder("boot-1", 0).event(event, step.decisions, step.effects), Encoder("", 0).world(1, world)]:
        assert sealed(line)
    traffic = [effect for effect in step.effects if hasattr(effect, "epoch")]
    for record in lines(event, traffic, step.decisions):
        assert seal(record, EMPTY).hash
    kept = will(world)
    assert kept is None or len(kept.text.encode()) < LIMIT
    shown = status(world) | {"explain": plain(explain_now(world))}
    assert _json(shown) and page(shown, {}).encode("utf-8", "replace")
    assert loop_key(shown) and json.loads(_payload(encode(loop_document(shown))))
    assert all(text.encode("utf-8", "replace") for text in join([status_block("dallas", shown)]))
    if isinstance(event, DeviceBatch):
        readings = columns(event.readings)
        for part in parts_of(readings.sheet, "envmon", "dallas"):
            assert json.loads(_payload(unit_document([Poll(event.at.wall, readings, part)])))
        assert "\ud800" not in "".join(join([BatchText("dallas").render(event)]))


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield from (*texts(key), *texts(item))
        case list() | tuple():
            for item in value:
                yield from texts(item)


def told(world: World, event: Event) -> World:
    """Take the event in and let a second pass; write down what came of both."""
    for each in (heard(event), Tick(Stamp(event.at.mono_ns + 1, event.at.wall, event.at.boot_id))):
        step = advance(world, each)
        written(each, step)
        for text in (effect.summary for effect in step.effects if isinstance(effect, Page)):
            assert len(text) < 20_000
        world = step.world
    return world


def later(world: World) -> Stamp:
    return Stamp(world.now.mono_ns + 10**9, world.now.wall + 1.0, world.now.boot_id)


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    match value:
        case dict() | list() if value:
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from leaves(item, (*way, key))
        case _:
            yield way


def spoilt(memory: str, data: st.DataObject) -> str:
    """A memory as an envmon keeps it, some of its values junk."""
    document = json.loads(memory)
    for *way, last in data.draw(st.lists(st.sampled_from([*leaves(document)]), max_size=3, unique=True)):
        place = document
        for key in way:
            place = place[key]
        place[last] = data.draw(WORDS | NUMBERS | JUNK)
    return json.dumps(document)


EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def test_every_kind_of_event_is_tried() -> None:
    assert set(EVENTS) == set(Event.__args__)


@EXAMPLES
@given(st.data())
def test_no_word_and_no_number_from_outside_stops_the_mind_or_what_writes_its_state(data: st.DataObject) -> None:
    world = room().world
    for kind in data.draw(st.lists(st.sampled_from([*EVENTS]), min_size=1, max_size=4)):
        world = told(world, EVENTS[kind](later(world), data))
    for text in texts(status(world)):
        assert text.isprintable(), "people see nothing that their terminal obeys"
    assert all(
        len(view.detail) <= MOST + len("answered by ")
        for route in world.routes.values()
        for view in route.probes.values()
    )


@EXAMPLES
@given(st.data())
def test_texts_that_passed_no_door_can_be_written_all_the_same(data: st.DataObject) -> None:
    """A snapshot or a memory of a version that let them in, or of whoever writes to etcd."""
    world = room().world
    for kind in (ProbeReport, LeaseReport, EffectReport):
        event = EVENTS[kind](later(world), data)
        step = advance(world, event)
        written(event, step)
        world = step.world


@EXAMPLES
@given(st.data())
def test_a_memory_that_somebody_wrote_into_etcd_stops_nobody(data: st.DataObject) -> None:
    world = room().world
    left = will(world)
    assert left is not None
    for event in (
        LeaseReport(later(world), held=False, epoch=0, detail="it is taken", holder="pluto"),
        Bequest(later(world), 8, 8, spoilt(left.text, data), 1.0),
    ):
        world = told(world, event)
    told(world, LeaseReport(later(world), held=True, epoch=9, detail="", former=8))


def test_what_two_hundred_refused_orders_said_still_fits_under_the_lease() -> None:
    """Each is remembered and paged for an hour; a memory that is too large cannot be kept, and withholds moves."""
    world = room().world
    for number in range(200):
        asked = parse(json.dumps({"command": "hold", "reason": "🧊" * 400}, ensure_ascii=False).encode())
        assert asked.command is not None
        made = replace(
            order_of(asked.command, asked, Asking("eve" * 30, "eve", Access.VIEWER)), id=f"{number:032d}"[::-1]
        )
        world = advance(world, OrderReceived(later(world), made)).world
    assert len(world.notices) >= 200
    kept = will(world)
    assert kept is not None and len(kept.text.encode()) < LIMIT
