"""One line of the journal, in its final shape.

Rules
  - ``hash`` is SHA-256 over the line's number, the previous line's hash and every other field, canonical JSON
    (sorted keys, no spaces, UTF-8; see ``chain``). Line 0 follows the hash of 64 zeros.
  - No field is ever renamed or dropped; an unused one is empty. What is new goes to ``extra``.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class JournalError(Exception):
    """The journal cannot be opened, read or written; the text says where, why and what to do."""


class Entry(StrEnum):
    """What a line tells."""

    START = "start"
    STOP = "stop"
    POLICY = "policy"
    ORDER = "order"
    DECISION = "decision"
    RESULT = "result"
    VERDICT = "verdict"
    MODE = "mode"
    LEASE = "lease"


@dataclass(frozen=True, slots=True)
class Record:
    """What is written; the journal adds ``seq``, ``prev`` and ``hash``."""

    entry: Entry
    mono_ns: int
    wall: float
    boot_id: str
    subject: str  # mode, lease, zone:ID, route:ID
    who: str  # "envmon" or the operator
    text: str  # one sentence for people
    rule: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    effect: str = ""  # JSON of the traffic effect this line permits
    order: str = ""
    approvals: tuple[str, ...] = ()
    deadline: float = 0.0  # Unix seconds after which it must not be executed; 0: none
    state_hash: str = ""  # SHA-256 of the snapshot written with this line, the state it left behind
    epoch: int = 0
    episode: str = ""
    extra: dict[str, str] = field(default_factory=dict)
