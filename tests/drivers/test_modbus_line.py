"""Modbus lines: RTU over TCP and on a pseudo-terminal, many units on one, lateness, noise, dead units, ceilings."""

import asyncio
import contextlib
import os
import re
import termios
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from driver_rig import Clock, ScriptedModbus, mode, profile, register, settings, temperature, told
from rtu_rig import Asked, Units, Write, answer, foreign, over_pty, over_tcp, right, sealed, serial_device

from envmon.config.settings import DeviceSettings, SerialSettings
from envmon.drivers import longest_poll_s, open_driver
from envmon.drivers.contract import DeviceError, Driver
from envmon.drivers.modbus_framing import RtuFraming
from envmon.drivers.modbus_line import Lines
from envmon.drivers.modbus_serial import control_flags, gap_s
from envmon.model.reading import Reason
from envmon.profiles.schema import ModbusLimits, Profile
from envmon.profiles.schema_point import RegisterType
from envmon.wire.modbus import Request, encode_response
from tests.bound import bind
from tests.ports import free_port

RTU = pytest.mark.parametrize("opened", [over_tcp, over_pty], ids=["gateway", "serial"])
Opened = Callable[[Units], contextlib.AbstractAsyncContextManager[DeviceSettings]]


def some(limits: ModbusLimits | None = None, addresses: tuple[int, ...] = (0, 1, 2)) -> Profile:
    return profile([temperature(f"t{n}", register(3, n)) for n in addresses], limits or ModbusLimits())


def good(unit: int = 1, addresses: tuple[int, ...] = (0, 1, 2)) -> dict[str, float]:
    return {f"t{n}": round(n + unit / 10, 1) for n in addresses}


def at(
    device: DeviceSettings,
    kind: Profile | None = None,
    lines: Lines | None = None,
    clock: Clock | None = None,
    **changes: Any,
) -> Driver:
    device = replace(device, **{"deadline_s": 3.0, **changes})
    kind = kind or some()
    points = bind(kind, site="dallas", device=device.id, path=device.path, zone=device.zone, serves=device.serves)
    return open_driver(device, kind, points, lines=lines, clock=clock or Clock(), jitter=lambda: 1.0)


@contextlib.asynccontextmanager
async def several(device: DeviceSettings, *units: int, **changes: Any) -> AsyncIterator[list[Driver]]:
    """Drivers of several units on one line."""
    lines = Lines()
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(at(device, lines=lines, **{"unit_id": unit, **changes})) for unit in units
        ]


async def failed(device: Driver) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        await device.poll()
    return caught.value


# --- a foreign server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serial", [False, True], ids=["gateway", "serial"])
async def test_every_function_from_a_foreign_server(serial: bool):
    kind = profile(
        [
            mode("coil", register(1, 0, RegisterType.BIT)),
            mode("input bit", register(2, 3, RegisterType.BIT)),
            temperature("supply", register(3, 0)),
            temperature("broken", register(3, 2)),
            temperature("gone", register(3, 40)),
            temperature("float", register(4, 8, RegisterType.FLOAT32, 2)),
        ],
        ModbusLimits(),
    )
    expected = {"coil": "running", "input bit": "running", "supply": 21.5, "broken": "sentinel"}
    async with foreign(serial=serial) as device, several(device, 1, 2) as (first, second):
        for _ in range(3):
            assert told(await first.poll()) == {"t0": 21.5, "t1": 0.1, "t2": "sentinel"}
            assert told(await second.poll()) == {"t0": 19.9, "t1": 0.0, "t2": 25.0}
    async with foreign(serial=serial) as device, at(device, kind) as driver:
        readings = told(await driver.poll())
    assert expected.items() <= readings.items()
    assert readings["gone"] in {"absent", "refused"}


# --- RTU -------------------------------------------------------------------------------------------------------------


