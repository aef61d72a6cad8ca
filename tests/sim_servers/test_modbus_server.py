"""The simulated Modbus devices, read by pymodbus and by hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Profile
from envmon.profiles.schema_point import Register
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from envmon.wire.modbus import encode_request
from tests.bound import bind
from tests.profiles.one_answer import decode_modbus

PROFILES: Mapping[str, Profile] = load_builtin()
COOLER, PROBE = 1, 7


@pytest.fixture
async def server() -> AsyncIterator[ModbusServer]:
    devices = {
        COOLER: SimulatedDevice(PROFILES["liebert-icom-modbus"]),
        PROBE: SimulatedDevice(PROFILES["comet-t-modbus"]),
    }
    async with ModbusServer(devices) as running:
        yield running


def device(server: ModbusServer, unit: int) -> SimulatedDevice:
    return server.devices[unit]


@pytest.fixture
async def client(server: ModbusServer) -> AsyncIterator[AsyncModbusTcpClient]:
    reader = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=3, retries=0)
    assert await reader.connect()
    yield reader
    reader.close()


async def test_a_foreign_client_reads_what_was_set(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, PROBE).set("rack_inlet_temp", -1.5)
    device(server, PROBE).set("humidity", 41.2)
    answer = await client.read_holding_registers(49, count=2, device_id=PROBE)
    assert answer.registers == [0xFFF1, 412]


async def test_units_behind_one_socket_are_apart(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, COOLER).set("cooling_load", 33.7)
    device(server, COOLER).set("fan_issue", "active")
    load = await client.read_input_registers(1000, count=2, device_id=COOLER)
    assert load.registers == [0, 337]
    fan = await client.read_discrete_inputs(217, count=1, device_id=COOLER)
    assert fan.bits[0] is True
    assert (await client.read_input_registers(1000, count=2, device_id=PROBE)).exception_code == 2
    assert (await client.read_input_registers(1000, count=2, device_id=99)).exception_code == 11


@pytest.mark.parametrize("unit", [COOLER, PROBE])
async def test_every_point_decodes_from_what_a_foreign_client_got(
    server: ModbusServer, client: AsyncModbusTcpClient, unit: int
) -> None:
    profile = device(server, unit).profile
    for bound in bind(profile, site="s", device="d", path="p", zone="z", serves="u", commissioned=True):
        at = bound.spec.address
        assert isinstance(at, Register)
        if at.function == 2:
            bits = (await client.read_discrete_inputs(at.address, count=1, device_id=unit)).bits
            raw = bytes([bits[0]])
        else:
            read = client.read_holding_registers if at.function == 3 else client.read_input_registers
            registers = (await read(at.address, count=at.registers, device_id=unit)).registers
            raw = b"".join(register.to_bytes(2, "big") for register in registers)
        assert decode_modbus(bound, raw).good, bound.spec.name


async def test_the_limits_of_the_device_hold(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    assert (await client.read_holding_registers(49, count=11, device_id=PROBE)).exception_code == 3


async def test_holes_are_refused_or_read_as_zeros(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, PROBE).set("humidity", 50)
    assert (await client.read_holding_registers(50, count=4, device_id=PROBE)).exception_code == 2
    device(server, PROBE).trouble.zero_holes = True
    assert (await client.read_holding_registers(50, count=3, device_id=PROBE)).registers == [500, 0, 0]
    assert (await client.read_holding_registers(200, count=1, device_id=PROBE)).exception_code == 2


async def test_an_absent_point_is_an_exception_of_its_own(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, PROBE).hide("humidity")
    assert (await client.read_holding_registers(50, count=1, device_id=PROBE)).exception_code == 2
    assert (await client.read_holding_registers(49, count=1, device_id=PROBE)).registers


async def test_writing_is_refused(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    before = dict(device(server, PROBE).words)
    assert (await client.write_register(49, 1, device_id=PROBE)).exception_code == 1
    assert (await client.write_coil(0, value=True, device_id=PROBE)).exception_code == 1
    assert device(server, PROBE).words == before


async def test_a_device_can_refuse_everything(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, PROBE).trouble.refuse = 6
    assert (await client.read_holding_registers(49, count=1, device_id=PROBE)).exception_code == 6


async def test_a_silent_device_is_still_being_asked(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    device(server, PROBE).trouble.silent = True
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(49, count=1, device_id=PROBE)
    assert len(device(server, PROBE).polls) == 1


async def test_a_slow_device_answers_in_the_end(server: ModbusServer) -> None:
    device(server, PROBE).trouble.delay_ms = 80
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    before = time.monotonic()
    writer.write(encode_request(1, PROBE, 3, 49, 1))
    assert len(await asyncio.wait_for(reader.read(64), 20)) == 11
    assert time.monotonic() - before >= 0.08
    writer.close()


async def test_garbage_is_not_modbus(server: ModbusServer) -> None:
    device(server, PROBE).trouble.garbage = True
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(encode_request(1, PROBE, 3, 49, 1))
    assert (await asyncio.wait_for(reader.read(64), 20)).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_a_client_that_speaks_something_else_is_cut_off(server: ModbusServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await asyncio.wait_for(reader.read(64), 20) == b""
    writer.close()


async def test_requests_in_pieces_and_in_one_go_are_answered_in_order(server: ModbusServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    both = encode_request(1, PROBE, 3, 49, 1) + encode_request(2, PROBE, 3, 50, 1)
    for byte in both[:-2]:
        writer.write(bytes([byte]))
        await writer.drain()
    writer.write(both[-2:])
    answer = await asyncio.wait_for(reader.readexactly(22), 20)
    assert (answer[:2], answer[11:13]) == (b"\x00\x01", b"\x00\x02")
    writer.close()


async def test_polls_count_the_first_point_only(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    await client.read_holding_registers(49, count=2, device_id=PROBE)
    await client.read_holding_registers(53, count=1, device_id=PROBE)
    await client.read_holding_registers(49, count=1, device_id=PROBE)
    probe = device(server, PROBE)
    assert (probe.requests, len(probe.polls)) == (3, 2)
    assert probe.polls[0] <= probe.polls[1] <= time.monotonic()


async def test_a_restart_drops_the_connections_and_serves_on(server: ModbusServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(encode_request(1, PROBE, 3, 49, 1))
    await asyncio.wait_for(reader.read(64), 20)
    server.drop_connections()
    assert await asyncio.wait_for(reader.read(64), 20) == b""
    writer.close()
    again = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=10, retries=0)
    assert await again.connect()
    assert (await again.read_holding_registers(49, count=1, device_id=PROBE)).registers
    again.close()


async def test_leaving_ends_every_connection_and_frees_the_port() -> None:
    probe = SimulatedDevice(PROFILES["comet-t-modbus"])
    async with ModbusServer({1: probe}) as first:
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        port = first.port
    assert await asyncio.wait_for(reader.read(1), 20) == b""
    writer.close()
    async with ModbusServer({1: probe}, port=port) as second:
        assert second.port == port
