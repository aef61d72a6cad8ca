"""What real Modbus devices do, one test a quirk: each was met in a register document or in the field."""

import asyncio
import struct
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from driver_rig import Clock, ScriptedModbus, driver, settings, told

from envmon.drivers.contract import DeviceError, Driver
from envmon.model.reading import Quality, Reason, Severity
from envmon.profiles.loader import ProfileError, load_builtin, load_text
from envmon.profiles.schema import Profile
from envmon.wire.modbus import Request, encode_exception, encode_response

HEAD = """
profile: made-up
vendor: nobody
kind: cooling_unit
protocol: modbus
evidence: document
sources: [{document: a test, revision: "1"}]
"""
Words = Callable[[int], int | None]


def profile(points: Iterable[str], modbus: str = "") -> Profile:
    lines = "".join(f"- {{{point}}}\n" for point in points)
    return load_text(f"{HEAD}modbus: {{{modbus}}}\npoints:\n{lines}", "made-up.yaml")


def temperatures(*addresses: int, modbus: str = "", extra: str = "") -> Profile:
    one = "name: t{0}, function: 3, address: {0}, type: int16, unit: degC, scale: 0.1" + extra
    return profile((one.format(address) for address in addresses), modbus)


def at(peer: ScriptedModbus, kind: Profile, deadline_s: float = 5.0, clock: Clock | None = None) -> Driver:
    return driver(settings(peer.port, deadline_s=deadline_s), kind, clock)


def serving(word: Words, *, most: int = 125) -> Callable[[Request, asyncio.StreamWriter], None]:
    """A device with the registers ``word`` knows; None there is a hole, and too long a read is refused."""

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        words = [word(address) for address in range(request.address, request.address + request.count)]
        if request.count > most:
            writer.write(encode_exception(request, 3))
        elif None in words:
            writer.write(encode_exception(request, 2))
        else:
            writer.write(encode_response(request, b"".join((each or 0).to_bytes(2, "big") for each in words)))

    return script


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [0, 1, 40000, 40001, 65535])
async def test_the_base_of_an_address_is_never_inferred_from_its_number(address: int):
    """One maker's 40002 is wire address 1; another's 40000 is wire address 0x9C40."""
    async with ScriptedModbus(serving(lambda _: 215)) as peer, at(peer, temperatures(address)) as device:
        assert told(await device.poll()) == {f"t{address}": 21.5}
        assert peer.asked == [(3, address, 1)]


async def test_coils_may_begin_at_zero_or_one():
    kind = profile(
        f"name: c{n}, function: 1, address: {n}, type: bit, map: {{0: [off, ok], 1: [on, ok]}}" for n in (0, 1)
    )

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_response(request, b"\x02"))

    async with ScriptedModbus(script) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"c0": "off", "c1": "on"}
        assert peer.asked == [(1, 0, 2)]


# --- registers a device does not have --------------------------------------------------------------------------------


async def test_reserved_registers_in_a_block_read_as_zero_are_not_a_temperature():
    """Alone a reserved register is an exception, inside a block it is zero: no block reaches across one."""
    zeros = serving(lambda address: 0 if address == 1 else 215)
    async with ScriptedModbus(zeros) as peer, at(peer, temperatures(0, 2)) as device:
        assert told(await device.poll()) == {"t0": 21.5, "t2": 21.5}
        assert peer.asked == [(3, 0, 1), (3, 2, 1)]


async def test_a_temperature_a_document_says_is_zero_when_not_filled_is_missing_at_zero():
    kind = temperatures(0, 1, extra=", invalid: [0]")
    async with ScriptedModbus(serving(lambda address: 215 * address)) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t0": "sentinel", "t1": 21.5}


