"""The kinds of value a configuration holds: durations, addresses, secret references, names.

Rules
  - A duration is text with a unit; a bare number is a fault, because 5 has meant seconds, minutes and milliseconds.
  - A secret is a reference. What was given instead is never repeated.
  - Each kind knows its words for the reference and its pattern for the JSON Schema.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from envmon.config.secret import Secret

NAME = r"^[a-z][a-z0-9_]*$"
"""What the operator's own names look like: they become topics, labels and parts of point ids."""
DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|min|h)$"
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
INLINE = "a secret does not stand in this file; write credential:NAME or file:/ABSOLUTE/PATH"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|min|h)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_SIP_URI = re.compile(r"sips?:[A-Za-z0-9_.:;=@\[\]-]{1,250}")
_CREDENTIAL = re.compile(r"credential:[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,127}")


def wrong(text: str) -> PydanticCustomError:
    """Build the error a validator raises; ``text`` is shown as it is."""
    return PydanticCustomError("envmon", "{text}", {"text": text})


@dataclass(frozen=True, slots=True)
class Address:
    """A host, and a port; 0 where none is given."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        return f"{host}:{self.port}" if self.port else host


def seconds(given: object) -> float:
    """Read a duration such as 500ms, 5s, 4min or 2h."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise wrong("must be a duration such as 500ms, 5s, 4min or 2h")
    if not isinstance(given, str):
        raise wrong("a duration needs its unit: 500ms, 5s, 4min or 2h")
    match = _DURATION.fullmatch(given)
    if not match:
        near = _DURATION.fullmatch(given.replace(" ", "").lower().rstrip(".").removesuffix("ec").removesuffix("econds"))
        hint = f"; did you mean {near[0]}?" if near else ""
        raise wrong(f"must be a duration such as 500ms, 5s, 4min or 2h (ms, s, min, h){hint}")
    return float(match[1]) / 1000 if match[2] == "ms" else float(match[1]) * _SECONDS[match[2]]


def duration_text(value: float) -> str:
    """Write seconds the way a configuration does."""
    if 0 < value < 1:
        return f"{value * 1000:g}ms"
    for unit in ("h", "min"):
        if value and value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:g}{unit}"
    return f"{value:g}s"


def shown(value: object) -> str:
    """Write a value as a form, or JSON, does: true is not True. Two that are shown alike are one to a carrier's API."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Between:
    """The durations, in seconds, that make sense for a key."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Pass ``value`` on when it lies between the two."""
        if not self.low <= value <= self.high:
            raise wrong(f"must be {self}")
        return value

    def __str__(self) -> str:
        return f"from {duration_text(self.low)} to {duration_text(self.high)}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The numbers a key can have."""

    choices: tuple[int, ...]

    def __call__(self, value: int) -> int:
        """Pass ``value`` on when it is one of them."""
        if value not in self.choices:
            raise wrong(f"must be {self}")
        return value

    def __str__(self) -> str:
        *most, last = self.choices
        return f"{', '.join(map(str, most))} or {last}"


def secret(given: object) -> Secret:
    """Read a reference to a credential; anything else is refused without repeating it."""
    if isinstance(given, str) and _CREDENTIAL.fullmatch(given):
        return Secret(given)
    if isinstance(given, str) and given.startswith("file:/") and given.isprintable() and len(given) > len("file:/"):
        return Secret(given)
    raise wrong(INLINE)


def address(given: object) -> Address:
    """Read host, host:port or [v6]:port."""
    if not isinstance(given, str):
        raise wrong("must be a host or host:port; write it in quotes")
    name, port = _split(given) if "/" not in given else ("", "")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise wrong("a port is a number from 1 to 65535")
    if not _is_host(name):
        raise wrong("must be an IP address or a host name, with :port if it is not the usual one")
    return Address(name, int(port or 0))


def endpoint(given: object) -> Address:
    """Read host, host:port, or the path of a serial line, which becomes the host."""
    if isinstance(given, str) and given.startswith("/"):
        if not given.isprintable() or not given.startswith("/dev/") or " " in given or given.endswith("/"):
            raise wrong("a serial line is a path such as /dev/ttyUSB0")
        return Address(given)
    return address(given)


def host(given: object) -> str:
    """Read a host without a port."""
    if not isinstance(given, str) or not _is_host(given):
        raise wrong("must be an IP address or a host name; the port is a key of its own")
    return given


def listen(given: object) -> Address:
    """Read host:port to listen on."""
    there = address(given) if isinstance(given, str) else None
    if there is None or not there.port:
        raise wrong("must be host:port, such as 127.0.0.1:9713")
    return there


def listen_at(given: object) -> Address:
    """Read address:port to listen on, without a name to resolve."""
    there = address(given) if isinstance(given, str) else None
    if there is None or not there.port or not _is_ip(there.host):
        raise wrong("must be an IP address and a port, such as 0.0.0.0:162")
    return there


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        good = closed and ":" in host and (not rest or (rest.startswith(":") and len(rest) > 1))
        return (host, rest[1:]) if good else ("", "")
    if text.count(":") > 1:  # IPv6 without a port
        return text, ""
    host, colon, port = text.partition(":")
    return (host, port or "?") if colon else (host, "")


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    numeric = not text.strip("0123456789.")
    return _is_ip(text) or (not numeric and _HOSTNAME.fullmatch(text) is not None)


