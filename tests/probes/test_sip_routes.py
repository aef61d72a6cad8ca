"""What an answer may make a probe do, and may not: routes, logins, streams, audio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sip_far_end import FarEnd, far_end

from envmon.config.edge_settings import SipSettings
from envmon.config.secret import Secret
from envmon.probes.contract import ProbeResult
from envmon.probes.sip import SipProbe
from envmon.wire.sip import Request, build, cseq, entries, header, parse
from envmon.wire.sip_dialog import respond
from envmon.wire.sip_values import via

HOST = "127.0.0.1"


async def placed(story: Callable[[FarEnd], Awaitable[None]], way: SipSettings, hold_s: float = 0.05) -> ProbeResult:
    async with far_end() as end, asyncio.timeout(40):
        result, _ = await asyncio.gather(SipProbe(1.5, hold_s, way).call(HOST, end.port, "x"), story(end))
    return result


def accept(end: FarEnd, invite: Request, *more: tuple[str, str], body: bytes = b"") -> None:
    contact = ("Contact", f"<sip:far@{HOST}:{end.port}>")
    answer = respond(invite, 200, "OK", "far", (contact, *more))
    end.send(type(answer)(answer.status, answer.reason, answer.headers, body))


# --- routes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_route_leads_only_to_the_edge_or_where_the_operator_allows(allowed: bool) -> None:
    async with far_end() as other:
        routes = f"<sip:{HOST}:9;lr>, <sip:{HOST}:{other.port};lr;r2=on>"

        async def story(end: FarEnd) -> None:
            accept(end, await end.next("INVITE"), ("Record-Route", routes))
            there = other if allowed else end
            ack, bye = await there.next("ACK"), await there.next("BYE")
            for message in (ack, bye):
                assert entries(message, "Route") == (f"<sip:{HOST}:{other.port};lr;r2=on>", f"<sip:{HOST}:9;lr>")
                assert message.uri == f"sip:far@{HOST}:{end.port}", "loose routing keeps the target"
                assert via(header(message, "Via")).port == there.caller[1], "answers come back where it was sent from"
            there.answer(bye, 200)
            assert (end if allowed else other).requests.empty()

        allow = ((HOST, other.port),) if allowed else ((HOST, other.port + 1), ("192.0.2.1", 0))
        result = await placed(story, SipSettings(allow=allow))
    assert result.answered, result.detail


async def test_a_strict_router_gets_the_request_itself() -> None:
    async def story(end: FarEnd) -> None:
        accept(end, await end.next("INVITE"), ("Record-Route", f"<sip:{HOST}:{end.port}>"))
        bye = await end.next("BYE")
        assert bye.uri == f"sip:{HOST}:{end.port}"
        assert entries(bye, "Route") == (f"<sip:far@{HOST}:{end.port}>",)
        end.answer(bye, 200)

    assert (await placed(story, SipSettings())).answered


async def test_a_call_that_was_led_astray_says_where_to() -> None:
    async def story(end: FarEnd) -> None:
        accept(end, await end.next("INVITE"), ("Record-Route", "<sip:192.0.2.77;lr>"))
        await end.next("BYE")

    result = await placed(story, SipSettings())
    assert not result.answered
    assert (
        "nobody answered the BYE within 1.5 s; its route leads to 192.0.2.77:5060, which probe.allow" in result.detail
    )


async def test_a_route_that_is_none_is_no_proof() -> None:
    async def story(end: FarEnd) -> None:
        accept(end, await end.next("INVITE"), ("Record-Route", "<tel:+12145550101>"))

    result = await placed(story, SipSettings())
    assert not result.answered
    assert "it broke the protocol: not a SIP URI" in result.detail


# --- logins ------------------------------------------------------------------------------------------------------


@pytest.fixture
def login(tmp_path: Path) -> SipSettings:
    (tmp_path / "secret").write_text("Circle of Life\n")
    return SipSettings(username="probe", password=Secret(f"file:{tmp_path / 'secret'}"))


def asks(
    realm: str, nonce: str, *, stale: bool = False, name: str = "Proxy-Authenticate", more: str = ""
) -> tuple[str, str]:
    word = ", stale=TRUE" if stale else ""
    return name, f'Digest realm="{realm}", nonce="{nonce}", qop="auth,auth-int", algorithm=SHA-256{word}{more}'


async def challenged(end: FarEnd, code: int, challenge: tuple[str, str]) -> Request:
    """Refuse the next INVITE or BYE with a challenge; the request that was refused."""
    request = await end.next("INVITE")
    end.answer(request, code, extra=(challenge,))
    assert header(await end.next("ACK"), "Via") == header(request, "Via")
    return request


async def test_an_old_nonce_is_replaced_and_every_realm_is_answered(login: SipSettings) -> None:
    async def story(end: FarEnd) -> None:
        first = await challenged(end, 407, asks("edge", "n1"))
        second = await challenged(end, 407, asks("edge", "n2", stale=True, more=', opaque="o \\"1"'))
        await challenged(end, 401, asks("far", "n3", name="WWW-Authenticate"))
        last = await end.next("INVITE")
        assert [cseq(each)[0] for each in (first, second, last)] == [1, 2, 4]
        assert header(first, "Proxy-Authorization") == ""
        assert 'nonce="n1"' in header(second, "Proxy-Authorization")
        assert 'nonce="n2"' in header(last, "Proxy-Authorization")
        assert "nc=00000002" in header(last, "Proxy-Authorization")
        assert 'opaque="o \\"1"' in header(last, "Proxy-Authorization")
        assert "nc=00000001" in header(last, "Authorization")
        assert len({header(each, "Call-ID") for each in (first, second, last)}) == 1
        accept(end, last)
        ack = await end.next("ACK")
        assert (cseq(ack), header(ack, "Authorization")) == ((4, "ACK"), header(last, "Authorization"))
        bye = await end.next("BYE")
        assert (cseq(bye)[0], "nc=00000003" in header(bye, "Proxy-Authorization")) == (5, True)
        end.answer(bye, 407, extra=(asks("edge", "n9"),))
        again = await end.next("BYE")
        while cseq(again)[0] == 5:
            again = await end.next("BYE")
        assert (cseq(again)[0], 'nonce="n9"' in header(again, "Proxy-Authorization")) == (6, True)
        end.answer(again, 200)

    result = await placed(story, login)
    assert result.answered, result.detail


async def test_a_password_is_refused_once(login: SipSettings) -> None:
    async def story(end: FarEnd) -> None:
        await challenged(end, 407, asks("edge", "n1"))
        await challenged(end, 407, asks("edge", "n2"))
        await asyncio.sleep(0.1)
        assert end.requests.empty()

    result = await placed(story, login)
    assert "refused with 407: it refused the password of probe.username" in result.detail


async def test_an_edge_that_challenges_for_ever_is_left(login: SipSettings) -> None:
    async def story(end: FarEnd) -> None:
        for number in range(5):
            await challenged(end, 407, asks("edge", f"n{number}", stale=number > 0))

    assert "refused with 407" in (await placed(story, login)).detail


@pytest.mark.parametrize(
    ("challenge", "says"),
    [
        (("Proxy-Authenticate", 'Basic realm="edge"'), "a login of a kind other than Digest"),
        (("Proxy-Authenticate", 'Digest realm="edge", nonce="n", algorithm=SHA3-1'), "a login of a kind other"),
        (("Proxy-Authenticate", 'Digest realm="edge", nonce="n", qop="auth-int"'), "a login of a kind other"),
        (("Proxy-Authenticate", "Digest realm"), "it broke the protocol: not a challenge"),
        (("Proxy-Authenticate", 'Digest realm="edge"'), "without realm or nonce"),
        (("WWW-Authenticate", 'Digest realm="edge", nonce="n"'), "a login of a kind other"),
    ],
)
async def test_a_challenge_nobody_can_answer(challenge: tuple[str, str], says: str, login: SipSettings) -> None:
    async def story(end: FarEnd) -> None:
        end.answer(await end.next("INVITE"), 407, extra=(challenge,))

    result = await placed(story, login)
    assert not result.answered
    assert says in result.detail


# --- streams -----------------------------------------------------------------------------------------------------


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    talks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(lambda *pair: talks.append(asyncio.create_task(serve(*pair))), HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(20):
            await asyncio.gather(*talks)


async def request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    message = parse(head + await reader.readexactly(length))
    assert isinstance(message, Request)
    return message


TCP = SipSettings(transport="tcp")


async def test_messages_in_pieces_joined_and_with_keepalives_between() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        invite = await request(reader)
        assert ";transport=tcp" in header(invite, "Contact")
        contact = ("Contact", f"<sip:far@{HOST}:{writer.get_extra_info('sockname')[1]}>")
        sent = build(respond(invite, 180, "Ringing", "far")) + b"\r\n\r\n"
        sent += build(respond(invite, 200, "OK", "far", (contact, ("Subject", "x" * 30_000))))
        for at in range(0, len(sent), 997):
            writer.write(sent[at : at + 997])
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(2) == b"\r\n", "the keepalive is answered (RFC 5626 3.5.1)"
        assert (await request(reader)).method == "ACK"
        writer.write(build(respond(await request(reader), 200, "OK")))
        assert await reader.read() == b"", "and then it hangs up"

    async with listening(talk) as port:
        result = await SipProbe(8.0, 0.05, TCP).call(HOST, port, "x")
    assert result.answered, result.detail


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "it ended the connection"),
        (b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n", "its messages cannot be told apart: no Content-Length"),
        (b"SIP/2.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", "its messages cannot be told apart: longer than"),
        (b"x" * 70_000, "its messages cannot be told apart: no end of the headers"),
    ],
)
async def test_a_connection_that_is_lost_ends_the_call_at_once(sent: bytes, says: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(sent)

    async with listening(talk) as port, asyncio.timeout(20):
        result = await SipProbe(60.0, 0.05, TCP).call(HOST, port, "x")
    assert not result.answered
    assert says in result.detail


async def test_a_request_is_sent_once_where_nothing_is_lost() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        assert await reader.read() == b"", "no second INVITE (RFC 3261 17.1.1.2), no CANCEL before an answer"

    async with listening(talk) as port:
        result = await SipProbe(1.2, 0.05, TCP).call(HOST, port, "x")
    assert "no answer at all within 1.2 s" in result.detail


async def test_a_connection_lost_after_the_answer_is_no_proof() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        invite = await request(reader)
        contact = ("Contact", f"<sip:far@{HOST}:{writer.get_extra_info('sockname')[1]}>")
        writer.write(build(respond(invite, 200, "OK", "far", (contact,))))
        await request(reader)

    async with listening(talk) as port, asyncio.timeout(20):
        result = await SipProbe(60.0, 0.3, TCP).call(HOST, port, "x")
    assert not result.answered
    assert "nobody answered the BYE: " in result.detail


# --- audio -------------------------------------------------------------------------------------------------------


class Media(asyncio.DatagramProtocol):
    """Sends back one packet in ``every``; ``heard`` is what came."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.heard: list[bytes] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        if len(self.heard) % self.every == 0:
            self.transport.sendto(data, addr)
            self.transport.sendto(data, addr)


