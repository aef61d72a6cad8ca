"""A SIP edge: the proxy on UDP that sends every new call to the primary or to the backup site.

Rules
  - A call stays where it was sent: Record-Route and loose routing (RFC 3261 16.12) keep what follows on its path.
  - A repeated INVITE, its CANCEL and the ACK of a refusal go where the first INVITE went, whatever the knob says since.
  - ``envmon-probe-primary`` and ``envmon-probe-backup`` as the called user force the site.
  - The edge answers OPTIONS itself: that proves a SIP stack, not a service.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import cycle
from typing import Final, Self

from envmon.sim.telephony import BACKUP, COOKIE, PRIMARY, Address, SipSocket
from envmon.sim.telephony_http import EdgeHttp
from envmon.sim.telephony_switch import Switch
from envmon.wire.sip import Headers, Message, Request, Response, cseq, entries, header
from envmon.wire.sip_dialog import respond
from envmon.wire.sip_values import SipError, Via, address, short, uri, via

PROBE_USERS: Final[Mapping[str, str]] = {"envmon-probe-primary": PRIMARY, "envmon-probe-backup": BACKUP}
_TRANSACTION_S = 32.0  # RFC 3261 64*T1, real seconds


@dataclass(frozen=True, slots=True)
class _Way:
    """Where one INVITE was sent, until ``until`` on the event loop's clock."""

    to: Address
    route: str
    site: str
    counted: bool
    until: float


