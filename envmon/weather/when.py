"""Times of warnings: ISO 8601 as CAP 1.2 writes it, and what to do with one that does not say its zone.

Rules
  - CAP 1.2 (3.3.2) wants an offset, such as -05:00. A time without one may mean 26 different moments: a beginning
    counts as the earliest of them, an end as the latest, so that the mistake never ends a warning early.
"""

from datetime import UTC, datetime, timedelta, timezone

EARLIEST = timezone(timedelta(hours=14))  # the clocks that are furthest ahead
LATEST = timezone(timedelta(hours=-12))


def begins(text: str) -> float | None:
    """The earliest moment a text can mean, Unix seconds; None when it is no time."""
    return _moment(text, EARLIEST)


def ends(text: str) -> float | None:
    """The latest moment a text can mean, Unix seconds; None when it is no time."""
    return _moment(text, LATEST)


def _moment(text: str, assumed: timezone) -> float | None:
    try:
        when = datetime.fromisoformat(text.strip())
        if when.tzinfo is None:
            when = when.replace(tzinfo=assumed)
        return (when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
