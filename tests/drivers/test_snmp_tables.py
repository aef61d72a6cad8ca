"""Tables read through the SNMP driver from an agent that answers from a recording made here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from driver_rig import Clock, community, settings, told

from envmon.config.settings import SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import Driver
from envmon.drivers.snmp_identify import ask_snmp
from envmon.model.reading import Quality, Reason, Role
from envmon.profiles.bind import bind_at, place
from envmon.profiles.identify import identify
from envmon.profiles.loader import load_text
from envmon.profiles.schema import Profile
from envmon.sim.recording import RecordedDevice
from envmon.sim.snmp_agent import SnmpAgent
from envmon.wire import ber
from envmon.wire.snmp import Tag, Value

BASE = "1.3.6.1.4.1.99999"
UPTIME = "1.3.6.1.2.1.1.3.0"
PROFILE = """profile: made-up
vendor: nobody
kind: cooling_unit
protocol: snmp
evidence: document
sources: [{document: a test, revision: "1"}]
identify: {sys_object_id: [1.3.6.1.4.1.99999], probe: ["{base}.1.1"]}
snmp: {base: 1.3.6.1.4.1.99999, max_oids: 3, bulk: BULK, rediscover_s: 60}
points: [{name: state, oid: "{base}.7.0", role: unit_running, map: {1: [running, ok]}}]
tables:
- walk: "{base}.1.1"
  columns: {name: "{base}.1.1"}
  key: name
  points:
  - name: "{key}"
    oid: "{base}.1.2"
    unit: degC
    scale: 0.1
    role_from: {column: name, map: {Supply: supply_temp}}
    valid_from: {oid: "{base}.1.3", equals: 1}
conditions:
- name: conditions
  count: condition_count
  role: alarm
  walk: "{base}.2.1"
  columns: {text: "{base}.2.1", severity: "{base}.2.2"}
  label_from: {column: text}
  severity_from: {column: severity, map: {9: critical}}