async def test_a_transient_exception_2_is_not_a_config_fault():
    """Registers read before the device has data are refused as if they did not exist, and answer a moment later."""
    ready = False
    clock = Clock()
    peer = ScriptedModbus(serving(lambda _: 215 if ready else None))
    async with peer, at(peer, temperatures(0, 1), clock=clock) as device:
        readings = await device.poll()
        assert [(r.value, r.quality, r.reason) for r in readings] == [(None, Quality.MISSING, Reason.ABSENT)] * 2
        ready = True
        assert told(await device.poll()) == {"t0": 21.5, "t1": 21.5}


async def test_one_register_that_is_refused_costs_only_itself():
    peer = ScriptedModbus(serving(lambda n: None if n == 1 else 215))
    async with peer, at(peer, temperatures(0, 1, 2)) as device:
        assert told(await device.poll()) == {"t0": 21.5, "t1": "absent", "t2": 21.5}


async def test_a_large_block_may_take_longer_than_a_single_register():
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.005 * request.count)
        serving(lambda _: 215)(request, writer)

    async with ScriptedModbus(slow) as peer, at(peer, temperatures(*range(100))) as device:
        assert set(told(await device.poll()).values()) == {21.5}
        assert len(peer.asked) == 1


# --- missing values and odd encodings --------------------------------------------------------------------------------

SENTINELS = [
    ("a Vaisala GMW80", "int16", "[0x8000]", 0x8000),
    ("a Vaisala HMW90, not available", "int16", "[0x8000, 0x7FFF, 0x8001]", 0x8000),
    ("a Vaisala HMW90, above its range", "int16", "[0x8000, 0x7FFF, 0x8001]", 0x7FFF),
    ("a Vaisala HMW90, below its range", "int16", "[0x8000, 0x7FFF, 0x8001]", 0x8001),
    ("a Vaisala DMT340", "int16", "[0]", 0),
    ("a Carrier 40VCC8", "int16", "[0x7FFF]", 0x7FFF),
    ("a Weishaupt", "uint16", "[0xFFFF]", 0xFFFF),
]


@pytest.mark.parametrize(("kind", "invalid", "word"), [row[1:] for row in SENTINELS], ids=[row[0] for row in SENTINELS])
async def test_the_number_that_means_not_available(kind: str, invalid: str, word: int):
    one = f"function: 3, type: {kind}, unit: degC, scale: 0.1, invalid: {invalid}"
    two = profile([f"name: dead, address: 0, {one}", f"name: alive, address: 1, {one}"])
    async with ScriptedModbus(serving(lambda address: 215 if address else word)) as peer, at(peer, two) as device:
        dead, alive = await device.poll()
    assert (dead.value, dead.quality, dead.reason) == (None, Quality.BAD, Reason.SENTINEL)
    assert (alive.value, alive.quality) == (21.5, Quality.GOOD)


async def test_not_a_number_is_missing():
    kind = profile(["name: t, function: 4, address: 0, type: float32, unit: degC"])
    words = (0x7FC0, 0)
    async with ScriptedModbus(serving(lambda address: words[address])) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t": "sentinel"}


async def test_a_value_wrapped_modulo_65536_is_out_of_range():
    """700.00 in hundredths does not fit 16 bits and arrives as 44.64: the range of the quantity refuses it."""
    kind = profile(["name: t, function: 3, address: 0, type: uint16, unit: degC, scale: 0.01, valid_range: [-20, 40]"])
    async with ScriptedModbus(serving(lambda _: 70000 % 65536)) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t": "out_of_range"}


async def test_a_reading_minus_20_is_the_temperature_of_a_fisher():
    kind = profile(["name: t, function: 3, address: 0, type: uint16, unit: degC, offset: -20"], "pause_ms: 200")
    async with ScriptedModbus(serving(lambda _: 41)) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t": 21.0}


async def test_tenths_of_fahrenheit_in_two_registers_are_an_inrow():
    kind = profile(["name: t, function: 3, address: 92, type: int32, unit: degF, scale: 0.1"])
    words = {92: 0, 93: 707}
    async with ScriptedModbus(serving(words.get)) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t": 21.5}


