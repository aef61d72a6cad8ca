"""What every publisher promises, and that the core's own status is what they understand."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from publish_samples import SUPPLY, batch, point, unit_readings

from envmon.config.settings import MqttSettings
from envmon.core.advance import advance
from envmon.core.status import status
from envmon.core.world import initial
from envmon.model.event import DeviceBatch, EdgeReport, EdgeStatus, LeaseReport, PolicyLoaded, Stamp, Tick
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Quality, Reading, Reason, Role, Severity
from envmon.publishers import families
from envmon.publishers.contract import Publisher
from envmon.publishers.daemon_metrics import DaemonMetrics
from envmon.publishers.documents import encode, loop_document, loop_key
from envmon.publishers.metrics import MetricsPublisher
from envmon.publishers.mqtt import MqttPublisher
from tests.ports import free_port

AT = Stamp(10**12, 1_800_000_000.0, "boot")
INLETS = [point(f"inlet_{n}", "degC", device="probes", unit=None, role=Role.RACK_INLET_TEMP) for n in range(3)]


def real_status() -> dict[str, Any]:
    """A site the core itself judged: one zone with a forecast in sight or not, one route, one edge."""
    zone = ZonePolicy("hall_a", True, 60.0, Limits(), (UnitPolicy("crac_3", 90.0),), 1)
    route = RoutePolicy("outbound", ("edge_1",), ("hall_a",), ())
    policy = Policy("dallas", (zone,), (route,), ("crac_3_card", "probes"))
    edge = EdgeStatus("edge_1", "outbound", 0, 7, 7, 1_700_000_000, 10, 0, 3, 0)
    world = initial()
    for event in (
        PolicyLoaded(AT, policy, "digest", "test"),
        LeaseReport(AT, held=True, epoch=7, detail="local"),
        DeviceBatch(AT, "probes", tuple(Reading(inlet, 23.0) for inlet in INLETS)),
        DeviceBatch(AT, "crac_3_card", unit_readings()),
        EdgeReport(AT, "edge_1", (edge,)),
        Tick(AT),
    ):
        world = advance(world, event).world
    return status(world)


def metrics() -> Publisher:
    return MetricsPublisher("dallas", DaemonMetrics("0"))


def mqtt() -> Publisher:
    return MqttPublisher(MqttSettings("127.0.0.1", free_port(), "hall_a"), "dallas")


@pytest.mark.parametrize("make", [metrics, mqtt])
async def test_offers_never_raise_and_run_ends_only_when_told(make: Callable[[], Publisher]) -> None:
    publisher = make()
    task = asyncio.create_task(publisher.run())
    for odd in (
        batch(),
        batch(error="no answer"),
        batch(Reading(SUPPLY, None, Quality.MISSING, Reason.TIMEOUT), error="no answer"),
        batch(Reading(SUPPLY, float("nan")), Reading(point("x/+#", zone=None), 'te"xt\n', severity=Severity.OK)),
        batch(*unit_readings(), wall=-1.0),
    ):
        publisher.offer_batch(odd)
    for shown in ({}, real_status(), status(initial()), {"zones": {}, "routes": {}, "armed": None, "lease": None}):
        publisher.offer_status(shown)
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()
    [outcome] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)


def test_the_cores_status_fills_every_family_of_the_loop() -> None:
    publisher = MetricsPublisher("dallas", DaemonMetrics("0"))
    publisher.offer_status(real_status())
    told = set(re.findall(r"^# TYPE (\w+)", publisher.scrape().decode(), re.MULTILINE))
    of_the_loop = {family.name for family in families.FAMILIES if not set(family.labels) & {"point", "device"}}
    sometimes = (families.TO_LIMIT, families.TO_LIMIT_MEDIAN, families.CALLS_LEFT, families.HOLD_END, families.STANDBY)
    only_sometimes = {family.name for family in sometimes}
    assert of_the_loop - told <= only_sometimes
    text = publisher.scrape().decode()
    for name in ("envmon_zone_verdict", "envmon_zone_phase", "envmon_zone_forecast", "envmon_mode"):
        assert len(re.findall(rf"^{name}\{{.*}} 1$", text, re.MULTILINE)) == 1, f"exactly one state of {name}"
    for name in ("envmon_route_position", "envmon_route_proof", "envmon_route_threat", "envmon_route_edges"):
        assert len(re.findall(rf"^{name}\{{.*}} 1$", text, re.MULTILINE)) == 1, f"exactly one state of {name}"


def test_the_loops_document_is_json_without_devices() -> None:
    shown = real_status()
    document = json.loads(encode(loop_document(shown)))
    assert set(shown) - set(document) == {"devices"}
    assert document["routes"]["outbound"]["edges"] == {"edge_1": 0}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("mode",), "held", True),
        (("armed", "now"), True, True),
        (("armed", "why"), "420 s left", False),
        (("zones", "hall_a", "verdict"), "critical", True),
        (("routes", "outbound", "position"), "shifting", True),
        (("routes", "outbound", "edges"), {"edge_1": 50}, True),
        (("pages",), {"zone:hall_a": "error"}, True),
        (("zones", "hall_a", "temperature_c"), 99.0, False),
        (("time",), 0.0, False),
        (("daemon",), {"journal": {"head": "12:abc"}}, True),
        (("devices",), {}, False),
    ],
)
def test_what_is_a_change(path: tuple[str, ...], value: object, told: bool) -> None:
    before, after = real_status(), real_status()
    place = after
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert (loop_key(before) != loop_key(after)) is told


def test_json_has_no_infinity() -> None:
    assert json.loads(encode({"a": [float("inf"), {"b": float("nan")}]})) == {"a": [None, {"b": None}]}
