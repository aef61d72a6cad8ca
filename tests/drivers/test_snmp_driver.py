"""The SNMP driver against net-snmp's agent, and against agents that do everything wrong."""

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driver_rig import (
    BASE,
    PASSWORDS,
    Agent,
    Clock,
    Snmpd,
    agent,
    community,
    driver,
    mode,
    oid,
    profile,
    secret,
    settings,
    temperature,
    told,
    user,
    values,
)
from pysnmp.hlapi.v1arch import asyncio as foreign

from envmon.config.secret import Secret
from envmon.config.settings import SnmpSettings
from envmon.drivers import snmp_login
from envmon.drivers.contract import DeviceError, Driver
from envmon.model.reading import Quality, Reason
from envmon.model.texts import line
from envmon.profiles.schema import ModbusLimits, SnmpLimits
from envmon.profiles.schema_point import ProfilePoint
from envmon.profiles.units import Scaling
from envmon.wire.snmp import ErrorStatus, Message, Tag, Value, VarBind, encode_message
from tests.ports import free_port

GOOD = {"t1": 21.5, "t2": 0.1, "t4": -0.5}


def three(max_oids: int = 20, numbers: tuple[int, ...] = (1, 2, 4)) -> Any:
    return profile([temperature(f"t{n}", oid(n)) for n in numbers], SnmpLimits(max_oids=max_oids))


def table(message: Message) -> list[bytes]:
    return [values(message, n1=215, n2=1, n4=-5)]


def open_(
    port: int, login: SnmpSettings, kind: Any = None, clock: Clock | None = None, deadline_s: float = 3.0
) -> Driver:
    return driver(settings(port, login, deadline_s), kind or three(), clock)


async def failed(device: Driver) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        await device.poll()
    return caught.value


# --- net-snmp: what is read ------------------------------------------------------------------------------------------

USERS = [
    ("shaaes", "sha", "aes128"),
    ("md5des", "md5", "des"),
    ("sha224only", "sha224", ""),
    ("sha256aes", "sha256", "aes128"),
    ("sha256aes256", "sha256", "aes256"),
    ("sha384aes", "sha384", "aes128"),
    ("sha512aes256", "sha512", "aes256"),
    ("sha1aes256", "sha", "aes256"),
    ("nobody", "", ""),
]


@pytest.mark.parametrize(("name", "auth", "privacy"), USERS)
async def test_every_v3_protocol(snmpd: Snmpd, tmp_path: Path, name: str, auth: str, privacy: str):
    async with open_(snmpd.port, user(tmp_path, name, auth, privacy), deadline_s=2.0) as device:
        assert told(await device.poll()) == GOOD
        assert told(await device.poll()) == GOOD


async def test_the_keys_of_a_password_are_made_once_and_the_password_is_not_kept(snmpd: Snmpd, tmp_path: Path):
    for _ in range(2):
        async with open_(snmpd.port, user(tmp_path, "shaaes", "sha", "aes128"), deadline_s=2.0) as device:
            assert told(await device.poll()) == GOOD
        keys = dict(snmp_login._MASTER_KEYS)
    assert keys == snmp_login._MASTER_KEYS and keys
    assert PASSWORDS["auth"] not in repr(keys) and PASSWORDS["privacy"] not in repr(keys)


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_every_type_of_value(snmpd: Snmpd, tmp_path: Path, version: str):
    kind = profile(
        [
            temperature("integer", oid(1)),
            mode("state", oid(2)),
            temperature("sentinel", oid(3)),
            ProfilePoint("unsigned", None, oid(7)),
            ProfilePoint("number in a string", None, oid(8), Scaling("degC")),
            ProfilePoint("text", None, oid(6, text=True)),
            ProfilePoint("text for a number", None, oid(6), Scaling("degC")),
            ProfilePoint("object", None, oid(9, text=True)),
            temperature("checked", oid(1), oid(5)),
            temperature("disagrees", oid(4), oid(5)),
            temperature("gone", oid(99)),
            temperature("twin gone", oid(1), oid(98)),
        ],
        SnmpLimits(max_oids=3),
    )
    async with open_(snmpd.port, community(tmp_path, version), kind, deadline_s=2.0) as device:
        readings = await device.poll()
        assert told(await device.poll()) == told(readings)
    assert told(readings) == {
        "integer": 21.5,
        "state": "running",
        "sentinel": "sentinel",
        "unsigned": 4000000000.0,
        "number in a string": 21.5,
        "text": "Hell",
        "text for a number": "invalid_text",
        "object": BASE,
        "checked": 21.5,
        "disagrees": -0.5,
        "gone": "absent",
        "twin gone": 21.5,
    }
    by_name = {reading.point.name: reading for reading in readings}
    assert by_name["disagrees"].quality is Quality.UNCERTAIN
    assert by_name["checked"].good


