"""The DNS actuator against bind9 with other hands in the zone, wrong keys, and servers that are none."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.dns_update import DnsEdge
from envmon.config.edge_settings import EdgeSettings
from envmon.config.secret import Secret
from tests.actuators.levers import ZONE, Bind
from tests.ports import HOST, free_port

NAME = f"_sip._udp.outbound.{ZONE}"
UPDATE = 5  # opcode, RFC 2136


@pytest.fixture
async def bind(tmp_path: Path) -> AsyncIterator[Bind]:
    async with Bind(tmp_path / "bind") as started:
        yield started


def at(settings: EdgeSettings, port: int) -> EdgeSettings:
    assert settings.dns is not None
    return replace(settings, dns=replace(settings.dns, port=port))


@asynccontextmanager
async def server(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    port = free_port()
    started = await asyncio.start_server(serve, HOST, port)
    try:
        yield port
    finally:
        started.close()
        await started.wait_closed()


async def test_callers_see_priorities_that_fall_over_and_weights_that_share(bind: Bind) -> None:
    async with DnsEdge(bind.settings()) as edge:
        for percent, records in (
            (100, ["10 100 5070 b.voice.test.", "20 100 5060 a.voice.test."]),
            (25, ["10 25 5070 b.voice.test.", "10 75 5060 a.voice.test."]),
            (0, ["10 100 5060 a.voice.test.", "20 100 5070 b.voice.test."]),
        ):
            await edge.set_percent("outbound", percent, 1)
            assert bind.srv("outbound") == records
        assert bind.srv("inbound") == ["10 100 5060 a.voice.test."]


async def test_a_second_controller_is_fenced_by_the_zone_itself(bind: Bind) -> None:
    async with DnsEdge(bind.settings()) as first, DnsEdge(bind.settings()) as second:
        await first.set_percent("outbound", 100, 4)
        await second.stamp(5)
        for write in (first.set_percent("outbound", 0, 4), first.stamp(4)):
            with pytest.raises(Fenced) as refusal:
                await write
            assert refusal.value.fence == 5
        status = (await second.status())[0]
        assert (status.percent, status.set_epoch, status.fence) == (100, 4, 5)


@pytest.mark.parametrize("what", ["records", "fence"])
async def test_a_write_between_our_read_and_our_write_is_not_overwritten(bind: Bind, what: str) -> None:
    """The other hand strikes when our update is on its way: a relay holds it back meanwhile."""
    struck = False

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal struck
        size = await reader.readexactly(2)
        message = await reader.readexactly(struct.unpack("!H", size)[0])
        if (message[2] >> 3) & 15 == UPDATE and not struck:
            struck = True
            if what == "records":
                bind.update(NAME, "10 100 5070 b.voice.test.")
            else:
                bind.update(f"_envmon-edge0.{ZONE}", "fence=9", kind="TXT")
        there, onward = await asyncio.open_connection(HOST, bind.port)
        onward.write(size + message)
        size = await there.readexactly(2)
        writer.write(size + await there.readexactly(struct.unpack("!H", size)[0]))
        await writer.drain()
        onward.close()
        writer.close()

    async with DnsEdge(bind.settings()) as edge:
        await edge.stamp(1)
    async with server(relay) as port, DnsEdge(at(bind.settings(), port)) as edge:
        if what == "records":
            with pytest.raises(EdgeError, match=rf"another hand changed {NAME} while we wrote"):
                await edge.set_percent("outbound", 50, 3)
            assert bind.srv("outbound") == ["10 100 5070 b.voice.test."]
        else:
            with pytest.raises(Fenced) as refusal:
                await edge.set_percent("outbound", 50, 3)
            assert refusal.value.fence == 9
            assert bind.srv("outbound") == ["10 100 5060 a.voice.test."]
    assert struck


@pytest.mark.parametrize(
    ("records", "percent"),
    [
        (["10 100 5070 b.voice.test."], 100),
        (["10 1 5060 a.voice.test.", "10 3 5070 B.voice.test."], 75),
        (["10 0 5060 a.voice.test.", "10 0 5070 b.voice.test."], 50),
        (["7 1 5060 a.voice.test.", "9 100 5070 b.voice.test."], 0),
        (["10 100 5060 a.voice.test.", "10 100 5060 c.voice.test."], None),
        (["10 100 5061 a.voice.test."], None),
        (["10 100 5060 a.voice.test.", "20 5 5060 a.voice.test."], None),
    ],
)
async def test_what_another_hand_put_there_is_read_as_it_is_or_not_at_all(
    bind: Bind, records: list[str], percent: int | None
) -> None:
    async with DnsEdge(bind.settings()) as edge:
        await edge.set_percent("outbound", 0, 2)
        bind.update(NAME, *records)
        if percent is None:
            with pytest.raises(EdgeError, match="places we do not know: set by another hand"):
                await edge.status()
        else:
            status = (await edge.status())[0]
            assert (status.percent, status.set_epoch) == (percent, 2)


async def test_records_that_are_gone_and_a_fence_that_is_none(bind: Bind) -> None:
    async with DnsEdge(bind.settings()) as edge:
        bind.update(f"_envmon-edge0.{ZONE}", '"fence=12x"', kind="TXT")
        with pytest.raises(EdgeError, match="holds 'fence=12x', not an epoch of ours"):
            await edge.stamp(3)
        bind.update(NAME)
        with pytest.raises(EdgeError, match=f"{NAME} has no SRV records; add the primary site's once"):
            await edge.status()


async def test_keys_and_permissions(bind: Bind, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    settings = bind.settings(token=Secret(f"file:{wrong}"))
    assert settings.dns is not None
    async with DnsEdge(settings) as edge:
        for text, says in (
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", r"other key \(PeerBadSignature\)"),
            ("no base64!", "the TSIG key is empty or holds a space"),
            ("nobase64!", "the TSIG key is not base64"),
        ):
            wrong.write_text(text)
            for attempt in (edge.status(), edge.stamp(1)):
                with pytest.raises(EdgeError, match=says) as fault:
                    await attempt
                assert text not in str(fault.value)
    sound = bind.settings()
    assert sound.dns is not None
    async with DnsEdge(replace(sound, dns=replace(sound.dns, key="other-key"))) as edge:
        with pytest.raises(EdgeError, match=r"other key \(PeerBadKey\)"):
            await edge.status()
    async with DnsEdge(replace(sound, id="edge1")) as edge:
        with pytest.raises(EdgeError, match=r"REFUSED\): its update-policy must let our key"):
            await edge.stamp(1)
    other = replace(sound.dns, zone="other.test", records=())
    async with DnsEdge(replace(sound, dns=other)) as edge:
        with pytest.raises(EdgeError, match="REFUSED"):
            await edge.status()


async def test_servers_that_are_none(bind: Bind) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"\x00\x20" + b"HTTP/1.1 400 Bad Request\r\n\r\n....")
        await writer.drain()
        writer.close()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    settings = bind.settings(deadline_s=1.5)
    for serve, says in (
        (hang_up, "its answer is not DNS|connect"),
        (babble, "its answer is not DNS"),
        (silence, r"no answer within 1\.5 s"),
    ):
        async with server(serve) as port, DnsEdge(at(settings, port)) as edge:
            with pytest.raises(EdgeError, match=says) as fault:
                await edge.status()
            assert str(fault.value).startswith("edge edge0 at 127.0.0.1 (DNS, zone voice.test): ")
    async with DnsEdge(at(settings, free_port())) as edge:
        with pytest.raises(EdgeError, match="cannot connect"):
            await edge.status()
