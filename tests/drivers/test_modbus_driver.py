"""The Modbus driver against a foreign server, and against peers that do everything wrong."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from driver_rig import (
    Clock,
    PymodbusDevice,
    ScriptedModbus,
    driver,
    mode,
    profile,
    register,
    settings,
    temperature,
    told,
)

from envmon.drivers.contract import DeviceError, Driver
from envmon.model.reading import Reading, Reason
from envmon.profiles.schema import ModbusLimits
from envmon.profiles.schema_point import Oid, ProfilePoint, RegisterType
from envmon.profiles.units import Scaling
from envmon.wire.modbus import Request, encode_exception, encode_response
from tests.ports import free_port

Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None] | None]


def three(limits: ModbusLimits | None = None, addresses: tuple[int, ...] = (0, 1, 2)) -> Any:
    return profile([temperature(f"t{n}", register(3, n)) for n in addresses], limits or ModbusLimits())


def open_(
    peer: ScriptedModbus, kind: Any = None, clock: Clock | None = None, deadline_s: float = 3.0, unit_id: int = 1
) -> Driver:
    return driver(settings(peer.port, deadline_s=deadline_s, unit_id=unit_id), kind or three(), clock)


def right(request: Request) -> bytes:
    """Register n holds 10 * n: point tN reads N degC."""
    return encode_response(
        request,
        b"".join((10 * n).to_bytes(2, "big") for n in range(request.address, request.address + request.count)),
    )


def answer(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(right(request))


def silence(request: Request, writer: asyncio.StreamWriter) -> None:
    pass


def holes(*missing: int, code: int = 2) -> Script:
    """Refuse every read that touches a missing register."""

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        touched = set(range(request.address, request.address + request.count)) & set(missing)
        writer.write(encode_exception(request, code) if touched else right(request))

    return script


async def failed(device: Driver) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        await device.poll()
    return caught.value


GOOD = {"t0": 0.0, "t1": 1.0, "t2": 2.0}


# --- a foreign server ------------------------------------------------------------------------------------------------


async def test_every_function_and_type_from_a_foreign_server(pymodbus_device: PymodbusDevice):
    kind = profile(
        [
            mode("coil 0", register(1, 0, RegisterType.BIT)),
            mode("coil 1", register(1, 1, RegisterType.BIT)),
            mode("input bit 3", register(2, 3, RegisterType.BIT)),
            mode("register bit 2", register(3, 5, RegisterType.BIT, bit=2)),
            mode("register bit 3", register(3, 5, RegisterType.BIT, bit=3)),
            ProfilePoint("float", None, register(4, 8, RegisterType.FLOAT32, 2), Scaling("degC")),
            ProfilePoint("text", None, register(4, 10, RegisterType.ASCII, 2)),
            temperature("checked", register(3, 0), register(4, 12)),
            temperature("disagrees", register(3, 6), register(4, 12)),
            ProfilePoint("unsigned", None, register(3, 3, RegisterType.UINT16)),
        ],
        ModbusLimits(),
    )
    async with driver(settings(pymodbus_device.port), kind) as device:
        readings = await device.poll()
    assert told(readings) == {
        "coil 0": "running",
        "coil 1": "off",
        "input bit 3": "running",
        "register bit 2": "running",
        "register bit 3": "off",
        "float": 21.5,
        "text": "Hell",
        "checked": 21.5,
        "disagrees": 29.9,
        "unsigned": 65531.0,
    }
    by_name = {reading.point.name: reading for reading in readings}
    assert by_name["checked"].good
    assert by_name["disagrees"].reason is Reason.CROSS_CHECK_FAILED


async def test_a_unit_that_is_not_there_is_refused(pymodbus_device: PymodbusDevice):
    async with driver(settings(pymodbus_device.port, unit_id=9), three()) as device:
        assert told(await device.poll()) == dict.fromkeys(GOOD, "refused")  # pymodbus answers exception 4


# --- silence and lateness --------------------------------------------------------------------------------------------


async def test_a_device_that_never_answers_ends_within_the_deadline():
    async with ScriptedModbus(silence) as peer, open_(peer, deadline_s=0.3) as device:
        began = time.monotonic()
        fault = await failed(device)
        assert 0.25 < time.monotonic() - began < 5.0
    assert fault.reason is Reason.TIMEOUT
    assert str(fault) == f"modbus 127.0.0.1:{peer.port} unit 1: no answer within 0.3 s"


async def test_a_device_that_never_accepts_ends_within_the_deadline():
    """A listener whose queue is full does not even shake hands."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with driver(settings(port, deadline_s=0.3), three()) as device:
                began = time.monotonic()
                fault = await failed(device)
                assert time.monotonic() - began < 5.0
    assert fault.reason is Reason.TIMEOUT


