"""SIP answers and dialogs (RFC 3261 8.2.6, 9.1, 12, 17.1.1.3): which message follows from which.

Rules
  - Pure: tags, branches and Via entries come from the caller; messages come in parsed and go out unbuilt.
"""

from dataclasses import dataclass

from envmon.wire.sip import Headers, Request, Response, cseq, entries, header
from envmon.wire.sip_values import SipError, Uri, address, uri


@dataclass(frozen=True, slots=True)
class Dialog:
    """The caller's side of an established call (RFC 3261 12.1.2). ``routes`` is in sending order."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]


def respond(request: Request, status: int, reason: str, tag: str = "", extra: Headers = ()) -> Response:
    """The answer RFC 3261 8.2.6 and 12.1.1 ask for: Via, From, To, Call-ID, CSeq and Record-Route copied.

    ``tag`` names our end and is added to a To that has none; ``extra`` headers (Contact, ...) follow.
    """
    copied: list[tuple[str, str]] = []
    for name, value in request.headers:
        if name == "To" and tag and not address(value).tag:
            copied.append((name, f"{value};tag={tag}"))
        elif name in ("Via", "From", "To", "Call-ID", "CSeq") or (name == "Record-Route" and status > 100):
            copied.append((name, value))
    return Response(status, reason, (*copied, *extra))


def dialog(invite: Request, answer: Response) -> Dialog:
    """The dialog a 2xx made, as the caller sees it (RFC 3261 12.1.2). Raises SipError."""
    contacts = entries(answer, "Contact")
    if not contacts:
        raise SipError("the answer to an INVITE has no Contact")
    if not address(header(answer, "To")).tag:
        raise SipError("the answer to an INVITE has no tag in To")
    return Dialog(
        header(invite, "Call-ID"),
        header(invite, "From"),
        header(answer, "To"),
        address(contacts[0]).uri,
        tuple(reversed(entries(answer, "Record-Route"))),
    )


def within(call: Dialog, method: str, number: int, hop: str, login: Headers = ()) -> Request:
    """A request inside a dialog (RFC 3261 12.2.1.1), by loose or strict routing; ``hop`` is our Via.

    Raises SipError when the route set holds no SIP URI.
    """
    where, routes = call.target, call.routes
    if routes:
        first = address(routes[0]).uri
        if not uri(first).loose:
            where, routes = first, (*routes[1:], f"<{call.target}>")
    return Request(
        method,
        where,
        (
            ("Via", hop),
            *(("Route", route) for route in routes),
            ("Max-Forwards", "70"),
            ("From", call.local),
            ("To", call.remote),
            ("Call-ID", call.call_id),
            ("CSeq", f"{number} {method}"),
            *login,
        ),
    )


def cancel(invite: Request) -> Request:
    """The CANCEL of an INVITE that has no final answer yet (RFC 3261 9.1)."""
    return _same_hop(invite, "CANCEL", header(invite, "To"))


def renewed(request: Request, number: int, hop: str, login: Headers) -> Request:
    """The same request once more, with what was asked for (RFC 3261 22.2): the next number, a new branch."""
    asked = {name for name, _ in login}
    kept = tuple(pair for pair in request.headers[1:] if pair[0] not in asked and pair[0] != "CSeq")
    headers = (("Via", hop), *kept, ("CSeq", f"{number} {request.method}"), *login)
    return Request(request.method, request.uri, headers, request.body)


def next_hop(call: Dialog) -> Uri:
    """Where a request within a dialog goes next (RFC 3261 12.2.1.1): the first route, else the far end itself.

    Raises SipError when that is no SIP URI.
    """
    return uri(address(call.routes[0]).uri if call.routes else call.target)


def refused(invite: Request, answer: Response) -> Request:
    """The ACK of an answer of 300 or more (RFC 3261 17.1.1.3)."""
    return _same_hop(invite, "ACK", header(answer, "To"))


def _same_hop(invite: Request, method: str, to: str) -> Request:
    number, _ = cseq(invite)
    kept = tuple(pair for pair in invite.headers if pair[0] in ("Route", "Max-Forwards", "From", "Call-ID"))
    hop = ("Via", entries(invite, "Via")[0])
    return Request(method, invite.uri, (hop, *kept, ("To", to), ("CSeq", f"{number} {method}")))
