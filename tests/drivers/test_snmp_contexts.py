"""SNMPv3 contexts: one agent that speaks for several devices, net-snmp's and a foreign one."""

import asyncio
import contextlib
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from driver_rig import BASE, PASSWORDS, Clock, Snmpd, driver, oid, profile, settings, temperature, told, user
from test_snmp_driver import GOOD, USERS, three
from v3_rig import PysnmpAgent

from envmon.config.settings import SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_session import open_session
from envmon.model.reading import Reason
from envmon.profiles.bind import place
from envmon.profiles.loader import load_text
from envmon.profiles.schema import SnmpLimits


def within(login: SnmpSettings, context: str = "crac_2") -> SnmpSettings:
    return replace(login, context=context)


@pytest.mark.parametrize(("name", "auth", "privacy"), USERS)
async def test_every_v3_protocol_in_a_context_of_net_snmp(
    snmpd: Snmpd, tmp_path: Path, name: str, auth: str, privacy: str
):
    login = within(user(tmp_path, name, auth, privacy))
    async with driver(settings(snmpd.port, login, 5.0), three()) as device:
        assert told(await device.poll()) == GOOD
        assert told(await device.poll()) == GOOD


CONTEXTS = {"": {1: 100}, "crac_1": {1: 181}, "crac_2": {1: 272}}
PROTOCOLS = [("sha", "aes128"), ("sha", "aes256"), ("sha256", "aes128"), ("sha256", "aes256"), ("sha256", ""), ("", "")]


@pytest.mark.parametrize(("auth", "privacy"), PROTOCOLS)
async def test_each_context_has_its_own_values(tmp_path: Path, auth: str, privacy: str):
    """A foreign agent answers."""
    there_is = PysnmpAgent(auth, privacy, contexts=CONTEXTS)
    kind = profile([temperature("t", oid(1)), temperature("gone", oid(9))], SnmpLimits())
    async with there_is.serving():
        for context, value in (("", 10.0), ("crac_1", 18.1), ("crac_2", 27.2)):
            login = within(user(tmp_path, "envmon", auth, privacy), context)
            async with driver(settings(there_is.port, login, 5.0), kind) as device:
                assert told(await device.poll()) == {"t": value, "gone": "absent"}


@pytest.mark.parametrize("reboot", [(5, 3), (2, 3), (900, 3), (5, 103_600), (5, 96_400)])
async def test_boots_and_time_that_are_not_as_they_should_be_cost_no_poll_and_no_login(
    tmp_path: Path, reboot: tuple[int, int]
):
    there_is = PysnmpAgent(contexts=CONTEXTS)
    login = within(user(tmp_path, "envmon", "sha256", "aes128"))
    kind = profile([temperature("t", oid(1))], SnmpLimits())
    async with there_is.serving(), driver(settings(there_is.port, login, 5.0), kind) as device:
        assert told(await device.poll()) == {"t": 27.2}
        before = cast("Any", device)._session
        there_is.reboot(*reboot)
        assert told(await device.poll()) == {"t": 27.2}
        assert cast("Any", device)._session is before


@pytest.mark.parametrize("boots", [40, 20], ids=["forwards", "backwards"])
async def test_net_snmp_that_restarts_is_read_in_the_same_poll(snmpd: Snmpd, tmp_path: Path, boots: int):
    snmpd.stop()
    snmpd.set_boots(30)
    snmpd.start()
    login = within(user(tmp_path, "shaaes", "sha", "aes128"))
    async with driver(settings(snmpd.port, login, 5.0), three()) as device:
        assert told(await device.poll()) == GOOD
        snmpd.stop()
        snmpd.set_boots(boots)
        snmpd.start()
        assert told(await device.poll()) == GOOD


@pytest.mark.parametrize("rows", [0, 4])
async def test_a_walk_in_a_context_finds_what_a_walk_finds(snmpd: Snmpd, tmp_path: Path, rows: int):
    login = user(tmp_path, "sha256aes", "sha256", "aes128")
    found = []
    for context in ("", "crac_2"):
        with contextlib.closing(await open_session("127.0.0.1", snmpd.port, within(login, context), "test")) as session:
            found.append(await session.walk(BASE, rows).indexes())
            assert await session.has_below(BASE)
            assert not await session.has_below("1.3.6.1.4.1.99999.7")
    assert len(found[0]) == 9
    assert found[0] == found[1]