@RTU
async def test_units_take_turns_with_one_request_in_flight(opened: Opened):
    async def script(asked: Asked, write: Write) -> None:
        await asyncio.sleep(0.002)
        write(right(asked))

    units = Units(script)
    kind = some(addresses=(0, 5, 9))
    async with opened(units) as device:
        lines = Lines()
        async with contextlib.AsyncExitStack() as stack:
            drivers = [await stack.enter_async_context(at(device, kind, lines, unit_id=unit)) for unit in range(1, 9)]
            for _ in range(3):
                polls = await asyncio.gather(*(driver.poll() for driver in drivers))
                for unit, readings in enumerate(polls, 1):
                    assert told(readings) == good(unit, (0, 5, 9))
    assert units.most_in_flight == 1
    assert len(units.asked) == 8 * 3 * 3
    assert units.connections <= 1
    first = [asked.unit for asked in units.asked[:16]]
    assert first == [*range(1, 9), *range(1, 9)], "request by request, in the order of asking"


@RTU
async def test_one_dead_unit_costs_the_others_its_deadline_and_no_more(opened: Opened):
    def script(asked: Asked, write: Write) -> None:
        if asked.unit != 2:
            write(right(asked))

    units = Units(script)
    async with opened(units) as device, several(device, 1, 2, 3, 4, deadline_s=0.7) as drivers:
        began = time.monotonic()
        polls = await asyncio.gather(*(driver.poll() for driver in drivers), return_exceptions=True)
        assert 0.68 < time.monotonic() - began < 2.0  # not twice
    dead = polls.pop(1)
    assert isinstance(dead, DeviceError)
    assert dead.reason is Reason.TIMEOUT
    assert "unit 2: no answer within 0.7 s" in str(dead)
    for unit, readings in zip((1, 3, 4), polls, strict=True):
        assert not isinstance(readings, BaseException)
        assert told(readings) == good(unit)


@RTU
async def test_a_dead_unit_gets_no_more_than_its_share_of_the_line(opened: Opened):
    units = Units(lambda asked, write: write(right(asked)) if asked.unit != 2 else None)
    async with opened(units) as device:
        clock, lines = Clock(), Lines()
        async with contextlib.AsyncExitStack() as stack:
            for unit in (*range(10, 40), 2):
                driver = await stack.enter_async_context(
                    at(device, lines=lines, clock=clock, unit_id=unit, deadline_s=0.1)
                )
            assert "no answer" in str(await failed(driver))
            clock.now += 2.9  # thirty others, 0.1 s on the line
            wait = re.search(r"next try in (\S+) s", str(await failed(driver)))
            assert wait
            clock.now += float(wait[1]) + 0.1
            assert "next try" not in str(await failed(driver))


@RTU
async def test_a_poll_without_a_turn_says_so_and_is_not_the_devices_fault(opened: Opened):
    units = Units(lambda asked, write: write(right(asked)) if asked.unit != 2 else None)
    async with opened(units) as device:
        lines = Lines()
        async with (
            at(device, lines=lines, unit_id=2, deadline_s=5.0) as hog,
            at(device, lines=lines, unit_id=1, deadline_s=1.0, interval_s=1.0) as waiting,
        ):
            task = asyncio.create_task(hog.poll())
            await units.first.wait()
            fault = await failed(waiting)
            assert fault.reason is Reason.TIMEOUT
            assert "no turn within 1 s; 1 others use its line, poll them less often" in str(fault)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert told(await waiting.poll()) == good(), "there is no backoff"


@RTU
async def test_a_late_answer_never_meets_the_next_question(opened: Opened):
    """Unit 1 answers one poll late with what was true before: nothing in the frame tells it from the right answer."""
    moments: list[float] = []
    gave_up = asyncio.Event()

    async def script(asked: Asked, write: Write) -> None:
        moments.append(asked.at)
        if len(moments) == 1:
            await gave_up.wait()
            await asyncio.sleep(0.1)
            write(sealed(bytes((1, 3, 6)) + b"\x03\xe7" * 3))
        else:
            write(right(asked))

    units = Units(script)
    async with opened(units) as device:
        clock, lines = Clock(), Lines()
        async with (
            at(device, lines=lines, clock=clock, deadline_s=1.0, interval_s=20.0) as slow,
            at(device, lines=lines, unit_id=3, deadline_s=1.0, interval_s=20.0) as other,
        ):
            assert (await failed(slow)).reason is Reason.TIMEOUT
            gave_up.set()
            clock.now += 5
            both = await asyncio.gather(slow.poll(), other.poll())
            assert [told(readings) for readings in both] == [good(1), good(3)]
    assert [asked.unit for asked in units.asked] == [1, 3, 1], "the other goes first, the late one is left alone"
    assert moments[2] - moments[0] >= 1.9


