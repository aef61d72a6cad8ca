"""GET by names known beforehand: what the request is to others, and which answers are believed how far."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder
from pysnmp.proto import api

from envmon.wire import ber
from envmon.wire.frame import FrameError
from envmon.wire.snmp import Message, PduType, Tag, Value, VarBind, Version, decode_message, encode_message
from envmon.wire.snmp_get import LEAST_REQUEST, NotAllowedError, Question

A, B = "1.3.6.1.4.1.476.1.42.3.4.1.2.3.1.3.1", "1.3.6.1.2.1.1.3.0"
NUMBER = LEAST_REQUEST + 0x1234


def question(version: Version = Version.V2C) -> Question:
    return Question(version, b"public", (A, B))


def asked(version: Version = Version.V2C) -> Message:
    return decode_message(question(version).request(NUMBER))


def raw(*contents: tuple[int, bytes], status: int = 0) -> bytes:
    """An answer whose values are of these tags and contents, whatever they mean."""
    oids = (A, B)
    variables = b"".join(
        ber.encode(0x30, ber.encode_oid(6, ber.parse_oid(oid)) + ber.encode(tag, content))
        for oid, (tag, content) in zip(oids, contents, strict=False)
    )
    pdu = b"".join(ber.encode_integer(2, n) for n in (NUMBER, status, 0)) + ber.encode(0x30, variables)
    return ber.encode(0x30, ber.encode_integer(2, 1) + ber.encode(4, b"public") + ber.encode(PduType.RESPONSE, pdu))


@pytest.mark.parametrize("version", list(Version))
def test_a_foreign_decoder_reads_the_request(version: Version):
    message, rest = decoder.decode(
        question(version).request(NUMBER), asn1Spec=api.PROTOCOL_MODULES[api.SNMP_VERSION_2C].Message()
    )
    pdu = message["data"]["get-request"]
    assert (rest, int(message["version"]), bytes(message["community"])) == (b"", int(version), b"public")
    assert int(pdu["request-id"]) == NUMBER
    assert [str(variable["name"]) for variable in pdu["variable-bindings"]] == [A, B]


VALUES = [
    (Tag.INTEGER, b"\x00\xd7", 215),
    (Tag.INTEGER, b"\xff", -1),
    (Tag.INTEGER, b"\x80\x00\x00\x00", -2147483648),
    (Tag.GAUGE32, b"\x00\xff\xff\xff\xff", 4294967295),
    (Tag.COUNTER32, b"\x05", 5),
    (Tag.TIME_TICKS, b"\x01\x00", 256),
    (Tag.COUNTER64, b"\x00" + b"\xff" * 8, 2**64 - 1),
    (Tag.OCTET_STRING, b"21.5", b"21.5"),
    (Tag.OCTET_STRING, b"x" * 300, b"x" * 300),
    (Tag.OBJECT_IDENTIFIER, b"\x2b\x06\x01", "1.3.6.1"),
    (Tag.IP_ADDRESS, b"\x7f\0\0\x01", "127.0.0.1"),
    (Tag.OPAQUE, b"\x9f\x78", b"\x9f\x78"),
]


@pytest.mark.parametrize(("tag", "content", "value"), VALUES, ids=[tag.name for tag, _, _ in VALUES])
def test_every_type_of_value(tag: Tag, content: bytes, value: int | str | bytes):
    assert question().answer(raw((tag, content), (2, b"\x07")), NUMBER) == {A: value, B: 7}


NOTHING = [(Tag.NULL, b""), (Tag.NO_SUCH_OBJECT, b""), (Tag.NO_SUCH_INSTANCE, b""), (Tag.END_OF_MIB_VIEW, b"")]


@pytest.mark.parametrize(("tag", "content"), NOTHING, ids=[tag.name for tag, _ in NOTHING])
def test_null_and_the_exceptions_are_no_values(tag: Tag, content: bytes):
    assert question().answer(raw((tag, content), (2, b"\x07")), NUMBER) == {B: 7}


@pytest.mark.parametrize("tag", [0x02, 0x41, 0x42, 0x43, 0x46, 0x47])
def test_an_empty_number_is_left_out_and_never_zero(tag: int):
    assert question().answer(raw((tag, b""), (2, b"\x07")), NUMBER) == {B: 7}


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (0x42, b"\x01\0\0\0\xd7"),
        (0x41, b"\x01" + bytes(8)),
        (0x46, b"\x01" + bytes(8)),
        (2, bytes(9)),
        (6, b"\x2b\x86"),
    ],
)
def test_what_its_type_cannot_hold_is_left_out_and_never_wrapped(tag: int, content: bytes):
    assert question().answer(raw((tag, content), (2, b"\x07")), NUMBER) == {B: 7}


def test_a_type_nobody_knows_spoils_only_itself():
    assert question().answer(raw((0x09, b"\x03"), (2, b"\x07")), NUMBER) == {B: 7}


def test_an_unsigned_number_without_its_leading_zero_is_as_it_is_meant():
    assert question().answer(raw((0x42, b"\xff\xc8"), (0x43, b"\xff\xff\xff\xff")), NUMBER) == {A: 65480, B: 2**32 - 1}


def test_an_agent_that_does_not_let_us_read_says_so():
    with pytest.raises(NotAllowedError, match="may not read"):
        question().answer(raw((2, b"\0"), (2, b"\x07"), status=16), NUMBER)


@pytest.mark.parametrize("status", [1, 2, 5, 15])
def test_an_answer_that_says_it_failed_has_no_values(status: int):
    assert question().answer(raw((2, b"\0"), (2, b"\x07"), status=status), NUMBER) == {}


def reply(**changes: object) -> bytes:
    variables = tuple(VarBind(each.oid, Value(Tag.INTEGER, 1)) for each in asked().variables)
    return encode_message(replace(asked().answer(variables), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"community": b"private"}, {"request_id": NUMBER + 1}, {"request_id": 1}])
def test_an_answer_to_somebody_else_is_none(changes: dict[str, object]):
    assert question().answer(reply(**changes), NUMBER) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (reply(version=Version.V1), "version 0 answers, version 1 was asked"),
        (reply(kind=PduType.GET), "PDU type 0xa0 is no answer"),
        (reply() + b"\0", "1 bytes too many"),
        (reply()[:-1], "promises"),
        (reply(variables=asked().variables[:1] * 2), f"the answer has {A} twice"),
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
    assert question().answer(reply(variables=told), NUMBER) == {A: 1, B: 2}


@given(
    st.lists(st.tuples(st.sampled_from([2, 4, 5, 6, 64, 65, 66, 67, 70, 128, 129]), st.binary(max_size=12)), max_size=2)
)
def test_the_quick_way_says_what_the_slow_way_says_or_nothing(contents: list[tuple[int, bytes]]):
    data = raw(*contents)
    quick = question()._quickly(data, NUMBER)
    assert quick is None or quick == question()._slowly(data, NUMBER)


def test_a_usual_answer_takes_the_quick_way():
    assert question()._quickly(reply(), NUMBER) == {A: 1, B: 1}


def test_a_community_is_not_printed():
    assert "public" not in repr(question())
