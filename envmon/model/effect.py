"""What the mind wants done: the outputs of ``core.advance`` that somebody else carries out.

Rules
  - ``SetPercent`` and ``StampEpoch`` reach an edge only through the journal, then the dispatcher.
  - ``Page``, ``PollFaster`` and ``AskProbe`` never wait for the disk.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class SetPercent:
    """Put ``percent`` of new calls of ``route`` on the backup, at these edges, under this epoch."""

    id: str
    route: str
    edges: tuple[str, ...]
    percent: int
    epoch: int


@dataclass(frozen=True, slots=True)
class StampEpoch:
    """Show a newly taken epoch to these edges, so that an older holder is fenced. Moves no traffic."""

    id: str
    edges: tuple[str, ...]
    epoch: int


class Urgency(StrEnum):
    """Who must look, and when."""

    CRITICAL = "critical"  # calls at risk, or a failover that did not work
    ERROR = "error"  # redundancy lost, cannot act
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Page:
    """Tell people. ``key`` is stable for one condition of one episode; ``raised`` False resolves it."""

    key: str
    raised: bool
    urgency: Urgency
    summary: str  # stands alone on a lock screen
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PollFaster:
    """Devices of this zone are wanted every ``interval_s`` seconds, or as configured (0)."""

    zone: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class AskProbe:
    """Place probe calls for this route now, and ask for its other proofs again: a decision or a storm wants them."""

    route: str


TrafficEffect = SetPercent | StampEpoch
Effect = TrafficEffect | Page | PollFaster | AskProbe


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the rule table fired: what, why, and on which facts. Written to the journal as it is.

    ``subject`` is ``mode``, ``zone:ID``, ``route:ID`` or ``lease``. ``order`` is the id of the order it answers.
    """

    rule: str
    subject: str
    sentence: str
    why: str
    facts: tuple[tuple[str, str], ...]
    effects: tuple[str, ...] = ()
    order: str = ""
    refused: bool = False
    episode: str = ""
    waits: bool = False  # for a second person
    approvals: tuple[str, ...] = ()
