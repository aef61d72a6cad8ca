"""A journal's lines as text: one line each for people, or JSON Lines for programs. Pure.

Rules
  - Times are local to the time zone given, with their offset from UTC.
  - Nothing a line holds can move a terminal's cursor or start a line of its own: control characters are escaped.
"""

import json
from datetime import UTC, datetime, tzinfo

from envmon.journal.chain import Line, Verification, fields


def for_people(line: Line, zone: tzinfo | None = None) -> str:
    """``2026-03-01 14:22:07+01:00  #12  route:main  text  (R07)``; ``zone`` None is the computer's own."""
    record = line.record
    parts = [clock(record.wall, zone), f"#{line.seq}", printable(record.subject), printable(record.text)]
    if record.who != "envmon":
        parts[-1] += f" [{printable(', '.join((record.who, *record.approvals)))}]"
    if record.rule:
        parts.append(f"({printable(record.rule)})")
    return "  ".join(parts)


def as_json(line: Line) -> str:
    """Every field of the line, its hash and its time in RFC 3339 (UTC), as one line of JSON."""
    document = {**fields(line), "hash": line.hash, "time": clock(line.record.wall, UTC).replace(" ", "T", 1)}
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"))


def verdict(found: Verification) -> str:
    """What a verification found, as one sentence."""
    if found.ok:
        return f"{found.lines} lines, unbroken; head {found.head}"
    return f"BROKEN after {found.lines} good lines: {found.fault}"


def clock(wall: float, zone: tzinfo | None) -> str:
    """Unix seconds as date, time and offset; a time no calendar holds is shown as its number."""
    try:
        return datetime.fromtimestamp(wall, zone or UTC).astimezone(zone).isoformat(" ", "seconds")
    except (OverflowError, OSError, ValueError):
        return f"@{wall:.0f}"


def printable(text: str) -> str:
    """Text with everything a terminal could act on escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