async def test_a_table_in_a_context(snmpd: Snmpd, tmp_path: Path):
    kind = load_text(
        f"""
profile: made-up
vendor: nobody
kind: sensor
protocol: snmp
evidence: document
sources: [{{document: a test, revision: "1"}}]
snmp: {{base: {BASE}, bulk: true}}
tables:
- walk: "{{base}}.1"
  points: [{{name: "t_{{row}}", oid: "{{base}}.1", unit: degC, scale: 0.1}}]
""",
        "made-up.yaml",
    )
    login = within(user(tmp_path, "shaaes", "sha", "aes128"))
    there = place(kind, site="dallas", device="d", path="p", zone="hall_a")
    asks = settings(snmpd.port, login, 5.0)
    async with open_driver(asks, kind, (), at=there, clock=Clock(), jitter=lambda: 0.5) as device:
        assert told(await device.poll()) == {"t_0": 21.5}


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_context_the_agent_does_not_have_is_silence_and_the_hint_says_so(
    snmpd: Snmpd, tmp_path: Path, foreign: bool
):
    """Neither net-snmp nor the foreign agent answers anything at all."""
    there_is = PysnmpAgent(contexts=CONTEXTS)
    login = user(tmp_path, "envmon" if foreign else "sha256aes", "sha256", "aes128")
    asks = settings(there_is.port if foreign else snmpd.port, within(login, "crac_9"), 1.0)
    async with there_is.serving(), driver(asks, three()) as device:
        with pytest.raises(DeviceError, match="a wrong community, context or privacy password") as caught:
            await device.poll()
    assert caught.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize("case", ["password", "user", "level"])
async def test_a_refused_login_says_so_at_once(snmpd: Snmpd, tmp_path: Path, case: str):
    logins = {
        "password": user(tmp_path, "shaaes", "sha", "aes128", auth_name="wrong"),
        "user": user(tmp_path, "stranger", "sha", "aes128"),
        "level": user(tmp_path, "shaaes", "sha"),
    }
    async with driver(settings(snmpd.port, within(logins[case]), 5.0), three()) as device:
        with pytest.raises(DeviceError) as caught:
            await device.poll()
    assert caught.value.reason is Reason.REFUSED
    assert not any(password in str(caught.value) for password in PASSWORDS.values() if len(password) > 1)


class Replaying(asyncio.DatagramProtocol):
    """Stands between a driver and an agent, and sends each answer of the agent once more before the next one."""

    def __init__(self, agent_port: int) -> None:
        self.replayed = 0
        self._agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._agent.connect(("127.0.0.1", agent_port))
        self._agent.setblocking(False)
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        asyncio.get_running_loop().add_reader(self._agent, self._answered)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._peer = addr
        self._agent.send(data)

    def _answered(self) -> None:
        data = self._agent.recv(65535)
        if self._last:
            self.replayed += 1
            self._transport.sendto(self._last, self._peer)
        self._transport.sendto(data, self._peer)
        self._last = data

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._agent)
        self._agent.close()
        self._transport.close()


async def test_an_answer_from_the_last_poll_is_not_believed(tmp_path: Path):
    numbers = {1: 100}
    there_is = PysnmpAgent(contexts={"crac_2": numbers})
    login = within(user(tmp_path, "envmon", "sha256", "aes128"))
    kind = profile([temperature("t", oid(1))], SnmpLimits())
    async with there_is.serving():
        loop = asyncio.get_running_loop()
        transport, between = await loop.create_datagram_endpoint(
            lambda: Replaying(there_is.port), local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        try:
            async with driver(settings(port, login, 5.0), kind) as device:
                for value in (100, 110, 120):
                    numbers[1] = value
                    assert told(await device.poll()) == {"t": value / 10}
        finally:
            between.close()
    assert between.replayed >= 3