async def with_audio(every: int, way: SipSettings, host: str = HOST) -> tuple[ProbeResult, Media]:
    loop = asyncio.get_running_loop()
    transport, media = await loop.create_datagram_endpoint(lambda: Media(every), local_addr=(host, 0))

    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        assert b"a=sendrecv" in invite.body and b"m=audio 9 " not in invite.body
        sdp = f"v=0\r\nc=IN IP4 {host}\r\nm=audio {media.port} RTP/AVP 8\r\n".encode()
        accept(end, invite, ("Content-Type", "application/sdp"), body=sdp)
        end.answer(await end.next("BYE"), 200)

    result = await placed(story, way)
    transport.close()
    return result, media


@pytest.mark.parametrize(("every", "back"), [(1, 10), (2, 5), (3, 3)])
async def test_half_of_the_audio_must_come_back_and_copies_count_once(every: int, back: int) -> None:
    result, media = await with_audio(every, SipSettings(echo=True))
    assert result.answered is (back >= 5)
    assert f"{back} of 10 audio packets came back" in result.detail
    assert {packet[1] for packet in media.heard} == {8}, "the payload type it accepted"


async def test_audio_goes_only_where_it_may() -> None:
    result, media = await with_audio(1, SipSettings(echo=True), "127.0.0.2")
    assert (result.answered, media.heard) == (False, [])
    assert "it is wanted at 127.0.0.2, which probe.allow does not name" in result.detail
    result, media = await with_audio(1, SipSettings(echo=True, allow=(("127.0.0.2", 0),)), "127.0.0.2")
    assert result.answered
    assert len(media.heard) == 10
