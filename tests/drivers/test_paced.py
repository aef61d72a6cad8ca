"""Points of one device at different paces: what is read when, what is repeated, what is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from driver_rig import Clock, agent, community

from envmon.config.settings import DeviceSettings, SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import DeviceError, Driver
from envmon.drivers.paced import PacedDriver, paces
from envmon.model.effect import PollFaster
from envmon.model.event import DeviceBatch
from envmon.model.reading import Quality, Reading, Reason, Role
from envmon.profiles.bind import Place, bind_at, place
from envmon.profiles.loader import ProfileError, load_text
from envmon.profiles.schema import Profile
from envmon.runtime.clock import SystemClock
from envmon.runtime.counters import Counters
from envmon.runtime.poller import PolledDevice, Poller
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.recording import RecordedDevice
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent
from envmon.wire import ber
from envmon.wire.snmp import Message, Tag, Value, VarBind, encode_message

HEAD = """profile: made-up
vendor: nobody
kind: cooling_unit
protocol: {protocol}
evidence: document
sources: [{{document: a test, revision: "1"}}]
"""
MODBUS = (
    HEAD.format(protocol="modbus")
    + """modbus: {max_requests_per_s: RATE}
points:
- {name: supply, function: 3, address: 1, type: int16, role: supply_temp, unit: degC, scale: 0.1}
- {name: hours, function: 3, address: 100, type: uint16, unit: h, interval: 1min}
- {name: filter, function: 2, address: 9, type: bit, interval: 5min, map: {0: [clean, ok], 1: [dirty, warning]}}
"""
)
BASE = "1.3.6.1.4.1.99999"
SNMP = (
    HEAD.format(protocol="snmp")
    + """snmp: {base: 1.3.6.1.4.1.99999}
points:
- {name: supply, oid: "{base}.1.0", role: supply_temp, unit: degC}
- {name: energy, oid: "{base}.2.0", unit: kWh, interval: 1min}
tables:
- walk: "{base}.3.1"
  points:
  - {name: "rack_{row}", oid: "{base}.3.1", unit: degC}
  - {name: "hours_{row}", oid: "{base}.3.2", unit: h, interval: 1min}
"""
)


def kind(text: str = MODBUS, rate: float = 0) -> Profile:
    return load_text(text.replace("RATE", str(rate)), "made-up.yaml")


def there(profile: Profile, **roles: Role) -> Place:
    return place(profile, site="s", device="crac_1", path="p", zone="z", roles=roles)


def settings(
    port: int, deadline_s: float = 5.0, interval_s: float = 5.0, snmp: SnmpSettings | None = None
) -> DeviceSettings:
    return DeviceSettings(
        "crac_1", "made-up", "127.0.0.1", port, "z", "", "p", interval_s, deadline_s, snmp=snmp or SnmpSettings()
    )


def opened(profile: Profile, at: Place, device: DeviceSettings, clock: Clock | None = None) -> Driver:
    points = bind_at(profile, at)
    return open_driver(device, profile, points, at=at, **({"clock": clock} if clock else {}))


def values(readings: object) -> dict[str, object]:
    assert isinstance(readings, tuple)
    return {reading.point.name: reading.value for reading in readings}


@contextlib.asynccontextmanager
async def paced(
    text: str = MODBUS, deadline_s: float = 5.0, **roles: Role
) -> AsyncIterator[tuple[SimulatedDevice, Clock, Driver]]:
    """Serve a device and open its driver; the clock is the driver's own."""
    profile, clock = kind(text), Clock()
    real = SimulatedDevice(profile)
    async with ModbusServer({1: real}) as server:
        device = settings(server.port, deadline_s)
        async with opened(profile, there(profile, **roles), device, clock) as driver:
            yield real, clock, driver


async def test_a_slow_point_is_read_when_its_interval_has_passed_and_repeated_in_between() -> None:
    async with paced() as (real, clock, driver):
        assert isinstance(driver, PacedDriver)
        real.set("hours", 3600.0)
        assert values(await driver.poll()) == {"supply": 20.0, "hours": 3600.0, "filter": "clean"}
        assert real.requests == 3
        real.set("hours", 7200.0)
        real.set("filter", "dirty")
        clock.now += 30.0
        assert values(await driver.poll()) == {"supply": 20.0, "hours": 3600.0, "filter": "clean"}
        assert real.requests == 4
        clock.now += 28.0  # half a poll's interval early is near enough
        assert values(await driver.poll()) == {"supply": 20.0, "hours": 7200.0, "filter": "clean"}
        assert real.requests == 6
        clock.now += 300.0
        assert values(await driver.poll())["filter"] == "dirty"


