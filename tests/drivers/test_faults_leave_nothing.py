"""A poll that failed is over: its frames, its fault and all that they held are freed at once, not when gc looks.

With thousands of devices the collector looks seldom; a failed poll was up to fifty objects, a dozen kilobytes.
"""

import asyncio
import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_rig import (
    Clock,
    ScriptedModbus,
    agent,
    community,
    driver,
    oid,
    profile,
    register,
    settings,
    temperature,
    user,
)

from envmon.drivers.contract import DeviceError, Driver
from envmon.profiles.schema import ModbusLimits, SnmpLimits
from envmon.wire.modbus import Request

DEADLINE_S = 0.1
MODBUS = profile([temperature("a", register(3, 0))], ModbusLimits())
SNMP = profile([temperature("a", oid(1))], SnmpLimits())


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def left_behind(device: Driver, clock: Clock) -> list[str]:
    """The kinds of things of ours, and faults, that only the collector finds after two polls that failed."""
    async with device:
        for _ in range(2):
            with pytest.raises(DeviceError):
                await device.poll()
            clock.now += 60.0  # beyond any backoff
        await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [kept for kept in gc.garbage if isinstance(kept, Exception) or "envmon" in type(kept).__module__]
        return [type(kept).__name__ for kept in ours]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("version", ["2c", "3"])
async def test_an_agent_that_is_silent(tmp_path: Path, version: str):
    login = user(tmp_path, "shaaes", "sha", "aes128") if version == "3" else community(tmp_path)
    clock = Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        device = driver(settings(mute.getsockname()[1], login, DEADLINE_S), SNMP, clock)
        assert await left_behind(device, clock) == []


@pytest.mark.usefixtures("uncollected")
async def test_an_agent_that_answers_garbage(tmp_path: Path):
    clock = Clock()
    async with agent(lambda _: [b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as peer:
        device = driver(settings(peer.port, community(tmp_path), 2.0), SNMP, clock)
        assert await left_behind(device, clock) == []


def silence(request: Request, writer: asyncio.StreamWriter) -> None:
    pass


def garbage(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("script", [silence, garbage])
async def test_a_modbus_device(script):
    clock = Clock()
    async with ScriptedModbus(script) as peer:
        device = driver(settings(peer.port, deadline_s=DEADLINE_S), MODBUS, clock)
        assert await left_behind(device, clock) == []


@pytest.mark.usefixtures("uncollected")
async def test_a_port_nobody_listens_on(tmp_path: Path):
    clock = Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        for each in (udp, tcp):
            each.bind(("127.0.0.1", 0))
        nobody = udp.getsockname()[1], tcp.getsockname()[1]
    for device in (
        driver(settings(nobody[0], community(tmp_path), DEADLINE_S), SNMP, clock),
        driver(settings(nobody[1], deadline_s=DEADLINE_S), MODBUS, clock),
    ):
        assert await left_behind(device, clock) == []
