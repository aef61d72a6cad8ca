"""A far end: the equipment of a site that answers calls, and dies with its room.

Rules
  - A dead far end is silent and has forgotten its calls; a frozen one is silent and still has them.
  - 200 to an INVITE is repeated until its ACK comes (RFC 3261 13.3.1.4).
"""

import asyncio
from dataclasses import dataclass, field

from envmon.sim.telephony import T1, T2, Address, SipSocket
from envmon.wire.sip import Headers, Message, Request, Response, header
from envmon.wire.sip_dialog import respond

_SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"
_REPEATS = 8
_REMEMBERED = 2048  # ended calls whose repeated BYE still gets its 200


@dataclass(slots=True)
class _Call:
    invite: Request
    source: Address
    tag: str
    answer: Response | None = None
    acknowledged: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class FarEnd(SipSocket):
    """A user agent server of one site. ``ring_s`` is real time between INVITE and answer."""

    def __init__(self, site: str, *, ring_s: float = 0.0, host: str = "127.0.0.1", seed: int = 0) -> None:
        super().__init__(host, seed)
        self.site = site
        self.answered = 0
        self._ring_s = ring_s
        self.dead = False
        self._silent = False
        self._calls: dict[str, _Call] = {}
        self._ended: dict[str, None] = {}

    async def __aexit__(self, *exc: object) -> None:
        self._forget()
        await super().__aexit__(*exc)

    @property
    def calls(self) -> frozenset[str]:
        """The Call-IDs of the calls it has answered and not seen end."""
        return frozenset(id_ for id_, call in self._calls.items() if call.answer)

    def die(self) -> None:
        """Its room reached the limit: silent from now on, every call gone."""
        self.dead = self._silent = True
        self._forget()

    def freeze(self) -> None:
        """Stop answering; keep the calls."""
        self._silent = True

    def revive(self) -> None:
        """Answer again."""
        self.dead = self._silent = False

    def received(self, message: Message, source: Address) -> None:
        """Serve one request; responses are nothing to a far end."""
        if self._silent or not isinstance(message, Request):
            return
        match message.method:
            case "INVITE":
                self._invite(message, source)
            case "ACK":
                if call := self._calls.get(header(message, "Call-ID")):
                    call.acknowledged = True
                    _stop(call)
            case "BYE":
                self._bye(message, source)
            case "CANCEL":
                self._cancel(message, source)
            case "OPTIONS":
                self.send(respond(message, 200, "OK", self.token()), source)
            case _:
                self.send(respond(message, 405, "Method Not Allowed", self.token()), source)

    def _invite(self, invite: Request, source: Address) -> None:
        id_ = header(invite, "Call-ID")
        if call := self._calls.get(id_):
            if call.answer:
                self.send(call.answer, source)
            return
        if id_ in self._ended:
            return  # a repetition that its BYE overtook
        call = self._calls[id_] = _Call(invite, source, self.token())
        if self._ring_s <= 0:
            self._answer(call)
            return
        self.send(respond(invite, 180, "Ringing", call.tag, self._contact()), source)
        call.timer = asyncio.get_running_loop().call_later(self._ring_s, self._answer, call)

    def _answer(self, call: _Call) -> None:
        if self._silent:
            return
        bare = respond(call.invite, 200, "OK", call.tag, (*self._contact(), ("Content-Type", "application/sdp")))
        call.answer = Response(bare.status, bare.reason, bare.headers, _SDP)
        self.answered += 1
        self._repeat(call, T1, _REPEATS)

    def _repeat(self, call: _Call, wait: float, left: int) -> None:
        if self._silent or call.acknowledged or call.answer is None or not left:
            return
        self.send(call.answer, call.source)
        call.timer = asyncio.get_running_loop().call_later(wait, self._repeat, call, min(2 * wait, T2), left - 1)

    def _bye(self, bye: Request, source: Address) -> None:
        id_ = header(bye, "Call-ID")
        call = self._calls.pop(id_, None)
        if call:
            _stop(call)
            self._ended[id_] = None
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        if id_ in self._ended:
            self.send(respond(bye, 200, "OK"), source)
        else:
            self.send(respond(bye, 481, "Call Does Not Exist"), source)

    def _cancel(self, cancel: Request, source: Address) -> None:
        id_ = header(cancel, "Call-ID")
        call = self._calls.get(id_)
        if not call:
            self.send(respond(cancel, 481, "Call Does Not Exist", self.token()), source)
            return
        self.send(respond(cancel, 200, "OK", call.tag), source)
        if not call.answer:
            _stop(call)
            del self._calls[id_]
            self.send(respond(call.invite, 487, "Request Terminated", call.tag), call.source)

    def _forget(self) -> None:
        for call in self._calls.values():
            _stop(call)
        self._calls.clear()

    def _contact(self) -> Headers:
        return (("Contact", f"<sip:{self.site}@{self.where}>"),)


def _stop(call: _Call) -> None:
    if call.timer:
        call.timer.cancel()
