"""The simulated SNMP agent, read by Debian's snmp tools and by hand."""

import asyncio
import os
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Profile
from envmon.profiles.schema_point import Oid
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent
from envmon.wire import ber
from envmon.wire.snmp import ErrorStatus, Message, PduType, Tag, VarBind, Version, decode_message, encode_message
from tests.bound import bind
from tests.profiles.one_answer import decode_snmp

PROFILES: Mapping[str, Profile] = load_builtin()
BASE = "1.3.6.1.4.1.318.1.1.13.3"
MODE = f"{BASE}.2.2.2.1.0"
SUPPLY = f"{BASE}.2.2.2.9.0"


@pytest.fixture
async def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SnmpAgent]:
    monkeypatch.setenv("SNMP_PERSISTENT_DIR", str(tmp_path))
    async with SnmpAgent(SimulatedDevice(PROFILES["apc-inrow-rc"])) as running:
        yield running


def found(out: str) -> dict[str, str]:
    return dict(re.findall(r"^\.(\S+) (\S+)$", out, re.MULTILINE))


async def tool(
    agent: SnmpAgent, name: str, *arguments: str, version: str = "2c", community: str = "public", wait_s: int = 10
) -> str:
    assert shutil.which(name), f"{name} is not installed: apt install snmp"
    process = await asyncio.create_subprocess_exec(
        *(name, "-v", version, "-c", community, "-On", "-Oq", "-t", str(wait_s), "-r", "0", f"127.0.0.1:{agent.port}"),
        *arguments,
        env={**os.environ, "MIBS": "", "SNMPCONFPATH": os.devnull},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


async def ask(agent: SnmpAgent, message: Message | bytes, wait: float = 10.0) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        data = message if isinstance(message, bytes) else encode_message(message)
        await loop.sock_sendto(sock, data, ("127.0.0.1", agent.port))
        return await asyncio.wait_for(loop.sock_recv(sock, 65536), wait)


def request(*oids: str, kind: PduType = PduType.GET, version: Version = Version.V2C, **fields: int) -> Message:
    variables = tuple(VarBind(ber.parse_oid(oid)) for oid in oids)
    return Message(version, b"public", kind, 7, variables, **fields)


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_snmpget_reads_what_was_set(agent: SnmpAgent, version: str) -> None:
    agent.device.set("supply_air_temp", 18.4)
    agent.device.set("operate_mode", "standby")
    out = await tool(agent, "snmpget", SUPPLY, MODE, version=version)
    assert found(out) == {SUPPLY: "184", MODE: "1"}


@pytest.mark.parametrize("walker", ["snmpbulkwalk", "snmpwalk"])
async def test_a_walk_finds_every_variable_in_order(agent: SnmpAgent, walker: str) -> None:
    out = await tool(agent, walker, BASE)
    walked = found(out)
    assert walked == {ber.format_oid(oid): str(value.content) for oid, value in agent.device.variables.items()}
    assert list(walked) == [ber.format_oid(oid) for oid in sorted(agent.device.variables)]


async def test_a_v1_walk_ends_properly(agent: SnmpAgent) -> None:
    out = await tool(agent, "snmpwalk", "1.3.6.1.4.1", version="1")
    assert len(found(out)) == len(agent.device.variables)
    assert "Error" not in out


async def test_what_a_walk_got_decodes_to_what_was_set(agent: SnmpAgent) -> None:
    agent.device.set("rack_inlet_temp", 31.2)
    out = await tool(agent, "snmpbulkwalk", "1.3.6.1.4.1")
    walked = found(out)
    for bound in bind(agent.device.profile, site="s", device="d", path="p", zone="z", serves="u", commissioned=True):
        check, at = bound.spec.cross_check, bound.spec.address
        assert isinstance(at, Oid)
        twin = walked[check.address.oid] if check is not None and isinstance(check.address, Oid) else None
        reading = decode_snmp(bound, walked[at.oid], twin)
        assert reading.good
        if bound.spec.name == "rack_inlet_temp":
            assert reading.value == 31.2


async def test_an_absent_point(agent: SnmpAgent) -> None:
    agent.device.hide("supply_air_temp")
    assert "No Such Instance" in await tool(agent, "snmpget", SUPPLY, MODE)
    assert "noSuchName" in await tool(agent, "snmpget", MODE, SUPPLY, version="1")
    v1 = decode_message(await ask(agent, request(MODE, SUPPLY, version=Version.V1)))
    assert (v1.error_status, v1.error_index) == (ErrorStatus.NO_SUCH_NAME, 2)


async def test_a_wrong_community_gets_no_answer_and_is_no_poll(agent: SnmpAgent) -> None:
    assert "Timeout" in await tool(agent, "snmpget", MODE, community="secret", wait_s=1)
    assert agent.device.requests == 0


@pytest.mark.parametrize("data", [b"", b"\x30", b"GET / HTTP/1.1", b"\x30\x84\xff\xff\xff\xff", b"\x00" * 1500])
async def test_what_is_not_snmp_gets_no_answer_and_does_no_harm(agent: SnmpAgent, data: bytes) -> None:
    with pytest.raises(TimeoutError):
        await ask(agent, data, wait=0.1)
    assert decode_message(await ask(agent, request(MODE))).variables[0].value.content == 2


async def test_a_silent_agent_is_still_being_asked(agent: SnmpAgent) -> None:
    agent.device.trouble.silent = True
    with pytest.raises(TimeoutError):
        await ask(agent, request(MODE), wait=0.1)
    assert len(agent.device.polls) == 1


async def test_a_slow_agent_answers_in_the_end(agent: SnmpAgent) -> None:
    agent.device.trouble.delay_ms = 80
    before = time.monotonic()
    assert decode_message(await ask(agent, request(MODE))).request_id == 7
    assert time.monotonic() - before >= 0.08


async def test_garbage_and_refusals(agent: SnmpAgent) -> None:
    agent.device.trouble.garbage = True
    with pytest.raises(ValueError, match="promises 111 bytes"):
        decode_message(await ask(agent, request(MODE)))
    agent.device.trouble.garbage = False
    agent.device.trouble.refuse = ErrorStatus.GEN_ERR
    assert "genErr" in await tool(agent, "snmpget", MODE)


async def test_polls_count_the_first_point_only(agent: SnmpAgent) -> None:
    await ask(agent, request(MODE, SUPPLY))
    await ask(agent, request(SUPPLY))
    assert (agent.device.requests, len(agent.device.polls)) == (2, 1)


async def test_bulk_by_the_rfc(agent: SnmpAgent) -> None:
    bulk = request("1.3.6.1.2.1.1.1", BASE, kind=PduType.GET_BULK, error_status=1, error_index=2)
    answer = decode_message(await ask(agent, bulk))
    assert [v.oid for v in answer.variables[1:]] == sorted(agent.device.variables)[:2]
    assert answer.variables[0].value.content == b"envmon simulated apc-inrow-rc"
    past_end = request("2.5", kind=PduType.GET_BULK, error_status=0, error_index=1000)
    assert [v.value.tag for v in decode_message(await ask(agent, past_end)).variables] == [Tag.END_OF_MIB_VIEW]


async def test_an_answer_never_outgrows_the_agent() -> None:
    device = SimulatedDevice(PROFILES["apc-inrow-rc"])
    async with SnmpAgent(device, max_size=200) as small:
        assert "tooBig" in await tool(small, "snmpget", *[ber.format_oid(oid) for oid in device.variables])
        bulk = await ask(small, request(BASE, kind=PduType.GET_BULK, error_status=0, error_index=50))
        assert len(bulk) <= 200
        assert decode_message(bulk).variables
        assert len(found(await tool(small, "snmpbulkwalk", BASE))) == len(device.variables)


async def test_some_cards_do_not_know_bulk() -> None:
    async with SnmpAgent(SimulatedDevice(PROFILES["rfc1628-ups"]), bulk=False) as plain:
        assert "Timeout" in await tool(plain, "snmpbulkwalk", "1.3.6.1.2.1.33", wait_s=1)
        assert len(found(await tool(plain, "snmpwalk", "1.3.6.1.2.1.33"))) == len(plain.device.variables)


async def test_a_set_gets_no_answer_and_changes_nothing(agent: SnmpAgent) -> None:
    before = dict(agent.device.variables)
    assert "Timeout" in await tool(agent, "snmpset", MODE, "i", "1", wait_s=1)
    assert agent.device.variables == before


def test_a_modbus_profile_is_no_agent() -> None:
    with pytest.raises(ValueError, match="comet-t-modbus does not speak SNMP"):
        SnmpAgent(SimulatedDevice(PROFILES["comet-t-modbus"]))
