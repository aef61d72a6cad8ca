"""The webhook: what it posts, what each answer means, and that no secret gets out."""

import asyncio
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from page_server import PageServer, envelope, page, settings

from envmon.config.secret import Secret
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Again, Envelope, PagerError
from envmon.pagers.webhook import WebhookPager, body, dedup_key
from tests.ports import free_port

TOKEN = "s3cret-token"


@pytest.fixture
def token(tmp_path: Path) -> Secret:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return Secret(f"file:{file}")


async def refusal(server_url: str, token: Secret | None = None, deadline_s: float = 10.0) -> PagerError:
    async with WebhookPager(settings(server_url, token=token, deadline_s=deadline_s)) as pager:
        with pytest.raises(PagerError) as caught:
            await pager.send(envelope(1))
    text = str(caught.value)
    assert TOKEN not in text
    assert "path-secret" not in text
    assert "\n" not in text
    return caught.value


async def test_what_is_posted(token: Secret) -> None:
    async with PageServer() as server:
        async with WebhookPager(settings(server.url, token=token)) as pager:
            await pager.send(envelope(12, page("envmon/dallas/hall_a/thermal/e-1", urgency=Urgency.CRITICAL)))
            await pager.send(envelope(13, page("k", raised=False)))
        assert server.seen[0] == {
            "site": "dallas",
            "dedup_key": "envmon/dallas/hall_a/thermal/e-1",
            "event_action": "trigger",
            "severity": "critical",
            "summary": "hot",
            "detail": "detail",
            "time": "2026-03-01T12:02:07.250Z",
            "number": 12,
        }
        assert (server.seen[1]["event_action"], server.seen[1]["number"]) == ("resolve", 13)
        assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"
        assert server.headers[0]["Content-Type"].startswith("application/json")


async def test_without_a_token_no_authorization_is_sent() -> None:
    async with PageServer() as server:
        async with WebhookPager(settings(server.url)) as pager:
            await pager.send(envelope(1))
        assert "Authorization" not in server.headers[0]


async def test_a_changed_token_needs_no_restart(token: Secret, tmp_path: Path) -> None:
    async with PageServer() as server, WebhookPager(settings(server.url, token=token)) as pager:
        await pager.send(envelope(1))
        (tmp_path / "token").write_text("newer")
        await pager.send(envelope(2))
        assert [item["Authorization"] for item in server.headers] == [f"Bearer {TOKEN}", "Bearer newer"]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_delivered(status: int) -> None:
    async with PageServer(answer=lambda _: status) as server, WebhookPager(settings(server.url)) as pager:
        await pager.send(envelope(1))
        assert len(server.taken) == 1


@pytest.mark.parametrize(
    ("status", "again"),
    [
        *((status, Again.SOON) for status in (408, 429, 500, 502, 503, 599)),
        *((status, Again.SLOWLY) for status in (400, 401, 403, 404, 407, 409, 413, 422)),
        (410, Again.NEVER),
    ],
)
async def test_which_answers_are_worth_another_try(status: int, again: Again) -> None:
    async with PageServer(answer=lambda _: status) as server:
        error = await refusal(server.url)
        assert error.again is again
        assert str(error) == f"127.0.0.1:{server.port} answered {status}: answer text"


async def test_a_redirect_is_not_followed(token: Secret) -> None:
    async with PageServer(answer=lambda _: 307) as server:
        error = await refusal(server.url, token)
        assert error.again is Again.SLOWLY
        assert str(error).endswith("answered 307: it wants another URL; configure that one")
        assert len(server.seen) == 1


async def test_a_server_that_says_our_token_back(token: Secret) -> None:
    async with PageServer(answer=lambda _: 401, text=f"bad\ntoken\x1b {TOKEN}!" + "x" * 100_000) as server:
        error = await refusal(server.url, token)
        assert "answered 401: bad token <secret>!xxx" in str(error)
        assert len(str(error)) < 260


async def test_nobody_listens() -> None:
    port = free_port()
    error = await refusal(f"http://127.0.0.1:{port}/hook/path-secret")
    assert error.again is Again.SOON
    assert str(error).startswith(f"127.0.0.1:{port}: no connection: ")


async def test_a_slow_server_is_left_at_the_deadline() -> None:
    async with PageServer(delay_s=30.0) as server:
        error = await refusal(server.url, deadline_s=0.2)
        assert (error.again, str(error)) == (Again.SOON, f"127.0.0.1:{server.port}: no answer in 0.2 s")


async def test_a_server_that_hangs_up() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"http://127.0.0.1:{port}/hook/path-secret")
    assert (error.again, str(error)) == (Again.SOON, f"127.0.0.1:{port}: closed the connection without an answer")


async def test_a_server_that_does_not_speak_http() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"http://127.0.0.1:{port}/hook/path-secret")
    assert error.again is Again.SOON


@pytest.mark.parametrize("text", ["", "two\nlines", "schlüssel", "a\x00b"])
async def test_a_token_no_header_can_carry(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    async with PageServer() as server:
        error = await refusal(server.url, Secret(f"file:{file}"))
        assert error.again is Again.SOON
        assert str(error).endswith("not a token: it is empty or holds characters a header cannot")
        assert server.seen == []


async def test_a_missing_token_is_tried_again(tmp_path: Path) -> None:
    async with PageServer() as server:
        error = await refusal(server.url, Secret(f"file:{tmp_path}/absent"))
        assert error.again is Again.SOON
        assert "cannot read" in str(error)


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def test_tls_certificates_are_verified(self_signed: ssl.SSLContext, token: Secret) -> None:
    async with PageServer(tls=self_signed) as server:
        error = await refusal(server.url, token)
        assert error.again is Again.SOON
        assert "its certificate is not trusted: " in str(error)
        assert server.seen == []


async def test_a_closed_pager_refuses() -> None:
    pager = WebhookPager(settings("http://127.0.0.1:1/"))
    with pytest.raises(PagerError, match="is closed"):
        await pager.send(envelope(1))


def test_long_texts_are_cut_to_what_services_take() -> None:
    long = Envelope(1, 0.0, "s", Page("k", True, Urgency.INFO, "ß" * 5000, "d" * 1_000_000))
    document = body(long)
    assert len(str(document["summary"])) == 1024
    assert str(document["summary"]).endswith("ß…")
    assert len(str(document["detail"])) == 100_000
    assert document["time"] == "1970-01-01T00:00:00.000Z"
    exact = replace(long, page=replace(long.page, summary="x" * 1024))
    assert body(exact)["summary"] == "x" * 1024


def test_dedup_keys_are_stable_and_distinct() -> None:
    assert dedup_key("k" * 255) == "k" * 255
    first, second = dedup_key("k" * 255 + "1"), dedup_key("k" * 255 + "2")
    assert first != second
    assert len(first) == len(second) == 255
    assert first == dedup_key("k" * 255 + "1")
