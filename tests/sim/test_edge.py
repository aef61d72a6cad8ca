"""The simulated SIP edge: real sipp through it, the percent, the fence, and what a proxy must keep together."""

import asyncio
import math

import pytest
from switchboard import HERE, network, sipp, until

from envmon.sim.telephony import BACKUP, PRIMARY, SipSocket
from envmon.sim.telephony_edge import SipEdge
from envmon.wire.sip import Request, Response, cseq, entries, header
from envmon.wire.sip_dialog import cancel, dialog, refused, within
from envmon.wire.sip_values import address
from tests.ports import free_port


class Phone(SipSocket):
    """Sends what it is told and keeps what it gets."""

    def __init__(self):
        super().__init__(seed=99)
        self.got = []

    def received(self, message, _source):
        self.got.append(message)

    def invite(self, edge, user="555", **headers):
        target = f"sip:{user}@{edge.where}"
        return Request(
            "INVITE",
            target,
            (
                ("Via", f"{self.hop('z9hG4bK' + self.token())};rport"),
                ("Max-Forwards", headers.get("hops", "70")),
                ("From", f"<sip:phone@{self.where}>;tag={self.token()}"),
                ("To", f"<{target}>{headers.get('tag', '')}"),
                ("Call-ID", self.token()),
                ("CSeq", "1 INVITE"),
                ("Contact", f"<sip:phone@{self.where}>"),
            ),
        )

    async def answer(self, method, status=0):
        def wanted():
            return [m for m in self.got if cseq(m)[1] == method and m.status >= 180 and status in (0, m.status)]

        await until(lambda: bool(wanted()))
        return wanted()[0]


