"""What must hold of the wire codecs whatever bytes come: one function a codec, for the fuzzer and for the tests.

Rules
  - A check takes bytes a stranger chose and raises when the product does something it must not.
  - An answer that is believed stands in the bytes as a whole frame, under the numbers that were asked with. The frame
    looked for is built here from the specification, not by the codec under test.
"""

import contextlib
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from envmon.drivers.modbus_framing import RtuFraming, TcpFraming
from envmon.wire import (
    ber,
    modbus,
    modbus_rtu,
    sip,
    sip_dialog,
    sip_digest,
    sip_media,
    sip_values,
    snmp,
    snmp_community,
    snmp_get,
    snmp_keys,
    snmp_pdu,
    snmp_usm,
    snmp_v3,
)
from envmon.wire.frame import FrameError
from envmon.wire.modbus import BadRequestError, FrameBuffer, Function, Refusal
from envmon.wire.sip_stream import PING, Stream


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder: ``check`` raises on a finding, ``seeds`` are inputs that reach deep."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]
    short: int = 6000  # inputs of the short run


class Cutter:
    """Takes an input apart; what is beyond its end is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int = 1) -> int:
        return int.from_bytes(self.take(count), "big")

    def rest(self) -> bytes:
        return self._data[self._at :]

    @property
    def more(self) -> bool:
        return self._at < len(self._data)


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    """Cut a stream as a network might: every ``step`` bytes, in one go for 0."""
    for at in range(0, len(data), step or max(len(data), 1)):
        yield data[at : at + (step or len(data))]


def one_line(error: Exception) -> None:
    """An error is one line."""
    assert "\n" not in str(error) and len(str(error)) < 500


# --- Modbus ----------------------------------------------------------------------------------------------------------


def _asked(cut: Cutter) -> tuple[int, Function, int, int]:
    """Unit, function, address and count of a request that may be sent."""
    function = Function(1 + cut.number() % 4)
    count = 1 + cut.number() % min(function.limit, 250)
    return 1 + cut.number() % 247, function, cut.number(2) % (0x10001 - count), count


def _head(function: Function, count: int) -> bytes:
    return bytes((function, (count + 7) // 8 if function <= 2 else 2 * count))


def _pdu(outcome: bytes | Refusal, function: Function, count: int) -> bytes:
    """The only PDU that may be read as ``outcome``."""
    return bytes((function | 0x80, outcome.code)) if isinstance(outcome, Refusal) else _head(function, count) + outcome


def modbus_tcp(data: bytes) -> None:
    """The framing believes whole frames with its transaction, unit, function and size, and nothing else."""
    cut = Cutter(data)
    unit, function, address, count = _asked(cut)
    framing = TcpFraming(itertools.count(1))
    for _ in range(1 + cut.number() % 3):
        request = framing.ask(unit, function, address, count)
    step, stream = cut.number() % 8, cut.rest()
    outcome = None
    try:
        for piece in pieces(stream, step):
            outcome = framing.feed(piece) if outcome is None else outcome
    except FrameError as error:
        one_line(error)
    if outcome is not None:
        pdu = _pdu(outcome, function, count)
        frame = request[:2] + struct.pack(">HHB", 0, len(pdu) + 1, unit) + pdu
        assert frame in stream, f"{outcome!r} was believed and is not there as {frame.hex()}"
    _served(stream)


def _served(stream: bytes) -> None:
    """The server's side: a request is what it would be encoded as, or refused with an exception of its own."""
    try:
        frames = FrameBuffer().feed(stream)
    except FrameError:
        return
    for frame in frames:
        try:
            request = modbus.decode_request(frame)
        except BadRequestError as error:
            _refused(frame, error.answer)
        except FrameError as error:
            one_line(error)
        else:
            numbers = request.transaction, request.unit_id, request.function, request.address, request.count
            assert modbus.encode_request(*numbers) == frame


def _refused(frame: bytes, answer: bytes) -> None:
    assert answer[:5] == frame[:4] + b"\0" and answer[7] == frame[7] | 0x80


