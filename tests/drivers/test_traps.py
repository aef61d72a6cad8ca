"""Traps and informs of net-snmp in every version; strangers, wrong logins, floods and garbage."""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driver_rig import PASSWORDS, community, secret, user
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from trap_rig import ENGINE, LINK_DOWN, datagram, device, listening, reached, snmptrap

from envmon.config.secret import Secret
from envmon.config.settings import SnmpSettings, TrapSettings
from envmon.drivers import traps
from envmon.drivers.trap_engine import TrapEngine
from envmon.drivers.trap_gate import Allowance, Gate, Outcome
from envmon.drivers.traps import TrapListener
from envmon.wire.frame import FrameError
from envmon.wire.snmp_v3 import authority_of
from tests.ports import free_port

V3 = ("-v", "3", "-l", "authPriv", "-A", PASSWORDS["auth"], "-X", PASSWORDS["privacy"])
AES = (*V3, "-u", "envmon", "-a", "SHA-256", "-x", "AES")


def once(listener: TrapListener, outcome: Outcome) -> Callable[[], bool]:
    return lambda: listener.gate.counts[outcome] >= 1


# --- every version ---------------------------------------------------------------------------------------------------


async def test_a_v1_trap_is_a_reason_to_look(tmp_path: Path):
    async with listening(device("crac_1", community(tmp_path))) as (listener, noticed):
        to = f"127.0.0.1:{listener.port}"
        status, said = await snmptrap(
            tmp_path, "-v", "1", "-c", "public", to, "1.3.6.1.4.1.318", "127.0.0.1", "6", "5", "1"
        )
        assert status == 0, said
        await reached(lambda: noticed, "the notice")
    assert noticed == ["crac_1"]
    assert listener.gate.counts == {Outcome.ACCEPTED: 1}


@pytest.mark.parametrize("inform", [False, True], ids=["trap", "inform"])
async def test_v2c(tmp_path: Path, inform: bool):
    options = ("-Ci", "-r", "1", "-t", "10") if inform else ()
    async with listening(device("crac_1", community(tmp_path))) as (listener, noticed):
        status, said = await snmptrap(
            tmp_path, "-v", "2c", "-c", "public", *options, f"127.0.0.1:{listener.port}", "", LINK_DOWN
        )
        assert (status, said) == (0, ""), "an inform that is not answered fails"
        await reached(lambda: noticed, "the notice")
    assert noticed == ["crac_1"]


LOGINS = {
    "SHA-256 AES": ("sha256", "aes128", ("-a", "SHA-256", "-x", "AES")),
    "SHA AES-256": ("sha", "aes256", ("-a", "SHA", "-x", "AES-256")),
    "SHA-512 AES": ("sha512", "aes128", ("-a", "SHA-512", "-x", "AES")),
    "MD5 DES": ("md5", "des", ("-a", "MD5", "-x", "DES")),
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS.keys())
async def test_v3_auth_priv_inform_and_trap(tmp_path: Path, login: tuple[str, str, tuple[str, ...]]):
    auth, privacy, options = login
    async with listening(device("crac_1", user(tmp_path, "envmon", auth, privacy))) as (listener, noticed):
        to = f"127.0.0.1:{listener.port}"
        common = (*V3, "-u", "envmon", *options)
        status, said = await snmptrap(tmp_path, *common, "-Ci", "-r", "1", "-t", "10", to, "", LINK_DOWN)
        assert (status, said) == (0, "")
        assert noticed == ["crac_1"]
        status, said = await snmptrap(tmp_path, *common, "-e", ENGINE, to, "", LINK_DOWN)
        assert (status, said) == (0, "")
        await reached(lambda: len(noticed) == 2, "the trap")
        assert listener.gate.counts[Outcome.REFUSED] == 0
        assert listener.gate.counts[Outcome.HANDSHAKE] >= 1