async def test_what_a_slow_group_loses_is_missing_and_tried_again_at_the_next_poll() -> None:
    async with paced() as (real, clock, driver):
        await driver.poll()
        real.hide("hours")
        clock.now += 60.0
        found = {reading.point.name: reading for reading in await driver.poll()}
        assert found["supply"].good
        assert (found["hours"].quality, found["hours"].reason) == (Quality.MISSING, Reason.ABSENT)
        assert found["filter"].good
        real.set("hours", 3600.0)
        clock.now += 60.0
        assert values(await driver.poll())["hours"] == 3600.0


async def test_a_device_that_does_not_answer_is_lost_as_a_whole() -> None:
    async with paced(deadline_s=1.5) as (real, _, driver):
        await driver.poll()
        real.trouble.silent = True
        with pytest.raises(DeviceError):
            await driver.poll()


async def test_a_slow_group_that_finds_no_time_is_missing_and_the_others_are_not() -> None:
    async with paced(deadline_s=1.6) as (real, _, driver):
        real.trouble.delay_ms = 1000.0
        found = {reading.point.name: reading for reading in await driver.poll()}
        assert found["supply"].good
        assert {found["hours"].reason, found["filter"].reason} == {Reason.TIMEOUT}
        real.trouble.delay_ms = 0.0
        assert all(reading.good for reading in await driver.poll())


async def test_a_point_that_was_given_a_role_is_read_at_every_poll() -> None:
    text = MODBUS.replace("unit: h, interval", "unit: '%', interval")
    async with paced(text, hours=Role.HUMIDITY) as (real, _, driver):
        await driver.poll()
        real.set("hours", 41.0)
        assert values(await driver.poll())["hours"] == 41.0


def test_the_groups_of_a_device_are_by_interval_and_what_is_judged_is_in_the_first() -> None:
    text = MODBUS.replace("unit: h, interval", "unit: '%', interval")
    for roles, wanted in (
        ({}, {0.0: ["supply"], 60.0: ["hours"], 300.0: ["filter"]}),
        ({"hours": Role.HUMIDITY}, {0.0: ["supply", "hours"], 300.0: ["filter"]}),
    ):
        points = bind_at(kind(text), there(kind(text), **roles))
        assert {pace: [bound.spec.name for bound in own] for pace, _, own in paces(kind(text), points)} == wanted


async def test_a_row_that_was_given_a_role_is_read_at_every_poll(tmp_path: Path) -> None:
    profile, clock = kind(SNMP.replace("unit: h, interval", "unit: '%', interval")), Clock()
    recording = RecordedDevice([(ber.parse_oid(f"{BASE}.1.0"), Value(Tag.INTEGER, 18))])
    recording.put("1.3.6.1.2.1.1.3.0", Value(Tag.TIME_TICKS, 10_000_000))
    async with SnmpAgent(recording) as there_is:
        device = settings(there_is.port, snmp=community(tmp_path))
        async with opened(profile, there(profile, hours_1=Role.HUMIDITY), device, clock) as driver:
            for shown in (40, 41, 42):
                recording.put(f"{BASE}.3.1.1", Value(Tag.INTEGER, 21))
                recording.put(f"{BASE}.3.2.1", Value(Tag.INTEGER, shown))
                clock.now += 5.0
                assert values(await driver.poll())["hours_1"] == float(shown)


def test_a_profile_without_intervals_is_read_by_one_driver() -> None:
    plain = load_text(MODBUS.replace("RATE", "0").replace(", interval: 1min", "").replace(", interval: 5min", ""), "p")
    assert not isinstance(opened(plain, there(plain), settings(1)), PacedDriver)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("unit: h, interval: 1min", "unit: h, interval: 60", "points[1].interval"),
        ("unit: h, interval: 1min", "unit: h, interval: 1 min", "points[1].interval"),
        ("unit: h, interval: 1min", "unit: h, interval: 0s", "must be from 1s to 24h"),
        ("scale: 0.1}", "scale: 0.1, interval: 1min}", "a point with a role is judged at every poll"),
    ],
)
def test_an_interval_that_makes_no_sense_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(ProfileError, match=r".*") as refused:
        kind(MODBUS.replace(old, new))
    assert any(said in fault for fault in refused.value.faults), refused.value.faults