NOISE: dict[str, Callable[[Asked], bytes]] = {
    "noise": lambda _: b"\x00\xff\x01\x01\x03",
    "the echo of the request": lambda asked: sealed(
        bytes((asked.unit, asked.function)) + asked.address.to_bytes(2, "big") + asked.count.to_bytes(2, "big")
    ),
    "another unit": lambda asked: right(replace(asked, unit=9)),
    "another size": lambda asked: right(replace(asked, count=1)),
    "another function": lambda asked: right(replace(asked, function=4)),
}


@RTU
@pytest.mark.parametrize("before", NOISE.values(), ids=NOISE.keys())
async def test_what_stands_before_an_answer_is_passed_over(opened: Opened, before: Callable[[Asked], bytes]):
    units = Units(lambda asked, write: write(before(asked) + right(asked)))
    async with opened(units) as device, at(device) as driver:
        assert told(await driver.poll()) == good()
        assert len(units.asked) == 1


@RTU
async def test_an_answer_in_single_bytes(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(RtuFraming, "silence_s", 3.0)  # the writer below may be kept waiting by a busy machine

    async def script(asked: Asked, write: Write) -> None:
        for byte in right(asked):
            write(bytes((byte,)))
            await asyncio.sleep(0.002)

    async with opened(Units(script)) as device, at(device) as driver:
        assert told(await driver.poll()) == good()


@RTU
async def test_a_frame_damaged_once_costs_a_repetition(opened: Opened):
    def script(asked: Asked, write: Write) -> None:
        frame = right(asked)
        write(frame if len(units.asked) > 1 else frame[:-1] + b"\0")

    units = Units(script)
    async with opened(units) as device, at(device) as driver:
        assert told(await driver.poll()) == good()
        assert (len(units.asked), units.connections) == (2, int(device.transport != "rtu"))


@RTU
async def test_a_wrong_speed_is_told_as_such(opened: Opened):
    units = Units(lambda _, write: write(b"\xe0\xfe\x1c\xfc\x00"))
    async with opened(units) as device, at(device) as driver:
        fault = await failed(driver)
    assert fault.reason is Reason.GARBAGE
    assert "5 bytes that are no Modbus RTU frame (e0 fe 1c fc 00); check speed, parity and wiring" in str(fault)


@RTU
async def test_somebody_babbling_ends_within_the_deadline(opened: Opened):
    async def script(asked: Asked, write: Write) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                write(b"\x55" * 500)
            await asyncio.sleep(0.005)

    async with opened(Units(script)) as device, at(device, deadline_s=0.5) as driver:
        began = time.monotonic()
        fault = await failed(driver)
        assert time.monotonic() - began < 5.0
    assert fault.reason in {Reason.GARBAGE, Reason.TIMEOUT}


@RTU
async def test_refusals_concern_their_points(opened: Opened):
    def script(asked: Asked, write: Write) -> None:
        hole = asked.address <= 1 < asked.address + asked.count
        write(sealed(bytes((asked.unit, 0x83, 2))) if hole else right(asked))

    async with opened(Units(script)) as device, at(device) as driver:
        assert told(await driver.poll()) == {**good(), "t1": "absent"}


@RTU
async def test_a_cancelled_poll_leaves_the_line_to_the_others(opened: Opened):
    units = Units(lambda asked, write: write(right(asked)) if asked.unit != 2 else None)
    async with opened(units) as device, several(device, 1, 2, deadline_s=30.0) as (well, silent):
        task = asyncio.create_task(silent.poll())
        await units.first.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert told(await well.poll()) == good()


@RTU
async def test_a_unit_no_line_can_have_is_one_clear_error(opened: Opened):
    async with opened(Units(answer)) as device, at(device, unit_id=248) as driver:
        fault = await failed(driver)
    assert fault.reason is Reason.REFUSED
    assert str(fault).endswith("unit 248 cannot stand on a serial line; 1 to 247 can")


# --- ceilings --------------------------------------------------------------------------------------------------------


@RTU
async def test_a_line_is_never_asked_faster_than_its_profile_says(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    since: list[float] = []  # as it is sent: it may be heard late, and the next one in time
    ask = RtuFraming.ask

    def noted(framing: RtuFraming, *request: Any) -> bytes:
        since.append(time.monotonic())
        return ask(framing, *request)

    monkeypatch.setattr(RtuFraming, "ask", noted)
    units = Units(answer)
    kind = some(ModbusLimits(max_requests_per_s=25), (0, 5))
    async with opened(units) as device:
        lines = Lines()
        async with contextlib.AsyncExitStack() as stack:
            drivers = [await stack.enter_async_context(at(device, kind, lines, unit_id=unit)) for unit in (1, 2, 3)]
            for _ in range(2):
                polls = await asyncio.gather(*(driver.poll() for driver in drivers))
                assert [told(readings) for readings in polls] == [good(unit, (0, 5)) for unit in (1, 2, 3)]
    assert len(units.asked) == len(since) == 12
    assert all(later > earlier + 0.038 for earlier, later in pairwise(since)), since


@RTU
async def test_waiting_for_the_ceiling_on_a_shared_line_costs_no_deadline(opened: Opened):
    units = Units(answer)
    kind = some(ModbusLimits(max_requests_per_s=2), (0, 5))
    async with opened(units) as device:
        lines = Lines()
        async with (
            at(device, kind, lines, unit_id=1, deadline_s=1.0, interval_s=20.0) as first,
            at(device, kind, lines, unit_id=2, deadline_s=1.0, interval_s=20.0) as second,
        ):
            polls = await asyncio.gather(first.poll(), second.poll())
            assert [told(readings) for readings in polls] == [good(1, (0, 5)), good(2, (0, 5))]


def test_the_least_silence_between_frames_is_three_and_a_half_characters():
    assert gap_s(SerialSettings(9600, "even", 1)) == pytest.approx(3.5 * 11 / 9600)
    assert gap_s(SerialSettings(9600, "none", 1)) == pytest.approx(3.5 * 10 / 9600)
    assert gap_s(SerialSettings(115200, "even", 1)) == pytest.approx(0.00175)


# --- Modbus TCP, shared ----------------------------------------------------------------------------------------------


def tcp(request: Request, writer: asyncio.StreamWriter) -> None:
    numbers = range(request.address, request.address + request.count)
    writer.write(encode_response(request, b"".join((10 * n + request.unit_id).to_bytes(2, "big") for n in numbers)))


async def test_units_behind_one_gateway_share_one_connection():
    async with ScriptedModbus(tcp) as peer, several(settings(peer.port), 1, 2, 3) as drivers:
        for _ in range(3):
            polls = await asyncio.gather(*(driver.poll() for driver in drivers))
            assert [told(readings) for readings in polls] == [good(1), good(2), good(3)]
        assert (peer.connections, peer.most_in_flight, len(peer.asked)) == (1, 1, 9)


async def test_a_silent_unit_does_not_close_the_connection_of_the_others():
    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit_id != 2:
            tcp(request, writer)

    clock = Clock()
    async with (
        ScriptedModbus(script) as peer,
        several(settings(peer.port), 1, 2, 3, deadline_s=0.5, clock=clock) as all_,
    ):
        first, dead, third = all_
        for _ in range(3):
            clock.now += 60
            await failed(dead)
            assert told(await first.poll()) == good(1)
            assert told(await third.poll()) == good(3)
        assert peer.connections == 1


async def test_a_connection_that_only_meets_silence_is_opened_anew():
    async with (
        ScriptedModbus(lambda *_: None) as peer,
        several(settings(peer.port), 1, 2, deadline_s=0.1) as (first, second),
    ):
        await failed(first)
        await failed(second)
        async with asyncio.timeout(10):
            await peer.hung_up.wait()
        peer.answer = tcp
        async with at(settings(peer.port), unit_id=3) as third:
            assert told(await third.poll()) == good(3)
        assert peer.connections == 2


async def test_a_dead_gateway_is_every_units_loss_and_comes_back_for_all():
    clock = Clock()
    port = free_port()
    async with several(settings(port), 1, 2, clock=clock) as drivers:
        for driver in drivers:
            assert (await failed(driver)).reason is Reason.UNREACHABLE
        peer = ScriptedModbus(tcp)
        peer.port = port
        async with peer:
            clock.now += 60
            polls = await asyncio.gather(*(driver.poll() for driver in drivers))
            assert [told(readings) for readings in polls] == [good(1), good(2)]


async def test_the_last_to_leave_closes_the_line():
    async with ScriptedModbus(tcp) as peer:
        lines = Lines()
        async with at(settings(peer.port), lines=lines) as stays:
            async with at(settings(peer.port), lines=lines, unit_id=2) as leaves:
                await leaves.poll()
            assert told(await stays.poll()) == good()
            assert (peer.connections, peer.hung_up.is_set()) == (1, False)
        async with asyncio.timeout(10):
            await peer.hung_up.wait()


def test_a_poll_may_wait_for_others_only_where_there_may_be_others():
    device = replace(settings(1), deadline_s=2.0, interval_s=5.0)
    assert longest_poll_s(device, some()) == 7.0


# --- serial lines ----------------------------------------------------------------------------------------------------


async def test_a_line_that_is_not_there_is_told_and_comes_back():
    clock = Clock()
    units = Units(answer)
    async with over_pty(units) as device:
        path = device.host
        async with at(device, clock=clock) as driver:
            assert told(await driver.poll()) == good()
    async with at(replace(device, host="/dev/envmon-no-such-line"), clock=clock) as driver:
        fault = await failed(driver)
        assert fault.reason is Reason.UNREACHABLE
        assert "cannot open /dev/envmon-no-such-line: there is no such device; is the adapter plugged in?" in str(fault)
    async with at(serial_device("/dev/null")) as driver:
        assert "it is no serial line" in str(await failed(driver))
    assert path.startswith("/dev/pts/")


async def test_an_adapter_that_is_unplugged_ends_the_poll_at_once():
    def unplug(asked: Asked, write: Write) -> None:
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)

    units = Units(unplug)
    master, near = os.openpty()
    asyncio.get_running_loop().add_reader(master, lambda: units.heard(os.read(master, 100), lambda _: None))
    device = serial_device(os.ttyname(near))
    os.close(near)
    async with at(device, deadline_s=5.0) as driver:
        began = time.monotonic()
        fault = await failed(driver)
        assert time.monotonic() - began < 4.0  # not its deadline
    assert fault.reason is Reason.UNREACHABLE
    assert "connection lost" in str(fault)


async def test_a_second_master_is_kept_off_the_line():
    async with over_pty(Units(answer)) as device, at(device) as ours, at(device) as second:
        assert told(await ours.poll()) == good()
        fault = await failed(second)
        assert fault.reason is Reason.UNREACHABLE
        assert "somebody else has it open" in str(fault)
        assert told(await ours.poll()) == good()


async def test_the_line_is_driven_as_configured():
    units = Units(answer)
    async with over_pty(units) as device, at(device, serial=SerialSettings(9600, "none", 2)) as driver:
        await driver.poll()
        iflag, oflag, cflag, lflag, *speeds, _ = termios.tcgetattr(units.terminal)
    assert (iflag, oflag, lflag, speeds) == (0, 0, 0, [termios.B9600, termios.B9600])
    assert cflag & termios.CSTOPB
    flags = {parity: control_flags(SerialSettings(9600, parity, 1)) for parity in ("none", "even", "odd")}
    assert not flags["none"] & (termios.PARENB | termios.CSTOPB)
    assert flags["even"] & (termios.PARENB | termios.PARODD) == termios.PARENB
    assert flags["odd"] & termios.PARODD
    assert all(each & termios.CSIZE == termios.CS8 for each in flags.values())