async def test_v3_with_authentication_alone_and_with_nothing(tmp_path: Path):
    async with listening(device("crac_1", user(tmp_path, "envmon", "sha"))) as (listener, noticed):
        to = f"127.0.0.1:{listener.port}"
        common = ("-v", "3", "-u", "envmon", "-a", "SHA", "-A", PASSWORDS["auth"], "-l", "authNoPriv")
        for options in (("-e", ENGINE), ("-Ci", "-r", "1", "-t", "10")):
            status, said = await snmptrap(tmp_path, *common, *options, to, "", LINK_DOWN)
            assert (status, said) == (0, "")
        await reached(lambda: len(noticed) == 2, "both")
    async with listening(device("crac_1", user(tmp_path, "envmon"))) as (listener, noticed):
        to = f"127.0.0.1:{listener.port}"
        await snmptrap(tmp_path, "-v", "3", "-u", "envmon", "-l", "noAuthNoPriv", "-e", ENGINE, to, "", LINK_DOWN)
        await reached(lambda: noticed == ["crac_1"], "the notice")


async def test_an_inform_after_our_restart_is_answered(tmp_path: Path):
    """The sender remembers our engine; the same identifier and the clock let it go on."""
    login, port = user(tmp_path, "envmon", "sha256", "aes128"), free_port()
    for _ in range(2):
        async with listening(device("crac_1", login), port=port) as (_, noticed):
            status, said = await snmptrap(
                tmp_path, *AES, "-Ci", "-r", "1", "-t", "10", f"127.0.0.1:{port}", "", LINK_DOWN
            )
            assert (status, said, noticed) == (0, "", ["crac_1"])


async def test_over_ipv6(tmp_path: Path):
    devices = (device("four", community(tmp_path)), device("six", community(tmp_path), "::1"))
    async with listening(*devices, host="::") as (listener, noticed):
        for to, name in (("127.0.0.1:", "four"), ("udp6:[::1]:", "six")):
            await snmptrap(tmp_path, "-v", "2c", "-c", "public", f"{to}{listener.port}", "", LINK_DOWN)
            await reached(lambda name=name: name in noticed, f"the notice of {name}")
    assert noticed == ["four", "six"]


async def test_a_device_by_name_and_devices_that_share_an_address(tmp_path: Path):
    by_name = device("by_name", community(tmp_path), "localhost")
    other = device("other", user(tmp_path, "envmon", "sha256", "aes128"))
    modbus = device("modbus")
    async with listening(by_name, other, modbus, community=secret(tmp_path, "wrong")) as (listener, noticed):
        to = f"127.0.0.1:{listener.port}"
        await snmptrap(tmp_path, "-v", "2c", "-c", "public", to, "", LINK_DOWN)
        await reached(lambda: noticed == ["by_name"], "the notice by its community")
        await snmptrap(tmp_path, *AES, "-e", ENGINE, to, "", LINK_DOWN)
        await reached(lambda: noticed == ["by_name", "other"], "the notice by its user")
        await snmptrap(tmp_path, "-v", "2c", "-c", PASSWORDS["wrong"], to, "", LINK_DOWN)
        await reached(lambda: len(noticed) == 3, "the notice by the community of all")


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_a_stranger_is_counted_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with listening(device("crac_1", community(tmp_path), "192.0.2.9")) as (listener, noticed):
        for _ in range(3):
            await snmptrap(tmp_path, "-v", "2c", "-c", "public", f"127.0.0.1:{listener.port}", "", LINK_DOWN)
        await reached(lambda: listener.gate.counts[Outcome.UNKNOWN_SENDER] == 3, "three strangers")
    assert noticed == []
    assert caplog.text.count("127.0.0.1 sends notifications and is no device of ours") == 1


