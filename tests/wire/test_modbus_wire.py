"""Modbus TCP frames: the specification's own examples, every malformed case, and a fuzz in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.wire.frame import FrameError
from envmon.wire.modbus import (
    BadRequestError,
    ExceptionCode,
    FrameBuffer,
    Function,
    Refusal,
    Request,
    decode_request,
    decode_response,
    encode_exception,
    encode_request,
    encode_response,
    pack_bits,
    slice_bits,
    transaction_of,
)

# MODBUS Application Protocol V1.1b3: request and response PDU of the worked example of each section.
EXAMPLES = {
    "6.1 coils 20-38": (Function.READ_COILS, 0x13, 0x13, "0100130013", "0103CD6B05"),
    "6.2 discrete inputs 197-218": (Function.READ_DISCRETE_INPUTS, 0xC4, 0x16, "0200C40016", "0203ACDB35"),
    "6.3 holding registers 108-110": (Function.READ_HOLDING_REGISTERS, 0x6B, 3, "03006B0003", "0306022B00000064"),
    "6.4 input register 9": (Function.READ_INPUT_REGISTERS, 8, 1, "0400080001", "0402000A"),
}


def adu(pdu: str, transaction: int = 0x1501, unit: int = 0xFF) -> bytes:
    body = bytes.fromhex(pdu)
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes((unit,)) + body


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_examples_of_the_specification(example):
    function, address, count, asked, answered = example
    request = Request(0x1501, 0xFF, function, address, count)
    assert encode_request(0x1501, 0xFF, function, address, count) == adu(asked)
    assert decode_request(adu(asked)) == request
    data = bytes.fromhex(answered)[2:]
    assert encode_response(request, data) == adu(answered)
    assert decode_response(adu(answered), request) == data


def test_the_mbap_example_of_the_messaging_guide():
    assert encode_request(0x1501, 0xFF, 3, 4, 1) == bytes.fromhex("15 01 00 00 00 06 FF 03 00 04 00 01")


def test_the_exception_example_of_the_specification():
    request = Request(7, 1, Function.READ_COILS, 0x04A1, 1)
    frame = adu("8102", 7, 1)
    assert encode_exception(request, ExceptionCode.ILLEGAL_DATA_ADDRESS) == frame
    refusal = decode_response(frame, request)
    assert refusal == Refusal(2)
    assert str(refusal) == "exception 2 (illegal data address)"


def test_an_exception_code_of_the_devices_own_is_still_a_refusal():
    refusal = decode_response(adu("83E0", 7, 1), Request(7, 1, Function.READ_HOLDING_REGISTERS, 0, 1))
    assert str(refusal) == "exception 224 (not a code of the specification)"


REQUEST = Request(7, 1, Function.READ_HOLDING_REGISTERS, 0, 2)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (adu("030400010002", 8, 1), "answer to transaction 8, asked was 7"),
        (adu("030400010002", 7, 2), "unit 2 answered, unit 1 was asked"),
        (adu("040400010002", 7, 1), "answer to function 4, asked was 3"),
        (adu("0302000100", 7, 1), "2 items are 4 bytes; the answer says 2"),
        (adu("03040001", 7, 1), "2 items are 4 bytes; the answer says 4 and carries 2"),
        (adu("0304000100020003", 7, 1), "the answer says 4 and carries 6"),
        (adu("03", 7, 1), "the answer says 0 and carries 0"),
        (adu("830200", 7, 1), "an exception has 2 bytes"),
        (adu("8402", 7, 1), "answer to function 132"),
        (adu("030400010002", 7, 1)[:-1], "the header promises 7 bytes, 6 follow"),
        (adu("030400010002", 7, 1) + b"\0", "the header promises 7 bytes, 8 follow"),
        (b"\0\7\0\1\0\3\1\3\0", "protocol identifier 1 is not Modbus"),
        (b"\0\7\0\0\0\1\1", "a frame of 1 bytes"),
        (b"\0\7\0", "3 bytes are no Modbus TCP frame"),
    ],
)
def test_every_malformed_answer_is_one_clear_error(frame, says):
    with pytest.raises(FrameError, match=says.replace("(", r"\(")):
        decode_response(frame, REQUEST)


@pytest.mark.parametrize(
    ("pdu", "answer", "says"),
    [
        ("0600010001", "8601", "function code 6 does not read"),
        ("2B0E0100", "AB01", "function code 43 does not read"),
        ("0300000000", "8303", "of 0 items"),
        ("030000007E", "8303", "of 126 items, 1 to 125 fit"),
        ("01000007D1", "8103", "of 2001 items"),
        ("03FFFF0002", "8302", "2 items from 65535 pass 65535"),
    ],
)
def test_a_server_is_told_how_to_refuse(pdu, answer, says):
    with pytest.raises(BadRequestError, match=says) as caught:
        decode_request(adu(pdu))
    assert caught.value.answer == adu(answer)


@pytest.mark.parametrize("pdu", ["83", "00", "03000000", "030000000100"])
def test_a_server_does_not_answer_what_is_no_request(pdu):
    with pytest.raises(FrameError) as caught:
        decode_request(adu(pdu))
    assert not isinstance(caught.value, BadRequestError)


@pytest.mark.parametrize(("function", "address", "count"), [(3, 0, 126), (3, 0, 0), (1, 0, 2001), (4, 65535, 2)])
def test_a_request_outside_the_limits_cannot_be_built(function, address, count):
    with pytest.raises(ValueError, match="items"):
        encode_request(1, 1, function, address, count)


@pytest.mark.parametrize("function", [0, *range(5, 256)])
def test_no_function_but_the_four_that_read_can_be_built(function):
    with pytest.raises(ValueError, match="is not a valid Function"):
        encode_request(1, 1, function, 0, 1)


def test_a_server_cannot_send_the_wrong_amount():
    with pytest.raises(ValueError, match="2 items of READ_HOLDING_REGISTERS are 4 bytes, not 3"):
        encode_response(REQUEST, b"123")


@given(st.lists(st.binary(min_size=1, max_size=253), max_size=8), st.data())
def test_frames_survive_any_cutting_of_the_stream(bodies, data):
    frames = [adu(body.hex(), number) for number, body in enumerate(bodies)]
    stream = b"".join(frames)
    buffer, found = FrameBuffer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.feed(stream[:size])
        stream = stream[size:]
    assert found == frames
    assert [transaction_of(frame) for frame in found] == list(range(len(frames)))


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0000 01", "0001 0000 0001 01", "0001 0000 00FF 01"])
def test_a_stream_that_is_not_modbus_is_refused_at_its_header(header):
    buffer = FrameBuffer()
    assert buffer.feed(bytes.fromhex(header)[:-1]) == []
    with pytest.raises(FrameError):
        buffer.feed(bytes.fromhex(header)[-1:])


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_stream_is_frames_or_one_frame_error(pieces):
    buffer = FrameBuffer()
    try:
        for piece in pieces:
            buffer.feed(piece)
            assert len(buffer._rest) < 261
    except FrameError:
        pass


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_frame_error(frame):
    for decode in (decode_request, lambda data: decode_response(data, REQUEST)):
        text = ""
        try:
            decode(frame)
        except FrameError as error:
            text = str(error)
        assert "\n" not in text


@given(st.binary(max_size=255), st.sampled_from(Function), st.integers(1, 125))
def test_any_answer_behind_a_right_header_is_whole_or_refused(pdu, function, count):
    request = Request(7, 1, function, 0, count)
    try:
        answer = decode_response(adu(pdu.hex(), 7, 1), request)
    except FrameError:
        return
    assert isinstance(answer, Refusal) or len(answer) == function.data_bytes(count)


@given(st.lists(st.booleans(), min_size=1, max_size=70), st.data())
def test_bits_are_cut_out_where_they_are(bits, data):
    start = data.draw(st.integers(0, len(bits) - 1))
    count = data.draw(st.integers(1, len(bits) - start))
    assert slice_bits(pack_bits(bits), start, count) == pack_bits(bits[start : start + count])
