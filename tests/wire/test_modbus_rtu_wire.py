"""Modbus RTU frames: the specification's vectors, a foreign codec, what may stand before an answer, a fuzz."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from envmon.wire.frame import FrameError
from envmon.wire.modbus import Function, Refusal, Request
from envmon.wire.modbus_rtu import count_strays, crc16, encode_request, find_answer, frame

ASKED = Request(0, 0x11, Function.READ_HOLDING_REGISTERS, 0x6B, 3)
DATA = bytes.fromhex("AE4156524340")
RIGHT = frame(0x11, bytes((3, 6)) + DATA)

# MODBUS over Serial Line V1.02, 6.2.2 (unit 2, function 7), the catalogue value of CRC-16/MODBUS, and frames that
# stand in many manuals.
VECTORS = {
    "0207": 0x1241,
    "313233343536373839": 0x4B37,
    "01030000000A": 0xCDC5,
    "1103006B0003": 0x8776,
    "010402FFFF": 0x80B8,
}


@pytest.mark.parametrize(("data", "crc"), VECTORS.items())
def test_the_checksum_of_the_specification(data, crc):
    assert crc16(bytes.fromhex(data)) == crc
    assert crc16(bytes.fromhex(data) + crc.to_bytes(2, "little")) == 0


@given(st.binary(max_size=260))
def test_the_checksum_is_a_foreign_codecs(data):
    assert crc16(data) == int.from_bytes(FramerRTU.compute_CRC(data).to_bytes(2, "big"), "little")


def test_frames_on_the_wire():
    assert frame(2, b"\x07") == bytes.fromhex("02 07 41 12")
    assert encode_request(ASKED) == bytes.fromhex("11 03 00 6B 00 03 76 87")
    assert bytes.fromhex("11 03 06 AE 41 56 52 43 40 49 AD") == RIGHT


@pytest.mark.parametrize("unit", [0, 248, 255])
def test_units_that_cannot_be_on_a_line(unit):
    with pytest.raises(ValueError, match="1 to 247 can"):
        encode_request(Request(0, unit, Function.READ_COILS, 0, 1))


@pytest.mark.parametrize(("address", "count"), [(0, 0), (0, 126), (65535, 2), (-1, 1)])
def test_requests_the_specification_does_not_allow(address, count):
    with pytest.raises(ValueError, match="items"):
        encode_request(Request(0, 1, Function.READ_INPUT_REGISTERS, address, count))


BEFORE = {
    "nothing": b"",
    "noise": b"\x00\xff\x11\x11\x03",
    "the echo of the request": encode_request(ASKED),
    "a late answer of another unit": frame(0x12, bytes((3, 6)) + DATA),
    "a late answer of another size": frame(0x11, bytes((3, 2)) + DATA[:2]),
    "a late answer of another function": frame(0x11, bytes((4, 6)) + DATA),
    "the right frame, damaged": RIGHT[:-1] + bytes((RIGHT[-1] ^ 1,)),
    "the beginning of the right frame": RIGHT[:-3],
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_what_may_stand_before_an_answer(before):
    whole = before + RIGHT
    assert find_answer(whole, ASKED) == DATA
    assert find_answer(whole + b"\xff", ASKED) == DATA
    assert find_answer(whole[:-1], ASKED) is None
    assert find_answer(before, ASKED) is None


def test_refusals():
    assert find_answer(frame(0x11, b"\x83\x02"), ASKED) == Refusal(2)
    assert find_answer(frame(0x12, b"\x83\x02"), ASKED) is None
    assert find_answer(frame(0x11, b"\x84\x02"), ASKED) is None


def test_bits():
    asked = Request(0, 1, Function.READ_COILS, 0x13, 0x13)
    assert find_answer(frame(1, bytes.fromhex("0103CD6B05")), asked) == bytes.fromhex("CD6B05")


def test_whole_frames_of_others_are_told_from_noise():
    others = [frame(0x12, bytes((3, 6)) + DATA), frame(9, b"\x83\x02"), encode_request(ASKED), RIGHT]
    assert count_strays(b"".join(others)) == 4
    assert count_strays(b"") == 0
    for wrong in (b"\0", RIGHT[:-1], RIGHT + b"\0", b"HTTP/1.1 400 Bad Request", b"\x11\x10\x00\x01\x00\x01\xd2\x98"):
        with pytest.raises(FrameError, match="no Modbus RTU frame"):
            count_strays(wrong)


@given(st.binary(max_size=600))
def test_no_bytes_are_an_answer_by_chance_of_their_shape(data):
    """Whatever comes, the answer found has our unit, function and size, and a checksum that holds."""
    found = find_answer(data, ASKED)
    if isinstance(found, bytes):
        assert frame(0x11, bytes((3, 6)) + found) in data
    elif found is not None:
        assert frame(0x11, bytes((0x83, found.code))) in data
    with contextlib.suppress(FrameError):
        assert count_strays(data) * 5 <= len(data)


@given(st.binary(max_size=64), st.integers(0, 87), st.integers(0, 7))
def test_a_single_flipped_bit_is_never_believed(noise, place, bit):
    damaged = bytearray(RIGHT)
    damaged[place % len(RIGHT)] ^= 1 << bit
    assert find_answer(bytes(damaged), ASKED) is None
    assert find_answer(noise.replace(b"\x11", b"") + bytes(damaged), ASKED) is None
