"""SIP messages: what RFC 3261 and RFC 4475 say a parser must read, and what it must refuse."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envmon.wire.sip import Message, Request, Response, build, cseq, entries, header, parse
from envmon.wire.sip_dialog import cancel, dialog, refused, respond, within
from envmon.wire.sip_values import SipError, address, uri, via

INVITE = Request(
    "INVITE",
    "sip:bob@192.0.2.4",
    (
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport"),
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@192.0.2.1>;tag=a"),
        ("To", "<sip:bob@192.0.2.4>"),
        ("Call-ID", "c1@192.0.2.1"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:alice@192.0.2.1:5060>"),
    ),
    b"v=0\r\n",
)
RING = "Record-Route"

# RFC 4475 3.1.1.1 "A Short Tortuous INVITE", shortened.
TORTUOUS = (
    b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\n"
    b"Call-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    b"Content-Length   : 10\r\n"
    b"cseq: 0009\r\n  INVITE\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
    b"s :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
    b"  secondparam ; q = 0.33\r\n"
    b"\r\n"
    b"v=0\r\no=mh\r\n"
)


def without(message: Message, *names: str) -> bytes:
    """The bytes of a message less some headers; for messages ``build`` would refuse to write."""
    lines = build(message).split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(tuple(f"{n}:".encode() for n in names)))


def test_a_message_reads_back_as_it_was_written() -> None:
    assert parse(build(INVITE)) == INVITE
    answer = Response(200, "OK", INVITE.headers, b"\x00\xff")
    assert parse(build(answer)) == answer
    assert parse(b"\r\n\r\n" + build(INVITE)) == INVITE  # RFC 3261 7.5


def test_the_tortuous_invite_is_read() -> None:
    message = parse(TORTUOUS)
    assert isinstance(message, Request)
    assert message.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert message.body == b"v=0\r\no=mh\r\n"[:10]
    assert cseq(message) == (9, "INVITE")
    assert address(header(message, "to")).tag == "1918181833n"
    assert address(header(message, "From")).uri == "sip:jdrosen@example.com"
    assert address(header(message, "From")).tag == "98asjd8"
    assert header(message, "NewFangledHeader") == "newfangled value continued newfangled value"
    hops = [via(hop) for hop in entries(message, "Via")]
    assert [(hop.transport, hop.host, hop.branch) for hop in hops] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    contact = address(entries(message, "Contact")[0])
    assert contact.uri == "sip:jdrosen@example.com"
    assert contact.parameters == (("newparam", "newvalue"), ("secondparam", ""), ("q", "0.33"))


def test_compact_names_are_the_long_ones() -> None:
    short = build(INVITE)
    for long, compact in ((b"Via", b"v"), (b"From", b"f"), (b"To", b"t"), (b"Call-ID", b"i"), (b"Contact", b"m")):
        short = short.replace(b"\r\n" + long + b":", b"\r\n" + compact + b":")
    assert parse(short.replace(b"Content-Length", b"l")) == INVITE


def test_commas_in_quotes_and_brackets_do_not_split() -> None:
    message = parse(
        build(INVITE).replace(b"Contact: ", b'Contact: "Last, First" <sip:a,b@h;x=1,2>, "\\",<" <sip:c@h>, ', 1)
    )
    contacts = [address(entry).uri for entry in entries(message, "Contact")]
    assert contacts == ["sip:a,b@h;x=1,2", "sip:c@h", "sip:alice@192.0.2.1:5060"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:h", ("sip", "", "h", 0)),
        ("SIPS:u@h:5061;transport=tcp", ("sips", "u", "h", 5061)),
        ("sip:u:pw@[2001:db8::1]:5080?Subject=x", ("sip", "u:pw", "[2001:db8::1]", 5080)),
    ],
)
def test_uris(text: str, expected: tuple[str, str, str, int]) -> None:
    read = uri(text)
    assert (read.scheme, read.user, read.host, read.port) == expected


@pytest.mark.parametrize("text", ["", "sip:", "tel:1", "sip:@h", "sip:u@h:", "sip:u@h:99999", "sip:u@h:x", "sip:a b"])
def test_what_is_no_sip_uri_is_refused(text: str) -> None:
    with pytest.raises(SipError):
        uri(text)


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_message_needs_its_headers(name: str) -> None:
    with pytest.raises(SipError, match=name):
        parse(without(INVITE, name))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"1 INVITE", b"1 BYE"),
        (b"1 INVITE", b"2147483648 INVITE"),
        (b"1 INVITE", "١ INVITE".encode()),  # noqa: RUF001 - an Arabic digit is what this case is about
        (b"SIP/2.0\r\n", b"SIP/3.0\r\n"),
        (b"INVITE sip", b"INV ITE sip"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: -1"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 4"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\rX: y"),
        (b"Max-Forwards: 70", b"Max-Forwards"),
        (b"Max-Forwards: 70", b"Max-Forwards: \xff"),
        (b"Max-Forwards: 70", b"f: <sip:eve@h>;tag=e"),
        (b"Via: SIP/2.0/UDP 192.0.2.1:5060", b"Via: SIP/2.0/UDP 192.0.2.1:506000"),
        (b"To: <sip:bob@192.0.2.4>", b"To: <sip:bob@192.0.2.4"),
        (b"To: <sip:bob@192.0.2.4>", b'To: "bob <sip:bob@192.0.2.4>'),
        (b"\r\nVia:", b"\r\n folded\r\nVia:"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_garbage_is_one_error(old: bytes, new: bytes) -> None:
    datagram = build(INVITE)
    assert old in datagram
    with pytest.raises(SipError):
        parse(datagram.replace(old, new))


def test_bytes_after_the_body_are_not_the_message() -> None:
    assert parse(build(INVITE) + b"trailing") == INVITE  # RFC 3261 18.3


@pytest.mark.parametrize(
    "pair", [("X-A", "1\r\nRoute: <sip:evil>"), ("X\r\nA", "1"), ("X-A", " 1"), ("Content-Length", "5"), ("v", "x")]
)
def test_no_value_writes_a_line_of_its_own(pair: tuple[str, str]) -> None:
    with pytest.raises(SipError):
        build(Request("INVITE", INVITE.uri, (*INVITE.headers, pair)))


def test_an_answer_copies_what_it_must() -> None:
    request = Request("INVITE", INVITE.uri, ((RING, "<sip:p;lr>"), *INVITE.headers))
    answer = respond(request, 200, "OK", "b", (("Contact", "<sip:bob@192.0.2.4>"),))
    assert [name for name, _ in answer.headers] == [RING, "Via", "From", "To", "Call-ID", "CSeq", "Contact"]
    assert address(header(answer, "To")).tag == "b"
    assert header(respond(request, 100, "Trying"), RING) == ""
    assert header(respond(Request("BYE", "sip:x", answer.headers), 200, "OK", "other"), "To") == header(answer, "To")


def test_a_dialog_routes_loosely() -> None:
    answer = respond(INVITE, 200, "OK", "b", ((RING, "<sip:p2;lr>, <sip:p1;lr>"), ("Contact", "<sip:bob@10.0.0.1>")))
    bye = within(dialog(INVITE, answer), "BYE", 2, "SIP/2.0/UDP h;branch=z9hG4bK2")
    assert parse(build(bye)) == bye
    assert bye.uri == "sip:bob@10.0.0.1"
    assert entries(bye, "Route") == ("<sip:p1;lr>", "<sip:p2;lr>")
    assert (header(bye, "From"), header(bye, "To")) == (header(INVITE, "From"), header(answer, "To"))


def test_a_dialog_routes_strictly_through_an_old_proxy() -> None:
    answer = respond(INVITE, 200, "OK", "b", ((RING, "<sip:p2;lr>, <sip:p1>"), ("Contact", "<sip:bob@10.0.0.1>")))
    bye = within(dialog(INVITE, answer), "BYE", 2, "SIP/2.0/UDP h;branch=z9hG4bK2")
    assert bye.uri == "sip:p1"
    assert entries(bye, "Route") == ("<sip:p2;lr>", "<sip:bob@10.0.0.1>")


@pytest.mark.parametrize("extra", [(), (("Contact", "*"),)])
def test_an_answer_without_a_usable_contact_makes_no_dialog(extra: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(SipError):
        dialog(INVITE, respond(INVITE, 200, "OK", "b", extra))
    with pytest.raises(SipError, match="tag"):
        dialog(INVITE, respond(INVITE, 200, "OK", "", (("Contact", "<sip:bob@h>"),)))


def test_cancel_and_ack_stay_on_the_hop_of_the_invite() -> None:
    busy = respond(INVITE, 486, "Busy Here", "b")
    for message, to in (
        (cancel(INVITE), "To: <sip:bob@192.0.2.4>"),
        (refused(INVITE, busy), "To: <sip:bob@192.0.2.4>;tag=b"),
    ):
        assert entries(message, "Via") == entries(INVITE, "Via")
        assert cseq(message)[0] == 1
        assert f"{to}\r\n".encode() in build(message)
    assert cancel(INVITE).method == "CANCEL"
    assert refused(INVITE, busy).method == "ACK"


PIECES = st.sampled_from(
    [
        *(bytes([letter]) for letter in b'\r\n\x00\xff"<>,;=:[]@\t'),
        *(b"\r\n", b"\r\n ", b"Via: ", b"v: SIP/2.0/UDP ", b"Content-Length: ", b"99999999999", b"SIP/2.0 ", b"To: "),
        "\u2028é".encode(),
    ]
)


@st.composite
def bent_messages(draw: st.DrawFn) -> bytes:
    """A good message with a few cuts and insertions: most of the way through the parser, then a fault."""
    data = bytearray(draw(st.sampled_from([build(INVITE), TORTUOUS, build(respond(INVITE, 200, "OK", "b"))])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 12))] = draw(PIECES | st.binary(max_size=6))
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=400) | bent_messages())
@example(b"")
@example(b"\r\n\r\n")
@example(b"SIP/2.0 200\r\n\r\n")
def test_any_bytes_are_a_message_or_a_sip_error(datagram: bytes) -> None:
    try:
        message = parse(datagram)
    except SipError:
        return
    assert parse(build(message)) == message
    for name in ("Via", "Route", "Record-Route", "Contact"):
        with contextlib.suppress(SipError):
            for entry in entries(message, name):
                uri(address(entry).uri)
    if isinstance(message, Request):
        assert parse(build(respond(message, 200, "OK", "us"))) == respond(message, 200, "OK", "us")
        assert parse(build(cancel(message))) == cancel(message)


@pytest.mark.parametrize("name", ["Route", "Contact"])
def test_an_open_quote_in_a_list_is_told_when_it_is_read(name: str) -> None:
    message = Request("INVITE", INVITE.uri, (*INVITE.headers[:6], (name, '<sip:a>, "b')))
    assert parse(build(message)) == message
    with pytest.raises(SipError, match="open quote"):
        entries(message, name)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_sip_error(text: str) -> None:
    for read in (via, address, uri):
        try:
            read(text)
        except SipError:
            continue
    for headers in ((*INVITE.headers, ("Subject", text)), (*INVITE.headers, (text, "x"))):
        try:
            datagram = build(Request("INVITE", INVITE.uri, headers))
        except SipError:
            continue
        assert parse(datagram) == Request("INVITE", INVITE.uri, headers)


@pytest.mark.parametrize("filler", [" ", ",", ";", '"', "<", "a", "\\", "=", "a ", '"\\'])
def test_a_long_value_costs_no_more_than_its_length(filler: str) -> None:
    """Quadratic work would take minutes here, and hypothesis' small inputs would not show it."""
    text = filler * (60_000 // len(filler))
    for read in (via, address, uri):
        with pytest.raises(SipError):
            read(f"{text}<")
    datagram = build(INVITE).replace(b"Max-Forwards: 70", f"Contact: {text}".encode())
    with contextlib.suppress(SipError):
        assert entries(parse(datagram), "Contact") != ("",)
