"""Requests of a probe and their answers (RFC 3261 17): sent, repeated where the network may lose them, logged in.

Rules
  - Requests go to the edge. Within a call they go where its route leads only when that is the edge again or a place
    the operator allowed (``probe.allow``); else the edge gets them, route and all, and may carry them there itself.
    So no answer leads a probe to a place of its own choosing.
  - Only answers to what we sent are read: same Call-ID, same branch at our hop, same number.
  - A challenge (401, 407) is answered within the request's own deadline.
Theory of operation
  ``transact`` sends a request and repeats it (timers A and E; once on a reliable link) until a final answer or its
  deadline. ``next`` gives ``strays`` the first look at what comes meanwhile: requests of the far end, repeated answers.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from envmon.config.edge_settings import SipSettings
from envmon.probes.sip_link import Inbox, Link, open_link
from envmon.probes.sip_login import Login
from envmon.wire.sip import Message, Request, Response, build, cseq, entries, header, parse
from envmon.wire.sip_dialog import Dialog, next_hop, refused, renewed
from envmon.wire.sip_values import SipError, Uri, via

_T1 = 0.5  # RFC 3261 17.1.1.1, seconds
_T2 = 4.0
_MOST_LOGINS = 5  # challenges of one request: proxies, far end, stale nonces


def bracketed(host: str) -> str:
    """A host as it stands in a URI: an IPv6 address in brackets, without its scope."""
    host = host.partition("%")[0]
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class Exchange:
    """One probe's messages under one Call-ID. ``strays`` takes a message (True) or leaves it to ``transact``."""

    def __init__(self, way: SipSettings, place: tuple[str, int], inbox: Inbox, edge: Link) -> None:
        self.edge = edge
        self.call_id = f"{secrets.token_hex(16)}@envmon"
        self.login = Login(way)
        self.invite: Request | None = None  # the last one sent
        self.ringing = False  # a provisional answer to the INVITE came: CANCEL is allowed (RFC 3261 9.1)
        self.astray = ""  # where a route led that is not allowed
        self.why = ""  # why the last challenge was not answered
        self.strays: Callable[[Link, Message], bool] = lambda _link, message: isinstance(message, Request)
        self._way = way
        self._inbox = inbox
        self._edges = {(place[0].strip("[]").lower(), place[1]), edge.there}
        self._links = {edge.there: edge}

    def hop(self, link: Link) -> str:
        """A Via of ours, with a new branch."""
        host, port = link.here
        return f"SIP/2.0/{link.via} {bracketed(host)}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport"

    async def towards(self, call: Dialog) -> Link:
        """The link for a request within a call; see the rules. Raises SipError."""
        place = self._place(next_hop(call))
        if place in self._edges:
            return self.edge
        if place in self._links:
            return self._links[place]
        if not self.allowed(*place):
            self.astray = f"{bracketed(place[0])}:{place[1]}"
            return self.edge
        try:
            async with asyncio.timeout(_T2):
                self._links[place] = await open_link(self._way, *place, self._inbox)
        except (OSError, TimeoutError, ValueError) as error:
            raise SipError(f"its route leads to {bracketed(place[0])}:{place[1]}, which cannot be reached") from error
        return self._links[place]

    def allowed(self, host: str, port: int) -> bool:
        """Whether the operator lets an answer lead there."""
        return (host, port) in self._way.allow or (host, 0) in self._way.allow

    async def ask(self, request: Request, link: Link, seconds: float) -> tuple[Response | None, Request]:
        """Send, log in where asked to: the final answer, None without one, and the request it answers."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        self.login.begin()
        self.why = ""
        for _ in range(_MOST_LOGINS):
            if request.method == "INVITE":
                self.invite, self.ringing = request, False
            answer = await self.transact(request, link, end - loop.time())
            if answer is None or answer.status not in (401, 407):
                break
            self.why = self.login.refusal(answer)
            if self.why:
                break
            if request.method == "INVITE":
                link.send(build(refused(request, answer)))
            number, method = cseq(request)
            login = self.login.headers(method, request.uri)
            request = renewed(request, number + 1, self.hop(link), login)
        return answer, request

    async def transact(
        self, request: Request, link: Link, seconds: float, expected: Request | None = None
    ) -> Response | None:
        """Send, repeat, and return the final answer to ``expected``: the request itself or, for a CANCEL, the INVITE
        it cancels. None when there is none in time, or the link is over.
        """
        loop = asyncio.get_running_loop()
        expected = expected or request
        pause, again, end = _T1, loop.time(), loop.time() + seconds
        while (now := loop.time()) < end and not link.over:
            if now >= again:
                link.send(build(request))
                again = end if link.reliable else now + pause
                pause = 2 * pause if request.method == "INVITE" else min(2 * pause, _T2)
            answer = await self.next(min(again, end) - now)
            if answer is None:
                continue
            if answer.status >= 200 and answers(answer, expected):
                return answer
            if answers(answer, request):
                self.ringing = self.ringing or request.method == "INVITE"
                again = now + _T2 if request.method == "BYE" and not link.reliable else end
        return None

    async def next(self, seconds: float) -> Response | None:
        """The next answer to this call, None when none came in time or a link is over; the rest is for ``strays``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    link, data = await self._inbox.get()
                    if link.over and not data:
                        return None
                    with suppress(SipError):
                        message = parse(data)
                        if header(message, "Call-ID") != self.call_id or self.strays(link, message):
                            continue
                        if isinstance(message, Response):
                            return message
        return None

    async def close(self) -> None:
        """Close every link."""
        for link in self._links.values():
            await link.close()

    def _place(self, hop: Uri) -> tuple[str, int]:
        return hop.host.strip("[]").lower(), hop.port or (5061 if self._way.transport == "tls" else 5060)


def answers(answer: Response, request: Request) -> bool:
    """Whether it answers this very request: same branch at our hop, same CSeq (RFC 3261 17.1.3)."""
    ours, theirs = via(entries(request, "Via")[0]), via(entries(answer, "Via")[0])
    return ours.branch == theirs.branch and cseq(answer) == cseq(request)
