"""A probe call: a small SIP caller over UDP (RFC 3261) that calls through an edge, hangs up, and says how it went.

Rules
  - ``answered`` means: a 2xx to INVITE came from the edge, our ACK left, and our BYE was answered (or the far end
    hung up first). A call that cannot be ended is no proof: its callers could not hang up either.
  - Every message goes to the edge itself, whatever an answer's Record-Route or Contact says; only datagrams from
    the edge's own address and port are read, and of those only answers to what we sent.
  - Whatever happens, the call is ended: CANCEL before an answer, BYE after it, also when the probe is cancelled.
Theory of operation
  One socket and one inbox per call. ``_transact`` sends a request and repeats it (timers A/E) until a final answer
  or its deadline; everything else that arrives meanwhile is served in ``_next``: a repeated 2xx gets its ACK again,
  a 2xx of another branch is ended, and requests of the far end are answered.
"""

import asyncio
import secrets
from contextlib import suppress

from envmon.probes.contract import ProbeResult
from envmon.wire.sip import Request, Response, build, cseq, entries, header, parse
from envmon.wire.sip_dialog import Dialog, cancel, dialog, refused, respond, within
from envmon.wire.sip_values import SipError, address, uri, via

_T1 = 0.5  # RFC 3261 17.1.1.1, seconds
_T2 = 4.0
_WHY = {
    401: "it wants a password; let the edge take the probe user without one",
    403: "this address may not place probe calls; see ENVMON_SOURCES at the edge",
    404: "the edge does not know the probe user",
    407: "it wants a password; let the edge take the probe user without one",
    408: "the server behind the edge does not answer",
    503: "the edge has no server for it",
}


class SipProbe:
    """Places probe calls; see ``contract.Probe``.

    ``deadline_s`` is how long the far end may take to answer, and again to confirm the end of the call;
    ``hold_s`` is how long an answered call lasts.
    """

    def __init__(self, deadline_s: float = 4.0, hold_s: float = 0.2) -> None:
        self._deadline_s = deadline_s
        self._hold_s = hold_s

    async def call(self, host: str, port: int, user: str) -> ProbeResult:
        """Call ``sip:user@host:port``, hang up, say how it went. Never raises for a network's fault."""
        loop = asyncio.get_running_loop()
        where = f"sip:{user}@{_bracketed(host)}:{port}"
        try:
            uri(where)
            async with asyncio.timeout(self._deadline_s):
                transport, inbox = await loop.create_datagram_endpoint(_Inbox, remote_addr=(host, port))
        except SipError as error:
            return ProbeResult(False, "", str(error), 0.0)
        except (OSError, TimeoutError, ValueError) as error:
            return ProbeResult(False, "", f"{where}: cannot send: {str(error) or 'no address in time'}", 0.0)
        caller = _Caller(transport, inbox, where)
        began = loop.time()
        try:
            answered, detail = await caller.place(self._deadline_s, self._hold_s)
        except SipError as error:
            answered, detail = False, f"it broke the protocol: {error}"
        finally:
            caller.abandon()
            transport.close()
        millis = round(1000 * ((caller.final_at or loop.time()) - began), 1)
        return ProbeResult(answered, caller.answered_by, f"{where}: {detail}", millis)