def crc(data: bytes) -> int:
    """The checksum bit by bit (MODBUS over Serial Line V1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def sealed(body: bytes) -> bytes:
    return body + crc(body).to_bytes(2, "little")


def modbus_rtu_line(data: bytes) -> None:
    """Noise, strangers' frames and damaged frames are passed over; what is believed has its checksum."""
    cut = Cutter(data)
    unit, function, address, count = _asked(cut)
    request = modbus.Request(0, unit, function, address, count)
    step, line = cut.number() % 8, _line(cut)
    framing, outcome = RtuFraming(), None
    framing.ask(unit, function, address, count)
    try:
        for piece in pieces(line, step):
            outcome = framing.feed(piece) if outcome is None else outcome
    except FrameError:
        assert len(line) > 4096
    if outcome is not None:
        assert sealed(bytes((unit,)) + _pdu(outcome, function, count)) in line
    _quiet(framing, line)
    body = (line + bytes(500))[: _head(function, count)[1]]
    answer = sealed(bytes((unit,)) + _head(function, count) + body)
    assert modbus_rtu.find_answer(line + answer, request) is not None, "a whole answer after noise is found"
    if modbus_rtu.find_answer(line, request) is None:
        place = len(line) % (8 * len(answer))
        flipped = (int.from_bytes(answer, "big") ^ 1 << place).to_bytes(len(answer), "big")
        found = modbus_rtu.find_answer(flipped, request)
        assert found is None or sealed(bytes((unit,)) + _pdu(found, function, count)) in flipped


def _quiet(framing: RtuFraming, line: bytes) -> None:
    try:
        framing.quiet()
        assert 0 <= modbus_rtu.count_strays(line) <= len(line) // 5
    except FrameError as error:
        one_line(error)


def _line(cut: Cutter) -> bytes:
    """Raw bytes, and pieces that get the checksum no fuzzer would guess."""
    if not cut.number() & 1:
        return cut.rest()
    line = b""
    while cut.more:
        size = cut.number()
        piece = cut.take(size & 0x7F)
        line += sealed(piece) if size & 0x80 else piece
    return line