async def test_a_foreign_client_reads_the_same_values(snmpd: Snmpd, tmp_path: Path):
    numbers = (1, 2, 3, 4, 5, 7)
    kind = profile([ProfilePoint(str(n), None, oid(n)) for n in numbers], SnmpLimits())
    async with open_(snmpd.port, community(tmp_path), kind, deadline_s=2.0) as device:
        ours = told(await device.poll())
    dispatcher = foreign.SnmpDispatcher()
    try:
        error, status, _, variables = await foreign.get_cmd(
            dispatcher,
            foreign.CommunityData("public", mpModel=1),
            await foreign.UdpTransportTarget.create(("127.0.0.1", snmpd.port)),
            *((f"{BASE}.{n}.0", foreign.Null("")) for n in numbers),
        )
    finally:
        dispatcher.transport_dispatcher.close_dispatcher()
    assert (error, int(status)) == (None, 0)
    assert ours == {str(n): float(value) for n, (_, value) in zip(numbers, variables, strict=True)}


# --- net-snmp: logging in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "login",
    [
        {"name": "shaaes", "auth": "sha", "privacy": "aes128", "auth_name": "wrong"},
        {"name": "stranger", "auth": "sha", "privacy": "aes128"},
        {"name": "shaaes", "auth": "sha256", "privacy": "aes128"},
        {"name": "shaaes", "auth": "sha", "privacy": ""},
        {"name": "shaaes", "auth": "", "privacy": ""},
    ],
    ids=["wrong password", "unknown user", "wrong protocol", "no privacy", "no authentication"],
)
async def test_a_refused_v3_login_says_so_at_once(snmpd: Snmpd, tmp_path: Path, login: dict[str, str]):
    async with open_(snmpd.port, user(tmp_path, **login), deadline_s=5.0) as device:
        began = time.monotonic()
        fault = await failed(device)
        assert time.monotonic() - began < 4.0  # not its deadline
    assert fault.reason is Reason.REFUSED
    assert "refused the login; check user, protocols, passwords" in str(fault)
    assert not any(password in str(fault) for password in PASSWORDS.values() if len(password) > 1)


@pytest.mark.parametrize("case", ["community", "privacy password"])
async def test_a_login_the_agent_ignores_ends_at_the_deadline_with_a_hint(snmpd: Snmpd, tmp_path: Path, case: str):
    wrong_community = community(tmp_path, "2c", "wrong")
    wrong_privacy = user(tmp_path, "shaaes", "sha", "aes128", privacy_name="wrong")
    login = wrong_community if case == "community" else wrong_privacy
    async with open_(snmpd.port, login, deadline_s=0.8) as device:
        began = time.monotonic()
        fault = await failed(device)
        assert time.monotonic() - began < 5.0
    assert fault.reason is Reason.TIMEOUT
    assert "a wrong community, context or privacy password looks like this, too" in str(fault)


LOGINS = [
    "no community",
    "no user",
    "unknown version",
    "unknown auth",
    "unknown privacy",
    "privacy alone",
    "short password",
    "no such secret",
    "no such password",
]


def logins(directory: Path) -> dict[str, tuple[SnmpSettings, str]]:
    right = user(directory, "shaaes", "sha", "aes128")
    gone = Secret(f"file:{directory}/gone")
    return {
        "no community": (SnmpSettings(), "SNMP version 2c needs a community"),
        "no user": (SnmpSettings(version="3"), "SNMP version 3 needs a user"),
        "unknown version": (SnmpSettings(version="2"), 'SNMP version "2" is not "1", "2c" or "3"'),
        "unknown auth": (replace(right, auth_protocol="sha3"), 'auth_protocol "sha3" is none of md5, sha, sha224'),
        "unknown privacy": (replace(right, privacy_protocol="aes"), 'privacy_protocol "aes" is none of des, aes128'),
        "privacy alone": (replace(right, auth_password=None), "privacy_password needs an auth_password too"),
        "short password": (
            replace(right, auth_password=secret(directory, "short")),
            "auth_password is shorter than 8 characters",
        ),
        "no such secret": (SnmpSettings(community=gone), f"file:{directory}/gone: cannot read {directory}/gone"),
        "no such password": (replace(right, privacy_password=gone), f"cannot read {directory}/gone"),
    }