async def test_sipp_calls_through_the_edge_without_a_failure(tmp_path):
    async with network() as net:
        assert (await net.put("/envmon/v1/routes/outbound/1/50"))[0] == 200
        where = f"{net.edge.address[0]}:{net.edge.address[1]}"
        caller = await sipp(
            where, "-sf", str(HERE / "sipp_uac.xml"), "-p", str(free_port()), "-m", "150", "-r", "75", "-d", "300",
            "-timeout", "40", "-timeout_error", cwd=tmp_path,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(caller.communicate(), 60)
        assert caller.returncode == 0, errors.decode()
        told = await net.outbound()
        assert told["calls_primary"] + told["calls_backup"] == 150
        assert (net.primary.answered, net.backup.answered) == (told["calls_primary"], told["calls_backup"])
        assert min(net.primary.answered, net.backup.answered) > 40
        async with asyncio.timeout(20):  # the last answers may still be on their way through a busy machine
            while told["active_primary"] or told["active_backup"] or net.primary.calls or net.backup.calls:
                await asyncio.sleep(0.02)
                told = await net.outbound()
        assert net.edge.garbage == 0


async def test_our_callers_reach_a_sipp_far_end_through_the_edge(tmp_path):
    port = free_port()
    far_end = await sipp("-sf", str(HERE / "sipp_uas.xml"), "-p", str(port), "-m", "30", cwd=tmp_path)
    try:
        async with network() as net:
            edge = SipEdge({PRIMARY: [("127.0.0.1", port)], BACKUP: [net.backup.address]}, "t")
            async with edge:
                net.edge = edge
                async with net.caller(shortest_s=5, longest_s=40) as caller:
                    for _ in range(30):
                        caller.place()
                    await until(lambda: caller.tally.ended == 30)
                    assert (caller.tally.answered, caller.tally.failed) == (30, 0)
        _, errors = await asyncio.wait_for(far_end.communicate(), 40)
        assert far_end.returncode == 0, errors.decode()
    finally:
        if far_end.returncode is None:
            far_end.kill()
            await far_end.wait()


@pytest.mark.parametrize("percent", [0, 30, 100])
async def test_the_percent_is_the_share_of_new_calls_that_goes_to_the_backup(percent):
    async with network() as net:
        await net.put(f"/envmon/v1/routes/outbound/1/{percent}")
        async with net.caller(shortest_s=1, longest_s=2) as caller:
            for _ in range(200):
                caller.place()
                await asyncio.sleep(0.002)  # one after the other: a socket's buffer holds some 150 datagrams
            await until(lambda: caller.tally.ended == 200)
        share, spread = 2.0 * percent, 4 * math.sqrt(200 * percent / 100 * (1 - percent / 100))
        assert abs(net.backup.answered - share) <= spread
        assert net.primary.answered + net.backup.answered == 200


async def test_a_call_stays_where_it_is_when_the_percent_changes():
    async with network() as net, net.caller(shortest_s=100, longest_s=150) as caller:
        for _ in range(20):
            caller.place()
        await until(lambda: caller.live[PRIMARY] == 20)
        await net.put("/envmon/v1/routes/outbound/1/100")
        caller.place()
        await until(lambda: caller.live[BACKUP] == 1)
        told = await net.outbound()
        assert (told["active_primary"], told["active_backup"]) == (20, 1)
        await until(lambda: caller.tally.ended == 21)
        assert caller.tally.failed == 0
        assert (net.primary.answered, net.backup.answered) == (20, 1)
        assert not net.primary.calls and not net.backup.calls
        assert (await net.outbound())["active_primary"] == 0


async def test_probe_calls_force_their_site_and_are_not_counted():
    async with network() as net, Phone() as phone:
        for percent, epoch in ((0, 1), (100, 2)):
            await net.put(f"/envmon/v1/routes/outbound/{epoch}/{percent}")
            for user, site in (("envmon-probe-primary", PRIMARY), ("envmon-probe-backup", BACKUP)):
                phone.got.clear()
                invite = phone.invite(net.edge, user)
                phone.send(invite, net.edge.address)
                answer = await phone.answer("INVITE")
                assert address(entries(answer, "Contact")[0]).uri.startswith(f"sip:{site}@")
                assert (await net.outbound())[f"active_{site}"] == 0
                phone.send(within(dialog(invite, answer), "BYE", 2, phone.hop("z9hG4bKb")), net.edge.address)
                assert (await phone.answer("BYE")).status == 200
        told = await net.outbound()
        assert [told[f"{kind}_{site}"] for kind in ("calls", "active") for site in (PRIMARY, BACKUP)] == [0] * 4


async def test_a_repeated_invite_goes_where_the_first_went():
    async with network() as net, Phone() as phone:
        invite = phone.invite(net.edge)
        phone.send(invite, net.edge.address)
        await phone.answer("INVITE")
        await net.put("/envmon/v1/routes/outbound/1/100")
        phone.got.clear()
        phone.send(invite, net.edge.address)
        answer = await phone.answer("INVITE", 200)
        assert PRIMARY in header(answer, "Contact")
        assert net.backup.answered == 0
        assert (await net.outbound())["calls_primary"] == 1
        assert header(answer, "Record-Route") == f"<sip:{net.edge.where};lr>"


async def test_what_is_repeated_after_the_end_begins_no_call():
    """A busy machine delivers a repeated INVITE, or the 200 to it, after the BYE."""
    async with network() as net, Phone() as phone:
        invite = phone.invite(net.edge)
        late = []
        answered = net.edge._answer
        net.edge._answer = lambda response: (late.append(response), answered(response))
        phone.send(invite, net.edge.address)
        answer = await phone.answer("INVITE", 200)
        phone.send(within(dialog(invite, answer), "BYE", 2, phone.hop("z9hG4bKb")), net.edge.address)
        assert (await phone.answer("BYE")).status == 200
        answered(next(response for response in late if cseq(response)[1] == "INVITE" and response.status == 200))
        net.primary.received(invite, net.edge.address)
        told = await net.outbound()
        assert (told["calls_primary"], told["active_primary"]) == (1, 0)
        assert net.primary.answered == 1
        assert not net.primary.calls


async def test_cancel_passes_through_and_the_call_is_terminated():
    async with network(ring_s=30) as net, Phone() as phone:
        invite = phone.invite(net.edge)
        phone.send(invite, net.edge.address)
        await phone.answer("INVITE", 180)
        await net.put("/envmon/v1/routes/outbound/1/100")  # it follows its INVITE all the same
        phone.send(cancel(invite), net.edge.address)
        assert (await phone.answer("CANCEL")).status == 200
        final = await phone.answer("INVITE", 487)
        assert len(entries(final, "Via")) == 1
        phone.send(refused(invite, final), net.edge.address)
        assert net.primary.answered == net.backup.answered == 0
        phone.got.clear()
        phone.send(cancel(invite), net.edge.address)
        assert (await phone.answer("CANCEL")).status == 481


async def test_what_the_edge_answers_itself():
    async with network() as net, Phone() as phone:
        invite = phone.invite(net.edge)
        options = Request(
            "OPTIONS", invite.uri, tuple((n, "1 OPTIONS" if n == "CSeq" else v) for n, v in invite.headers)
        )
        phone.send(options, net.edge.address)
        assert (await phone.answer("OPTIONS")).status == 200
        register = Request(
            "REGISTER", invite.uri, tuple((n, "1 REGISTER" if n == "CSeq" else v) for n, v in invite.headers)
        )
        phone.send(register, net.edge.address)
        assert (await phone.answer("REGISTER")).status == 405
        phone.send(phone.invite(net.edge, hops="0"), net.edge.address)
        assert (await phone.answer("INVITE")).status == 483
        phone.got.clear()
        phone.send(phone.invite(net.edge, tag=";tag=x"), net.edge.address)
        assert (await phone.answer("INVITE")).status == 404
        stray = cancel(phone.invite(net.edge))
        phone.send(stray, net.edge.address)
        assert (await phone.answer("CANCEL")).status == 481
        assert net.primary.answered == 0


async def test_garbage_stops_nothing():
    async with network() as net, Phone() as phone:
        invite = phone.invite(net.edge)
        broken = [
            b"\0" * 40,
            b"INVITE sip:x SIP/2.0\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
        ]
        for piece in broken:
            phone.send(piece, net.edge.address)
        spoiled = tuple((n, "a lot" if n == "Max-Forwards" else v) for n, v in invite.headers)
        phone.send(Request("INVITE", invite.uri, spoiled), net.edge.address)
        naked = tuple((n, "SIP/2.0/UDP 127.0.0.1:9" if n == "Via" else v) for n, v in invite.headers)
        phone.send(Request("INVITE", invite.uri, naked), net.edge.address)
        elsewhere = tuple(
            (n, "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1" if n == "Via" else v) for n, v in invite.headers
        )
        phone.send(Response(200, "OK", elsewhere), net.edge.address)  # not our Via: dropped without a word
        us = f"SIP/2.0/UDP {net.edge.where};branch=z9hG4bK2"
        for back in ("127.0.0.1:9;rport=soon", "127.0.0.1:9;rport=70000"):
            hops = (("Via", us), ("Via", f"SIP/2.0/UDP {back}"))
            phone.send(Response(200, "OK", (*hops, *(h for h in invite.headers if h[0] != "Via"))), net.edge.address)
        phone.send(invite, net.edge.address)
        assert (await phone.answer("INVITE")).status == 200
        assert net.edge.garbage == 7


async def test_a_route_is_named_by_the_called_user():
    async with network(routes=("outbound", "inbound")) as net, Phone() as phone:
        await net.put("/envmon/v1/routes/inbound/1/100")
        phone.send(phone.invite(net.edge, "inbound-7"), net.edge.address)
        phone.send(phone.invite(net.edge, "somebody"), net.edge.address)
        await until(lambda: net.primary.answered == net.backup.answered == 1)
        routes = (await net.status())["routes"]
        assert (routes["inbound"]["calls_backup"], routes["outbound"]["calls_primary"]) == (1, 1)


async def test_the_status_has_exactly_the_agreed_shape():
    async with network() as net:
        told = await net.status()
        assert set(told) == {"up_since", "fence", "routes"}
        assert set(told["routes"]["outbound"]) == {
            "percent", "set_epoch", "calls_primary", "calls_backup", "active_primary", "active_backup",
        }  # fmt: skip
        assert all(type(value) is int for value in told["routes"]["outbound"].values())


async def test_the_fence_refuses_an_older_epoch_and_only_grows():
    async with network() as net:
        assert await net.put("/envmon/v1/fence/5") == (200, {"fence": 5})
        assert await net.put("/envmon/v1/fence/5") == (200, {"fence": 5})
        assert await net.put("/envmon/v1/fence/4") == (409, {"fence": 5})
        accepted = {"route": "outbound", "percent": 30, "set_epoch": 6, "fence": 6}
        assert await net.put("/envmon/v1/routes/outbound/6/30") == (200, accepted)
        assert await net.put("/envmon/v1/routes/outbound/5/90") == (409, {"fence": 6, "percent": 30})
        told = await net.status()
        assert told["fence"] == 6
        assert (told["routes"]["outbound"]["percent"], told["routes"]["outbound"]["set_epoch"]) == (30, 6)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PUT", "/envmon/v1/routes/outbound/1/101", 400),
        ("PUT", "/envmon/v1/routes/outbound/1/-1", 400),
        ("PUT", "/envmon/v1/routes/outbound/1/07", 400),
        ("PUT", "/envmon/v1/routes/outbound/x/50", 400),
        ("PUT", "/envmon/v1/routes/outbound/2147483648/50", 400),
        ("PUT", "/envmon/v1/fence/2147483648", 400),
        ("PUT", "/envmon/v1/fence/five", 400),
        ("PUT", "/envmon/v1/routes/inbound/1/50", 404),
        ("GET", "/envmon/v1/routes/outbound/1/50", 405),
        ("POST", "/envmon/v1/fence/1", 405),
        ("PUT", "/envmon/v1/status", 405),
        ("DELETE", "/envmon/v1/status", 405),
    ],
)
async def test_wrong_requests_are_refused_and_change_nothing(method, path, code):
    async with network() as net:
        before = await net.status()
        assert (await net.ask(method, path))[0] == code
        for token in ("", "wrong", "let-me-i", "let-me-in2"):
            assert (await net.ask(method, path, token))[0] == 401
        assert await net.status() == before