async def test_slow_columns_of_a_table_are_read_at_their_own_pace(tmp_path: Path) -> None:
    recording = RecordedDevice([(ber.parse_oid(f"{BASE}.1.0"), Value(Tag.INTEGER, 18))])

    def show(hours: int, rack: int) -> None:
        for oid, value in ((".2.0", 5), (".3.1.1", rack), (".3.2.1", hours)):
            recording.put(f"{BASE}{oid}", Value(Tag.INTEGER, value))

    show(1, 21)
    recording.put("1.3.6.1.2.1.1.3.0", Value(Tag.TIME_TICKS, 10_000_000))
    profile, clock = kind(SNMP), Clock()
    async with SnmpAgent(recording) as there_is:
        device = settings(there_is.port, deadline_s=5.0, snmp=community(tmp_path))
        async with opened(profile, there(profile), device, clock) as driver:
            first = values(await driver.poll())
            assert first == {"supply": 18.0, "energy": 5.0, "rack_1": 21.0, "hours_1": 3600.0}
            show(2, 22)
            clock.now += 10.0
            second = values(await driver.poll())
            assert (second["rack_1"], second["hours_1"]) == (22.0, 3600.0)
            clock.now += 60.0
            assert values(await driver.poll())["hours_1"] == 7200.0


async def test_all_groups_of_an_snmp_device_share_one_session(tmp_path: Path) -> None:
    """One socket and one login; what makes one group forget it makes the next one open another, for both."""
    numbers = {f"{BASE}.1.0": 18, f"{BASE}.2.0": 5}

    def table(message: Message) -> list[bytes]:
        known = [(each.oid, numbers.get(ber.format_oid(each.oid))) for each in message.variables]
        found = [VarBind(oid, Value(Tag.NO_SUCH_OBJECT) if n is None else Value(Tag.INTEGER, n)) for oid, n in known]
        return [encode_message(message.answer(tuple(found)))]

    text, clock = SNMP[: SNMP.index("tables:")], Clock()
    profile = kind(text)
    async with agent(table) as peer:
        device = settings(peer.port, deadline_s=5.0, snmp=community(tmp_path))
        async with opened(profile, there(profile), device, clock) as driver:
            for _ in range(3):
                assert values(await driver.poll()) == {"supply": 18.0, "energy": 5.0}
                clock.now += 60.0
            assert (len(peer.asked), len(peer.peers)) == (6, 1)
            peer.answer = lambda message: [b"?"] if len(peer.asked) == 8 else table(message)
            assert values(await driver.poll()) == {"supply": 18.0, "energy": None}
            clock.now += 60.0
            assert values(await driver.poll()) == {"supply": 18.0, "energy": 5.0}
            assert len(peer.peers) == 2


async def test_a_zone_that_warms_up_is_polled_faster_within_the_ceiling_and_slow_points_are_not() -> None:
    rate = 20.0
    profile = kind(MODBUS, rate)
    real = SimulatedDevice(profile)
    async with ModbusServer({1: real}) as server:
        at = there(profile)
        device = settings(server.port, interval_s=30.0, deadline_s=2.0)
        driver = opened(profile, at, device)
        points = tuple(bound.point for bound in bind_at(profile, at))
        batches: list[DeviceBatch] = []
        enough = asyncio.Event()

        def take(batch: DeviceBatch) -> None:
            batches.append(batch)
            if len(batches) >= 15:
                enough.set()

        polled = PolledDevice("crac_1", "z", 30.0, 2.0, points, driver)
        poller = Poller([polled], SystemClock(), Counters(), (take,))
        task = asyncio.create_task(poller.run())
        try:
            poller.faster(PollFaster("z", 0.01))
            await asyncio.wait_for(enough.wait(), 20)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        asked = list(real.polls)
        assert len(asked) <= rate * (asked[-1] - asked[0]) + 1.5, "the ceiling holds however fast it is wanted"
        assert real.requests - len(asked) <= 2 + 1, "the slow groups were read once"
        last: list[Reading] = [reading for reading in batches[-1].readings if reading.point.role is None]
        assert all(reading.good for reading in last)