@pytest.mark.parametrize("case", LOGINS)
async def test_a_login_that_cannot_be_is_refused_with_what_to_do(snmpd: Snmpd, tmp_path: Path, case: str):
    login, says = logins(tmp_path)[case]
    async with open_(snmpd.port, login, deadline_s=2.0) as device:
        fault = await failed(device)
    assert fault.reason is Reason.REFUSED
    assert says in str(fault)
    assert str(fault).startswith(f"snmp 127.0.0.1:{snmpd.port}: ")


async def test_a_corrected_secret_is_used_at_the_next_try(snmpd: Snmpd, tmp_path: Path):
    clock = Clock()
    login = community(tmp_path)
    (tmp_path / "community").unlink()
    async with open_(snmpd.port, login, clock=clock, deadline_s=2.0) as device:
        assert (await failed(device)).reason is Reason.REFUSED
        secret(tmp_path, "community")
        clock.now += 2
        assert told(await device.poll()) == GOOD


# --- net-snmp: restarts of the v3 engine -----------------------------------------------------------------------------


@pytest.mark.parametrize("boots", [40, 20], ids=["forwards", "backwards"])
async def test_a_v3_agent_that_restarts_is_read_in_the_same_poll(snmpd: Snmpd, tmp_path: Path, boots: int):
    snmpd.stop()
    snmpd.set_boots(30)
    snmpd.start()
    async with open_(snmpd.port, user(tmp_path, "shaaes", "sha", "aes128"), deadline_s=2.0) as device:
        assert told(await device.poll()) == GOOD
        snmpd.stop()
        snmpd.set_boots(boots)
        snmpd.start()
        assert told(await device.poll()) == GOOD


async def test_a_replaced_v3_card_costs_no_poll(snmpd: Snmpd, tmp_path: Path):
    """Another engine says it does not know the one asked for; it is logged in to within the same poll."""
    async with open_(snmpd.port, user(tmp_path, "shaaes", "sha", "aes128"), deadline_s=5.0) as device:
        assert told(await device.poll()) == GOOD
        snmpd.stop()
        snmpd.replace_card("anothercard")
        snmpd.start()
        assert told(await device.poll()) == GOOD


# --- scripted agents -------------------------------------------------------------------------------------------------

Script = Callable[[Message], Iterable[bytes]]


async def test_requests_hold_no_more_oids_than_the_device_can(tmp_path: Path):
    async with agent(table) as peer, open_(peer.port, community(tmp_path), three(2, (1, 2, 4, 5, 6))) as device:
        await device.poll()
        assert [len(asked) for asked in peer.asked] == [2, 2, 1]


async def test_a_value_and_its_cross_check_are_asked_together_and_once(tmp_path: Path):
    kind = profile([temperature("a", oid(1), oid(5)), temperature("b", oid(2), oid(5))], SnmpLimits())
    async with agent(table) as peer, open_(peer.port, community(tmp_path), kind) as device:
        await device.poll()
        assert peer.asked == [(f"{BASE}.1.0", f"{BASE}.5.0", f"{BASE}.2.0")]


def ones(message: Message) -> list[bytes]:
    return [encode_message(message.answer(tuple(VarBind(v.oid, Value(Tag.INTEGER, 1)) for v in message.variables)))]


def at_most(limit: int) -> Script:
    """An agent that can carry no more variables than this (RFC 3416 section 4.2.1: tooBig carries none)."""

    def script(message: Message) -> list[bytes]:
        if len(message.variables) > limit:
            return [encode_message(message.answer((), ErrorStatus.TOO_BIG))]
        return ones(message)

    return script


async def test_a_request_that_is_too_big_is_split_and_stays_split(tmp_path: Path):
    kind = three(20, tuple(range(1, 9)))
    async with agent(at_most(3)) as peer, open_(peer.port, community(tmp_path), kind) as device:
        first = told(await device.poll())
        assert set(first.values()) == {0.1}
        assert [len(asked) for asked in peer.asked] == [8, 4, 2, 2, 4, 2, 2]
        peer.asked.clear()
        assert told(await device.poll()) == first
        assert [len(asked) for asked in peer.asked] == [2, 2, 2, 2]


async def test_an_answer_larger_than_the_receive_buffer_is_split(tmp_path: Path):
    def long_texts(message: Message) -> list[bytes]:
        text = Value(Tag.OCTET_STRING, b"x" * 3000)
        return [encode_message(message.answer(tuple(VarBind(v.oid, text) for v in message.variables)))]

    kind = profile([ProfilePoint(f"p{n}", None, oid(n, text=True)) for n in range(1, 5)], SnmpLimits())
    async with agent(long_texts) as peer, open_(peer.port, community(tmp_path), kind) as device:
        assert set(told(await device.poll()).values()) == {line("x" * 3000)}


