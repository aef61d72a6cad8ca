"""A warning message as every format says it: the parts of CAP 1.2 that decide whether it concerns us, and for how long.

Rules
  - Words are lower case; what a message does not say is "" or empty, never guessed.
  - A text goes on as a line people can read (``model.texts``): a feed cannot fill our pages.

Source: OASIS Common Alerting Protocol 1.2, section 3.2 (alert, info, area).
"""

from dataclasses import dataclass


class MessageError(Exception):
    """A document cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Area:
    """Where: polygons of (latitude, longitude), circles of (latitude, longitude, km), and geocode values."""

    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    circles: tuple[tuple[float, float, float], ...] = ()
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Info:
    """What: one event in one language. Times as written; ``ends`` is the event's own end where one is given."""

    event: str
    severity: str
    urgency: str
    response: str
    onset: str
    expires: str
    ends: str
    headline: str
    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One alert. ``references`` are the messages it updates or cancels, as (sender, identifier)."""

    sender: str
    identifier: str
    sent: str
    status: str
    kind: str  # alert, update, cancel, ack, error
    references: tuple[tuple[str, str], ...]
    infos: tuple[Info, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What a URL holds: messages, links to further documents that hold some, and what of it could not be read."""

    messages: tuple[Message, ...] = ()
    links: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