def url(given: object) -> str:
    """Read an http or https URL without credentials in it."""
    if not isinstance(given, str) or not given.isprintable() or " " in given:
        raise wrong("must be a URL such as https://host:port/path")
    try:
        parts = urlsplit(given)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        port_is_good = False
    if not port_is_good or parts.scheme not in {"http", "https"} or not _is_host(parts.hostname or ""):
        raise wrong("must be a URL such as https://host:port/path")
    if "@" in parts.netloc:
        raise wrong("a URL holds no user or password here; use token: credential:NAME")
    return given


def domain(given: object) -> str:
    """Read a domain name in full, with or without its last dot; labels may start with _ (RFC 8552)."""
    if not isinstance(given, str) or not _DOMAIN.fullmatch(given) or len(given) > 254:
        raise wrong("must be a domain name in full, such as _sip._udp.voice.example")
    return given.rstrip(".").lower()


def sip_uri(given: object) -> str:
    """Read a SIP URI of a server."""
    if not isinstance(given, str) or not _SIP_URI.fullmatch(given):
        raise wrong("must be a SIP URI such as sip:192.0.2.71:5060")
    return given


def absolute(given: object) -> str:
    """Read an absolute path."""
    if not isinstance(given, str) or not given.isprintable() or not PurePosixPath(given).is_absolute():
        raise wrong("must be an absolute path, such as /var/lib/envmon")
    return given


def proof(given: object) -> bool | str:
    """Read whether somebody compared a device's readings: true, false, or the path of the record that shows it."""
    if isinstance(given, bool):
        return given
    if not isinstance(given, str) or not given.isprintable() or not PurePosixPath(given).is_absolute():
        raise wrong("must be true, false or the absolute path of a record that envmon commission wrote")
    return given


def window(given: object) -> tuple[int, int]:
    """Read a part of the day, which may pass midnight, as minutes of the day."""
    match = _WINDOW.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise wrong('must be a part of the day in quotes, such as "02:00-05:00" (UTC)')
    start, end = (int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3))
    if start == end:
        raise wrong("begins and ends at one time; leave the key out for the whole day")
    return start, end


def _window_text(value: tuple[int, int]) -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in value)


def rising(given: list[int]) -> list[int]:
    """Pass percentages on that rise to 100."""
    if given[-1] != 100 or any(later <= earlier for earlier, later in pairwise(given)):
        raise wrong("must rise to 100, such as [10, 50, 100]")
    return given


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def _as_text(write: Callable[[Any], str] = str) -> PlainSerializer:
    return PlainSerializer(write, return_type=str)


def _printable(given: str) -> str:
    if not given.isprintable():
        raise wrong("must be printable text on one line")
    return given


Name = Annotated[str, Field(pattern=NAME, max_length=48)]
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Duration = Annotated[float, PlainValidator(seconds), _as_text(duration_text), _text(DURATION, "5s")]
SecretRef = Annotated[
    Secret, PlainValidator(secret), _as_text(), _text(r"^(credential:[A-Za-z0-9_.@-]+|file:/.+)$", "credential:token")
]
HostPort = Annotated[Address, PlainValidator(address), _as_text(), _text(r"^\S+$", "192.0.2.31:502")]
Endpoint = Annotated[Address, PlainValidator(endpoint), _as_text(), _text(r"^\S+$", "192.0.2.31:502")]
Baud = Annotated[
    int,
    AfterValidator(OneOf(BAUDS)),
    WithJsonSchema({"type": "integer", "enum": list(BAUDS)}),
]
StopBits = Annotated[int, AfterValidator(OneOf((1, 2))), WithJsonSchema({"type": "integer", "enum": [1, 2]})]
Host = Annotated[str, PlainValidator(host), _text(r"^\S+$", "192.0.2.60")]
Listen = Annotated[Address, PlainValidator(listen), _as_text(), _text(r"^\S+:[0-9]+$", "127.0.0.1:9713")]
ListenAt = Annotated[Address, PlainValidator(listen_at), _as_text(), _text(r"^\S+:[0-9]+$", "0.0.0.0:162")]
Url = Annotated[str, PlainValidator(url), _text(r"^https?://\S+$", "https://pager.example/v1/envmon")]
Proof = Annotated[
    bool | str,
    PlainValidator(proof),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": r"^/.*$"}]}),
]
AbsolutePath = Annotated[str, PlainValidator(absolute), _text(r"^/.*$", "/var/lib/envmon")]
Percent = Annotated[int, Field(ge=1, le=100)]
Stages = Annotated[list[Percent], Field(min_length=1, max_length=10), AfterValidator(rising)]
TimeWindow = Annotated[
    tuple[int, int],
    PlainValidator(window),
    _as_text(_window_text),
    _text(r"^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$", "02:00-05:00"),
]
Domain = Annotated[str, PlainValidator(domain), _text(r"^[A-Za-z0-9_.-]+$", "_sip._udp.voice.example")]
SipUri = Annotated[str, PlainValidator(sip_uri), _text(r"^sips?:\S+$", "sip:192.0.2.71:5060")]