async def test_a_v1_agent_that_misses_one_object_still_gives_the_others(tmp_path: Path):
    def v1(message: Message) -> list[bytes]:
        for index, variable in enumerate(message.variables, 1):
            if variable.oid[-2] == 3:
                return [encode_message(message.answer(message.variables, ErrorStatus.NO_SUCH_NAME, index))]
        return table(message)

    async with agent(v1) as peer, open_(peer.port, community(tmp_path, "1"), three(20, (1, 2, 3, 4))) as device:
        assert told(await device.poll()) == {**GOOD, "t3": "absent"}
        peer.asked.clear()
        assert told(await device.poll()) == {**GOOD, "t3": "absent"}
        assert [len(asked) for asked in peer.asked] == [2, 1, 1]
        peer.answer = lambda message: [values(message, n1=215, n2=1, n3=7, n4=-5)]
        assert told(await device.poll()) == {**GOOD, "t3": 0.7}


async def test_an_agent_that_never_answers_ends_within_the_deadline(tmp_path: Path):
    async with agent(lambda _: []) as peer, open_(peer.port, community(tmp_path), deadline_s=0.4) as device:
        began = time.monotonic()
        fault = await failed(device)
        assert 0.35 < time.monotonic() - began < 5.0
        assert fault.reason is Reason.TIMEOUT
        for _ in range(10):
            await failed(device)
        assert len(peer.asked) == 1


async def test_a_drip_of_empty_datagrams_ends_within_the_deadline(tmp_path: Path):
    async def drip(peer: Agent) -> None:
        while True:
            await asyncio.sleep(0.05)
            peer.send_again()

    async with agent(lambda _: [b""]) as peer, open_(peer.port, community(tmp_path), deadline_s=0.4) as device:
        task = asyncio.create_task(drip(peer))
        began = time.monotonic()
        try:
            assert (await failed(device)).reason in {Reason.TIMEOUT, Reason.GARBAGE}
            assert time.monotonic() - began < 5.0
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_to_another_request_is_not_believed(tmp_path: Path):
    def stale(message: Message) -> list[bytes]:
        return [values(replace(message, request_id=message.request_id ^ 1), n1=1, n2=1, n4=1), *table(message)]

    async with agent(stale) as peer, open_(peer.port, community(tmp_path)) as device:
        assert told(await device.poll()) == GOOD


async def test_an_answer_from_the_last_poll_is_not_believed(tmp_path: Path):
    held: list[bytes] = []
    clock = Clock()

    def late(message: Message) -> list[bytes]:
        if not held:
            held.append(values(message, n1=1, n2=1, n4=1))
            return []
        return [held[0], *table(message)]

    async with agent(late) as peer, open_(peer.port, community(tmp_path), clock=clock, deadline_s=1.0) as device:
        await failed(device)
        clock.now += 2
        assert told(await device.poll()) == GOOD


async def test_an_answer_that_comes_when_nobody_waits_is_dropped(tmp_path: Path):
    numbers = iter(range(100))

    def twice(message: Message) -> list[bytes]:
        return [values(message, n1=next(numbers), n2=1, n4=-5)] * 2

    async with agent(twice) as peer, open_(peer.port, community(tmp_path)) as device:
        for number in range(5):
            assert told(await device.poll()) == {**GOOD, "t1": number / 10}
            await asyncio.sleep(0.01)


async def test_other_oids_than_asked_are_not_taken_for_ours(tmp_path: Path):
    def other(message: Message) -> list[bytes]:
        wrong = tuple(VarBind((*v.oid[:-1], 7), Value(Tag.INTEGER, 215)) for v in message.variables)
        return [encode_message(message.answer(wrong))]

    async with agent(other) as peer, open_(peer.port, community(tmp_path)) as device:
        assert set(told(await device.poll()).values()) == {"absent"}


async def test_silence_after_the_first_answer_spoils_only_what_was_not_read(tmp_path: Path):
    def script(message: Message) -> list[bytes]:
        return [] if message.variables[0].oid[-2] == 2 else table(message)

    async with agent(script) as peer, open_(peer.port, community(tmp_path), three(1), deadline_s=1.0) as device:
        assert told(await device.poll()) == {**GOOD, "t2": "timeout", "t4": "timeout"}
        assert told(await device.poll()) == {**GOOD, "t2": "timeout"}