async def test_the_unit_is_set_on_a_stulz():
    """Coil 1022 says whether the unit counts in degF."""
    point = "name: t, function: 3, address: 0, type: int16, scale: 0.1, "
    point += "unit_from: {function: 1, address: 1022, type: bit, map: {0: degC, 1: degF}}"
    fahrenheit = 0

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        data = bytes((fahrenheit,)) if request.function == 1 else (707).to_bytes(2, "big")
        writer.write(encode_response(request, data))

    async with ScriptedModbus(script) as peer, at(peer, profile([point])) as device:
        assert told(await device.poll()) == {"t": 70.7}
        fahrenheit = 1
        assert told(await device.poll()) == {"t": 21.5}


ORDERS = {"big": ("high_first", "high_first"), "little": ("low_first", "low_first"),
          "swapped words": ("low_first", "high_first"), "swapped bytes": ("high_first", "low_first")}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
async def test_a_float_in_each_order_of_words_and_bytes(order: str):
    words, bytes_ = ORDERS[order]
    kind = profile(
        ["name: t, function: 4, address: 0, type: float32, unit: degC"], f"word_order: {words}, byte_order: {bytes_}"
    )
    pairs = [struct.pack(">f", 21.5)[:2], struct.pack(">f", 21.5)[2:]]
    pairs = pairs[::-1] if words == "low_first" else pairs
    data = b"".join(pair[::-1] if bytes_ == "low_first" else pair for pair in pairs)

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_response(request, data))

    async with ScriptedModbus(script) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t": 21.5}


async def test_alarms_packed_into_bits_are_a_liebert_sts2():
    """Registers hold up to sixteen alarms each, and are read once."""
    one = "name: bit{0}, function: 3, address: 291, type: bit, bit: {0}, map: {{0: [clear, ok], 1: [alarm, critical]}}"
    kind = profile(one.format(bit) for bit in (13, 14, 15))
    async with ScriptedModbus(serving(lambda _: 1 << 14)) as peer, at(peer, kind) as device:
        readings = await device.poll()
        assert told(readings) == {"bit13": "clear", "bit14": "alarm", "bit15": "clear"}
        assert [reading.severity for reading in readings] == [Severity.OK, Severity.CRITICAL, Severity.OK]
        assert peer.asked == [(3, 291, 1)]


@pytest.mark.parametrize("word", [1, 3, 16, 0xFFFF])
async def test_another_models_enumeration_is_unknown_never_ok(word: int):
    """InRow SC counts 0, 2, 4, 8; its sister RC Gen2 0, 1, 2, 3."""
    (status,) = (p for p in load_builtin()["apc-inrow-sc-modbus"].points if p.name == "overall_status")
    kind = profile(["name: overall_status, function: 3, address: 0, type: uint16, map: {0: [none, ok]}"])
    assert {state.raw for state in status.states} == {0, 2, 4, 8}
    async with ScriptedModbus(serving(lambda _: word)) as peer, at(peer, kind) as device:
        (reading,) = await device.poll()
    assert (reading.value, reading.quality, reading.reason) == (None, Quality.BAD, Reason.UNLISTED_STATE)
    assert reading.severity is Severity.UNKNOWN


@pytest.mark.parametrize("key", ["document", "revision"])
def test_a_profile_names_its_document_and_revision_since_editions_differ(key: str):
    """General error is address 8 in one edition of a Stulz map and 0 in another."""
    text = HEAD.replace("document: a test, ", "") if key == "document" else HEAD.replace(', revision: "1"', "")
    point = "points: [{name: t, function: 3, address: 0, type: int16}]"
    with pytest.raises(ProfileError, match=rf"sources\[0\].{key}: this key is required"):
        load_text(text + point, "made-up.yaml")


