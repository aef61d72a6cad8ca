"""The shape of a carrier's API: what is sent to move a route, and where its answer shows the position.

Rules
  - A template holds texts and numbers only; what it may put into them is ``PLACEHOLDERS``.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, WithJsonSchema

from envmon.config.shape_parts import Entry
from envmon.config.values import Name, Url, shown, wrong

PLACEHOLDERS = ("value", "percent", "remainder", "epoch", "route")
_MOVES = ("{value}", "{percent}", "{remainder}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Pointer = Annotated[str, Field(pattern=r"^(/([^/~]|~[01])+)+$", max_length=256)]
FieldName = Annotated[str, Field(min_length=1, max_length=256)]


def scalar(given: object) -> str | int | bool:
    """Read what an API's field can hold; a number with a fraction is no position."""
    if isinstance(given, int) or (isinstance(given, str) and 0 < len(given) <= 256 and given.isprintable()):
        return given
    raise wrong("must be a text, a whole number, or true or false")


Value = Annotated[str | int | bool, PlainValidator(scalar), WithJsonSchema({"type": ["string", "integer", "boolean"]})]


class RestRouteEntry(Entry):
    """What carries a route at the carrier."""

    url: Url
    """What is written to move it; https, but on this host."""
    method: Literal["PUT", "POST", "PATCH"] = "PUT"
    """How it is written."""
    body: Literal["json", "form"] = "json"
    """How the fields are sent."""
    fields: Annotated[dict[FieldName, Value], Field(min_length=1, max_length=32)]
    """What is sent, all of it: a name, or a JSON pointer into nested objects, and text with {value}, {percent}, ..."""
    read: Pointer
    """Where the answer to a GET shows the position, as a JSON pointer such as /data/percent."""
    read_url: Url | None = None
    """What is read; url unless given."""
    primary: Value | None = None
    """What stands there, and for {value}, while calls go to the primary; else the percentage itself."""
    backup: Value | None = None
    """What stands there, and for {value}, while calls go to the backup; with it all calls move or none."""
    expect: Annotated[dict[Pointer, Value], Field(max_length=16)] = {}
    """What else the answer must show, by JSON pointer, for the position to mean anything: /enabled: true."""


class RestEntry(Entry):
    """A carrier's API; the token is a bearer token unless username or header is given."""

    username: Annotated[str, Field(pattern=r"^[!-9;-~]{1,256}$")] | None = None
    """User of HTTP's Basic login; the token is its password."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """Name of the header that carries the token, such as X-Api-Key."""
    routes: Annotated[dict[Name, RestRouteEntry], Field(min_length=1)]
    """What is written and read for each route this edge carries, by the route's name."""


def rest_findings(entry: RestEntry | RestRouteEntry) -> Iterator[tuple[str, str]]:
    """A login told twice; a template that moves nothing, says what it cannot mean, or sends a credential in clear."""
    match entry:
        case RestEntry(username=str(), header=str()):
            yield "header", "and username are two ways to log in; give one of them"
        case RestRouteEntry():
            yield from _positions(entry)
            yield from _fields(entry)


def _positions(route: RestRouteEntry) -> Iterator[tuple[str, str]]:
    for key, url in (("url", route.url), ("read_url", route.read_url)):
        parts = urlsplit(url or "")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            yield key, "sends the credential in clear: write https:"
    if (route.primary is None) != (route.backup is None):
        missing = "primary" if route.primary is None else "backup"
        yield missing, "is missing: primary and backup go together"
    elif route.primary is not None and shown(route.primary) == shown(route.backup):
        yield "backup", "is the same as primary; nothing would move"


def _fields(route: RestRouteEntry) -> Iterator[tuple[str, str]]:
    texts = [text for text in route.fields.values() if isinstance(text, str)]
    for unknown in dict.fromkeys(word for text in texts for word in re.findall(r"\{([^{}]*)\}", text)):
        if unknown not in PLACEHOLDERS:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            yield "fields", f"there is no placeholder {{{unknown}}}; there are {known}"
    if not any(move in text for text in texts for move in _MOVES):
        yield "fields", "hold none of {value}, {percent} and {remainder}; nothing would move"
    if route.body == "form" and any(name.startswith("/") for name in route.fields):
        yield "fields", "a form has plain names; JSON pointers belong to body: json"
    names = [name if name.startswith("/") else f"/{name}" for name in route.fields]
    if any(other != name and other.startswith(f"{name}/") for name in names for other in names):
        yield "fields", "one of them lies within another; give each its own place"
