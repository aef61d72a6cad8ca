"""Probe calls: through a real Kamailio to real sites, and against far ends that break the protocol's rules."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sip_far_end import FarEnd, far_end

from envmon.probes.contract import ProbeResult
from envmon.probes.sip import SipProbe
from envmon.wire.sip import Request, Response, build, cseq, entries, header
from envmon.wire.sip_dialog import respond
from envmon.wire.sip_values import address, via
from tests.ports import free_port
from tests.telephony.rig import Rig

BACKUP, PRIMARY = "envmon-probe-backup", "envmon-probe-primary"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path) as started:
        yield started


async def place(rig: Rig, user: str, deadline_s: float = 6.0) -> ProbeResult:
    edge = rig.edge()
    return await SipProbe(deadline_s, 0.05).call(edge.sip_host, edge.sip_port, user)


async def test_each_site_is_proven_by_its_own_answer(rig: Rig) -> None:
    for user, site in ((BACKUP, "backup"), (PRIMARY, "primary")):
        result = await place(rig, user)
        assert result.answered
        assert result.answered_by == f"sip:site@127.0.0.1:{rig.site_ports[site]}"
        assert "ended by BYE" in result.detail
        assert 0 < result.millis < 6000


async def test_a_frozen_backup_does_not_answer(rig: Rig) -> None:
    rig.freeze("backup")
    hasty = await place(rig, BACKUP, 1.0)
    assert (hasty.answered, hasty.answered_by) == (False, "")
    assert "the edge took the call, but nobody answered it within 1 s" in hasty.detail
    patient = await place(rig, BACKUP)
    assert (patient.answered, patient.answered_by) == (False, "")
    assert "refused with 408: the server behind the edge does not answer" in patient.detail
    assert (await place(rig, PRIMARY)).answered
    rig.thaw("backup")
    assert (await place(rig, BACKUP)).answered


async def test_a_full_backup_refuses(rig: Rig) -> None:
    await rig.stop_site("backup")
    rig.start_site("backup", "full.xml")
    result = await place(rig, BACKUP)
    assert not result.answered
    assert "refused with 50" in result.detail


async def test_an_edge_that_restarts_during_the_call_is_waited_for(rig: Rig) -> None:
    await rig.stop_edge()
    probe = asyncio.create_task(place(rig, BACKUP, 20.0))
    await rig.start_edge()
    assert (await probe).answered


async def test_nobody_there() -> None:
    port = free_port()
    result = await SipProbe(0.3).call("127.0.0.1", port, BACKUP)
    assert not result.answered
    assert "nothing listens there" in result.detail
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(("127.0.0.1", 0))
        result = await SipProbe(0.3).call("127.0.0.1", deaf.getsockname()[1], BACKUP)
        assert not result.answered
        assert "no answer at all within 0.3 s" in result.detail
        deaf.setblocking(False)
        assert deaf.recv(65_535).startswith(b"INVITE ")
        with pytest.raises(BlockingIOError):
            deaf.recv(65_535)  # no CANCEL before a provisional answer (RFC 3261 9.1)


@pytest.mark.parametrize("user", ["", "two words", "x\r\nRoute: <sip:evil>", "a>b", "\ud800"])
async def test_a_user_that_is_none_is_an_answer_too(user: str) -> None:
    result = await SipProbe(0.3).call("127.0.0.1", 9, user)
    assert not result.answered
    assert "not a SIP URI" in result.detail or "an empty user" in result.detail
    assert result.detail.isprintable()


@pytest.mark.parametrize("host", ["", "name.invalid", "127.0.0.1.5", "a" * 300, "\x00", "☎"])
async def test_a_host_that_is_none_is_an_answer_too(host: str) -> None:
    assert not (await SipProbe(2.0).call(host, 5060, BACKUP)).answered


Story = Callable[[FarEnd], Awaitable[None]]


async def told(story: Story, deadline_s: float = 4.0, hold_s: float = 0.1) -> ProbeResult:
    """Call a far end that behaves as the story says; the story must come to its end."""
    async with far_end() as end, asyncio.timeout(40):
        result, _ = await asyncio.gather(SipProbe(deadline_s, hold_s).call("127.0.0.1", end.port, "x"), story(end))
    return result


async def ended(end: FarEnd) -> None:
    end.answer(await end.next("BYE"), 200)


async def test_a_call_by_the_book() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        assert (header(invite, "Max-Forwards"), invite.body[:3]) == ("70", b"v=0")
        end.answer(invite, 100, "")
        end.answer(invite, 180)
        end.accept(invite)
        ack = await end.next("ACK")
        assert cseq(ack) == (1, "ACK")
        bye = await end.next("BYE")
        assert (bye.uri, cseq(bye)) == (f"sip:far@127.0.0.1:{end.port}", (2, "BYE"))
        assert address(header(bye, "To")).tag == "far"
        assert len({via(header(message, "Via")).branch for message in (invite, ack, bye)}) == 3
        end.answer(bye, 200)

    result = await told(story)
    assert result.answered
    assert result.answered_by.startswith("sip:far@127.0.0.1:")


async def test_over_ipv6() -> None:
    async with far_end("::1") as end:
        call = asyncio.create_task(SipProbe(0.7, 0.05).call("::1", end.port, "x"))
        invite = await end.next("INVITE")
        assert invite.uri == f"sip:x@[::1]:{end.port}"
        assert b"IN IP6 ::1" in invite.body
        end.accept(invite)
        await ended(end)
        assert (await call).answered


async def test_lost_datagrams_are_sent_again() -> None:
    async def story(end: FarEnd) -> None:
        first, second = await end.next("INVITE"), await end.next("INVITE")
        assert first == second
        end.accept(second)
        first, second = await end.next("BYE"), await end.next("BYE")
        assert first == second
        end.answer(second, 200)

    assert (await told(story, 8.0)).answered


async def test_a_provisional_answer_stops_the_repetition() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        end.answer(invite, 180)
        await asyncio.sleep(0.9)
        assert end.requests.empty()
        end.accept(invite)
        await ended(end)

    assert (await told(story, 8.0)).answered


async def test_a_repeated_200_gets_its_ack_again() -> None:
    async def story(end: FarEnd) -> None:
        accepted = end.accept(await end.next("INVITE"))
        first = await end.next("ACK")
        end.send(accepted)
        assert await end.next("ACK") == first
        await ended(end)

    assert (await told(story)).answered


async def test_a_second_branch_is_ended_too() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        end.accept(invite)
        await end.next("ACK")
        end.accept(invite, "fork")
        assert address(header(await end.next("ACK"), "To")).tag == "fork"
        bye = await end.next("BYE")
        assert (address(header(bye, "To")).tag, bye.uri) == ("fork", f"sip:fork@127.0.0.1:{end.port}")
        end.answer(bye, 200)
        await ended(end)

    result = await told(story)
    assert result.answered
    assert result.answered_by.startswith("sip:far@")


async def test_only_answers_to_this_call_from_this_edge_count() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        good = respond(invite, 200, "OK", "forged", (("Contact", "<sip:forged@127.0.0.1>"),))
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.sendto(build(good), end.caller)
        end.transport.sendto(b"\x00garbage", end.caller)
        end.transport.sendto(b"", end.caller)
        swaps = {
            "Call-ID": "another@call",
            "CSeq": "2 INVITE",
            "Via": header(invite, "Via").replace("branch=z9hG4bK", "branch=z9hG4bKx"),
        }
        for name, value in swaps.items():
            headers = tuple((key, value if key == name else kept) for key, kept in good.headers)
            end.send(Response(200, "OK", headers))
        end.answer(invite, 180)

    result = await told(story, 1.0)
    assert (result.answered, result.answered_by) == (False, "")


@pytest.mark.parametrize(("status", "says"), [(486, "486: Told So"), (407, "407: it wants a password"), (302, "302")])
async def test_a_refusal_is_acknowledged(status: int, says: str) -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        end.answer(invite, status)
        ack = await end.next("ACK")
        assert header(ack, "Via") == header(invite, "Via")
        assert address(header(ack, "To")).tag == "far"

    result = await told(story)
    assert not result.answered
    assert f"refused with {says}" in result.detail


async def test_an_unanswered_call_is_cancelled() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        end.answer(invite, 180)
        cancel = await end.next("CANCEL")
        assert header(cancel, "Via") == header(invite, "Via")
        end.answer(cancel, 200)
        end.answer(invite, 487)
        await end.next("ACK")

    result = await told(story, 0.8)
    assert not result.answered
    assert "nobody answered it within 0.8 s; cancelled" in result.detail


async def test_an_answer_that_crosses_the_cancel_is_ended_and_no_proof() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        end.answer(invite, 180)
        end.answer(await end.next("CANCEL"), 200)
        end.accept(invite)
        await end.next("ACK")
        await ended(end)

    result = await told(story, 0.8)
    assert not result.answered
    assert "too late" in result.detail


async def test_a_far_end_that_hangs_up_first_has_answered() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        accepted = end.accept(invite)
        await end.next("ACK")
        ours = (("Via", f"SIP/2.0/UDP 127.0.0.1:{end.port};branch=z9hG4bKfar"), ("Max-Forwards", "70"))
        back = (
            ("From", header(accepted, "To")),
            ("To", header(accepted, "From")),
            ("Call-ID", header(invite, "Call-ID")),
        )
        for number, method in ((1, "OPTIONS"), (2, "BYE")):
            end.send(
                Request(
                    method, entries(invite, "Contact")[0].strip("<>"), (*ours, *back, ("CSeq", f"{number} {method}"))
                )
            )
        async with asyncio.timeout(20):
            told = [(await end.answers.get()).status, (await end.answers.get()).status]
        assert told == [501, 200]
        assert end.requests.empty()

    result = await told(story, hold_s=0.3)
    assert result.answered
    assert "hung up first" in result.detail


@pytest.mark.parametrize(("status", "says"), [(0, "nobody answered the BYE"), (481, "BYE was refused with 481")])
async def test_a_call_that_cannot_be_ended_is_no_proof(status: int, says: str) -> None:
    async def story(end: FarEnd) -> None:
        end.accept(await end.next("INVITE"))
        bye = await end.next("BYE")
        if status:
            end.answer(bye, status)

    result = await told(story, 1.0)
    assert not result.answered
    assert result.answered_by.startswith("sip:far@")
    assert says in result.detail


async def test_an_answer_nobody_can_acknowledge_is_no_proof() -> None:
    async def story(end: FarEnd) -> None:
        end.answer(await end.next("INVITE"), 200)

    result = await told(story)
    assert not result.answered
    assert "no Contact" in result.detail


async def test_a_flood_does_not_hold_the_probe() -> None:
    async def story(end: FarEnd) -> None:
        invite = await end.next("INVITE")
        for _ in range(300):
            end.transport.sendto(b"SIP/2.0 200 OK\r\n" + b"x" * 500, end.caller)
            await asyncio.sleep(0)
        end.accept(invite)
        await ended(end)

    assert (await told(story)).answered


@pytest.mark.parametrize(("answered", "last"), [(False, "CANCEL"), (True, "BYE")])
async def test_a_probe_that_is_stopped_ends_its_call(answered: bool, last: str) -> None:
    async with far_end() as end:
        probe = asyncio.create_task(SipProbe(30.0, 30.0).call("127.0.0.1", end.port, "x"))
        invite = await end.next("INVITE")
        if answered:
            end.accept(invite)
            await end.next("ACK")
        else:
            end.answer(invite, 180)
            await asyncio.sleep(0.05)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert (await end.next(last)).method == last
