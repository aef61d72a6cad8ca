"""SIP messages (RFC 3261): text to frozen objects and back, for the prober and the simulated edge.

Rules
  - Pure: no socket, no clock, no randomness; tags, branches and Call-IDs come from the caller.
  - Every fault of a message is one ``SipError``; nothing else is ever raised, whatever the bytes.
  - What ``build`` writes, ``parse`` reads back equal; no value can smuggle in a line of its own.
  - Header names are canonical after parsing (``v`` is ``Via``), folded lines are one line, order is kept.
"""

import re
from dataclasses import dataclass

from envmon.wire.sip_values import TOKEN, URI, SipError, address, short, split, via

MAX_BYTES = 65_535  # one UDP datagram, and as much on a stream
_CSEQ_LIMIT = 2**31  # RFC 3261 8.1.1.5

_VERSION = "SIP/2.0"
_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]+({TOKEN.pattern})")
_NUMBER = re.compile(r"[0-9]{1,10}")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 3261 7.3.3 and the IANA registry of compact forms.
_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_CANONICAL = {name.lower(): name for name in (*_COMPACT.values(), "CSeq", "Max-Forwards", "Record-Route", "Route")}
_ONCE = ("From", "To", "Call-ID", "CSeq")


Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request (RFC 3261 7.1). ``headers`` never holds Content-Length: ``build`` counts the body."""

    method: str
    uri: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response (RFC 3261 7.2). ``headers`` never holds Content-Length: ``build`` counts the body."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""


Message = Request | Response


def parse(datagram: bytes) -> Message:
    """Read one datagram. Raises SipError."""
    if len(datagram) > MAX_BYTES:
        raise SipError(f"longer than a datagram can be: {len(datagram)} bytes")
    head, gap, body = datagram.lstrip(b"\r\n").partition(b"\r\n\r\n")  # RFC 3261 7.5: leading empty lines
    if not gap:
        raise SipError("no empty line after the headers")
    lines = _lines(head)
    headers, length = _headers(lines[1:])
    message = _start(lines[0], headers, _body(body, length))
    _demand(message)
    return message


def build(message: Message) -> bytes:
    """Write one message with its Content-Length; header names in long, canonical form.

    Raises SipError when ``parse`` would not read the very same message back, such as a value with a line end.
    """
    match message:
        case Request(method, where, headers, body):
            start = f"{method} {where} {_VERSION}"
        case Response(status, reason, headers, body):
            start = f"{_VERSION} {status} {reason}"
    text = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}", "", ""]
    try:
        datagram = "\r\n".join(text).encode("utf-8") + body
    except UnicodeEncodeError:
        raise SipError("text that UTF-8 cannot carry") from None
    if parse(datagram) != message:
        raise SipError(f"it would not be read back as it is: {short(start)}")
    return datagram


def body_length(head: bytes) -> int | None:
    """What Content-Length says in the head of a message, from its start line to its last header; None without one.

    Raises SipError.
    """
    return _headers(_lines(head)[1:])[1]


def header(message: Message, name: str) -> str:
    """The first value of a header, "" when absent. ``name`` is the long form, in any case."""
    wanted = name.lower()
    return next((value for key, value in message.headers if key.lower() == wanted), "")


def entries(message: Message, name: str) -> tuple[str, ...]:
    """Every entry of a list header (Via, Route, Record-Route, Contact), top first, commas taken apart.

    Raises SipError when a quote or bracket stays open; ``parse`` has looked at Via only.
    """
    wanted = name.lower()
    found = (value for key, value in message.headers if key.lower() == wanted)
    return tuple(entry.strip() for value in found for entry in split(value, ",") if entry.strip())


def cseq(message: Message) -> tuple[int, str]:
    """The sequence number and method of CSeq. Raises SipError."""
    found = _CSEQ.fullmatch(header(message, "CSeq"))
    if not found or int(found[1]) >= _CSEQ_LIMIT:
        raise SipError(f"CSeq is not a number below 2^31 and a method: {short(header(message, 'CSeq'))}")
    return int(found[1]), found[2]


def _lines(head: bytes) -> list[str]:
    try:
        return head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError as error:
        raise SipError(f"not UTF-8 text at byte {error.start}") from None


def _headers(lines: list[str]) -> tuple[Headers, int | None]:
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if not unfolded:
                raise SipError("the first header line is a folded one")
            unfolded[-1] += " " + line.strip(" \t")
        else:
            unfolded.append(line)
    headers: list[tuple[str, str]] = []
    length: int | None = None
    for line in unfolded:
        if _CONTROLS.search(line):
            raise SipError(f"a control character in a header: {short(line)}")
        name, colon, value = line.partition(":")
        name, value = name.rstrip(" \t"), value.strip(" \t")
        if not colon or not TOKEN.fullmatch(name):
            raise SipError(f"not a header line: {short(line)}")
        name = _COMPACT.get(name.lower()) or _CANONICAL.get(name.lower(), name)
        if name != "Content-Length":
            headers.append((name, value))
        elif not _NUMBER.fullmatch(value) or length not in (None, int(value)):
            raise SipError(f"Content-Length is not one number: {short(value)}")
        else:
            length = int(value)
    return tuple(headers), length


def _body(body: bytes, length: int | None) -> bytes:
    if length is None:
        return body
    if length > len(body):
        raise SipError(f"Content-Length says {length} bytes, {len(body)} are there")
    return body[:length]  # RFC 3261 18.3: what follows is not part of the message


def _start(line: str, headers: Headers, body: bytes) -> Message:
    first, _, rest = line.partition(" ")
    if _CONTROLS.search(line):
        raise SipError("a control character in the start line")
    if first.upper() == _VERSION:
        code, _, reason = rest.partition(" ")
        if not re.fullmatch(r"[1-6][0-9]{2}", code):
            raise SipError(f"not a status line: {short(line)}")
        return Response(int(code), reason, headers, body)
    where, _, version = rest.partition(" ")
    if version.upper() != _VERSION or not TOKEN.fullmatch(first) or not URI.fullmatch(where):
        raise SipError(f"not a SIP start line: {short(line)}")
    return Request(first, where, headers, body)


def _demand(message: Message) -> None:
    """What every message must have (RFC 3261 8.1.1), readable."""
    for name in _ONCE:
        count = sum(1 for key, _ in message.headers if key == name)
        if count != 1:
            raise SipError(f"{count} {name} headers, there must be one")
    hops = entries(message, "Via")
    if not hops:
        raise SipError("no Via header")
    for hop in hops:
        via(hop)
    address(header(message, "From"))
    address(header(message, "To"))
    if not header(message, "Call-ID"):
        raise SipError("an empty Call-ID")
    _, method = cseq(message)
    if isinstance(message, Request) and method != message.method:
        raise SipError(f"CSeq says {short(method)}, the start line {short(message.method)}")