WRONG = {
    "a wrong community": ("-v", "2c", "-c", "private"),
    "a wrong community, v1": ("-v", "1", "-c", "private"),
}
WRONG_V3 = {
    "an unknown user": (*V3, "-u", "somebody", "-a", "SHA-256", "-x", "AES", "-e", ENGINE),
    "a wrong password": (
        *("-v", "3", "-u", "envmon", "-l", "authPriv", "-a", "SHA-256", "-A", PASSWORDS["wrong"]),
        *("-x", "AES", "-X", PASSWORDS["privacy"], "-e", ENGINE),
    ),
    "too little security": (
        *("-v", "3", "-u", "envmon", "-l", "authNoPriv", "-a", "SHA-256", "-A", PASSWORDS["auth"], "-e", ENGINE),
    ),
    "no security at all": ("-v", "3", "-u", "envmon", "-l", "noAuthNoPriv", "-e", ENGINE),
    "a community instead of a user": ("-v", "2c", "-c", "public"),
}


@pytest.mark.parametrize("options", [*WRONG.values(), *WRONG_V3.values()], ids=[*WRONG, *WRONG_V3])
async def test_a_wrong_login_is_refused_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: tuple[str, ...]
):
    v3 = options in WRONG_V3.values()
    login = user(tmp_path, "envmon", "sha256", "aes128") if v3 else community(tmp_path)
    async with listening(device("crac_1", login)) as (listener, noticed):
        what = ("1.3.6.1.4.1.318", "127.0.0.1", "6", "5", "1") if "1" in options else ("", LINK_DOWN)
        for _ in range(2):
            await snmptrap(tmp_path, *options, f"127.0.0.1:{listener.port}", *what)
        await reached(lambda: listener.gate.counts[Outcome.REFUSED] == 2, "two refusals")
    assert noticed == []
    assert caplog.text.count("crac_1 (127.0.0.1) sends notifications that do not carry its own login") == 1
    assert not any(word in caplog.text for word in PASSWORDS.values() if len(word) > 1)


async def test_a_wrong_inform_is_not_acknowledged(tmp_path: Path):
    async with listening(device("crac_1", community(tmp_path))) as (listener, noticed):
        status, said = await snmptrap(
            tmp_path,
            *("-v", "2c", "-c", "private", "-Ci", "-r", "0", "-t", "0.3"),
            f"127.0.0.1:{listener.port}",
            "",
            LINK_DOWN,
        )
        assert status != 0, said
    assert noticed == []


async def test_nothing_but_notifications_is_answered(tmp_path: Path):
    """The port is no agent: a GET with the right community gets nothing."""
    get = bytes.fromhex("302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500")
    async with listening(device("crac_1", community(tmp_path))) as (listener, noticed):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.sendto(get, ("127.0.0.1", listener.port))
            await reached(once(listener, Outcome.REFUSED), "the refusal")
            with pytest.raises(BlockingIOError):
                asker.recv(1500)
    assert noticed == []


# --- floods and garbage ----------------------------------------------------------------------------------------------


