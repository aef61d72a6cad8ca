"""The hash chain: sealing a record into a line, and finding the first line that was touched. Pure.

Rules
  - The hash covers every field of the line, its number and the hash before it; nothing is left out.
  - Text which is not valid Unicode is written escaped: nobody's typing can stop the journal.
  - Numbers must be finite; a line that cannot be read back the same is refused before it is written.

Theory of operation
  A chain alone shows an edit, a removal in the middle and a new order. It cannot show that its own end was cut
  off, nor that somebody rebuilt all of it. A head published elsewhere can: ``check`` takes the heads it must meet
  on its way, and says so when it does not.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from envmon.journal.record import JournalError, Record

GENESIS = "0" * 64
LARGEST = 2**63 - 1  # what an SQLite integer holds


@dataclass(frozen=True, slots=True)
class Head:
    """The newest line's number and hash. An empty journal's is number -1 and 64 zeros."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read the published form, ``NUMBER:HASH``. Raises JournalError."""
        number, _, digest = text.strip().partition(":")
        digest = digest.lower()
        if not (number.isascii() and number.isdigit()) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise JournalError(f"{text.strip()[:100]!r} is not a journal head; expected NUMBER:64 hexadecimal digits")
        return cls(int(number), digest)


EMPTY = Head(-1, GENESIS)


@dataclass(frozen=True, slots=True)
class Line:
    """A record in its place: number ``seq`` from 0, after the line whose hash is ``prev``."""

    seq: int
    prev: str
    hash: str
    record: Record


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found: ``lines`` good lines from the start, the head they end in, the first fault or ""."""

    ok: bool
    lines: int
    head: Head
    fault: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A head the chain must contain, and who says so (for the fault's text)."""

    head: Head
    source: str


def fields(line: Line) -> dict[str, object]:
    """Every field of a line except its hash, as plain JSON values."""
    record = line.record
    return {
        "seq": line.seq,
        "prev": line.prev,
        "entry": record.entry.value,
        "mono_ns": record.mono_ns,
        "wall": record.wall,
        "boot_id": record.boot_id,
        "subject": record.subject,
        "who": record.who,
        "text": record.text,
        "rule": record.rule,
        "facts": [list(fact) for fact in record.facts],
        "effect": record.effect,
        "order": record.order,
        "approvals": list(record.approvals),
        "deadline": record.deadline,
        "state_hash": record.state_hash,
        "epoch": record.epoch,
        "episode": record.episode,
        "extra": record.extra,
    }


def digest(line: Line) -> str:
    """The hash a line must carry, 64 hexadecimal digits."""
    canonical = json.dumps(fields(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def intact(line: Line) -> bool:
    """Whether the line's hash is that of its fields."""
    try:
        return line.hash == digest(line)
    except (TypeError, ValueError):  # a number or a character that no line was ever written with
        return False


def seal(record: Record, after: Head) -> Line:
    """Give a record its place behind ``after``. Raises JournalError when it holds what cannot be read back."""
    line = Line(after.seq + 1, after.hash, "", _clean(record))
    return replace(line, hash=digest(line))


def check(lines: Iterable[Line], expected: Sequence[Expected] = ()) -> Verification:
    """Follow the chain from line 0; stops at the first fault. ``lines`` may raise JournalError: that is a fault."""
    head, count = EMPTY, 0
    try:
        for line in lines:
            fault = _fault(line, head, [item for item in expected if item.head.seq == line.seq])
            if fault:
                return Verification(False, count, head, fault)
            head, count = Head(line.seq, line.hash), count + 1
    except JournalError as error:
        return Verification(False, count, head, str(error))
    for item in expected:
        if item.head.seq > head.seq:
            fault = f"the journal ends at line {head.seq}, but {item.source} is at {item.head.seq}: its end was removed"
            return Verification(False, count, head, fault)
    return Verification(True, count, head, "")


def _fault(line: Line, head: Head, expected: Sequence[Expected]) -> str:
    """What is wrong with the line that follows ``head``; "" when nothing is."""
    if line.seq != head.seq + 1:
        return f"line {head.seq + 1} is missing: line {line.seq} follows line {head.seq}"
    if line.prev != head.hash:
        return f"line {line.seq} does not follow line {head.seq}: a line was replaced, or the order changed"
    if not intact(line):
        return f"line {line.seq} was changed after it was written: its hash does not match its text"
    for item in expected:
        if line.hash != item.head.hash:
            return f"line {line.seq} is not the line of {item.source}: the chain was rebuilt"
    return ""


def _clean(record: Record) -> Record:
    """The record as it will be read back. Raises JournalError for numbers that would not be."""
    for name, number in (("wall", record.wall), ("deadline", record.deadline)):
        if not math.isfinite(number):
            raise JournalError(f"a journal line cannot hold {name} {number}: a time must be finite")
    for name, whole in (("mono_ns", record.mono_ns), ("epoch", record.epoch)):
        if not -LARGEST <= whole <= LARGEST:
            raise JournalError(f"a journal line cannot hold {name} {whole}: it does not fit in 64 bits")
    return replace(
        record,
        wall=float(record.wall) + 0.0,  # -0.0 becomes 0.0, as SQLite would make it
        deadline=float(record.deadline) + 0.0,
        boot_id=_text(record.boot_id),
        subject=_text(record.subject),
        who=_text(record.who),
        text=_text(record.text),
        rule=_text(record.rule),
        facts=tuple((_text(name), _text(value)) for name, value in record.facts),
        effect=_text(record.effect),
        order=_text(record.order),
        approvals=tuple(_text(name) for name in record.approvals),
        state_hash=_text(record.state_hash),
        episode=_text(record.episode),
        extra={_text(name): _text(value) for name, value in record.extra.items()},
    )


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