GARBAGE: dict[str, Callable[[Message], bytes]] = {
    "no BER at all": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length beyond the end": lambda _: b"\xff" * 40,
    "a truncated answer": lambda m: table(m)[0][:-9],
    "a request": encode_message,
    "a length that points outside": lambda m: table(m)[0].replace(b"\x30\x10\x06\x0b", b"\x30\xff\x06\x0b", 1),
}


@pytest.mark.parametrize("make", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_one_clear_error_and_then_forgotten(tmp_path: Path, make: Callable[[Message], bytes]):
    clock = Clock()
    async with agent(lambda m: [make(m)]) as peer, open_(peer.port, community(tmp_path), clock=clock) as device:
        fault = await failed(device)
        assert fault.reason is Reason.GARBAGE
        assert "the answer is not SNMP" in str(fault)
        peer.answer = table
        clock.now += 2
        assert told(await device.poll()) == GOOD


async def test_damaged_answers_are_readings_or_a_device_error(tmp_path: Path):
    """Nothing else comes out, whatever is in the datagram, and the driver reads again afterwards."""
    chance = random.Random(20240229)
    clock = Clock()

    def damaged(message: Message) -> list[bytes]:
        data = bytearray(table(message)[0])
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.choice((0, 0x80, 0x84, 0xFF, chance.randrange(256)))
        return [bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])]

    reasons = set()
    async with agent(damaged) as peer, open_(peer.port, community(tmp_path), clock=clock, deadline_s=0.02) as device:
        for _ in range(100):
            clock.now += 20
            try:
                await device.poll()
            except DeviceError as fault:
                reasons.add(fault.reason)
        assert Reason.GARBAGE in reasons
        peer.answer = table
        readings = {}
        async with asyncio.timeout(10):
            while readings != GOOD:  # the deadline is too short for one try to be sure
                clock.now += 20
                with contextlib.suppress(DeviceError):
                    readings = told(await device.poll())


async def test_a_device_by_name(tmp_path: Path):
    async with agent(table) as peer:
        named = replace(settings(peer.port, community(tmp_path)), host="localhost")
        async with driver(named, three()) as device:
            assert told(await device.poll()) == GOOD


@pytest.mark.parametrize("host", ["nowhere.invalid", "-"])
async def test_a_name_that_does_not_resolve(tmp_path: Path, host: str):
    async with driver(replace(settings(161, community(tmp_path)), host=host), three()) as device:
        fault = await failed(device)
    assert fault.reason in {Reason.UNREACHABLE, Reason.TIMEOUT}
    assert str(fault).startswith(f"snmp {host}:161: ")


async def test_a_dead_port_is_tried_less_and_less(tmp_path: Path):
    clock = Clock()
    port = free_port()
    async with open_(port, community(tmp_path), clock=clock, deadline_s=2.0) as device:
        fault = await failed(device)
        assert (fault.reason, str(fault)) == (Reason.UNREACHABLE, f"snmp 127.0.0.1:{port}: nothing listens there")
        for wait in (1.0, 2.0, 4.0):
            clock.now += wait - 0.1
            assert "next try in 0.1 s" in str(await failed(device))
            clock.now += 0.2
            assert "next try" not in str(await failed(device))


async def test_a_poll_cancelled_in_flight_leaves_the_driver_ready(tmp_path: Path):
    waiting = asyncio.Event()

    def hold(_: Message) -> list[bytes]:
        waiting.set()
        return []

    async with agent(hold) as peer, open_(peer.port, community(tmp_path), deadline_s=5.0) as device:
        task = asyncio.ensure_future(device.poll())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        peer.answer = table
        assert told(await device.poll()) == GOOD


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_polling_for_long_keeps_no_socket_behind(tmp_path: Path):
    """Every failed poll forgets its session; nothing of ours keeps its socket once the collector has looked."""
    clock = Clock()
    async with agent(lambda _: [b"\x30\x00"]) as peer, open_(peer.port, community(tmp_path), clock=clock) as device:
        await failed(device)
        before = open_files()
        for _ in range(20):
            clock.now += 20
            assert (await failed(device)).reason is Reason.GARBAGE
        gc.collect()
        assert open_files() <= before + 1


def test_a_profile_of_the_other_protocol_is_a_programmers_mistake():
    modbus = profile([temperature("t", oid(1))], ModbusLimits())
    with pytest.raises(TypeError, match="SNMP addresses"):
        driver(settings(1), modbus)
