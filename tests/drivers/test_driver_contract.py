"""The driver contract, the same checks against every server: pymodbus, net-snmp (v1, v2c, v3), the simulated ones."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from driver_rig import (
    Clock,
    PymodbusDevice,
    Snmpd,
    community,
    driver,
    mode,
    oid,
    profile,
    register,
    settings,
    temperature,
    told,
    user,
)

from envmon.drivers import DRIVERS
from envmon.drivers.contract import DeviceError, Driver
from envmon.model.reading import Quality, Reason, Severity
from envmon.profiles.schema import ModbusLimits, Profile, Protocol, SnmpLimits
from envmon.profiles.schema_point import Address, ProfilePoint
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent

EXPECTED = {"supply": 21.5, "mode": "running", "broken": "sentinel", "cold": -0.5, "gone": "absent"}


def points(addresses: list[Address]) -> list[ProfilePoint]:
    supply, mode_, broken, cold, gone = addresses
    return [
        temperature("supply", supply),
        mode("mode", mode_),
        temperature("broken", broken),
        temperature("cold", cold),
        temperature("gone", gone),
    ]


MODBUS = profile(points([register(3, address) for address in range(5)]), ModbusLimits())
SNMP = profile(points([oid(number) for number in (1, 2, 3, 4, 44)]), SnmpLimits(max_oids=4))


@dataclass
class Bench:
    """One server and how to reach it."""

    open: Callable[[Clock], Driver]
    stop: Callable[[], Awaitable[None] | None]
    start: Callable[[], Awaitable[None] | None]

    async def restart(self, *, stop: bool = False, start: bool = False) -> None:
        for wanted, action in ((stop, self.stop), (start, self.start)):
            if wanted and (done := action()) is not None:
                await done


def simulated(kind: Profile) -> SimulatedDevice:
    device = SimulatedDevice(kind)
    device.set("supply", 21.5)
    device.set("mode", "running")
    device.show_sentinel("broken")
    device.set("cold", -0.5)
    device.hide("gone")
    return device


@contextlib.asynccontextmanager
async def simulated_bench(kind: Profile, serve: Callable[[int], Any], snmp: Any = None) -> AsyncIterator[Bench]:
    stack = contextlib.AsyncExitStack()
    server = await stack.enter_async_context(serve(0))

    async def stop() -> None:
        await stack.aclose()
        await asyncio.sleep(0)  # asyncio closes a UDP socket in its next step

    async def start() -> None:
        await stack.enter_async_context(serve(server.port))

    try:
        yield Bench(lambda clock: driver(settings(server.port, snmp, 0.5), kind, clock), stop, start)
    finally:
        await stack.aclose()


def snmpd_bench(snmpd: Snmpd, snmp: Any) -> Bench:
    return Bench(lambda clock: driver(settings(snmpd.port, snmp, 0.5), SNMP, clock), snmpd.stop, snmpd.start)


@contextlib.asynccontextmanager
async def opened(name: str, tmp_path: Any, snmpd: Snmpd) -> AsyncIterator[Bench]:
    match name:
        case "pymodbus":
            device = PymodbusDevice()
            await device.start()
            yield Bench(
                lambda clock: driver(settings(device.port, None, 0.5), MODBUS, clock), device.stop, device.start
            )
            await device.stop()
        case "simulated modbus":
            async with simulated_bench(MODBUS, lambda port: ModbusServer({1: simulated(MODBUS)}, port=port)) as bench:
                yield bench
        case "simulated snmp v2c" | "simulated snmp v1":
            login = community(tmp_path, name[-2:].replace("v1", "1"))
            async with simulated_bench(SNMP, lambda port: SnmpAgent(simulated(SNMP), port=port), login) as bench:
                yield bench
        case "snmpd v1" | "snmpd v2c":
            yield snmpd_bench(snmpd, community(tmp_path, name.removeprefix("snmpd v")))
        case "snmpd v3":
            yield snmpd_bench(snmpd, user(tmp_path, "shaaes", "sha", "aes128"))


SERVERS = [
    "pymodbus",
    "simulated modbus",
    "simulated snmp v1",
    "simulated snmp v2c",
    "snmpd v1",
    "snmpd v2c",
    "snmpd v3",
]


@pytest.fixture(params=SERVERS)
async def bench(request: pytest.FixtureRequest, tmp_path: Any, snmpd: Snmpd) -> AsyncIterator[Bench]:
    async with opened(request.param, tmp_path, snmpd) as bench:
        yield bench


async def test_every_point_in_profile_order_whatever_single_points_do(bench: Bench):
    async with bench.open(Clock()) as device:
        for _ in range(3):
            readings = await device.poll()
            assert [reading.point.name for reading in readings] == list(EXPECTED)
            assert told(readings) == EXPECTED
            assert [reading.good for reading in readings] == [True, True, False, True, False]


async def test_what_is_not_good_has_no_value_and_is_not_healthy(bench: Bench):
    async with bench.open(Clock()) as device:
        by_name = {reading.point.name: reading for reading in await device.poll()}
    assert (by_name["broken"].quality, by_name["broken"].value) == (Quality.BAD, None)
    assert (by_name["gone"].quality, by_name["gone"].value) == (Quality.MISSING, None)
    assert by_name["mode"].severity is Severity.OK
    assert by_name["mode"].point.id == "dallas.hall_a.crac_1.mode"


async def test_a_device_that_dies_and_comes_back(bench: Bench):
    """Dead: one error within the deadline, then at once while the backoff runs; alive: read again."""
    clock = Clock()
    async with bench.open(clock) as device:
        assert told(await device.poll()) == EXPECTED
        await bench.restart(stop=True)
        began = time.monotonic()
        try:
            with pytest.raises(DeviceError) as dead:
                await device.poll()
            assert time.monotonic() - began < 5.0
            assert dead.value.reason in {Reason.UNREACHABLE, Reason.TIMEOUT}
            with pytest.raises(DeviceError, match=r"next try in 1\.0 s") as waiting:
                await device.poll()
            assert waiting.value.reason is dead.value.reason
        finally:
            await bench.restart(start=True)
        clock.now += 1.01
        assert told(await device.poll()) == EXPECTED
        await bench.restart(stop=True)
        try:
            for says in ("snmp |modbus ", r"next try in 1\.0 s"):  # the first failures are forgotten
                with pytest.raises(DeviceError, match=says):
                    await device.poll()
        finally:
            await bench.restart(start=True)


async def test_a_device_that_restarts_between_two_polls_is_not_missed(bench: Bench):
    async with bench.open(Clock()) as device:
        await device.poll()
        await bench.restart(stop=True, start=True)
        assert told(await device.poll()) == EXPECTED


async def test_a_cancelled_poll_leaves_the_driver_ready(bench: Bench):
    async with bench.open(Clock()) as device:
        task = asyncio.create_task(device.poll())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told(await device.poll()) == EXPECTED


def test_every_protocol_has_exactly_one_driver():
    assert set(DRIVERS) == set(Protocol)