"""


def text(value: str) -> Value:
    return Value(Tag.OCTET_STRING, value.encode())


def number(value: int) -> Value:
    return Value(Tag.INTEGER, value)


def recording(*rows: tuple[str, int], uptime_s: int = 10_000) -> RecordedDevice:
    device = RecordedDevice([(ber.parse_oid(f"{BASE}.7.0"), number(1))])
    device.put("1.3.6.1.2.1.1.1.0", text("made up"))
    device.put("1.3.6.1.2.1.1.2.0", Value(Tag.OBJECT_IDENTIFIER, ber.parse_oid(f"{BASE}.3")))
    show(device, *rows, uptime_s=uptime_s)
    return device


def show(device: RecordedDevice, *rows: tuple[str, int], uptime_s: int) -> None:
    device.forget(f"{BASE}.1")
    device.put(UPTIME, Value(Tag.TIME_TICKS, uptime_s * 100))
    for row, (name, value) in enumerate(rows, 1):
        for column, cell in enumerate((text(name), number(value), number(1)), 1):
            device.put(f"{BASE}.1.{column}.{row}", cell)


@asynccontextmanager
async def polled(
    device: RecordedDevice,
    login: SnmpSettings,
    *,
    bulk: bool = True,
    deadline_s: float = 2.0,
    clock: Clock | None = None,
) -> AsyncIterator[Driver]:
    kind: Profile = load_text(PROFILE.replace("BULK", str(bulk).lower()), "made-up.yaml")
    there = place(kind, site="dallas", device="crac_1", path="p", zone="hall_a", serves="crac_1")
    async with SnmpAgent(device, bulk=bulk) as agent:
        asked = settings(agent.port, login, deadline_s)
        driver = open_driver(asked, kind, bind_at(kind, there), at=there, clock=clock or Clock(), jitter=lambda: 0.5)
        async with driver:
            yield driver


@pytest.mark.parametrize(("version", "bulk"), [("1", False), ("2c", False), ("2c", True)])
async def test_rows_are_found_by_getnext_and_by_getbulk(tmp_path: Path, version: str, bulk: bool) -> None:
    device = recording(("Supply", 181), ("Return", 272), ("Rack A", 224))
    async with polled(device, community(tmp_path, version), bulk=bulk) as driver:
        readings = await driver.poll()
        assert told(readings) == {
            "state": "running",
            "supply": 18.1,
            "return": 27.2,
            "rack_a": 22.4,
            "conditions": "clear",
            "condition_count": 0.0,
        }
        assert [r.point.id for r in readings if r.point.role is Role.SUPPLY_TEMP] == ["dallas.hall_a.crac_1.supply"]
        before = device.requests
        assert told(await driver.poll()) == told(readings)
        assert device.requests - before < before  # known rows are read, not looked up again


async def test_rows_that_moved_with_a_restart_are_never_taken_for_each_other(tmp_path: Path) -> None:
    device = recording(("Supply", 181), ("Return", 272))
    async with polled(device, community(tmp_path)) as driver:
        await driver.poll()
        show(device, ("Return", 273), ("Supply", 182), uptime_s=60)
        values = told(await driver.poll())
    assert (values["supply"], values["return"]) == (18.2, 27.3)


async def test_a_row_that_is_gone_stays_a_point_and_is_absent(tmp_path: Path) -> None:
    device, clock = recording(("Supply", 181), ("Return", 272)), Clock()
    async with polled(device, community(tmp_path), clock=clock) as driver:
        await driver.poll()
        show(device, ("Supply", 182), uptime_s=10_005)
        assert told(await driver.poll())["return"] == "absent"
        clock.now += 120
        show(device, ("Supply", 183), ("New", 200), uptime_s=10_125)
        values = told(await driver.poll())
    assert (values["supply"], values["return"], values["new"]) == (18.3, "absent", 20.0)


async def test_an_unplugged_probe_shows_zero_and_is_absent_at_once(tmp_path: Path) -> None:
    device = recording(("Supply", 181), ("Return", 272))
    async with polled(device, community(tmp_path)) as driver:
        await driver.poll()
        device.put(f"{BASE}.1.2.1", number(0))
        device.put(f"{BASE}.1.3.1", number(2))
        values = told(await driver.poll())
    assert (values["supply"], values["return"]) == ("absent", 27.2)


async def test_conditions_come_and_go_and_an_empty_table_after_a_restart_is_not_all_clear(tmp_path: Path) -> None:
    device = recording(("Supply", 181))
    async with polled(device, community(tmp_path)) as driver:
        device.put(f"{BASE}.2.1.17", text("High Temperature"))
        device.put(f"{BASE}.2.2.17", number(9))
        assert told(await driver.poll())["conditions"] == "high_temperature"
        device.forget(f"{BASE}.2")
        show(device, ("Supply", 181), uptime_s=20)
        by_name = {reading.point.name: reading for reading in await driver.poll()}
    alarm = by_name["conditions"]
    assert (alarm.value, alarm.quality, alarm.reason) == ("clear", Quality.UNCERTAIN, Reason.SETTLING)


async def test_a_slow_card_is_looked_up_over_several_polls_and_its_own_points_do_not_wait(tmp_path: Path) -> None:
    device = recording(*((f"Rack {n}", 200 + n) for n in range(12)))
    device.trouble.delay_ms = 80
    async with polled(device, community(tmp_path), bulk=False, deadline_s=1.2) as driver:
        polls = 0
        while len(values := told(await driver.poll())) < 15:
            assert values["state"] == "running"
            polls += 1
            assert polls < 20
        assert polls > 1
        device.trouble.delay_ms = 0
        assert told(await driver.poll())["rack_11"] == 21.1


async def test_a_device_is_identified_by_what_it_answers(tmp_path: Path) -> None:
    kind = load_text(PROFILE.replace("BULK", "false"), "made-up.yaml")
    device = recording(("Supply", 181))
    async with SnmpAgent(device) as agent:
        facts = await ask_snmp(settings(agent.port, community(tmp_path)), [kind])
        assert (facts.sys_object_id, facts.sys_descr) == (f"{BASE}.3", "made up")
        assert [match.profile for match in identify([kind], facts)] == ["made-up"]
        device.forget(f"{BASE}.1")
        assert identify([kind], await ask_snmp(settings(agent.port, community(tmp_path)), [kind])) == ()