def _modbus_seeds() -> tuple[bytes, ...]:
    head = bytes((2, 1, 0, 0, 8, 0, 0))  # function 3, two registers, unit 1, address 8
    frames = ("00010000000701030400d70001", "000100000003018302", "00010000000601030000000a", "0007000000050103020001")
    bits = bytes((0, 9, 0, 0, 0, 0, 3)) + bytes.fromhex("0001000000050101020f03")
    return (*(head + bytes.fromhex(frame) for frame in frames), bits, head + b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _rtu_seeds() -> tuple[bytes, ...]:
    head = bytes((2, 1, 0, 0, 8, 0))
    answer, refusal = bytes.fromhex("01030400d70001"), bytes.fromhex("018302")
    other = bytes.fromhex("02030400d70001")
    return (
        head + b"\0" + sealed(answer),
        head + b"\0" + b"\xff\x00" + sealed(other) + sealed(answer)[:-1],
        head + b"\1" + b"\x03abc" + bytes((0x80 | len(refusal),)) + refusal,
        head + b"\1" + bytes((0x80 | len(answer),)) + answer,
    )


# --- SNMP ------------------------------------------------------------------------------------------------------------


def snmp_messages(data: bytes) -> None:
    """A message that is read can be written and reads back the same; everything else is one FrameError."""
    _elements(data)
    with contextlib.suppress(ValueError):
        ber.parse_oid(data[:40].decode("latin-1"))
    try:
        message = snmp.decode_message(data)
    except FrameError as error:
        one_line(error)
        return
    assert snmp.decode_message(snmp.encode_message(message)) == message
    assert len(message.community) <= len(data) and len(message.variables) * 6 <= len(data)


def _elements(data: bytes) -> None:
    reader = ber.Reader(data)
    size = 0
    try:
        while reader.more:
            _, content = reader.next()
            size += len(content) + 2
    except FrameError:
        return
    assert size <= len(data)


_OIDS = ("1.3.6.1.4.1.99999.1.1.0", "1.3.6.1.4.1.99999.1.2.0")
_NUMBER = 0x01020304


@cache
def _question() -> snmp_get.Question:
    """One for all inputs: what it learns of one must not mislead it about the next."""
    return snmp_get.Question(_OIDS)


def snmp_answers(data: bytes) -> None:
    """A value is carried, under its OID, by an answer with our version, community and number that went well."""
    cut = Cutter(data)
    flags = cut.number()
    community = snmp_community.Community(snmp.Version(flags & 1), b"public")
    fresh = snmp_get.Question(_OIDS)
    datagram = _spoilt(snmp.decode_message(community.seal(fresh.request(_NUMBER))), flags >> 1, cut)
    allowed = _carried(datagram, flags & 1)
    try:
        pdu = community.open(datagram)
    except FrameError as error:
        one_line(error)
        pdu = None
    if pdu is None:
        return
    told = _told(fresh, pdu)
    for oid, value in zip(_OIDS, told if isinstance(told, tuple) else (), strict=False):
        assert value is None or value in allowed.get(oid, ()), f"{oid}: {value!r} of {datagram.hex()}"
    for _ in range(3):
        assert _told(_question(), pdu) == told, f"what was learnt misleads about {datagram.hex()}"


def _told(question: snmp_get.Question, pdu: bytes) -> Any:
    """Its values, None, or the error it is."""
    try:
        return question.answer(pdu, _NUMBER)
    except (FrameError, snmp_pdu.NotAllowedError) as error:
        one_line(error)
        return str(error)


def _spoilt(asked: snmp.Message, how: int, cut: Cutter) -> bytes:
    """Turn a request into the datagram the input stands for."""
    if how & 3 == 0:
        return cut.rest()
    variables = []
    for each in asked.variables:
        kind, size = cut.number(), cut.number() & 15
        variables.append(ber.encode(0x30, ber.encode_oid(6, each.oid) + ber.encode(kind, cut.take(size))))
    status = cut.number() % 20 if how & 4 else 0
    number = asked.request_id ^ (1 if how & 8 else 0)
    community = b"private" if how & 16 else asked.community
    version = 1 - asked.version if how & 32 else asked.version
    pdu = b"".join(ber.encode_integer(2, n) for n in (number, status, 0)) + ber.encode(0x30, b"".join(variables))
    whole = bytearray(
        ber.encode(0x30, ber.encode_integer(2, version) + ber.encode(4, community) + ber.encode(0xA2, pdu))
    )
    if how & 3 > 1:
        while cut.more:
            whole[cut.number() % len(whole)] = cut.number()
    return bytes(whole)


def _carried(datagram: bytes, version: int) -> dict[str, list[Any]]:
    """Every value a datagram carries for an OID, if it is an answer of ours at all."""
    carried: dict[str, list[Any]] = {}
    try:
        message = ber.Reader(ber.Reader(datagram).expect(0x30))
        head = message.expect(2), message.expect(4)
        pdu = ber.Reader(message.expect(0xA2))
        number, status, _ = (int.from_bytes(pdu.expect(2), "big", signed=True) for _ in range(3))
        if (int.from_bytes(head[0], "big"), head[1], number, status) != (version, b"public", _NUMBER, 0):
            return {}
        variables = ber.Reader(pdu.expect(0x30))
        while variables.more:
            pair = ber.Reader(variables.expect(0x30))
            oid = ber.format_oid(ber.decode_oid(pair.expect(6)))
            carried.setdefault(oid, []).extend(_values(*pair.next()))
    except FrameError:
        pass
    return carried


def _values(tag: int, content: bytes) -> Iterator[Any]:
    """Yield what a value may be read as: nothing for an empty number, or one its type cannot hold."""
    whole = int.from_bytes(content, "big")
    if tag in {4, 0x44}:
        yield content
    elif tag == 2 and content:
        yield int.from_bytes(content, "big", signed=True)
    elif tag == 6:
        with contextlib.suppress(FrameError):
            yield ber.format_oid(ber.decode_oid(content))
    elif tag == 0x40 and len(content) == 4:
        yield ".".join(map(str, content))
    elif content and whole < 2**64 and (tag == 0x46 or (tag in {0x41, 0x42, 0x43, 0x47} and whole < 2**32)):
        yield whole


def _answer_seeds() -> tuple[bytes, ...]:
    numbers = bytes((2, 2, 0, 215, 0x42, 4, 255, 255, 255, 255))
    return (
        *(bytes((flags,)) + numbers for flags in (2, 3, 2 | 16, 3 | 32, 2 | 64)),
        *(bytes((flags,)) + bytes((4, 4)) + b"21.5" + bytes((6, 3, 43, 6, 1)) for flags in (2, 3)),
        bytes((2 | 8, *numbers, 5)),
        bytes((4, *numbers, 0, 0x31)),
        bytes((3, 5, 0, 0x81, 0)),
        bytes((2, 2, 0, 0x42, 0)),
        bytes((1,)) + _snmp_seeds()[2],
    )


def snmp_authority(data: bytes) -> None:
    """An engine identifier stands in the message and has the length RFC 3411 gives it."""
    try:
        authority = snmp_v3.authority_of(data)
    except FrameError as error:
        one_line(error)
        return
    assert authority is None or (5 <= len(authority) <= 32 and authority in data)


def _snmp_seeds() -> tuple[bytes, ...]:
    oid = ber.parse_oid("1.3.6.1.4.1.476.1.42.3.4.1.1.3")
    values = (
        snmp.Value(snmp.Tag.INTEGER, -2147483648),
        snmp.Value(snmp.Tag.OCTET_STRING, b"Unavailable"),
        snmp.Value(snmp.Tag.OBJECT_IDENTIFIER, oid),
        snmp.Value(snmp.Tag.GAUGE32, 4294967295),
        snmp.Value(snmp.Tag.IP_ADDRESS, b"\x7f\0\0\1"),
        snmp.Value(snmp.Tag.NULL),
    )
    variables = tuple(snmp.VarBind((*oid, n), value) for n, value in enumerate(values))
    exceptions = (snmp.VarBind(oid, snmp.Value(snmp.Tag.NO_SUCH_INSTANCE)), snmp.VarBind(oid))
    kinds = snmp.PduType
    messages = [
        snmp.Message(snmp.Version.V1, b"public", kinds.GET, 7, (snmp.VarBind(oid),)),
        snmp.Message(snmp.Version.V1, b"public", kinds.RESPONSE, 7, variables, snmp.ErrorStatus.NO_SUCH_NAME, 1),
        snmp.Message(snmp.Version.V2C, b"public", kinds.RESPONSE, -1, (*variables, *exceptions)),
        snmp.Message(snmp.Version.V2C, b"public", kinds.GET_BULK, 2**31 - 1, exceptions, 1, 10),
    ]
    return tuple(snmp.encode_message(message) for message in messages)


def v3_message(engine: bytes = b"\x80\0\x1f\x88\x04test", model: int = 3) -> bytes:
    """The outside of an SNMPv3 message (RFC 3412 section 6, RFC 3414 section 2.4) with a foreign body."""
    number, octets, sequence = 0x02, 0x04, 0x30
    header = b"".join(ber.encode_integer(number, n) for n in (1, 65507)) + ber.encode(octets, b"\x04")
    numbers = ber.encode_integer(number, 3) + ber.encode_integer(number, 1000)
    user = b"".join(ber.encode(octets, text) for text in (b"envmon", bytes(12), bytes(8)))
    inner = ber.encode(sequence, ber.encode(octets, engine) + numbers + user)
    return ber.encode(
        sequence,
        ber.encode_integer(number, 3)
        + ber.encode(sequence, header + ber.encode_integer(number, model))
        + ber.encode(octets, inner)
        + ber.encode(octets, b"\x30\0"),
    )


def _v3_seeds() -> tuple[bytes, ...]:
    return (v3_message(), v3_message(b""), v3_message(model=1), v3_message(b"x" * 40), _snmp_seeds()[0])


_ENGINE = snmp_keys.Engine(b"\x80\0\x1f\x88\x04test", 5, 1000)


@cache
def _logins() -> tuple[snmp_keys.Login, ...]:
    key = snmp_keys.master_key("sha256", b"authpass12")
    known = (snmp_keys.Login(b"envmon"), snmp_keys.Login(b"envmon", "sha256", key))
    return (*known, *(snmp_keys.Login(b"envmon", "sha256", key, kind, key) for kind in ("aes128", "aes256", "des")))


def snmp_usm_messages(data: bytes) -> None:
    """A stranger's bytes are never authentic; what the user signed opens as it was, and not after any change."""
    cut = Cutter(data)
    login = _logins()[cut.number() % len(_logins())].at(_ENGINE.identifier)
    size = 1 + cut.number() % 20
    variables = (((1, 3, 6, cut.number()), cut.number() & 0xDF | 1, cut.take(size)),)
    asked = snmp_pdu.Pdu(snmp.PduType.RESPONSE, cut.number(3), variables, cut.number() % 20)
    pdu = snmp_pdu.encode(asked)
    sealed_ = snmp_usm.seal(login, _ENGINE, b"crac_2", 7, pdu, b"saltsalt")
    opened = snmp_usm.open_(sealed_, login)
    assert (opened.pdu, opened.context, opened.engine, opened.number) == (pdu, b"crac_2", _ENGINE, 7)
    if variables[0][1] & 0x1F != 0x1F:
        assert snmp_pdu.decode(opened.pdu) == asked
    opener = snmp_usm.Opener(login)
    assert opener.open(sealed_) == opener.open(sealed_) == opened
    place = cut.number(2) % (8 * len(sealed_))
    flipped = (int.from_bytes(sealed_, "big") ^ 1 << place).to_bytes(len(sealed_), "big")
    for strange in (flipped, cut.rest()):
        try:
            found = opener.open(strange)
        except FrameError as error:
            one_line(error)
        else:
            assert not login.auth or (not found.authentic and found.is_report), strange.hex()


def _usm_seeds() -> tuple[bytes, ...]:
    report = v3_message().replace(b"\x04\x02\x30\0", b"\x30\x0b\x04\0\x04\0\xa8\x05\x02\x01\x01\x02\0", 1)
    head = bytes((3, 0, 2, 5, 0, 0, 7, 0, 1, 100))
    return (*(bytes((number, *head[1:])) + report for number in range(5)), head + v3_message(), b"\1" + _v3_seeds()[0])


# --- SIP -------------------------------------------------------------------------------------------------------------

_LISTS = ("Via", "Route", "Record-Route", "Contact", "From", "To")


def sip_messages(data: bytes) -> None:
    """A message or a SipError; what is written reads back equal; everything derived from it can be written or errs."""
    text = data[:200].decode("utf-8", "replace")
    for read in (sip_values.via, sip_values.address, sip_values.uri):
        _attempt(read, text)
    try:
        message = sip.parse(data)
    except sip.SipError as error:
        one_line(error)
        return
    assert sip.parse(sip.build(message)) == message
    sip.cseq(message)
    for name in _LISTS:
        for entry in _attempt(sip.entries, message, name) or ():
            address = _attempt(sip_values.address, entry)
            if address is not None:
                _attempt(sip_values.uri, address.uri)
    if isinstance(message, sip.Request):
        _answered(message)


def sip_streams(data: bytes) -> None:
    """However a stream is cut, the same messages come, each whole, then the same end of it."""
    together, alone = _cut(data, 0), _cut(data, 1 + data[0] % 7 if data else 1)
    assert together == alone
    for message in together[0]:
        if message != PING:
            head, gap, body = message.partition(b"\r\n\r\n")
            assert gap and sip.body_length(head) == len(body)
            _attempt(sip.parse, message)


def _cut(data: bytes, step: int) -> tuple[list[bytes], bool]:
    stream, found = Stream(), []
    try:
        for piece in pieces(data, step):
            for message in stream.feed(piece):
                found.append(message)  # noqa: PERF402 - what came before an error counts, too
    except sip.SipError as error:
        one_line(error)
        return found, True
    return found, False


def sip_logins(data: bytes) -> None:
    """A challenge is read or refused; its answer is a header that can be sent, however strange its words are."""
    text = data.decode("utf-8", "replace")
    _attempt(sip_media.accepted, data)
    _attempt(sip_media.payload_of, data)
    answer = sip.Response(407, "Asks", (*_LOGIN, ("Proxy-Authenticate", text)))
    for challenge in _attempt(sip_digest.challenges, answer) or ():
        login = sip_digest.login(challenge, ("probe", "secret"), "INVITE", "sip:x@192.0.2.1", "c", 1)
        assert login[0] == "Proxy-Authorization" and "secret" not in login[1].replace(text, "")
        request = sip.Request("INVITE", "sip:x@192.0.2.1", (*_LOGIN, login))
        _attempt(sip.build, request)
        _attempt(sip.build, sip_dialog.renewed(request, 2, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", (login,)))


_LOGIN = (
    ("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"),
    ("From", "<sip:probe@192.0.2.9>;tag=a"),
    ("To", "<sip:x@192.0.2.1>"),
    ("Call-ID", "1@192.0.2.9"),
    ("CSeq", "1 INVITE"),
)


def _stream_seeds() -> tuple[bytes, ...]:
    messages = _sip_seeds()
    return b"".join(messages), b"\r\n\r\n".join(messages), b"\r\n" + messages[0] + b"\r\n\r\n\r\n" + messages[1]


def _login_seeds() -> tuple[bytes, ...]:
    return (
        b'Digest realm="a \\"b\\"", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o", stale=true',
        b'Digest nonce="n",realm="r"',
        b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 8\r\nc=IN IP6 2001:db8::1\r\n",
        b"\xb1\x00" + bytes(14) + b"\xbe\xde\x00\x01" + bytes(20) + b"\x04",
    )


def _answered(request: sip.Request) -> None:
    ok = sip_dialog.respond(request, 200, "OK", "ours", (("Contact", "<sip:us@192.0.2.1>"),))
    assert sip.parse(sip.build(ok)) == ok
    call = _attempt(sip_dialog.dialog, request, ok)
    made = [_attempt(sip_dialog.cancel, request), _attempt(sip_dialog.refused, request, ok)]
    if call is not None:
        made.append(_attempt(sip_dialog.within, call, "BYE", 2, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"))
    for message in made:
        if message is not None:
            _attempt(sip.build, message)


def _attempt(what: Callable[..., Any], *given: Any) -> Any:
    """Do it; a SipError is an answer, too."""
    try:
        return what(*given)
    except sip.SipError as error:
        one_line(error)
        return None


def _sip_seeds() -> tuple[bytes, ...]:
    headers = (
        ("Via", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;received=192.0.2.1, SIP/2.0/TCP [2001:db8::9]"),
        ("Record-Route", "<sip:192.0.2.2;lr>, <sip:192.0.2.3:5070;transport=tcp>"),
        ("From", '"A \\"quoted\\" name" <sip:probe@192.0.2.9>;tag=abc'),
        ("To", "<sip:echo@192.0.2.20?subject=x>"),
        ("Call-ID", "1@192.0.2.9"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:probe@192.0.2.9:5060>;expires=60"),
        ("Max-Forwards", "70"),
    )
    invite = sip.build(sip.Request("INVITE", "sip:echo@192.0.2.20", headers, b"v=0\r\n"))
    answer = sip.build(sip.Response(200, "OK", (*headers[:3], ("To", "<sip:echo@192.0.2.20>;tag=x"), *headers[4:])))
    compact = invite.replace(b"Via:", b"v:").replace(b"From:", b"f:").replace(b"Contact:", b"m:")
    folded = invite.replace(b"Call-ID: ", b"Call-ID:\r\n ")
    return invite, answer, compact, folded


TARGETS = (
    Target("modbus", modbus_tcp, _modbus_seeds),
    Target("modbus_rtu", modbus_rtu_line, _rtu_seeds, short=3000),
    Target("snmp", snmp_messages, _snmp_seeds),
    Target("snmp_get", snmp_answers, _answer_seeds, short=2500),
    Target("snmp_v3", snmp_authority, _v3_seeds),
    Target("snmp_usm", snmp_usm_messages, _usm_seeds, short=1500),
    Target("sip", sip_messages, _sip_seeds, short=2000),
    Target("sip_stream", sip_streams, _stream_seeds, short=1500),
    Target("sip_login", sip_logins, _login_seeds),
)
