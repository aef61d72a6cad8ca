"""Probe calls against real programs: sipp and Kamailio, over UDP, TCP and TLS, with logins, routes and audio."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sip_peers import PASSWORD, Peers

from envmon.config.edge_settings import SipSettings
from envmon.probes.sip import SipProbe
from envmon.sim.telephony import BACKUP
from envmon.sim.telephony_far_end import FarEnd
from tests.ports import HOST, free_port

DEADLINE_S = 10.0


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    async with Peers(tmp_path) as started:
        yield started


Place = tuple[SipSettings, int]


@asynccontextmanager
async def simulated(_: Peers) -> AsyncIterator[Place]:
    async with FarEnd(BACKUP) as far:
        yield SipSettings(), far.address[1]


def sipp(transport: str) -> Callable[[Peers], Awaitable[Place]]:
    @asynccontextmanager
    async def start(peers: Peers) -> AsyncIterator[Place]:
        await peers.site(*(("-t", "t1") if transport == "tcp" else ()))
        yield SipSettings(transport=transport), peers.site_port

    return start


def kamailio(transport: str, *, login: bool = False) -> Callable[[Peers], Awaitable[Place]]:
    @asynccontextmanager
    async def start(peers: Peers) -> AsyncIterator[Place]:
        await peers.site()
        await peers.edge(login=login)
        way = peers.way(transport, **({"username": "probe", "password": peers.secret()} if login else {}))
        yield way, peers.port_of(transport)

    return start


FAR_ENDS = {
    "simulated": simulated,
    "sipp-udp": sipp("udp"),
    "sipp-tcp": sipp("tcp"),
    "kamailio-udp": kamailio("udp"),
    "kamailio-tcp-login": kamailio("tcp", login=True),
    "kamailio-tls": kamailio("tls"),
    "kamailio-tls-login": kamailio("tls", login=True),
}


@pytest.mark.parametrize("kind", FAR_ENDS)
async def test_the_contract_of_a_probe(kind: str, peers: Peers) -> None:
    async with FAR_ENDS[kind](peers) as (way, port):
        probe = SipProbe(DEADLINE_S, 0.05, way)
        for _ in range(2):
            result = await probe.call(HOST, port, "envmon-probe-backup")
            assert result.answered, result
            assert result.answered_by.startswith("sip:")
            assert "ended by BYE" in result.detail
            assert 0 < result.millis < 1000 * DEADLINE_S
            assert result.call_id.endswith("@envmon")
        sign = await probe.options(HOST, port)
        assert sign.status == 200, sign
    nobody = SipProbe(1.0, 0.05, way)
    gone = await nobody.call(HOST, free_port(), "envmon-probe-backup")
    assert (gone.answered, gone.answered_by) == (False, "")
    assert "nothing listens there" in gone.detail
    assert (await nobody.options(HOST, free_port())).status == 0


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_login_is_answered_once_and_a_wrong_password_is_not_tried_again(algorithm: str, peers: Peers) -> None:
    await peers.site()
    await peers.edge(login=True, algorithm=algorithm)
    right = {"username": "probe", "password": peers.secret()}
    assert (await SipProbe(DEADLINE_S, 0.05, peers.way("udp", **right)).call(HOST, peers.port, "x")).answered
    wrong = await SipProbe(DEADLINE_S, 0.05, peers.way("udp", username="probe", password=peers.secret("no"))).call(
        HOST, peers.port, "x"
    )
    assert not wrong.answered
    assert "refused with 407: it refused the password of probe.username" in wrong.detail
    none = await SipProbe(DEADLINE_S, 0.05, peers.way("udp")).call(HOST, peers.port, "x")
    assert "refused with 407: it wants a password; set probe.username" in none.detail
    lost = await SipProbe(DEADLINE_S, way=peers.way("udp", username="probe", password=peers.secret("gone"))).call(
        HOST, peers.port, "x"
    )
    assert PASSWORD not in repr((wrong, none, lost))


async def test_a_nonce_that_grew_old_during_the_call_is_replaced(peers: Peers) -> None:
    await peers.site()
    await peers.edge(login=True, nonce_s=1)
    way = peers.way("tcp", username="probe", password=peers.secret())
    result = await SipProbe(DEADLINE_S, 2.5, way).call(HOST, peers.port, "x")
    assert result.answered, result.detail


async def test_a_password_that_cannot_be_read_is_told_by_its_reference(peers: Peers) -> None:
    secret = peers.secret()
    (peers.folder / secret.reference.rpartition("/")[2]).unlink()
    result = await SipProbe(1.0, way=SipSettings(username="probe", password=secret)).call(HOST, free_port(), "x")
    assert not result.answered
    assert "cannot read" in result.detail


async def test_a_certificate_is_verified(peers: Peers) -> None:
    await peers.site()
    await peers.edge()
    for changes, says in (
        ({"tls_ca": None}, "its certificate is not to be trusted"),
        ({"tls_ca": peers.folder / "other.pem"}, "its certificate is not to be trusted"),
        ({"tls_name": "another.example"}, "its certificate is not to be trusted: Hostname mismatch"),
        ({"tls_ca": Path("/nonexistent")}, "cannot use /nonexistent"),
    ):
        way = peers.way("tls", **changes)
        result = await SipProbe(DEADLINE_S, 0.05, way).call(HOST, peers.secure_port, "x")
        assert not result.answered
        assert says in result.detail
    named = peers.way("tls", tls_name="sbc.example")
    assert (await SipProbe(DEADLINE_S, 0.05, named).call(HOST, peers.secure_port, "x")).answered


@pytest.mark.parametrize(("options", "answered", "says"), [(("-rtp_echo",), True, " of 10 audio"), ((), False, "0 of")])
async def test_audio_comes_back_or_the_call_is_no_proof(
    options: tuple[str, ...], answered: bool, says: str, peers: Peers
) -> None:
    await peers.site(*options)
    await peers.edge()
    result = await SipProbe(DEADLINE_S, 0.05, peers.way("udp", echo=True)).call(HOST, peers.port, "x")
    assert result.answered is answered, result.detail
    assert says in result.detail
    assert "ended by BYE" in result.detail
