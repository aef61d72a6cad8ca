"""One probe call from INVITE to BYE (RFC 3261 13, 15), and its story.

Rules
  - A call that cannot be ended is no proof: its callers could not hang up either.
  - Whatever happens, the call is ended: CANCEL before an answer, BYE after it, also when the probe is cancelled.
Theory of operation
  The far end may hang up, answer twice or answer from a second branch: ``_stray`` sees what comes beside the answer a
  request waits for, acknowledges a repeated 2xx again and ends a second branch.
"""

import asyncio
import secrets
from contextlib import suppress

from envmon.probes.sip_audio import ENOUGH, PACKETS, Echo
from envmon.probes.sip_exchange import Exchange, answers, bracketed
from envmon.probes.sip_link import Link
from envmon.wire.sip import Headers, Message, Request, Response, build, cseq, header
from envmon.wire.sip_dialog import Dialog, cancel, dialog, refused, respond, within
from envmon.wire.sip_media import DISCARD, accepted, offer
from envmon.wire.sip_values import SipError, address

_WHY = {
    403: "this address may not place probe calls; see ENVMON_SOURCES at the edge",
    404: "the edge does not know the probe user",
    408: "the server behind the edge does not answer",
    503: "the edge has no server for it",
}


class Caller:
    """One call. ``answered_by`` and ``final_at`` (loop time) tell about the final answer, once there is one."""

    def __init__(self, exchange: Exchange, where: str, echo: Echo | None) -> None:
        self.answered_by = ""
        self.final_at: float | None = None
        self._exchange = exchange
        self._where = where
        self._echo = echo
        self._login: Headers = ()
        self._number = 1
        self._open: Dialog | None = None  # answered, and nobody has hung up
        self._link = exchange.edge  # where requests of the open call go
        self._acks: dict[str, tuple[Link, bytes]] = {}  # by the tag of the far end (RFC 3261 13.2.2.4)
        exchange.strays = self._stray

    async def place(self, deadline_s: float, hold_s: float) -> tuple[bool, str]:
        """Call, hold, hang up: whether it is a proof, and the story of it. Raises SipError."""
        answer, invite = await self._exchange.ask(self._invitation(), self._exchange.edge, deadline_s)
        if answer is None:
            return False, await self._give_up(invite, deadline_s)
        await self._settle(answer, invite)
        if answer.status >= 300:
            why = self._exchange.why or _WHY.get(answer.status, answer.reason)
            return False, f"refused with {answer.status}: {why}"
        heard, audio = await self._listen(answer)
        end = asyncio.get_running_loop().time() + hold_s
        while (left := end - asyncio.get_running_loop().time()) > 0 and self._open is not None:
            await self._exchange.next(left)
        ended, story = await self._hang_up(f"answered with {answer.status} by {self.answered_by}{audio}", deadline_s)
        return heard and ended, story

    def abandon(self) -> None:
        """End what is still open, in one message: the last word of a call that is being cancelled."""
        invite = self._exchange.invite
        with suppress(SipError):
            if self._open is not None:
                self._link.send(build(self._bye(self._open, self._link)))
            elif self._exchange.ringing and self.final_at is None and invite is not None:
                self._link.send(build(cancel(invite)))
        self._open, self._exchange.ringing = None, False

    async def _hang_up(self, story: str, deadline_s: float) -> tuple[bool, str]:
        if self._open is None:
            return True, f"{story}, which hung up first"
        bye, self._open = self._bye(self._open, self._link), None
        goodbye, _ = await self._exchange.ask(bye, self._link, deadline_s)
        if goodbye is None:
            lost = f": {self._link.fault}" if self._link.over else f" within {deadline_s:g} s"
            astray = self._exchange.astray
            led = f"; its route leads to {astray}, which probe.allow does not name" if astray else ""
            return False, f"{story}, but nobody answered the BYE{lost}{led}"
        if goodbye.status >= 300:
            why = self._exchange.why or goodbye.reason
            return False, f"{story}, but the BYE was refused with {goodbye.status} {why}"
        return True, f"{story}, ended by BYE"

    async def _give_up(self, invite: Request, deadline_s: float) -> str:
        if self._link.over:
            return self._link.fault
        if not self._exchange.ringing:
            return self._link.fault or f"no answer at all within {deadline_s:g} s"
        story = f"the edge took the call, but nobody answered it within {deadline_s:g} s"
        final = await self._exchange.transact(cancel(invite), self._link, deadline_s, invite)
        if final is None:
            return f"{story}, and the CANCEL had no effect"
        await self._settle(final, invite)
        if self._open is not None:
            bye, self._open = self._bye(self._open, self._link), None
            await self._exchange.ask(bye, self._link, deadline_s)
            return f"{story}; it was answered too late and ended"
        return f"{story}; cancelled"

    async def _settle(self, answer: Response, invite: Request) -> None:
        """Acknowledge the final answer to our INVITE. Raises SipError when a 2xx names no way to do so."""
        self.final_at = asyncio.get_running_loop().time()
        if answer.status >= 300:
            self._link.send(build(refused(invite, answer)))
            return
        self._open = dialog(invite, answer)
        self.answered_by = self._open.target
        self._number = cseq(invite)[0]
        self._login = tuple(pair for pair in invite.headers if pair[0].endswith("Authorization"))  # RFC 3261 22.1
        self._link = await self._exchange.towards(self._open)
        self._acknowledge(self._open, self._link)

    async def _listen(self, answer: Response) -> tuple[bool, str]:
        """Send audio where the far end is said to echo it: whether enough came back, and what to tell."""
        if self._echo is None:
            return True, ""
        try:
            audio = accepted(answer.body)
        except SipError as error:
            return False, f", no audio: {error}"
        place = (audio.host, audio.port)
        if audio.host != self._exchange.edge.there[0] and not self._exchange.allowed(*place):
            return False, f", no audio: it is wanted at {bracketed(audio.host)}, which probe.allow does not name"
        back = await self._echo.run(audio)
        return back >= ENOUGH, f", {back} of {PACKETS} audio packets came back"

    def _stray(self, link: Link, message: Message) -> bool:
        if isinstance(message, Request):
            self._serve(link, message)
            return True
        return self._repeated(message)

    def _repeated(self, answer: Response) -> bool:
        """Whether it is one more 2xx to our settled INVITE: acknowledged again, or ended when of another branch."""
        invite = self._exchange.invite
        if self.final_at is None or invite is None or not (200 <= answer.status < 300 and answers(answer, invite)):
            return False
        known = self._acks.get(address(header(answer, "To")).tag)
        if known is not None:
            link, ack = known
            link.send(ack)
        else:
            fork = dialog(invite, answer)
            self._acknowledge(fork, self._exchange.edge)
            self._exchange.edge.send(build(self._bye(fork, self._exchange.edge)))
        return True

    def _acknowledge(self, call: Dialog, link: Link) -> None:
        ack = build(within(call, "ACK", self._number, self._exchange.hop(link), self._login))
        self._acks[address(call.remote).tag] = (link, ack)
        link.send(ack)

    def _bye(self, call: Dialog, link: Link) -> Request:
        bye = within(call, "BYE", self._number + 1, self._exchange.hop(link))
        login = self._exchange.login.headers("BYE", bye.uri)
        return Request(bye.method, bye.uri, (*bye.headers, *login))

    def _serve(self, link: Link, request: Request) -> None:
        """Answer the far end: it may hang up; anything else it could want of a caller is declined."""
        if request.method == "BYE":
            self._open = None
            link.send(build(respond(request, 200, "OK")))
        elif request.method != "ACK":
            link.send(build(respond(request, 501, "Not Implemented")))

    def _invitation(self) -> Request:
        edge = self._exchange.edge
        host = bracketed(edge.here[0])
        port = self._echo.port if self._echo else DISCARD
        return Request(
            "INVITE",
            self._where,
            (
                ("Via", self._exchange.hop(edge)),
                ("Max-Forwards", "70"),
                ("From", f"<sip:envmon@{host}>;tag={secrets.token_hex(4)}"),
                ("To", f"<{self._where}>"),
                ("Call-ID", self._exchange.call_id),
                ("CSeq", "1 INVITE"),
                ("Contact", f"<sip:envmon@{host}:{edge.here[1]}{';transport=tcp' if edge.reliable else ''}>"),
                ("Allow", "INVITE, ACK, CANCEL, BYE"),
                ("User-Agent", "envmon"),
                ("Content-Type", "application/sdp"),
            ),
            offer(host.strip("[]"), port, active=self._echo is not None),
        )