class _Inbox(asyncio.DatagramProtocol):
    """What came from the edge; ``closed`` when the kernel says that nothing listens there."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)
        self.closed = False

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002 - connected socket
        """Keep a datagram; a flood beyond the queue is dropped, as a network would."""
        with suppress(asyncio.QueueFull):
            self.datagrams.put_nowait(data)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - ICMP says no more than that
        """Remember that a datagram of ours came back; a restarting edge does that too, so the call goes on."""
        self.closed = True


class _Caller:
    """One call. ``answered_by`` and ``final_at`` (loop time) tell about the final answer, once there is one."""

    def __init__(self, transport: asyncio.DatagramTransport, inbox: _Inbox, where: str) -> None:
        self.answered_by = ""
        self.final_at: float | None = None
        self._transport = transport
        self._inbox = inbox
        local = transport.get_extra_info("sockname")
        self._host, self._port = _bracketed(str(local[0])), int(local[1])
        self._invite = self._invitation(where)
        self._ringing = False  # a provisional answer came: CANCEL is allowed (RFC 3261 9.1)
        self._open: Dialog | None = None  # answered, and nobody has hung up
        self._acks: dict[str, bytes] = {}  # by the tag of the far end (RFC 3261 13.2.2.4)

    async def place(self, deadline_s: float, hold_s: float) -> tuple[bool, str]:
        """Call, hold, hang up: whether it is a proof, and the story of it. Raises SipError."""
        answer = await self._transact(self._invite, deadline_s)
        if answer is None:
            return False, await self._give_up(deadline_s)
        if answer.status >= 300:
            why = _WHY.get(answer.status, answer.reason)
            return False, f"refused with {answer.status}: {why}"
        end = asyncio.get_running_loop().time() + hold_s
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await self._next(left)
        story = f"answered with {answer.status} by {self.answered_by}"
        if self._open is None:
            return True, f"{story}, which hung up first"
        bye, self._open = within(self._open, "BYE", 2, self._hop()), None
        goodbye = await self._transact(bye, deadline_s)
        if goodbye is None:
            return False, f"{story}, but nobody answered the BYE within {deadline_s:g} s"
        if goodbye.status >= 300:
            return False, f"{story}, but the BYE was refused with {goodbye.status} {goodbye.reason}"
        return True, f"{story}, ended by BYE"

    def abandon(self) -> None:
        """End what is still open, in one datagram: the last word of a call that is being cancelled."""
        with suppress(SipError):
            if self._open is not None:
                self._send(within(self._open, "BYE", 2, self._hop()))
            elif self._ringing and self.final_at is None:
                self._send(cancel(self._invite))
        self._open, self._ringing = None, False

    async def _give_up(self, deadline_s: float) -> str:
        if not self._ringing:
            if self._inbox.closed:
                return "nothing listens there (ICMP port unreachable)"
            return f"no answer at all within {deadline_s:g} s"
        story = f"the edge took the call, but nobody answered it within {deadline_s:g} s"
        final = await self._transact(cancel(self._invite), deadline_s, self._invite)
        if final is None:
            return f"{story}, and the CANCEL had no effect"
        if self._open is not None:
            await self._transact(within(self._open, "BYE", 2, self._hop()), deadline_s)
            self._open = None
            return f"{story}; it was answered too late and ended"
        return f"{story}; cancelled"

    async def _transact(self, request: Request, seconds: float, expected: Request | None = None) -> Response | None:
        """Send, repeat (timers A and E), and return the final answer to ``expected``: the request itself or, for
        a CANCEL, the INVITE it cancels. None when there is none in time.
        """
        loop = asyncio.get_running_loop()
        expected = expected or request
        pause, again, end = _T1, loop.time(), loop.time() + seconds
        while (now := loop.time()) < end:
            if now >= again:
                self._send(request)
                again, pause = now + pause, 2 * pause if request.method == "INVITE" else min(2 * pause, _T2)
            answer = await self._next(min(again, end) - now)
            if answer is None:
                continue
            if answer.status >= 200 and _answers(answer, expected):
                if expected.method == "INVITE":
                    self._settle(answer)
                return answer
            if _answers(answer, request):
                self._ringing = self._ringing or request.method == "INVITE"
                again = end if request.method != "BYE" else now + _T2
        return None

    async def _next(self, seconds: float) -> Response | None:
        """The next answer to this call, or None when none came in time; serves everything else that comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(SipError):
                        message = parse(await self._inbox.datagrams.get())
                        if header(message, "Call-ID") != header(self._invite, "Call-ID"):
                            continue
                        if isinstance(message, Request):
                            self._serve(message)
                        elif not self._repeated(message):
                            return message
        return None

    def _settle(self, answer: Response) -> None:
        """Acknowledge the final answer to our INVITE. Raises SipError when a 2xx names no way to do so."""
        self.final_at = asyncio.get_running_loop().time()
        if answer.status >= 300:
            self._send(refused(self._invite, answer))
            return
        self._open = dialog(self._invite, answer)
        self.answered_by = self._open.target
        self._acknowledge(self._open)

    def _repeated(self, answer: Response) -> bool:
        """Whether it is one more 2xx to our settled INVITE: acknowledged again, or ended when of another branch."""
        if self.final_at is None or not (200 <= answer.status < 300 and _answers(answer, self._invite)):
            return False
        ack = self._acks.get(address(header(answer, "To")).tag)
        if ack is not None:
            self._transport.sendto(ack)
        else:
            fork = dialog(self._invite, answer)
            self._acknowledge(fork)
            self._send(within(fork, "BYE", 2, self._hop()))
        return True

    def _acknowledge(self, call: Dialog) -> None:
        ack = within(call, "ACK", 1, self._hop())
        self._acks[address(call.remote).tag] = build(ack)
        self._send(ack)

    def _serve(self, request: Request) -> None:
        """Answer the far end: it may hang up; anything else it could want of a caller is declined."""
        if request.method == "BYE":
            self._open = None
            self._send(respond(request, 200, "OK"))
        elif request.method != "ACK":
            self._send(respond(request, 501, "Not Implemented"))

    def _send(self, message: Request | Response) -> None:
        self._transport.sendto(build(message))

    def _hop(self) -> str:
        return f"SIP/2.0/UDP {self._host}:{self._port};branch=z9hG4bK{secrets.token_hex(8)};rport"

    def _invitation(self, where: str) -> Request:
        family = "IP6" if self._host.startswith("[") else "IP4"
        plain = self._host.strip("[]")
        media = (
            f"v=0\r\no=envmon 1 1 IN {family} {plain}\r\ns=-\r\nc=IN {family} {plain}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n"
        )
        return Request(
            "INVITE",
            where,
            (
                ("Via", self._hop()),
                ("Max-Forwards", "70"),
                ("From", f"<sip:envmon@{self._host}>;tag={secrets.token_hex(4)}"),
                ("To", f"<{where}>"),
                ("Call-ID", f"{secrets.token_hex(16)}@envmon"),
                ("CSeq", "1 INVITE"),
                ("Contact", f"<sip:envmon@{self._host}:{self._port}>"),
                ("Allow", "INVITE, ACK, CANCEL, BYE"),
                ("User-Agent", "envmon"),
                ("Content-Type", "application/sdp"),
            ),
            media.encode(),
        )


def _answers(answer: Response, request: Request) -> bool:
    """Whether it answers this very request: same branch at our hop, same CSeq (RFC 3261 17.1.3)."""
    ours, theirs = via(entries(request, "Via")[0]), via(entries(answer, "Via")[0])
    return ours.branch == theirs.branch and cseq(answer) == cseq(request)


def _bracketed(host: str) -> str:
    host = host.partition("%")[0]
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