# --- how gently it must be asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [5, 10])
async def test_no_read_is_longer_than_a_weishaupt_or_a_daikin_bears(most: int):
    """Five registers and ten; a longer read is refused as a whole."""
    kind = temperatures(*range(23), modbus=f"max_read: {most}")
    async with ScriptedModbus(serving(lambda _: 215, most=most)) as peer, at(peer, kind) as device:
        assert set(told(await device.poll()).values()) == {21.5}
        assert max(count for _, _, count in peer.asked) == most


async def test_one_request_a_point_where_a_device_bears_no_blocks():
    kind = temperatures(0, 1, 2, modbus="max_read: 1")
    async with ScriptedModbus(serving(lambda _: 215, most=1)) as peer, at(peer, kind) as device:
        assert told(await device.poll()) == {"t0": 21.5, "t1": 21.5, "t2": 21.5}
        assert peer.asked == [(3, 0, 1), (3, 1, 1), (3, 2, 1)]


async def test_one_connection_and_one_request_in_flight_whatever_is_read():
    """A Comet takes two clients; many gateways answer wrongly when asked twice at once."""
    kind = temperatures(*range(0, 60, 3))
    async with ScriptedModbus(serving(lambda _: 215)) as peer, at(peer, kind) as device:
        for _ in range(3):
            assert set(told(await device.poll()).values()) == {21.5}
        assert (peer.connections, peer.most_in_flight, len(peer.asked)) == (1, 1, 60)


async def test_a_pause_between_requests_and_after_connecting_is_kept():
    """250 to 500 ms in the field, 1 s by one maker's advice, more than 200 ms by another's manual."""
    moments: list[float] = []

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        moments.append(time.monotonic())
        serving(lambda _: 215)(request, writer)

    kind = temperatures(0, 2, 4, modbus="pause_ms: 250, pause_after_connect_ms: 100")
    async with ScriptedModbus(script) as peer, at(peer, kind) as device:
        began = time.monotonic()
        await device.poll()
    assert moments[0] - began >= 0.098
    assert all(later - earlier >= 0.248 for earlier, later in pairwise(moments))


async def test_a_device_that_trusts_other_addresses_only_is_one_clear_error():
    """A Unity card has a list of five addresses, and hangs up on everybody else."""
    async with ScriptedModbus(lambda _, writer: writer.close()) as peer, at(peer, temperatures(0)) as device:
        with pytest.raises(DeviceError, match="the device closed it") as caught:
            await device.poll()
    assert caught.value.reason is Reason.UNREACHABLE


async def test_late_answers_are_told_by_their_transaction_even_on_the_next_connection():
    """Some gateways send what a closed connection waited for to the one that is there now."""
    held: list[bytes] = []
    clock = Clock()

    def late(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = encode_response(request, (100 * len(peer.asked)).to_bytes(2, "big"))
        if len(peer.asked) > 1:
            writer.write(held.pop(0) + answer)
        held.append(answer)

    async with ScriptedModbus(late) as peer, at(peer, temperatures(7), 0.5, clock) as device:
        with pytest.raises(DeviceError):
            await device.poll()
        clock.now += 60
        assert told(await device.poll()) == {"t7": 20.0}
        assert told(await device.poll()) == {"t7": 30.0}
        assert peer.connections == 2


async def test_a_register_that_would_stop_the_unit_is_only_ever_read():
    """Coil 1000 of a Stulz and register 30426 of a Liebert stop the unit when written."""
    functions: set[int] = set()

    def script(request: Request, writer: asyncio.StreamWriter) -> None:
        functions.add(int(request.function))
        writer.write(encode_response(request, bytes(request.function.data_bytes(request.count))))

    kind = profile(
        [
            "name: stop, function: 1, address: 1000, type: bit, map: {0: [run, ok], 1: [stop, critical]}",
            "name: switch, function: 4, address: 425, type: uint16, map: {0: [off, critical], 1: [on, ok]}",
        ]
    )
    async with ScriptedModbus(script) as peer, at(peer, kind) as device:
        for _ in range(3):
            assert told(await device.poll()) == {"stop": "run", "switch": "off"}
    assert functions == {1, 4}
