"""The values inside SIP headers (RFC 3261): addresses, URIs and Via entries, text to frozen objects.

Rules
  - Pure: text in, objects out; whatever the text, the only exception is ``SipError``.
"""

import re
from dataclasses import dataclass

TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")  # RFC 3261 25.1
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-~]+")  # printable ASCII but " < >
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?:[ \t]*:[ \t]*([0-9]{1,5}))?")
_PARAMETER = re.compile(r"([^\s=]+)(?:\s*=\s*(\".*\"|[^\s\"]*))?")
_NAME_ADDR = re.compile(r"""(?:"(?:[^"\\]|\\.)*"[ \t]*|[^"<>]*)<([^<>]*)>""")
_VIA = re.compile(r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([A-Za-z0-9-]{1,16})[ \t]+(.+)", re.IGNORECASE)


class SipError(Exception):
    """Not SIP, or without what RFC 3261 demands; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A From, To, Contact, Route or Record-Route value (RFC 3261 20.10): a URI and its header parameters."""

    uri: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def tag(self) -> str:
        """The tag that names this end of a dialog, "" when there is none yet."""
        return _parameter(self.parameters, "tag")


@dataclass(frozen=True, slots=True)
class Uri:
    """A sip: or sips: URI (RFC 3261 19.1). ``port`` 0 means the transport's own, ``user`` "" means none."""

    scheme: str
    user: str
    host: str
    port: int
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def loose(self) -> bool:
        """Whether the proxy it names is a loose router (parameter ``lr``)."""
        return any(name == "lr" for name, _ in self.parameters)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of a message's way (RFC 3261 20.42). ``port`` 0 means the transport's own."""

    transport: str
    host: str
    port: int
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def branch(self) -> str:
        """The id of the transaction at this hop, "" when an RFC 2543 element gave none."""
        return _parameter(self.parameters, "branch")


def via(text: str) -> Via:
    """Read one Via entry, such as ``SIP/2.0/UDP host:port;branch=z9hG4bK1``. Raises SipError."""
    front, *parameters = split(text, ";")
    found = _VIA.fullmatch(front.strip())
    if not found:
        raise SipError(f"not a Via entry: {short(text)}")
    host, port = _host_port(found[2])
    return Via(found[1].upper(), host, port, _parameters(parameters))


def address(text: str) -> Address:
    """Read one name-addr or addr-spec with its parameters. Raises SipError."""
    front, *parameters = split(text, ";")
    found = _NAME_ADDR.fullmatch(front.strip())
    where = found[1] if found else front.strip()
    if not URI.fullmatch(where):
        raise SipError(f"not an address: {short(text)}")
    return Address(where, _parameters(parameters))


def uri(text: str) -> Uri:
    """Read a sip: or sips: URI; its headers part (after ``?``) is left out. Raises SipError."""
    scheme, _, rest = text.partition(":")
    if scheme.lower() not in ("sip", "sips") or not URI.fullmatch(text):
        raise SipError(f"not a SIP URI: {short(text)}")
    user, at, place = rest.rpartition("@")
    if at and not user:
        raise SipError(f"an empty user in {short(text)}")
    front, *parameters = place.partition("?")[0].split(";")
    host, port = _host_port(front)
    return Uri(scheme.lower(), user, host, port, _parameters(parameters))


def split(text: str, mark: str) -> list[str]:
    """Split at ``mark`` outside quoted strings and angle brackets. Raises SipError when either stays open."""
    if not any(letter in text for letter in '"<>'):
        return text.split(mark)
    parts, start, quoted, angled, position = [], 0, False, False, 0
    while position < len(text):
        letter = text[position]
        if quoted and letter == "\\":
            position += 1
        elif letter == '"' and not angled:
            quoted = not quoted
        elif not quoted and letter in "<>":
            angled = letter == "<"
        elif letter == mark and not quoted and not angled:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    if quoted or angled:
        raise SipError(f"an open quote or bracket: {short(text)}")
    return [*parts, text[start:]]


def short(text: str) -> str:
    """At most 60 characters of what a stranger sent, fit to be printed."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _parameters(parts: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for part in parts:
        pair = _PARAMETER.fullmatch(part.strip())
        if not pair:
            raise SipError(f"not a parameter: {short(part)}")
        found.append((pair[1].lower(), pair[2] or ""))
    return tuple(found)


def _parameter(parameters: tuple[tuple[str, str], ...], name: str) -> str:
    return next((value for key, value in parameters if key == name), "")


def _host_port(text: str) -> tuple[str, int]:
    found = _HOST_PORT.fullmatch(text.strip())
    port = int(found[2] or 0) if found else -1
    if not found or port > 65_535:
        raise SipError(f"not a host and port: {short(text)}")
    return found[1], port
