"""Callers: real calls through an edge, placed at a virtual rate, each one judged to its end.

Rules
  - A call failed when it was refused (a final answer of 300 or more), not answered within its real deadline, or
    established and not ended by a BYE that got its 200; also when its far end died under it. Everything else is well.
  - Rates and call lengths are virtual; the deadlines of messages are real.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from envmon.sim.chance import chance
from envmon.sim.clock import Clock
from envmon.sim.telephony import COOKIE, PRIMARY, T1, T2, Address, SipSocket
from envmon.wire.sip import Message, Request, Response, build, cseq, entries, header
from envmon.wire.sip_dialog import Dialog, cancel, dialog, refused, within
from envmon.wire.sip_values import SipError, address, uri, via

_WITHDRAW_S = 1.0  # real: for the end of a cancelled call


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What the callers do: calls per virtual second, how long a call lasts in virtual seconds.

    ``deadline_s`` is real: how long they wait for an answer, and for the 200 to a BYE.
    """

    rate: float = 0.8
    shortest_s: float = 20.0
    longest_s: float = 300.0
    deadline_s: float = 4.0


@dataclass(slots=True)
class _Live:
    """A call in progress: the site it is on, and the event that ends its talk before its time."""

    site: str
    over: asyncio.Event
    lost: bool = False


@dataclass(slots=True)
class Tally:
    """What became of the calls. Times are virtual seconds."""

    offered: int = 0
    answered: int = 0
    ended: int = 0
    failed: int = 0
    last_left_primary_at: float | None = None


