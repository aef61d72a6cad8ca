"""SIP's smaller codecs against the examples of their documents: logins, streams, audio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.wire.sip import Request, Response, build, parse
from envmon.wire.sip_dialog import renewed
from envmon.wire.sip_digest import Challenge, challenges, login
from envmon.wire.sip_media import Audio, accepted, offer, packet, payload_of
from envmon.wire.sip_stream import PING, Stream
from envmon.wire.sip_values import SipError

HEADERS = (
    ("Via", "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1"),
    ("From", "<sip:probe@192.0.2.9>;tag=a"),
    ("To", "<sip:x@192.0.2.1>"),
    ("Call-ID", "1@192.0.2.9"),
    ("CSeq", "1 INVITE"),
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    nonce, cnonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    asked = Challenge(
        "Authorization", "http-auth@example.org", nonce, algorithm, "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    )
    name, value = login(asked, ("Mufasa", "Circle of Life"), "GET", "/dir/index.html", cnonce, 1)
    assert name == "Authorization"
    assert f'response="{response}"' in value
    assert "qop=auth, nc=00000001" in value
    assert "Circle" not in value


def test_the_example_of_rfc_2617_without_qop() -> None:
    asked = Challenge("Authorization", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop=False)
    _, value = login(asked, ("Mufasa", "CircleOfLife"), "GET", "/dir/index.html", "unused", 1)
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in value  # RFC 2069 2.4 as corrected (erratum 749)
    assert "nc=" not in value and "cnonce" not in value


def asks(*values: str, status: int = 401) -> Response:
    return Response(status, "Asks", (*HEADERS, *(("WWW-Authenticate", value) for value in values)))


def test_the_strongest_offer_of_each_realm_is_taken() -> None:
    md5, sha = 'Digest realm="a", nonce="1"', 'Digest realm="a", nonce="2", algorithm=sha-256, qop="auth"'
    other, unknown = 'digest nonce="3",realm="b, \\"c\\""', 'Digest realm="a", nonce="4", algorithm=SHA-512-256'
    for order in ((md5, sha, unknown, other), (unknown, sha, md5, other)):
        found = {each.realm: each for each in challenges(asks(*order))}
        assert found["a"] == Challenge("Authorization", "a", "2", "SHA-256")
        assert found['b, "c"'] == Challenge("Authorization", 'b, "c"', "3", qop=False)
    assert challenges(asks(md5, status=407)) == (), "a 407 asks by Proxy-Authenticate"
    assert challenges(asks(md5, status=403)) == ()


def test_a_request_is_renewed_with_a_new_number_branch_and_login() -> None:
    request = Request("INVITE", "sip:x@192.0.2.1", (*HEADERS, ("Authorization", "Digest old")), b"v=0\r\n")
    again = renewed(request, 2, "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK2", (("Authorization", "Digest new"),))
    assert [value for name, value in again.headers if name == "Authorization"] == ["Digest new"]
    assert [value for name, value in again.headers if name == "Via"] == ["SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK2"]
    assert parse(build(again)) == again
    assert again.body == request.body


@given(st.lists(st.sampled_from(["message", "ping", "empty"]), max_size=8), st.lists(st.integers(1, 400), min_size=1))
def test_a_stream_comes_apart_as_it_was_put_together(kinds: list[str], cuts: list[int]) -> None:
    sent, wanted = b"", []
    for number, kind in enumerate(kinds):
        message = build(Request("INVITE", "sip:x@192.0.2.1", HEADERS, b"x\r\n\r\n" * number))
        sent += {"message": message, "ping": PING + message, "empty": b"\r\n" + message}[kind]
        wanted += [PING, message] if kind == "ping" else [message]
    stream, found, at = Stream(), [], 0
    while at < len(sent):
        size = cuts[at % len(cuts)]
        found += stream.feed(sent[at : at + size])
        at += size
    assert found == wanted


def test_what_came_before_an_error_is_not_lost() -> None:
    message = build(Request("INVITE", "sip:x@192.0.2.1", HEADERS))
    stream = Stream().feed(message + b"SIP/2.0 200 OK\r\nTo: x\r\n\r\n")
    assert next(stream) == message
    with pytest.raises(SipError, match="no Content-Length"):
        next(stream)


def test_an_offer_and_an_answer() -> None:
    assert b"a=inactive" in offer("192.0.2.1")
    assert b"c=IN IP6 2001:db8::1\r\n" in offer("2001:db8::1", 4000, active=True)
    session = (
        b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 18 8 0\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\n"
    )
    assert accepted(session) == Audio("192.0.2.1", 4000, 8)
    assert accepted(session.replace(b"0\r\nm=", b"0\r\nc=IN IP4 192.0.2.2\r\nm=", 1)).host == "192.0.2.2"
    for line in (
        b"m=audio 0 RTP/AVP 0", b"m=audio 4000 RTP/SAVP 0", b"m=audio 4000 RTP/AVP 18", b"m=video 4000 RTP/AVP 0",
        b"m=audio x RTP/AVP 0", b"m=audio 70000 RTP/AVP 0", b"m=audio ",
    ):  # fmt: skip
        with pytest.raises(SipError):
            accepted(b"c=IN IP4 192.0.2.1\r\n" + line)
    for where in (b"0.0.0.0", b"224.0.0.1", b"host.example", b""):
        with pytest.raises(SipError):
            accepted(b"c=IN IP4 " + where + b"\r\nm=audio 4000 RTP/AVP 0")


def test_a_packet_carries_its_payload_whatever_is_beside_it() -> None:
    plain = packet(8, 70_000, 7, b"sound")
    assert plain[:4] == bytes((0x80, 8)) + (70_000 % 65_536).to_bytes(2, "big")
    assert payload_of(plain) == b"sound"
    padded = bytes((plain[0] | 0x20,)) + plain[1:] + b"\0\0\x03"
    assert payload_of(padded) == b"sound"
    extended = bytes((plain[0] | 0x11,)) + plain[1:12] + b"CSRC" + b"\xbe\xde\0\x01" + b"more" + b"sound"
    assert payload_of(extended) == b"sound"
    for broken in (b"", plain[:11], bytes((0x40,)) + plain[1:], extended[:18], bytes((0x8F,)) + plain[1:]):
        with pytest.raises(SipError):
            payload_of(broken)
