"""SNMP messages: round trips, agreement with a foreign encoder, malformed cases, and fuzz."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api, rfc1902

from envmon.wire import ber
from envmon.wire.ber import Reader, format_oid, parse_oid
from envmon.wire.frame import FrameError
from envmon.wire.snmp import ErrorStatus, Message, PduType, Tag, Value, VarBind, Version, decode_message, encode_message

SUBID = st.integers(0, 2**32 - 1)
OIDS = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39)),
    st.tuples(st.just(2), st.integers(0, 2**32 - 81)),
).flatmap(lambda root: st.lists(SUBID, max_size=20).map(lambda rest: (*root, *rest)))
V1_VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(lambda n: Value(Tag.INTEGER, n)),
    st.tuples(st.sampled_from([Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS]), SUBID).map(lambda pair: Value(*pair)),
    st.tuples(st.sampled_from([Tag.OCTET_STRING, Tag.OPAQUE]), st.binary(max_size=300)).map(lambda pair: Value(*pair)),
    st.binary(min_size=4, max_size=4).map(lambda b: Value(Tag.IP_ADDRESS, b)),
    OIDS.map(lambda oid: Value(Tag.OBJECT_IDENTIFIER, oid)),
    st.just(Value(Tag.NULL)),
)
VALUES = st.one_of(
    V1_VALUES,
    st.integers(0, 2**64 - 1).map(lambda n: Value(Tag.COUNTER64, n)),
    st.sampled_from([Tag.NO_SUCH_OBJECT, Tag.NO_SUCH_INSTANCE, Tag.END_OF_MIB_VIEW]).map(Value),
)
INT32 = st.integers(-(2**31), 2**31 - 1)


def messages(version, kinds, values):
    return st.builds(
        Message,
        st.just(version),
        st.binary(max_size=200),
        st.sampled_from(kinds),
        INT32,
        st.lists(st.builds(VarBind, OIDS, values), max_size=6).map(tuple),
        INT32,
        INT32,
    )


MESSAGES = st.one_of(
    messages(Version.V1, [PduType.GET, PduType.GET_NEXT, PduType.RESPONSE], V1_VALUES),
    messages(Version.V2C, list(PduType), VALUES),
)


@given(MESSAGES)
def test_what_is_encoded_is_decoded(message):
    assert decode_message(encode_message(message)) == message


def survives(data):
    text = ""
    try:
        decode_message(data)
    except FrameError as error:
        text = str(error)
    assert "\n" not in text


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_raise_frame_error(data):
    survives(data)


@given(MESSAGES, st.data())
def test_a_damaged_message_decodes_or_raises_frame_error(message, data):
    bytes_ = bytearray(encode_message(message))
    for _ in range(data.draw(st.integers(1, 3))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bytes_)))
    for damaged in (bytes(bytes_), bytes(bytes_[:cut])):
        survives(damaged)


FOREIGN_VALUES = {
    "integer": (Value(Tag.INTEGER, -1), rfc1902.Integer32(-1)),
    "integer 128": (Value(Tag.INTEGER, 128), rfc1902.Integer32(128)),
    "integer -129": (Value(Tag.INTEGER, -129), rfc1902.Integer32(-129)),
    "gauge": (Value(Tag.GAUGE32, 2**32 - 1), rfc1902.Gauge32(2**32 - 1)),
    "counter": (Value(Tag.COUNTER32, 2**31), rfc1902.Counter32(2**31)),
    "ticks": (Value(Tag.TIME_TICKS, 0), rfc1902.TimeTicks(0)),
    "counter64": (Value(Tag.COUNTER64, 2**64 - 1), rfc1902.Counter64(2**64 - 1)),
    "string": (Value(Tag.OCTET_STRING, b"x" * 200), rfc1902.OctetString(b"x" * 200)),
    "opaque": (Value(Tag.OPAQUE, bytes.fromhex("9f780441b80000")), rfc1902.Opaque(bytes.fromhex("9f780441b80000"))),
    "address": (Value(Tag.IP_ADDRESS, b"\xc0\0\2\1"), rfc1902.IpAddress("192.0.2.1")),
    "oid": (Value(Tag.OBJECT_IDENTIFIER, (2, 999, 4294967295)), rfc1902.ObjectName("2.999.4294967295")),
}


def foreign_response(version, value):
    """The same Response, by pysnmp."""
    proto = api.PROTOCOL_MODULES[version]
    pdu = proto.GetResponsePDU()
    proto.apiPDU.set_defaults(pdu)
    proto.apiPDU.set_request_id(pdu, 1234567)
    proto.apiPDU.set_varbinds(pdu, [("1.3.6.1.4.1.99999.1.1.0", value)])
    message = proto.Message()
    proto.apiMessage.set_defaults(message)
    proto.apiMessage.set_community(message, "public")
    proto.apiMessage.set_pdu(message, pdu)
    return encoder.encode(message)


@pytest.mark.parametrize(("value", "foreign"), FOREIGN_VALUES.values(), ids=FOREIGN_VALUES.keys())
def test_a_foreign_encoder_writes_the_same_bytes(value, foreign):
    variables = (VarBind(parse_oid("1.3.6.1.4.1.99999.1.1.0"), value),)
    mine = Message(Version.V2C, b"public", PduType.RESPONSE, 1234567, variables)
    theirs = foreign_response(api.SNMP_VERSION_2C, foreign)
    assert encode_message(mine) == theirs
    assert decode_message(theirs) == mine


def test_an_integer_with_a_padding_byte_is_read():
    """X.690 8.3.2 forbids it, pyasn1 and some agents do it."""
    padded = foreign_response(api.SNMP_VERSION_2C, rfc1902.Integer32(-(2**31)))
    assert b"\x02\x05\xff\x80" in padded
    assert decode_message(padded).variables[0].value == Value(Tag.INTEGER, -(2**31))


def test_a_foreign_decoder_reads_a_bulk_request():
    oid = parse_oid(".1.3.6.1.2.1.2.2")
    data = encode_message(Message(Version.V2C, b"public", PduType.GET_BULK, 9, (VarBind(oid),), 1, 25))
    proto = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
    message, rest = decoder.decode(data, asn1Spec=proto.Message())
    pdu = proto.apiMessage.get_pdu(message)
    assert not rest
    assert isinstance(pdu, proto.GetBulkRequestPDU)
    assert (proto.apiBulkPDU.get_non_repeaters(pdu), proto.apiBulkPDU.get_max_repetitions(pdu)) == (1, 25)


def test_an_answer_keeps_version_community_and_request_id():
    request = Message(Version.V2C, b"secret", PduType.GET, 77, (VarBind((1, 3, 6)),))
    answer = request.answer((VarBind((1, 3, 6), Value(Tag.NO_SUCH_INSTANCE)),), ErrorStatus.NO_ERROR)
    assert (answer.version, answer.community, answer.kind, answer.request_id) == (1, b"secret", PduType.RESPONSE, 77)


def test_a_community_is_not_printed():
    assert "secret" not in repr(Message(Version.V2C, b"secret", PduType.GET, 1, ()))


def damaged(find: str, put: str) -> bytes:
    """A valid v2c GetRequest with one part replaced; lengths must agree."""
    good = encode_message(Message(Version.V2C, b"public", PduType.GET, 1, (VarBind((1, 3, 6, 1)),)))
    assert bytes.fromhex(find) in good
    return good.replace(bytes.fromhex(find), bytes.fromhex(put), 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the message ends inside an element"),
        (b"\x30\x80\x00\x00", "length byte 0x80: only definite lengths"),
        (b"\x30\x84\xff\xff\xff\xff", "an element promises 4294967295 bytes, 0 are left"),
        (b"\x3f\x81\x00", "tag 0x3f has more than one byte"),
        (damaged("020101 0406", "020103 0406"), "message version 3"),
        (damaged("a0", "a4"), "PDU type 0xa4 is not one that reads"),
        (damaged("0500", "4500"), "value tag 0x45 is no SNMP type"),
        (damaged("30070603 2b0601 0500", "30070602 2b06 05 0100"), "NULL carries no content, this one 1 bytes"),
        (damaged("30070603 2b0601 0500", "30070602 2b06 40 0100"), "an IpAddress has 4 bytes, this one 1"),
        (damaged("06032b0601", "06032b0681"), "an object identifier is empty or ends inside a number"),
        (damaged("020101 0201", "020081 0201"), "an integer of 0 bytes"),
        (damaged("0406", "0506"), "tag 0x05 where 0x04 belongs"),
        (damaged("a0", "a0") + b"\0", "1 bytes too many"),
    ],
)
def test_every_malformed_message_is_one_clear_error(data, says):
    with pytest.raises(FrameError, match=says):
        decode_message(data)


def test_no_pdu_but_the_four_that_read_is_decoded():
    accepted = []
    for tag in range(256):
        try:
            decode_message(damaged("a0", f"{tag:02x}"))
        except FrameError:
            continue
        accepted.append(tag)
    assert accepted == [0xA0, 0xA1, 0xA2, 0xA5]


@pytest.mark.parametrize(
    "message",
    [
        Message(Version.V1, b"", PduType.GET_BULK, 1, ()),
        Message(Version.V1, b"", PduType.RESPONSE, 1, (VarBind((1, 3), Value(Tag.COUNTER64, 1)),)),
        Message(Version.V1, b"", PduType.RESPONSE, 1, (VarBind((1, 3), Value(Tag.NO_SUCH_OBJECT)),)),
    ],
)
def test_v1_has_none_of_what_v2_brought(message):
    with pytest.raises(ValueError, match="SNMPv1 has no"):
        encode_message(message)


def test_v1_does_not_accept_what_v2_brought():
    v2 = encode_message(Message(Version.V2C, b"", PduType.GET_BULK, 1, ()))
    with pytest.raises(FrameError, match="SNMPv1 has no GetBulk"):
        decode_message(v2.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1))


@pytest.mark.parametrize(
    "value",
    [
        Value(Tag.INTEGER, 2**31),
        Value(Tag.GAUGE32, -1),
        Value(Tag.COUNTER64, 2**64),
        Value(Tag.IP_ADDRESS, b"123"),
        Value(Tag.OCTET_STRING, None),
        Value(Tag.NULL, 0),
        Value(Tag.INTEGER, b"1"),
    ],
)
def test_a_value_that_does_not_fit_its_type_cannot_be_sent(value):
    with pytest.raises(ValueError, match="is not a"):
        encode_message(Message(Version.V2C, b"", PduType.RESPONSE, 1, (VarBind((1, 3), value),)))


@pytest.mark.parametrize("text", ["", "1", "1.a", "3.1", "0.40", "1.3.-6", "1.3.4294967296", ".".join("1" * 129)])
def test_what_is_no_oid_is_refused(text):
    with pytest.raises(ValueError, match="object identifier"):
        parse_oid(text)


@given(OIDS)
def test_an_oid_as_text(oid):
    assert parse_oid(format_oid(oid)) == oid


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_takes_as_few_bytes_as_can_be(value):
    content = Reader(ber.encode_integer(2, value)).expect(2)
    assert ber.decode_integer(content, -(2**63), 2**63 - 1) == value
    assert content == value.to_bytes(len(content), "big", signed=True)
    if len(content) > 1:
        with pytest.raises(OverflowError):
            value.to_bytes(len(content) - 1, "big", signed=True)


@pytest.mark.parametrize(("content", "low", "high"), [(b"", 0, 9), (b"\0" * 10, 0, 9), (b"\xff", 0, 9), (b"\n", 0, 9)])
def test_an_integer_outside_its_range_is_refused(content, low, high):
    with pytest.raises(FrameError):
        ber.decode_integer(content, low, high)


def test_an_oid_with_too_many_or_too_large_numbers_is_refused():
    with pytest.raises(FrameError, match="more than 128"):
        ber.decode_oid(b"\x2b" + b"\1" * 127)
    with pytest.raises(FrameError, match="larger than 32 bits"):
        ber.decode_oid(b"\x2b\x9f\xff\xff\xff\x7f")


@pytest.mark.parametrize("content", [b"\x80\x2b\x06", b"\x2b\x80\x31", b"\x2b\x06\x80\x80\x31"])
def test_an_oid_with_a_padded_number_is_refused(content):
    """One number has one encoding (X.690 8.19.2): a row read from another one was never sent."""
    with pytest.raises(FrameError, match="begins with nothing"):
        ber.decode_oid(content)