class Caller(SipSocket):
    """A user agent client with many calls at once. ``sites`` names the site behind each far end's port."""

    def __init__(
        self, clock: Clock, edge: Address, sites: Mapping[int, str], plan: CallPlan | None = None, seed: int = 0
    ) -> None:
        super().__init__(seed=seed)
        self.tally = Tally()
        self.failures: Counter[str] = Counter()
        self._clock, self._edge, self._sites, self._plan = clock, edge, sites, plan or CallPlan()
        self._chance = chance("calls", seed)
        self._waiting: dict[tuple[str, str], asyncio.Future[Response]] = {}
        self._acks: dict[str, tuple[bytes, Address]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._live: dict[str, _Live] = {}
        self._hanging_up = False

    @property
    def live(self) -> Mapping[str, int]:
        """Calls in progress, by site."""
        return Counter(call.site for call in self._live.values())

    async def run(self) -> None:
        """Place calls until cancelled; calls in progress go on."""
        at = self._clock.now()
        while True:
            at += self._chance.expovariate(self._plan.rate)
            await self._clock.sleep(max(0.0, at - self._clock.now()))
            self.place()

    def place(self) -> None:
        """Place one call now."""
        length = self._chance.uniform(self._plan.shortest_s, self._plan.longest_s)
        self.tally.offered += 1
        task = asyncio.create_task(self._call(self.tally.offered, length))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def far_ends_died(self, site: str) -> None:
        """The site's equipment shut down: every call on it is lost now."""
        for call in self._live.values():
            if call.site == site:
                call.lost = True
                call.over.set()

    async def hang_up(self) -> None:
        """End every call now, properly, and wait for the last to be judged."""
        self._hanging_up = True
        for call in self._live.values():
            call.over.set()
        while self._calls:
            await asyncio.wait(tuple(self._calls))

    def received(self, message: Message, source: Address) -> None:  # noqa: ARG002  every telephone has it
        """Take one final response to whoever waits for it."""
        if not isinstance(message, Response) or message.status < 200:
            return
        method = cseq(message)[1]
        waiting = self._waiting.get((via(entries(message, "Via")[0]).branch, method))
        if waiting and not waiting.done():
            waiting.set_result(message)
        elif method == "INVITE" and (ack := self._acks.get(header(message, "Call-ID"))):
            self.send(*ack)  # the 200 came again: our ACK was lost

    async def _call(self, number: int, length: float) -> None:
        invite = self._invitation(number)
        answer = await self._transact(invite, self._edge)
        if answer is None:
            self._fail("no answer")
            await self._withdraw(invite)
        elif answer.status >= 300:
            self._fail(f"refused with {answer.status}")
            self.send(refused(invite, answer), self._edge)
        else:
            self.tally.answered += 1
            try:
                call = dialog(invite, answer)
                site, to = self._sites.get(uri(call.target).port, ""), _first_hop(call)
            except SipError:
                self._fail("an answer that makes no call")
                return
            await self._talk(call, site, to, length)

    async def _talk(self, call: Dialog, site: str, to: Address, length: float) -> None:
        """From the answer to the end of the call."""
        live = self._live[call.call_id] = _Live(site, asyncio.Event())
        if self._hanging_up:
            live.over.set()
        try:
            self._acknowledge(call, to)
            await self._until_over(live, length)
            if live.lost:
                self._fail("its far end died")
                return
            bye = await self._transact(within(call, "BYE", 2, self.hop(COOKIE + self.token())), to)
            if bye is not None and bye.status == 200:
                self.tally.ended += 1
            else:
                self._fail("no answer to BYE" if bye is None else f"BYE answered with {bye.status}")
        finally:
            del self._live[call.call_id], self._acks[call.call_id]
            if site == PRIMARY:
                self.tally.last_left_primary_at = self._clock.now()

    async def _until_over(self, live: _Live, length: float) -> None:
        """Wait the call's length, or less when it was lost or everybody hangs up."""
        waits = [asyncio.ensure_future(self._clock.sleep(length)), asyncio.ensure_future(live.over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _transact(self, request: Request, to: Address, deadline: float | None = None) -> Response | None:
        """Send, and send again (RFC 3261 17.1), until a final response or the deadline."""
        self.send(datagram := build(request), to)
        key = (via(entries(request, "Via")[0]).branch, request.method)
        return await self._final(key, deadline or self._plan.deadline_s, lambda: self.send(datagram, to))

    async def _final(self, key: tuple[str, str], deadline: float, again: Callable[[], None]) -> Response | None:
        """The final response of one transaction; ``again`` repeats its request."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        self._waiting[key] = answer
        end, wait = loop.time() + deadline, T1
        try:
            while (left := end - loop.time()) > 0:
                await asyncio.wait((answer,), timeout=min(wait, left))
                if answer.done():
                    return answer.result()
                again()
                wait = min(2 * wait, T2)
            return None
        finally:
            del self._waiting[key]

    async def _withdraw(self, invite: Request) -> None:
        """Cancel a call nobody answered (RFC 3261 9.1); an answer that crosses the CANCEL is hung up at once."""
        withdrawal = build(cancel(invite))
        self.send(withdrawal, self._edge)
        key = (via(entries(invite, "Via")[0]).branch, "INVITE")
        answer = await self._final(key, _WITHDRAW_S, lambda: self.send(withdrawal, self._edge))
        if answer is None:
            return
        if answer.status >= 300:
            self.send(refused(invite, answer), self._edge)
            return
        with suppress(SipError):  # an answer that makes no call needs no end
            call = dialog(invite, answer)
            self._acknowledge(call, to := _first_hop(call))
            await self._transact(within(call, "BYE", 2, self.hop(COOKIE + self.token())), to, _WITHDRAW_S)
            del self._acks[call.call_id]

    def _acknowledge(self, call: Dialog, to: Address) -> None:
        ack = build(within(call, "ACK", 1, self.hop(COOKIE + self.token())))
        self._acks[call.call_id] = (ack, to)
        self.send(ack, to)

    def _invitation(self, number: int) -> Request:
        target = f"sip:call-{number}@{self._edge[0]}:{self._edge[1]}"
        caller = f"<sip:caller@{self.where}>"
        return Request(
            "INVITE",
            target,
            (
                ("Via", f"{self.hop(COOKIE + self.token())};rport"),
                ("Max-Forwards", "70"),
                ("From", f"{caller};tag={self.token()}"),
                ("To", f"<{target}>"),
                ("Call-ID", f"{self.token()}@{self.address[0]}"),
                ("CSeq", "1 INVITE"),
                ("Contact", caller),
            ),
        )

    def _fail(self, why: str) -> None:
        self.tally.failed += 1
        self.failures[why] += 1


def _first_hop(call: Dialog) -> Address:
    """Where requests of this call go first: its first Route, or the far end itself."""
    where = uri(address(call.routes[0]).uri if call.routes else call.target)
    return where.host, where.port or 5060