def flood(port: int, what: list[bytes], number: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for sent in range(number):
            sender.sendto(what[sent % len(what)], ("127.0.0.1", port))


@pytest.mark.parametrize("known", [True, False], ids=["from a device", "from a stranger"])
async def test_ten_thousand_datagrams_leave_the_loop_on_time(tmp_path: Path, known: bool):
    good = await datagram(tmp_path, "-v", "2c", "-c", "public")
    host = "127.0.0.1" if known else "192.0.2.9"
    async with listening(device("crac_1", community(tmp_path), host)) as (listener, noticed):
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(None, flood, listener.port, [good], 10_000)
        lags: list[float] = []
        began = time.monotonic()
        while not sending.done() or time.monotonic() - began < 1.0:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            lags.append(loop.time() - due)
        await sending
        counts = listener.gate.counts
        read = counts.total() - counts[Outcome.OVERFLOWED]
        elapsed = time.monotonic() - began
        assert read <= traps.READS_PER_S * (elapsed + 0.1) + 50
        assert sorted(lags)[len(lags) // 2] < 0.2, "no timer waits behind the flood"
        if known:
            assert 1 <= counts[Outcome.ACCEPTED] <= 10 + 2 * (elapsed + 0.1)
            assert counts[Outcome.LIMITED] > 100
        else:
            assert counts[Outcome.ACCEPTED] == 0
        assert len(noticed) == counts[Outcome.ACCEPTED]


async def test_garbage_is_counted_and_the_next_trap_is_heard(tmp_path: Path):
    chance = random.Random(7)
    good = await datagram(tmp_path, "-v", "2c", "-c", "public")
    v3 = await datagram(tmp_path, *AES, "-e", ENGINE)
    pieces = [chance.randbytes(chance.randrange(1, 200)) for _ in range(30)]
    for whole in (good, v3):
        for _ in range(30):
            bad = bytearray(whole)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            pieces.append(bytes(bad))
            pieces.append(whole[: chance.randrange(1, len(whole))])
    login = user(tmp_path, "envmon", "sha256", "aes128")
    async with listening(device("one", community(tmp_path)), device("two", login)) as (listener, noticed):
        listener.gate.all_per_s = listener.gate.per_sender_s = 1e6
        listener.gate.__post_init__()
        listener.gate.let_in([])
        listener.gate.let_in(["127.0.0.1"])
        flood(listener.port, pieces, len(pieces))
        await reached(lambda: listener.gate.counts.total() >= len(pieces), "all of it")
        assert listener.gate.counts[Outcome.MALFORMED] >= 30
        before = len(noticed)
        flood(listener.port, [good, v3], 2)
        await reached(lambda: noticed[before:] == ["one", "two"], "both are heard")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> list[TrapEngine]:
    directory = tmp_path_factory.mktemp("engines")
    logins = (community(directory), user(directory, "envmon", "sha256", "aes128"))
    return [TrapEngine("dallas", login, (), lambda *_: None) for login in logins]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    directory = tmp_path_factory.mktemp("samples")

    async def made() -> list[bytes]:
        return [
            await datagram(directory, "-v", "2c", "-c", "public"),
            await datagram(directory, "-v", "1", "-c", "public", v1=True),
            await datagram(directory, *AES, "-e", ENGINE),
        ]

    return asyncio.run(made())


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_bytes_hurt_the_engine(engines: list[TrapEngine], samples: list[bytes], data: st.DataObject):
    whole = bytearray(data.draw(st.sampled_from(samples)))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)):
        whole[place % len(whole)] = value
    cut = data.draw(st.integers(0, len(whole)))
    wrong = data.draw(st.one_of(st.just(bytes(whole)), st.just(bytes(whole[:cut])), st.binary(max_size=300)))
    for engine in engines:
        assert engine.receive(wrong, ("127.0.0.1", 162)) in Outcome


def test_a_nest_without_end_is_malformed(engines: list[TrapEngine]):
    nest = b"\x30\x84\x00\x00\xff\xff" * 5000
    for engine in engines:
        assert engine.receive(nest, ("127.0.0.1", 162)) is Outcome.MALFORMED


def test_an_engine_wears_out_and_its_memory_is_bounded(tmp_path: Path, samples: list[bytes]):
    """Forged engine identifiers of a v3 sender cost a key each; there is a most, and then a new engine."""
    engine = TrapEngine("dallas", user(tmp_path, "envmon", "sha256", "aes128"), (), lambda *_: None)
    whole, known = samples[2], bytes.fromhex(ENGINE[2:])
    for number in range(450):
        forged = whole.replace(known, known[:-4] + number.to_bytes(4, "big"))
        assert engine.receive(forged, ("127.0.0.1", 162)) is Outcome.REFUSED
    assert engine.worn
    assert len(engine._authorities) == 400


async def test_worn_engines_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traps, "_RENEW_S", 0.05)
    monkeypatch.setattr("envmon.drivers.trap_engine._WORN_MESSAGES", 1)
    async with listening(device("crac_1", community(tmp_path))) as (listener, noticed):
        (first,) = listener._engines.values()
        for number in (1, 2):
            await snmptrap(tmp_path, "-v", "2c", "-c", "public", f"127.0.0.1:{listener.port}", "", LINK_DOWN)
            await reached(lambda number=number: len(noticed) == number, "the notice")
            await reached(lambda: not any(engine.worn for engine in listener._engines.values()), "a new engine")
        assert first not in listener._engines.values()


