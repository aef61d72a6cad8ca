"""Orders over HTTPS: who gets in, as whom, and what is refused before it is an order. Real TLS, real certificates."""

import asyncio
import hashlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envmon.config.settings import Certified, OrdersSettings
from envmon.model.effect import Decision
from envmon.model.event import Access, Command, Order
from envmon.runtime.ask import AskError
from envmon.runtime.ask_https import Remote, ask_https
from envmon.runtime.counters import Counters
from envmon.runtime.engine import Answer
from envmon.web.certificates import CertificateError, context
from envmon.web.fresh import Fresh, StaleError
from envmon.web.orders import CLIENTS, OrderServer
from envmon.web.server import ListenError
from tests.pki import Authority
from tests.ports import HOST, free_port
from tests.telephony.rig import until

STATUS = {"site": "dallas", "mode": "observe"}


class Pki:
    """What the tests of this file share: making keys takes time."""

    def __init__(self, folder: Path) -> None:
        self.people, self.strange = Authority(folder / "people"), Authority(folder / "strange", "strange")
        server = Authority(folder / "server", "server")
        self.server_ca = server.cert
        self.server = server.issue("daemon", "IP:127.0.0.1,DNS:localhost")
        self.other_server = server.issue("daemon2", "IP:127.0.0.1")
        self.ann = self.people.issue("Ann", "email:ann@example.com")
        self.bob = self.people.issue("Bob")
        self.eve = self.people.issue("Eve", "email:eve@example.com")
        self.both = self.people.issue("Both", "email:ann@example.com,email:vic@example.com")
        self.vic = self.people.issue("Vic", "email:vic@example.com")
        self.forged = self.strange.issue("Forged", "email:ann@example.com")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class Door:
    """A server whose orders are kept here."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        self.orders: list[Order] = []
        self.wanted: list[Callable[[], bool]] = []
        self.counters = Counters()
        self.wait = asyncio.Event()
        self.wait.set()
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pki.bob[0].read_text())).hexdigest()
        self.settings = OrdersSettings(
            HOST, 0, *pki.server, pki.people.cert,
            (
                Certified("email:ann@example.com", "ann", Access.OPERATOR),
                Certified(f"sha256:{fingerprint}", "bob", Access.APPROVER),
                Certified("email:vic@example.com", "vic", Access.VIEWER),
            ),
        )  # fmt: skip
        self.server = OrderServer(self.settings, context(self.settings), self._submit, lambda: STATUS, self.counters)

    async def _submit(self, order: Order, wanted: Callable[[], bool]) -> Answer:
        self.orders.append(order)
        self.wanted.append(wanted)
        await self.wait.wait()
        return Answer(
            True, False, (Decision("M30", "mode", "Held.", order.reason, (("mode", "held"),), order=order.id),)
        )

    async def ask(self, who: tuple[Path, Path], **fields: Any) -> dict[str, Any]:
        remote = Remote(f"https://{HOST}:{self.server.port}", *who, self.pki.server_ca)
        return await asyncio.to_thread(ask_https, remote, fields, 20.0)

    async def post(
        self, who: tuple[Path, Path] | None, body: bytes, path: str = "/v1/orders", method: str = "POST", **headers: str
    ) -> tuple[int, Any]:
        """One request as anybody could write it."""
        return await asyncio.to_thread(self._post, who, body, path, method, headers)

    def _post(
        self, who: tuple[Path, Path] | None, body: bytes, path: str, method: str, headers: dict[str, str]
    ) -> tuple[int, Any]:
        client = ssl.create_default_context(cafile=self.pki.server_ca)
        if who:
            client.load_cert_chain(*who)
        connection = http.client.HTTPSConnection(HOST, self.server.port, timeout=20, context=client)
        named = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode()


@asynccontextmanager
async def opened(pki: Pki) -> AsyncIterator[Door]:
    door = Door(pki)
    async with door.server:
        yield door


@pytest.fixture
async def door(pki: Pki) -> AsyncIterator[Door]:
    async with opened(pki) as made:
        yield made


def order(number: str = "n0000001", **more: Any) -> bytes:
    return json.dumps({"command": "hold", "reason": "x", "sent": time.time(), "number": number, **more}).encode()


async def test_a_person_is_the_user_the_configuration_names(door: Door) -> None:
    answer = await door.ask(door.pki.ann, command="hold", reason="storm", until=time.time() + 600)
    assert answer["ok"]
    assert answer["decisions"][0]["rule"] == "M30"
    await door.ask(door.pki.bob, command="approve", reason="yes", request="1a2b")
    ann, bob = door.orders
    assert (ann.command, ann.person, ann.access) == (Command.HOLD, "ann", Access.OPERATOR)
    assert ann.who == "ann (certificate email:ann@example.com)"
    assert ann.until > time.time()
    assert (bob.command, bob.person, bob.access, bob.request) == (Command.APPROVE, "bob", Access.APPROVER, "1a2b")


async def test_a_viewer_looks_and_what_they_order_is_a_viewers_order(door: Door) -> None:
    assert (await door.ask(door.pki.vic, command="status"))["status"] == STATUS
    await door.ask(door.pki.vic, command="hold", reason="x")
    assert [(each.person, each.access) for each in door.orders] == [("vic", Access.VIEWER)]


async def test_a_certificate_in_nobodys_name_sees_nothing_and_orders_as_a_viewer(door: Door) -> None:
    """Who is struck from people is known by name no more: refused and paged by the rules, never carried out."""
    code, told = await door.post(door.pki.eve, b'{"command": "status"}')
    assert (code, "status" in told) == (403, False)
    assert "certificate email:eve@example.com is in nobody's name" in told["error"]
    await door.ask(door.pki.eve, command="shift", reason="mine", break_glass=True)
    (tried,) = door.orders
    assert (tried.access, tried.person) == (Access.VIEWER, "certificate email:eve@example.com")


async def test_a_certificate_in_two_names_is_nobodys(door: Door) -> None:
    code, told = await door.post(door.pki.both, b'{"command": "status"}')
    assert code == 403
    assert "stands for ann and vic" in told["error"]


@pytest.mark.parametrize("who", ["none", "forged"])
async def test_without_a_certificate_of_the_authority_nobody_gets_in(door: Door, who: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        await door.post(None if who == "none" else door.pki.forged, order())
    assert door.orders == []
    assert (await door.ask(door.pki.ann, command="status"))["ok"], "and the others are served"


async def test_old_tls_is_refused(door: Door) -> None:
    def old() -> None:
        client = ssl.create_default_context(cafile=door.pki.server_ca)
        client.load_cert_chain(*door.pki.ann)
        client.set_ciphers("DEFAULT@SECLEVEL=0")
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection((HOST, door.server.port), timeout=10) as plain:
            client.wrap_socket(plain, server_hostname=HOST)

    with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning, match="TLSv1_1"):
        await asyncio.to_thread(old)


async def test_an_order_is_taken_once_and_only_fresh(door: Door) -> None:
    assert (await door.post(door.pki.ann, order()))[0] == 200
    code, told = await door.post(door.pki.ann, order())
    assert (code, "came in before" in told["error"]) == (400, True)
    assert (await door.post(door.pki.bob, order()))[0] == 200, "another's numbers are another's"
    for sent, says in ((time.time() - 60, "+60 s ago"), (time.time() + 60, "-60 s ago"), (None, "sent must be")):
        code, told = await door.post(door.pki.ann, order("n0000002", sent=sent))
        assert (code, says in told["error"]) == (400, True), told
    code, told = await door.post(door.pki.ann, order("short"))
    assert (code, "number must be" in told["error"]) == (400, True)
    assert len(door.orders) == 2


@pytest.mark.parametrize(
    ("code", "body", "headers", "says"),
    [
        (400, b"[]", {}, "expected a JSON object"),
        (400, b"{", {}, "expected a JSON object"),
        (400, b'{"command": "hold", "reason": ""}', {}, "a reason is required"),
        (400, b'{"command": "hold", "reason": "x", "who": "root"}', {}, "unknown key 'who'"),
        (400, b'{"command": "hold", "reason": "x", "access": "approver"}', {}, "unknown key 'access'"),
        (400, b'{"command": "hold", "reason": ' + b"[" * 900 + b"]" * 900 + b"}", {}, "reason must be a text"),
        (
            400,
            b'{"command": "hold", "reason": ' + b"[" * 2000 + b"]" * 2000 + b"}",
            {},
            "expected a JSON object|reason must",
        ),
        (400, b'{"command": "hold", "reason": "x", "sent": 1' + b"0" * 400 + b"}", {}, "sent must be Unix seconds"),
        (413, b'{"command": "hold", "reason": "' + b"x" * 5_000 + b'"}', {}, "at most 4096 bytes"),
        (415, b'{"command": "status"}', {"Content_Type": "text/plain"}, "application/json"),
        (403, b'{"command": "status"}', {"Origin": "https://evil.example"}, "a browser's page may not"),
    ],
)
async def test_what_is_no_request_is_told_so(door: Door, code: int, body: bytes, headers: dict, says: str) -> None:
    got, told = await door.post(door.pki.ann, body, **headers)
    assert (got, any(each in told["error"] for each in says.split("|"))) == (code, True), told
    assert door.counters.refused_requests == 1
    assert door.orders == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/orders"), ("POST", "/"), ("GET", "/status"), ("PUT", "/v1/orders")]
)
async def test_there_is_one_door(door: Door, method: str, path: str) -> None:
    code, told = await door.post(door.pki.bob, b"", path, method)
    assert code in (404, 405)
    assert "dallas" not in str(told)


async def test_a_person_who_asks_too_often_waits_and_others_do_not(door: Door) -> None:
    body = b'{"command": "status"}'
    codes = [(await door.post(door.pki.vic, body))[0] for _ in range(25)]
    assert codes[:20] == [200] * 20
    assert 429 in codes
    assert (await door.post(door.pki.ann, body))[0] == 200
    codes = [(await door.post(door.pki.eve, body))[0] for _ in range(6)]
    assert codes == [403] * 5 + [429], "strangers share a small bucket"


async def sent(door: Door, who: tuple[Path, Path], body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request on a connection of its own, whose answer is not awaited."""
    reader, writer = await asyncio.open_connection(HOST, door.server.port, ssl=client_of(door.pki, who))
    head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"{head}\r\n\r\n".encode() + body)
    return reader, writer