async def test_a_restart_keeps_what_was_stored_and_a_wipe_does_not():
    async with network() as net, net.caller(shortest_s=300, longest_s=300) as caller:
        await net.put("/envmon/v1/routes/outbound/7/100")
        caller.place()
        await until(lambda: caller.live[BACKUP] == 1)
        before = await net.status()
        assert before["routes"]["outbound"]["active_backup"] == 1
        net.edge.restart()
        after = await net.status()
        assert after["up_since"] > before["up_since"]
        assert after["fence"] == 7
        route = after["routes"]["outbound"]
        assert (route["percent"], route["set_epoch"]) == (100, 7)
        assert (route["calls_backup"], route["active_backup"]) == (0, 0)
        await caller.hang_up()  # the call outlived the proxy: its path is in its own messages
        assert (caller.tally.ended, caller.tally.failed) == (1, 0)
        assert (await net.outbound())["active_backup"] == 0
        net.edge.wipe()
        wiped = await net.status()
        assert wiped["up_since"] > after["up_since"]
        assert (wiped["fence"], wiped["routes"]["outbound"]["percent"]) == (0, 0)
        assert await net.put("/envmon/v1/routes/outbound/1/10") == (
            200,
            {"route": "outbound", "percent": 10, "set_epoch": 1, "fence": 1},
        )