async def test_a_silent_device_holds_up_nobody():
    async with (
        ScriptedModbus(silence) as mute,
        ScriptedModbus(answer) as fine,
        open_(mute, deadline_s=30) as waiting,
        open_(fine) as device,
    ):
        task = asyncio.create_task(waiting.poll())
        assert told(await device.poll()) == GOOD
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_late_answer_is_never_taken_for_the_next_one():
    """The second block's answer comes in the next poll, with yesterday's value; it must not be believed."""
    held: list[bytes] = []

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.address == 9 and not held:
            held.append(encode_response(request, (990).to_bytes(2, "big")))
            return
        if held and held[0]:
            writer.write(held[0])
            held[0] = b""
        writer.write(right(request))

    async with ScriptedModbus(script) as peer, open_(peer, three(addresses=(0, 9)), deadline_s=1.0) as device:
        assert told(await device.poll()) == {"t0": 0.0, "t9": "timeout"}
        assert told(await device.poll()) == {"t0": 0.0, "t9": 9.0}
        assert peer.connections == 1


async def test_a_wrong_transaction_identifier_is_not_an_answer():
    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        frame = right(request)
        writer.write(bytes((frame[0] ^ 0x55,)) + frame[1:])

    async with ScriptedModbus(script) as peer, open_(peer, deadline_s=1.0) as device:
        fault = await failed(device)
    assert fault.reason is Reason.TIMEOUT
    assert "1 answers on this connection came late or with a wrong transaction identifier" in str(fault)


async def test_a_flood_of_other_frames_ends_at_the_deadline():
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        frame = right(request)
        while True:
            writer.write((b"\xff\xff" + frame[2:]) * 50)
            await writer.drain()

    async with ScriptedModbus(script) as peer, open_(peer, deadline_s=0.3) as device:
        began = time.monotonic()
        assert (await failed(device)).reason is Reason.TIMEOUT
        assert time.monotonic() - began < 5.0


async def test_one_block_that_meets_silence_does_not_starve_the_others():
    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.address != 0:
            writer.write(right(request))

    clock = Clock()
    async with ScriptedModbus(script) as peer, open_(peer, three(addresses=(0, 5, 9)), clock, 0.7) as device:
        assert (await failed(device)).reason is Reason.TIMEOUT
        clock.now += 2
        assert told(await device.poll()) == {"t0": "timeout", "t5": 5.0, "t9": 9.0}
        assert told(await device.poll()) == {"t0": "timeout", "t5": 5.0, "t9": 9.0}


# --- bytes -----------------------------------------------------------------------------------------------------------


async def test_an_answer_in_single_bytes():
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in right(request):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)

    async with ScriptedModbus(script) as peer, open_(peer) as device:
        assert told(await device.poll()) == GOOD


GARBAGE: dict[str, tuple[Callable[[Request], bytes], str]] = {
    "another protocol": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not Modbus"),
    "a length that cannot be": (lambda r: right(r)[:4] + b"\xff\xff" + right(r)[6:], "65535 bytes"),
    "another function": (lambda r: right(r)[:7] + b"\x04" + right(r)[8:], "answer to function 4"),
    "another unit": (lambda r: right(r)[:6] + b"\x09" + right(r)[7:], "unit 9 answered, unit 1 was asked"),
    "too few registers": (
        lambda r: right(Request(r.transaction, r.unit_id, r.function, r.address, r.count - 1)),
        "3 items are 6 bytes",
    ),
}