async def test_no_more_than_so_many_at_once(door: Door) -> None:
    door.wait.clear()
    people = [door.pki.ann, door.pki.bob]
    asked = [await sent(door, people[n % 2], order(f"n{n:07d}")) for n in range(CLIENTS)]
    await until(lambda: len(door.orders) == CLIENTS, 30, "every order")
    code, told = await door.post(door.pki.vic, b'{"command": "status"}')
    assert (code, "answered already" in told["error"]) == (503, True)
    door.wait.set()
    async with asyncio.timeout(20):
        for reader, writer in asked:
            assert b"200" in await reader.readline()
            writer.close()


async def test_an_order_whose_client_has_left_is_not_wanted_any_more(door: Door) -> None:
    door.wait.clear()
    _, writer = await sent(door, door.pki.ann, order())
    await until(lambda: bool(door.wanted), 20, "the order")
    (wanted,) = door.wanted
    assert wanted()
    writer.close()
    await until(lambda: not wanted(), 20, "its client to be missed")
    door.wait.set()


def client_of(pki: Pki, who: tuple[Path, Path]) -> ssl.SSLContext:
    client = ssl.create_default_context(cafile=pki.server_ca)
    client.load_cert_chain(*who)
    return client


async def test_a_silent_connection_is_closed(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.web.orders.HANDSHAKE_S", 0.3)
    monkeypatch.setattr("envmon.web.orders.READ_S", 0.3)
    async with opened(pki) as door, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(HOST, door.server.port)
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, door.server.port, ssl=client_of(pki, pki.ann))
        writer.write(
            b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert b"408" in await reader.readline()
        writer.close()


async def test_new_certificates_and_people_count_from_the_next_connection(door: Door) -> None:
    assert (await door.ask(door.pki.ann, command="status"))["ok"]
    fewer = replace(
        door.settings, cert=door.pki.other_server[0], key=door.pki.other_server[1], people=door.settings.people[1:]
    )
    door.server.renew(fewer, context(fewer))
    assert (await door.post(door.pki.ann, b'{"command": "status"}'))[0] == 403, "she was struck from people"
    strange = replace(fewer, client_ca=door.pki.strange.cert)
    door.server.renew(strange, context(strange))
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        await door.post(door.pki.bob, b'{"command": "status"}')


@pytest.mark.parametrize("wrong", ["cert", "key", "client_ca"])
def test_a_certificate_that_cannot_be_used_is_one_sentence(pki: Pki, tmp_path: Path, wrong: str) -> None:
    sound = OrdersSettings(HOST, 0, *pki.server, pki.people.cert)
    with pytest.raises(CertificateError, match=f"web.orders: {tmp_path}/none: cannot be read: No such file"):
        context(replace(sound, **{wrong: tmp_path / "none"}))
    (tmp_path / "garbage").write_text("garbage")
    with pytest.raises(CertificateError, match=rf"web.orders: .*{tmp_path}/garbage"):
        context(replace(sound, **{wrong: tmp_path / "garbage"}))


async def test_a_port_that_is_taken_is_one_sentence(pki: Pki) -> None:
    with socket.create_server((HOST, port := free_port())):
        door = Door(pki)
        settings = replace(door.settings, port=port)
        server = OrderServer(settings, context(settings), door._submit, dict, door.counters)
        with pytest.raises(ListenError, match=rf"web.orders: cannot listen on 127.0.0.1 port {port}: Address already"):
            await server.__aenter__()


async def test_the_client_says_in_one_sentence_what_is_wrong(door: Door, tmp_path: Path) -> None:
    url, ca = f"https://{HOST}:{door.server.port}", door.pki.server_ca

    async def said(remote: Remote) -> str:
        with pytest.raises(AskError) as fault:
            await asyncio.to_thread(ask_https, remote, {"command": "hold", "reason": "x"}, 10.0)
        assert "\n" not in str(fault.value)
        return str(fault.value)

    assert "is not believed" in await said(Remote(url, *door.pki.ann, door.pki.strange.cert))
    assert "cannot be read" in await said(Remote(url, tmp_path / "none", door.pki.ann[1], ca))
    assert "no certificates and key" in await said(Remote(url, door.pki.ann[0], door.pki.bob[1], ca))
    assert "must be https://HOST:PORT" in await said(Remote("http://x", *door.pki.ann, ca))
    assert "Connection refused" in await said(Remote(f"https://{HOST}:{free_port()}", *door.pki.ann, ca))
    assert url in await said(Remote(url, *door.pki.forged, ca))
    assert door.orders == []


def test_an_order_sent_by_a_wrong_clock_is_not_new_and_numbers_are_forgotten_in_time() -> None:
    now = 1_000.0
    fresh = Fresh(lambda: now)
    fresh.admit("ann", 1_000.0, "12345678")
    with pytest.raises(StaleError):
        fresh.admit("ann", 1_000.0, "12345678")
    for sent in (float("nan"), float("inf"), 10**400, -(10**400), 1e308):
        with pytest.raises(StaleError, match="sent must be Unix seconds"):
            fresh.admit("ann", sent, "23456789")
    now = 1_031.0
    with pytest.raises(StaleError, match=r"\+31 s ago"):
        fresh.admit("ann", 1_000.0, "12345678")
    fresh.admit("ann", 1_031.0, "12345678")
