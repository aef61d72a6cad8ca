"""GET by names known beforehand: what the request is to others, and which answers are believed how far."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder
from pysnmp.proto import api

from envmon.wire import ber, snmp_layout
from envmon.wire.frame import FrameError
from envmon.wire.snmp import Message, PduType, Tag, Value, VarBind, Version, decode_message, encode_message
from envmon.wire.snmp_community import Community
from envmon.wire.snmp_get import LEAST_REQUEST, Question
from envmon.wire.snmp_pdu import REPORT, NotAllowedError

A, B = "1.3.6.1.4.1.476.1.42.3.4.1.2.3.1.3.1", "1.3.6.1.2.1.1.3.0"
NUMBER = LEAST_REQUEST + 0x1234
Answer = tuple[Any, ...] | None


def community(version: Version = Version.V2C) -> Community:
    return Community(version, b"public")


def question() -> Question:
    return Question((A, B))


def asked(version: Version = Version.V2C) -> Message:
    return decode_message(community(version).seal(question().request(NUMBER)))


def raw(*contents: tuple[int, bytes], status: int = 0, number: int = NUMBER) -> bytes:
    """An answer whose values are of these tags and contents, whatever they mean."""
    oids = (A, B)
    variables = b"".join(
        ber.encode(0x30, ber.encode_oid(6, ber.parse_oid(oid)) + ber.encode(tag, content))
        for oid, (tag, content) in zip(oids, contents, strict=False)
    )
    numbers = b"".join(ber.encode_integer(2, n) for n in (number, status, 0))
    return ber.encode(PduType.RESPONSE, numbers + ber.encode(0x30, variables))


def thrice(data: bytes, number: int = NUMBER) -> Answer:
    """The answer as one who never saw its like reads it, and as one who did."""
    known = question()
    for _ in range(3):
        found = known.answer(data, number)
    assert found == question().answer(data, number)
    return found


@pytest.mark.parametrize("version", list(Version))
def test_a_foreign_decoder_reads_the_request(version: Version):
    message, rest = decoder.decode(
        community(version).seal(question().request(NUMBER)),
        asn1Spec=api.PROTOCOL_MODULES[api.SNMP_VERSION_2C].Message(),
    )
    pdu = message["data"]["get-request"]
    assert (rest, int(message["version"]), bytes(message["community"])) == (b"", int(version), b"public")
    assert int(pdu["request-id"]) == NUMBER
    assert [str(variable["name"]) for variable in pdu["variable-bindings"]] == [A, B]


VALUES = [
    (Tag.INTEGER, b"\x05", 5),
    (Tag.INTEGER, b"\x00\xd7", 215),
    (Tag.INTEGER, b"\xff", -1),
    (Tag.INTEGER, b"\x01\x00\x00", 65536),
    (Tag.INTEGER, b"\x80\x00\x00\x00", -2147483648),
    (Tag.GAUGE32, b"\x00\xff\xff", 65535),
    (Tag.GAUGE32, b"\x00\xff\xff\xff\xff", 4294967295),
    (Tag.COUNTER32, b"\x05", 5),
    (Tag.TIME_TICKS, b"\x01\x00", 256),
    (Tag.TIME_TICKS, b"\x01\x00\x00", 65536),
    (Tag.COUNTER64, b"\x00" + b"\xff" * 8, 2**64 - 1),
    (Tag.COUNTER64, b"\x7f" + b"\xff" * 7, 2**63 - 1),
    (Tag.OCTET_STRING, b"21.5", b"21.5"),
    (Tag.OCTET_STRING, b"", b""),
    (Tag.OCTET_STRING, b"x" * 300, b"x" * 300),
    (Tag.OBJECT_IDENTIFIER, b"\x2b\x06\x01", "1.3.6.1"),
    (Tag.IP_ADDRESS, b"\x7f\0\0\x01", "127.0.0.1"),
    (Tag.OPAQUE, b"\x9f\x78", b"\x9f\x78"),
]


@pytest.mark.parametrize(
    ("tag", "content", "value"), VALUES, ids=[f"{tag.name}-{len(content)}" for tag, content, _ in VALUES]
)
def test_every_type_of_value(tag: Tag, content: bytes, value: int | str | bytes):
    assert thrice(raw((tag, content), (2, b"\x07"))) == (value, 7)


NOTHING = [(Tag.NULL, b""), (Tag.NO_SUCH_OBJECT, b""), (Tag.NO_SUCH_INSTANCE, b""), (Tag.END_OF_MIB_VIEW, b"")]


@pytest.mark.parametrize(("tag", "content"), NOTHING, ids=[tag.name for tag, _ in NOTHING])
def test_null_and_the_exceptions_are_no_values(tag: Tag, content: bytes):
    assert thrice(raw((tag, content), (2, b"\x07"))) == (None, 7)


@pytest.mark.parametrize("tag", [0x02, 0x41, 0x42, 0x43, 0x46, 0x47])
def test_an_empty_number_is_left_out_and_never_zero(tag: int):
    assert thrice(raw((tag, b""), (2, b"\x07"))) == (None, 7)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (0x42, b"\x01\0\0\0\xd7"),
        (0x42, bytes(3) + b"\1\0\0\0\0"),
        (0x41, b"\x01" + bytes(8)),
        (0x43, b"\xff" * 8),
        (0x46, b"\x01" + bytes(8)),
        (2, bytes(9)),
        (6, b"\x2b\x86"),
        (0x40, b"\x7f\0\0"),
    ],
)
def test_what_its_type_cannot_hold_is_left_out_and_never_wrapped(tag: int, content: bytes):
    assert thrice(raw((tag, content), (2, b"\x07"))) == (None, 7)


def test_a_type_nobody_knows_spoils_only_itself():
    assert thrice(raw((0x09, b"\x03"), (2, b"\x07"))) == (None, 7)


def test_an_unsigned_number_without_its_leading_zero_is_as_it_is_meant():
    assert thrice(raw((0x42, b"\xff\xc8"), (0x43, b"\xff\xff\xff\xff"))) == (65480, 2**32 - 1)


def test_an_agent_that_does_not_let_us_read_says_so():
    with pytest.raises(NotAllowedError, match="may not read"):
        question().answer(raw((2, b"\0"), (2, b"\x07"), status=16), NUMBER)


@pytest.mark.parametrize("status", [1, 2, 5, 15])
def test_an_answer_that_says_it_failed_has_no_values(status: int):
    assert thrice(raw((2, b"\0"), (2, b"\x07"), status=status)) == (None, None)


@pytest.mark.parametrize("status", [1, 5])
def test_an_answer_that_failed_is_not_taken_for_its_like_that_went_well(status: int):
    good, known = (0x42, b"\0\0\0\0\xd7"), question()
    for _ in range(3):
        assert known.answer(raw(good, (2, b"\x07")), NUMBER) == (215, 7)
    assert known.answer(raw(good, (2, b"\x07"), status=status), NUMBER) == (None, None)
    assert known.answer(raw((0x42, b"\1\0\0\0\xd7"), (2, b"\x07")), NUMBER) == (None, 7), "a leading zero is compared"


def reply(**changes: object) -> bytes:
    """The PDU of an answer."""
    variables = tuple(VarBind(each.oid, Value(Tag.INTEGER, 1)) for each in asked().variables)
    message = encode_message(replace(asked().answer(variables), **changes))  # type: ignore[arg-type]
    inner = community().open(message)
    assert inner is not None
    return inner


@pytest.mark.parametrize("number", [NUMBER + 1, NUMBER ^ 1 << 30, 1, -1])
def test_an_answer_to_somebody_else_is_none(number: int):
    known = question()
    for _ in range(3):
        assert known.answer(raw((2, b"\x05"), (2, b"\x07")), NUMBER) == (5, 7)
    assert known.answer(raw((2, b"\x05"), (2, b"\x07"), number=number), NUMBER) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (reply(kind=PduType.GET), "PDU type 0xa0 is no answer"),
        (bytes((REPORT, *reply()[1:])), "PDU type 0xa8 is no answer"),
        (reply() + b"\0", "1 bytes too many"),
        (reply()[:-1], "promises"),
        (reply(variables=asked().variables[:1] * 2), "the answer has an object twice"),
        (b"", "ends inside an element"),
    ],
)
def test_what_is_no_answer_is_one_clear_error(data: bytes, says: str):
    with pytest.raises(FrameError, match=says):
        question().answer(data, NUMBER)


def test_names_in_another_order_and_names_nobody_asked_for():
    variables = asked().variables
    other = VarBind(ber.parse_oid("1.3.6.1.9.9.0"), Value(Tag.INTEGER, 9))
    told = (VarBind(variables[1].oid, Value(Tag.INTEGER, 2)), other, VarBind(variables[0].oid, Value(Tag.INTEGER, 1)))
    assert thrice(reply(variables=told)) == (1, 2)


CONTENTS = st.lists(
    st.tuples(
        st.sampled_from([2, 4, 5, 6, 64, 65, 66, 67, 70, 71, 128, 129]),
        st.binary(max_size=10) | st.sampled_from([b"\0\xd7", b"\0\xff\xff", b"\0" + b"\xff" * 4, b"\0" + b"\xff" * 8]),
    ),
    max_size=2,
)


@given(CONTENTS)
def test_the_quick_ways_say_what_the_slow_way_says_or_nothing(contents: list[tuple[int, bytes]]):
    data, known = raw(*contents), question()
    slow = known._slowly(data, NUMBER)
    for _ in range(3):
        assert known._quickly(data, NUMBER) in {None, slow}
        assert known._layouts.read(data, NUMBER) in {None, slow}


@given(CONTENTS, CONTENTS)
def test_what_was_learnt_of_one_answer_reads_another_as_it_is(
    seen: list[tuple[int, bytes]], contents: list[tuple[int, bytes]]
):
    known = question()
    for _ in range(3):
        known.answer(raw(*seen), NUMBER)
    assert known.answer(raw(*contents), NUMBER) == question()._slowly(raw(*contents), NUMBER)


@given(CONTENTS, st.integers(0), st.integers(0, 255))
def test_what_was_learnt_does_not_hide_a_damaged_byte(contents: list[tuple[int, bytes]], place: int, byte: int):
    known, data = question(), bytearray(raw(*contents))
    for _ in range(3):
        known.answer(bytes(data), NUMBER)
    data[place % len(data)] = byte
    try:
        right = question()._slowly(bytes(data), NUMBER)
    except (FrameError, NotAllowedError):
        with pytest.raises((FrameError, NotAllowedError)):
            known.answer(bytes(data), NUMBER)
    else:
        assert known.answer(bytes(data), NUMBER) == right


def test_a_usual_answer_takes_the_quick_way_and_its_like_the_quicker_one():
    known = question()
    assert known._quickly(reply(), NUMBER) == (1, 1)
    assert known._layouts.read(reply(), NUMBER) is None
    assert known._quickly(reply(), NUMBER) == (1, 1)
    assert known._layouts.read(reply(), NUMBER) == (1, 1)
    assert known._layouts.read(raw((2, b"\x06"), (2, b"\x07")), NUMBER) == (6, 7)


def test_what_is_remembered_of_answers_is_bounded():
    known = question()
    for size in range(3 * snmp_layout._MOST):
        for _ in range(3):
            assert known.answer(raw((4, b"x" * size), (2, b"\x07")), NUMBER) == (b"x" * size, 7)
    assert len(known._layouts._known) <= snmp_layout._MOST
    assert len(known._layouts._by_size) <= snmp_layout._MOST


# --- the message around it -------------------------------------------------------------------------------------------


def message(**changes: object) -> bytes:
    return encode_message(replace(asked().answer(asked().variables), **changes))  # type: ignore[arg-type]


def test_a_message_opens_to_its_pdu():
    inner = community().open(message())
    assert inner and inner[0] == PduType.RESPONSE and message().endswith(b"public" + inner)
    assert community().open(community().seal(b"\xa2\x00")) == b"\xa2\x00"


def test_a_message_of_another_community_is_somebody_elses():
    assert community().open(message(community=b"private")) is None
    assert community().open(message(community=b"publi")) is None


def test_a_community_in_a_longer_form_than_needed_is_still_ours():
    inner = b"\x02\x01\x01\x04\x81\x06public\xa2\x00"
    assert community().open(ber.encode(0x30, inner)) == b"\xa2\x00"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (message(version=Version.V1), "version 0 answers, version 1 was asked"),
        (message() + b"\0", "1 bytes too many"),
        (message()[:-1], "promises"),
        (b"", "ends inside an element"),
        (b"\x30", "ends inside an element"),
        (b"\x30\x00", "ends inside an element"),
    ],
)
def test_what_is_no_message_is_one_clear_error(data: bytes, says: str):
    with pytest.raises(FrameError, match=says):
        community().open(data)


def test_a_community_is_not_printed():
    assert "public" not in repr(community())
