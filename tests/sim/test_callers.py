"""Callers and far ends: what counts as a failed call, and what a dying site does to its calls."""

import asyncio

import pytest
from switchboard import network, until

from envmon.sim.telephony import BACKUP, PRIMARY
from envmon.wire.sip_dialog import respond


async def test_calls_are_placed_at_the_virtual_rate_and_all_end():
    async with network() as net, net.caller(speed=20, rate=4.0, shortest_s=5, longest_s=30) as caller:
        placing = asyncio.create_task(caller.run())
        await until(lambda: caller.tally.offered >= 100)
        spent = caller._clock.now()
        placing.cancel()
        await caller.hang_up()
        tally = caller.tally
        assert 15 < spent < 100  # 100 calls at four per virtual second: 25 s, and 75 more would be 4 real ones
        assert tally.offered == tally.answered == tally.ended
        assert tally.failed == 0
        assert not net.primary.calls


async def test_a_dead_far_end_fails_its_calls_and_every_new_one():
    async with network() as net, net.caller(shortest_s=100, longest_s=200, deadline_s=2.0) as caller:
        for _ in range(10):
            caller.place()
        await until(lambda: caller.live[PRIMARY] == 10)
        net.primary.die()
        caller.far_ends_died(PRIMARY)
        await until(lambda: caller.tally.failed == 10)
        assert caller.live[PRIMARY] == 0
        assert caller.tally.last_left_primary_at is not None
        caller.place()
        await until(lambda: caller.tally.failed == 11)
        assert caller.failures == {"its far end died": 10, "no answer": 1}
        assert caller.tally.ended == 0
        await net.put("/envmon/v1/routes/outbound/1/100")
        caller.place()
        await until(lambda: caller.live[BACKUP] == 1)
        await caller.hang_up()
        assert (caller.tally.ended, caller.tally.failed) == (1, 11)


async def test_only_the_calls_of_the_dead_site_are_lost():
    async with network() as net, net.caller(shortest_s=50, longest_s=60) as caller:
        caller.place()
        await until(lambda: caller.live[PRIMARY] == 1)
        await net.put("/envmon/v1/routes/outbound/1/100")
        caller.place()
        await until(lambda: caller.live[BACKUP] == 1)
        assert caller.live == {PRIMARY: 1, BACKUP: 1}
        net.primary.die()
        caller.far_ends_died(PRIMARY)
        await until(lambda: caller.tally.failed + caller.tally.ended == 2)
        assert (caller.tally.failed, caller.tally.ended) == (1, 1)


async def test_a_call_whose_bye_is_not_answered_has_failed():
    async with network() as net, net.caller(shortest_s=10, longest_s=20, deadline_s=2.0) as caller:
        caller.place()
        await until(lambda: caller.live[PRIMARY] == 1)
        net.primary.freeze()
        await until(lambda: caller.tally.failed == 1)
        assert caller.failures == {"no answer to BYE": 1}
        assert len(net.primary.calls) == 1  # a frozen far end still has it


async def test_a_far_end_that_forgot_its_calls_answers_481_and_that_is_a_failure():
    async with network() as net, net.caller(shortest_s=10, longest_s=20) as caller:
        caller.place()
        await until(lambda: caller.live[PRIMARY] == 1)
        net.primary.die()
        net.primary.revive()
        await until(lambda: caller.tally.failed == 1)
        assert caller.failures == {"BYE answered with 481": 1}


async def test_a_refused_call_has_failed():
    async with network() as net, net.caller() as caller:
        acks = []

        def busy(message, source):
            if message.method == "INVITE":
                net.primary.send(respond(message, 486, "Busy Here", "busy"), source)
            else:
                acks.append(message.method)

        net.primary.received = busy
        caller.place()
        await until(lambda: caller.tally.failed == 1)
        assert caller.failures == {"refused with 486": 1}
        await until(lambda: acks == ["ACK"])


async def test_a_call_nobody_answers_is_withdrawn():
    async with network(ring_s=30) as net, net.caller(deadline_s=0.3) as caller:
        caller.place()
        await until(lambda: caller.tally.failed == 1)
        await caller.hang_up()
        assert caller.failures == {"no answer": 1}
        assert net.primary._calls == {}  # CANCEL reached it


async def test_a_lost_acknowledgement_is_sent_again():
    async with network() as net, net.caller(shortest_s=200, longest_s=200) as caller:
        heard = net.primary.received
        dropped = []

        def deaf(message, source):
            if getattr(message, "method", "") == "ACK" and not dropped:
                dropped.append(message)
                return
            heard(message, source)

        net.primary.received = deaf
        caller.place()
        await until(lambda: any(call.acknowledged for call in net.primary._calls.values()))
        assert len(dropped) == 1
        await caller.hang_up()
        assert (caller.tally.ended, caller.tally.failed) == (1, 0)


async def test_a_repeated_bye_gets_its_200_again():
    async with network() as net, net.caller(shortest_s=1, longest_s=2) as caller:
        sent = net.primary.send
        swallowed = []

        def lossy(message, to):
            if getattr(message, "status", 0) == 200 and ("CSeq", "2 BYE") in message.headers and not swallowed:
                swallowed.append(message)
                return
            sent(message, to)

        net.primary.send = lossy
        caller.place()
        await until(lambda: caller.tally.ended == 1)
        assert len(swallowed) == 1
        assert caller.tally.failed == 0


async def test_a_silent_caller_offers_nothing():
    async with network() as net, net.caller() as caller:
        await caller.hang_up()
        assert (caller.tally.offered, caller.tally.last_left_primary_at) == (0, None)
        assert net.primary.answered == 0


@pytest.mark.parametrize("site", [PRIMARY, BACKUP])
async def test_the_last_call_is_dated_only_at_the_primary(site):
    async with network() as net, net.caller(shortest_s=10, longest_s=20) as caller:
        await net.put(f"/envmon/v1/routes/outbound/1/{100 if site == BACKUP else 0}")
        caller.place()
        await until(lambda: caller.tally.ended == 1)
        assert (caller.tally.last_left_primary_at is not None) == (site == PRIMARY)
