"""From messages to the warnings that concern the site and are meant to be heeded.

Rules
  - Only status Actual counts; tests, exercises and drafts do not (CAP 1.2, 3.2.1).
  - A message that a later one of the same sender updates or cancels is over; another sender cannot end it.
  - An unknown severity counts as severe enough; a message that urges nothing any more (Past, AllClear) is no warning.
  - A warning whose place cannot be compared with ours is not clear: it is counted, and the look is not whole.
  - Without a readable end a warning stands for 12 hours from when it was sent, or while the feed shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from envmon.config.settings import WeatherSettings
from envmon.model.texts import line
from envmon.model.weather import WeatherWarning
from envmon.weather.message import Info, Message
from envmon.weather.place import concerns
from envmon.weather.when import begins, ends

SEVERITIES = ("minor", "moderate", "severe", "extreme")  # in this order; CAP 1.2, 3.2.2
WITHOUT_END_S = 43_200.0
SHOWN_S = 3_600.0
LONGEST_S = 14 * 86_400.0  # a mistyped year does not warn for a century
MOST = 100


@dataclass(frozen=True, slots=True)
class Heeded:
    """The warnings, and how many more would be heeded if one knew where they are."""

    warnings: tuple[WeatherWarning, ...]
    unplaced: int = 0


def heed(settings: WeatherSettings, messages: Iterable[Message], now: float, *, asked_for_place: bool) -> Heeded:
    """Sift messages at ``now``; ``asked_for_place``: the service was asked for our place alone."""
    told = list(messages)
    over = {
        reference
        for message in told
        if message.status == "actual" and message.kind in ("update", "cancel")
        for reference in message.references
        if reference[0] == message.sender
    }
    found: dict[str, WeatherWarning] = {}
    unplaced = 0
    for message in told:
        ended = (message.sender, message.identifier) in over or message.kind not in ("alert", "update")
        if message.status != "actual" or ended:
            continue
        infos = [info for info in message.infos if _heeded(settings, info)]
        standing = [(_warning(message, info, now), concerns(settings, info.areas)) for info in infos]
        standing = [(warning, here) for warning, here in standing if warning.until > now]
        placed = [warning for warning, here in standing if here or (here is None and asked_for_place)]
        if placed:
            found.setdefault(placed[0].id, placed[0])  # further infos say the same in other languages
        elif any(here is None for _, here in standing):
            unplaced += 1
    latest = sorted(found.values(), key=lambda each: (-each.until, each.id))[:MOST]
    return Heeded(tuple(latest), unplaced)


def _heeded(settings: WeatherSettings, info: Info) -> bool:
    if info.urgency == "past" or info.response == "allclear":
        return False
    if settings.events:
        return any(fnmatchcase(info.event.casefold(), event.casefold()) for event in settings.events)
    if info.severity not in SEVERITIES:
        return True
    return SEVERITIES.index(info.severity) >= SEVERITIES.index(settings.severity)


def _warning(message: Message, info: Info, now: float) -> WeatherWarning:
    sent = begins(message.sent)
    stated = ends(info.ends) or ends(info.expires)
    fallback = now + SHOWN_S if sent is None else sent + WITHOUT_END_S
    return WeatherWarning(
        id=line(message.identifier),
        event=line(info.event) or "warning",
        severity=info.severity if info.severity in SEVERITIES else "unknown",
        onset=min(begins(info.onset) or sent or now, now + LONGEST_S),
        until=min(fallback if stated is None else stated, now + LONGEST_S),
        headline=line(info.headline),
    )