async def test_an_address_that_leaves_is_known_until_the_gate_is_closed_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Engines are built in a thread: what arrives meanwhile comes from whom the gate still admits."""
    async with listening(device("crac_1", community(tmp_path))) as (listener, _):
        building, built = threading.Event(), threading.Event()
        make = listener._engine
        monkeypatch.setattr(listener, "_engine", lambda login: (building.set(), built.wait(20), make(login))[2])
        listener._devices = (device("crac_2", community(tmp_path, name="wrong"), host="127.0.0.2"),)
        renewing = asyncio.create_task(listener._renew())
        await reached(building.is_set, "an engine is being built")
        listener._take(b"x", ("127.0.0.1", 1), 0.0)
        built.set()
        await renewing
        listener._take(b"x", ("127.0.0.1", 1), 0.0)
        assert listener.gate.counts[Outcome.UNKNOWN_SENDER] == 1


# --- the gate --------------------------------------------------------------------------------------------------------


def test_an_allowance_fills_again_and_no_further():
    allowance = Allowance(2.0, 3.0)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(100.5) for _ in range(2)] == [True, False]
    assert [allowance.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_one_sender_does_not_use_up_what_others_need():
    gate = Gate(per_sender_s=1.0, burst=5.0, all_per_s=10.0, all_burst=20.0)
    gate.let_in(["a", "b"])
    assert sum(gate.admits("a", 1.0) for _ in range(100)) == 5
    assert sum(gate.admits("b", 1.0) for _ in range(100)) == 5
    assert gate.counts == {Outcome.LIMITED: 190}
    gate.let_in(["b", "c"])
    assert not gate.admits("a", 1.0)
    assert not gate.admits("b", 1.0), "a sender that stays keeps what it has used"
    assert gate.admits("c", 1.0)


def test_all_senders_together_have_an_end():
    gate = Gate(per_sender_s=1.0, burst=5.0, all_per_s=10.0, all_burst=20.0)
    names = [str(number) for number in range(100)]
    gate.let_in(names)
    assert sum(gate.admits(name, 1.0) for name in names) == 20
    assert sum(gate.admits(name, 2.0) for name in names) == 10


# --- the listener ----------------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(traps, "_RETRY_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        login, noticed = community(tmp_path), []
        listener = TrapListener(TrapSettings("127.0.0.1", port), "dallas", [device("a", login)], noticed.append)
        task = asyncio.create_task(listener.run())
        await reached(lambda: "in use" in listener.failure, "the fault")
        await asyncio.sleep(0.2)
    await reached(lambda: not listener.failure, "the port")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert caplog.text.count("no traps are received, polling goes on") == 1
    assert "another program (snmptrapd?) has the port" in caplog.text


async def test_a_secret_that_cannot_be_read_is_told_without_ending_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    lost = SnmpSettings(community=Secret(f"file:{tmp_path}/none"))
    async with listening(device("lost", lost), device("found", community(tmp_path))) as (listener, noticed):
        await snmptrap(tmp_path, "-v", "2c", "-c", "public", f"127.0.0.1:{listener.port}", "", LINK_DOWN)
        await reached(lambda: noticed == ["found"], "the other device")
    assert "some traps cannot be accepted" in caplog.text


# --- the engine identifier of a v3 message ---------------------------------------------------------------------------


def test_the_authority_of_a_message(samples: list[bytes]):
    v2c, v1, v3 = samples
    assert (authority_of(v2c), authority_of(v1)) == (None, None)
    assert authority_of(v3) == bytes.fromhex(ENGINE[2:])
    for cut in range(1, 60):
        with pytest.raises(FrameError):
            authority_of(v3[:cut])
    with pytest.raises(FrameError, match="security model"):
        authority_of(v3.replace(b"\x02\x01\x03\x04", b"\x02\x01\x02\x04", 1))