class SipEdge(SipSocket):
    """One edge: SIP on UDP, the HTTP interface beside it. An async context manager.

    ``far_ends`` are the addresses of each site; new calls of a site take turns over them. A called user that
    begins with a route's name and a hyphen belongs to that route, every other to the first.
    """

    def __init__(
        self,
        far_ends: Mapping[str, Sequence[Address]],
        token: str,
        routes: tuple[str, ...] = ("outbound",),
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        self.switch = Switch(routes, seed)
        self._http = EdgeHttp(self.switch, token)
        self._turns = {site: cycle(ends) for site, ends in far_ends.items()}
        self._ways: dict[str, _Way] = {}
        self._dialogs: dict[str, _Way] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)
        await super().__aexit__(*exc)

    @property
    def url(self) -> str:
        """Where the HTTP interface is served."""
        return self._http.url

    def restart(self) -> None:
        """The edge's process starts anew: what it stored it knows, calls in progress it does not."""
        self._forget()
        self.switch.restart()

    def wipe(self) -> None:
        """The edge starts anew on an empty disk."""
        self._forget()
        self.switch.wipe()

    def received(self, message: Message, source: Address) -> None:
        """Route one message."""
        if isinstance(message, Response):
            self._answer(message)
            return
        if _hops(message) <= 0:
            self._refuse(message, 483, "Too Many Hops", source)
        elif address(header(message, "To")).tag:
            self._inside(message, source)
        elif message.method == "INVITE":
            self._invite(message, source)
        elif message.method in ("CANCEL", "ACK"):
            if way := self._ways.get(_key(message)):
                self._forward(message, source, way.to)
            elif message.method == "CANCEL":
                self._refuse(message, 481, "Call Does Not Exist", source)
        elif message.method == "OPTIONS":
            self.send(respond(message, 200, "OK", self.token()), source)
        else:
            self._refuse(message, 405, "Method Not Allowed", source)

    def _invite(self, invite: Request, source: Address) -> None:
        now = asyncio.get_running_loop().time()
        key = _key(invite)
        way = self._ways.get(key)
        if way is None:
            self._purge(now)
            way = self._ways[key] = self._choose(uri(invite.uri).user, now)
            self.send(respond(invite, 100, "Trying"), source)
        record = ("Record-Route", f"<sip:{self.where};lr>")
        self._forward(replace(invite, headers=(record, *invite.headers)), source, way.to)

    def _choose(self, user: str, now: float) -> _Way:
        route = next((name for name in self.switch.routes if user.startswith(f"{name}-")), self.switch.routes[0])
        forced = PROBE_USERS.get(user, "")
        site = self.switch.pick(route, forced)
        return _Way(next(self._turns[site]), route, site, not forced, now + _TRANSACTION_S)

    def _inside(self, request: Request, source: Address) -> None:
        """A request inside a dialog, or the ACK of a refused INVITE."""
        routes = entries(request, "Route")
        if routes and _place(routes[0]) == self.address:
            rest = routes[1:]
            headers: Headers = tuple(pair for pair in request.headers if pair[0] != "Route")
            request = replace(request, headers=(*(("Route", route) for route in rest), *headers))
            if request.method == "BYE":
                self._over(header(request, "Call-ID"))
            self._forward(request, source, _place(rest[0] if rest else f"<{request.uri}>"))
        elif request.method == "ACK" and (way := self._ways.get(_key(request))):
            self._forward(request, source, way.to)
        elif request.method != "ACK":
            self._refuse(request, 404, "Not Here", source)

    def _forward(self, request: Request, source: Address, to: Address) -> None:
        """Push our Via, note where the request came from (RFC 3581), count the hop, send."""
        headers: list[tuple[str, str]] = [("Via", self.hop(COOKIE + sha256(_key(request).encode()).hexdigest()[:24]))]
        top = True
        for name, value in request.headers:
            if name == "Via" and top:
                headers.append((name, _noted(value, source)))
                top = False
            elif name == "Max-Forwards":
                headers.append((name, str(int(value) - 1)))
            else:
                headers.append((name, value))
        self.send(replace(request, headers=tuple(headers)), to)

    def _answer(self, response: Response) -> None:
        """Pop our Via and send the response on to the hop before."""
        hops = entries(response, "Via")
        top = via(hops[0])
        if (top.host, top.port) != self.address or len(hops) < 2:
            return
        _, method = cseq(response)
        before = via(hops[1])
        if method == "INVITE" and 200 <= response.status < 300:
            self._begun(header(response, "Call-ID"), before.branch)
        elif method == "INVITE" and response.status >= 300:
            self._unanswered(before.branch, response.status)
        rest = tuple(("Via", hop) for hop in hops[1:])
        others = tuple(pair for pair in response.headers if pair[0] != "Via")
        self.send(replace(response, headers=(*rest, *others)), _back(before))

    def _begun(self, call_id: str, branch: str) -> None:
        way = self._ways.get(branch)
        if way and way.counted and call_id not in self._dialogs:
            self._dialogs[call_id] = way
            self._ways[branch] = replace(way, counted=False)  # its 200 may be repeated after its BYE
            self.switch.began(way.route, way.site)

    def _unanswered(self, branch: str, status: int) -> None:
        """Count a final refusal once; 408 and 5xx are the site's fault."""
        if (way := self._ways.get(branch)) and way.counted:
            self._ways[branch] = replace(way, counted=False)
            self.switch.unanswered(way.route, way.site, failed=status == 408 or 500 <= status < 600)

    def _over(self, call_id: str) -> None:
        if way := self._dialogs.pop(call_id, None):
            self.switch.ended(way.route, way.site)

    def _refuse(self, request: Request, status: int, reason: str, source: Address) -> None:
        if request.method != "ACK":
            self.send(respond(request, status, reason, self.token()), source)

    def _purge(self, now: float) -> None:
        while self._ways and (oldest := next(iter(self._ways.items())))[1].until < now:
            del self._ways[oldest[0]]

    def _forget(self) -> None:
        self._ways.clear()
        self._dialogs.clear()


def _key(request: Request) -> str:
    """The transaction a request belongs to; INVITE, its CANCEL and the ACK of its refusal share it."""
    branch = via(entries(request, "Via")[0]).branch
    if not branch:
        raise SipError("the top Via has no branch")
    return branch


def _hops(request: Request) -> int:
    text = header(request, "Max-Forwards") or "70"
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise SipError(f"Max-Forwards is not a number: {short(text)}")
    return int(text)


def _place(route: str) -> Address:
    where = uri(address(route).uri)
    return where.host, where.port or 5060


def _back(hop: Via) -> Address:
    """Where the sender of this hop hears its responses (RFC 3581)."""
    noted = dict(hop.parameters)
    port = noted.get("rport") or str(hop.port or 5060)
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise SipError(f"rport is not a port: {short(port)}")
    return noted.get("received") or hop.host, int(port)


def _noted(value: str, source: Address) -> str:
    hop = via(value)
    asked = dict(hop.parameters).get("rport") == ""
    if not asked:
        return value if (hop.host, hop.port or 5060) == source else f"{value};received={source[0]}"
    kept = "".join(f";{name}={text}" if text else f";{name}" for name, text in hop.parameters if name != "rport")
    return f"SIP/2.0/{hop.transport} {hop.host}:{hop.port or 5060}{kept};received={source[0]};rport={source[1]}"