@pytest.mark.parametrize(("make", "says"), GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_closes_the_connection(make: Callable[[Request], bytes], says: str):
    clock = Clock()
    peers: list[asyncio.StreamWriter] = []

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        peers.append(writer)
        writer.write(make(request))

    async with ScriptedModbus(script) as peer, open_(peer, clock=clock, deadline_s=2.0) as device:
        fault = await failed(device)
        assert fault.reason is Reason.GARBAGE
        assert says in str(fault)
        assert "connection closed" in str(fault)
        async with asyncio.timeout(10):
            await peers[0].wait_closed()
        peer.answer = answer
        clock.now += 2
        assert told(await device.poll()) == GOOD
        assert peer.connections == 2


async def test_garbage_after_good_answers_spoils_only_what_was_not_read():
    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(right(request) if request.address == 0 else b"\xff" * 20)

    async with ScriptedModbus(script) as peer, open_(peer, three(addresses=(0, 9))) as device:
        assert told(await device.poll()) == {"t0": 0.0, "t9": "garbage"}
        async with asyncio.timeout(10):
            await peer.hung_up.wait()
        assert told(await device.poll()) == {"t0": 0.0, "t9": "garbage"}
        assert peer.connections == 2


# --- exceptions ------------------------------------------------------------------------------------------------------


async def test_a_refused_block_is_read_singly_then_around_the_hole_then_whole_again():
    async with ScriptedModbus(holes(1)) as peer, open_(peer) as device:
        assert told(await device.poll()) == {"t0": 0.0, "t1": "absent", "t2": 2.0}
        assert peer.asked == [(3, 0, 3), (3, 0, 1), (3, 1, 1), (3, 2, 1)]
        peer.asked.clear()
        assert told(await device.poll()) == {"t0": 0.0, "t1": "absent", "t2": 2.0}
        assert peer.asked == [(3, 0, 1), (3, 1, 1), (3, 2, 1)]
        peer.answer = answer
        assert told(await device.poll()) == GOOD
        peer.asked.clear()
        assert told(await device.poll()) == GOOD
        assert peer.asked == [(3, 0, 3)]


async def test_a_device_whose_data_is_not_ready_yet_is_absent_and_then_read():
    async with ScriptedModbus(holes(0, 1, 2)) as peer, open_(peer) as device:
        assert told(await device.poll()) == dict.fromkeys(GOOD, "absent")
        peer.answer = answer
        assert told(await device.poll()) == GOOD
        peer.asked.clear()
        assert told(await device.poll()) == GOOD
        assert peer.asked == [(3, 0, 3)]


@pytest.mark.parametrize(("code", "requests"), [(1, 1), (3, 4), (4, 4), (6, 1), (224, 1)])
async def test_any_other_exception_is_a_refusal(code: int, requests: int):
    async with ScriptedModbus(holes(1, code=code)) as peer, open_(peer) as device:
        readings = told(await device.poll())
        assert readings["t1"] == "refused"
        assert len(peer.asked) == requests
        assert (readings["t0"] == 0.0) is (requests == 4)
        peer.answer = answer
        assert told(await device.poll()) == GOOD


@pytest.mark.parametrize(("code", "reason"), [(10, Reason.UNREACHABLE), (11, Reason.TIMEOUT)])
async def test_a_gateway_without_its_target_speaks_for_the_device(code: int, reason: Reason):
    async with ScriptedModbus(holes(0, code=code)) as peer, open_(peer, three(addresses=(0, 5, 9))) as device:
        fault = await failed(device)
        assert fault.reason is reason
        assert f"the gateway answers exception {code}" in str(fault)
        assert len(peer.asked) == 1


# --- connections -----------------------------------------------------------------------------------------------------


async def test_a_dead_port_is_tried_less_and_less():
    clock = Clock()
    port = free_port()
    async with driver(settings(port), three(), clock) as device:
        fault = await failed(device)
        assert fault.reason is Reason.UNREACHABLE
        assert "cannot connect: " in str(fault)
        for wait in (1.0, 2.0, 4.0):
            clock.now += wait - 0.1
            assert "next try in 0.1 s" in str(await failed(device))
            clock.now += 0.2
            assert "next try" not in str(await failed(device))


async def test_a_device_by_name():
    async with ScriptedModbus(answer) as peer:
        named = replace(settings(peer.port), host="localhost")
        async with driver(named, three()) as device:
            assert told(await device.poll()) == GOOD


async def test_while_backing_off_nothing_is_sent():
    async with ScriptedModbus(silence) as peer, open_(peer, deadline_s=0.3) as device:
        await failed(device)
        asked = len(peer.asked)
        for _ in range(10):
            await failed(device)
        assert (len(peer.asked), peer.connections) == (asked, 1)


async def test_a_device_that_closes_idle_connections_is_not_missed():
    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        answer(request, writer)
        writer.close()

    async with ScriptedModbus(script) as peer, open_(peer, deadline_s=2.0) as device:
        for poll in range(1, 4):
            assert told(await device.poll()) == GOOD
            assert peer.connections == poll


async def test_a_connection_that_closes_as_we_ask_is_opened_once_more():
    closed = []

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        if peer.connections == 1 and len(peer.asked) == 2:
            closed.append(True)
            writer.close()
        else:
            answer(request, writer)

    async with ScriptedModbus(script) as peer, open_(peer, deadline_s=2.0) as device:
        assert told(await device.poll()) == GOOD
        assert told(await device.poll()) == GOOD
        assert (closed, peer.connections) == ([True], 2)


async def test_a_device_that_always_closes_is_not_hammered():
    async with ScriptedModbus(lambda _, writer: writer.close()) as peer, open_(peer, deadline_s=2.0) as device:
        fault = await failed(device)
        assert fault.reason is Reason.UNREACHABLE
        assert "the device closed it" in str(fault)
        assert peer.connections == 1


async def test_one_connection_and_one_request_in_flight():
    async with ScriptedModbus(answer) as peer, open_(peer, three(addresses=tuple(range(0, 60, 2)))) as device:
        for _ in range(3):
            await device.poll()
        assert (peer.connections, peer.most_in_flight, len(peer.asked)) == (1, 1, 90)


async def test_leaving_closes_the_connection():
    async with ScriptedModbus(answer) as peer:
        async with open_(peer) as device:
            await device.poll()
            assert not peer.hung_up.is_set()
        async with asyncio.timeout(10):
            await peer.hung_up.wait()


async def test_a_poll_cancelled_in_flight_leaves_the_driver_ready():
    waiting = asyncio.Event()

    def hold(request: Request, writer: asyncio.StreamWriter) -> None:
        waiting.set()

    async with ScriptedModbus(hold) as peer, open_(peer, deadline_s=5.0) as device:
        task: asyncio.Task[tuple[Reading, ...]] = asyncio.ensure_future(device.poll())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        peer.answer = answer
        assert told(await device.poll()) == GOOD


async def test_pauses_are_kept_between_requests_and_after_connecting():
    moments = []

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        moments.append(time.monotonic())
        answer(request, writer)

    limits = ModbusLimits(pause_ms=60, pause_after_connect_ms=80)
    async with ScriptedModbus(script) as peer, open_(peer, three(limits, (0, 5, 9)), deadline_s=5.0) as device:
        began = time.monotonic()
        await device.poll()
        await device.poll()
    assert moments[0] - began >= 0.078
    assert all(later - earlier >= 0.058 for earlier, later in pairwise(moments))
    assert len(moments) == 6


async def test_pauses_that_do_not_fit_the_deadline_leave_a_partial_answer():
    limits = ModbusLimits(pause_ms=5000)
    async with ScriptedModbus(answer) as peer, open_(peer, three(limits, (0, 9)), deadline_s=1.0) as device:
        assert told(await device.poll()) == {"t0": 0.0, "t9": "timeout"}


def test_a_profile_of_the_other_protocol_is_a_programmers_mistake():
    with pytest.raises(TypeError, match="SNMP addresses"):
        driver(settings(1), profile([temperature("t", Oid("1.3.6"))], ModbusLimits()))
