"""What happened in one run, from witnesses that do not know of each other: plain values for the checks.

Rules
- Times are seconds of the host's monotonic clock, which the journals' lines carry, too; no wall clock is believed.
- An edge's own log is in its own order and needs no clock.
"""

import re
from dataclasses import dataclass, field
from math import inf

_FENCE = re.compile(r"envmon: fence (\d+) -> (\d+), by (\S+)")
_ROUTE = re.compile(r"envmon: outbound (\d+) -> (\d+) percent to the backup, epoch (\d+), by (\S+)")


@dataclass(slots=True)
class Write:
    """A command as it passed a door. ``percent`` None: a stamp. ``permit``: its line in the journal, -1: none there.

    ``status`` is what the edge answered, 0 where no answer was seen.
    """

    at: float
    daemon: str
    edge: str
    epoch: int
    percent: int | None
    permit: int
    status: int = 0
    answered: float = 0.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A line of an edge's log: a write in force. ``by`` is the daemon, or "" for the bench's own hand."""

    edge: str
    epoch: int
    percent: int | None
    by: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call: through which edge, whether it was answered, which site saw it last ("" none)."""

    at: float
    ended: float
    edge: str
    answered: bool
    site: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A page that arrived, from which daemon; ``number`` is the same over retries."""

    at: float
    daemon: str
    site: str
    key: str
    action: str
    number: int
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order: when it was given, until when its giver waited, and how it was answered ("" not at all)."""

    daemon: str
    command: str
    reason: str
    at: float
    until: float
    answer: str


@dataclass(frozen=True, slots=True)
class Down:
    """From when to when an edge was not expected to answer."""

    edge: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a journal."""

    seq: int
    at: float
    entry: str
    rule: str
    subject: str
    text: str
    episode: str = ""
    effect: str = ""
    order: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What one daemon left, over all its lives; ``waiting`` are the keys of the pages in its spool.

    ``journal`` and ``replay`` say what is wrong with them, ``cut`` whether a kill or a full disk may have cut them.
    """

    daemon: str
    lines: tuple[Line, ...] = ()
    journal: str = ""
    replay: str = ""
    replayed: tuple[str, ...] = ()  # rules, in order, but for verdicts
    digest: str = ""  # of the replay
    waiting: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A daemon after everything was healed, and it was calm."""

    daemon: str
    held: bool
    epoch: int
    mode: str
    position: str
    commanded: int | None
    edges_say: str
    latched: bool
    pages: tuple[str, ...]  # keys that are raised


@dataclass(frozen=True, slots=True)
class History:
    """One run."""

    lost_room: bool = False
    accepted: dict[str, tuple[Accepted, ...]] = field(default_factory=dict)  # by edge, in its order
    writes: tuple[Write, ...] = ()
    calls: tuple[Call, ...] = ()
    pages: tuple[Taken, ...] = ()
    orders: tuple[Ordered, ...] = ()
    down: tuple[Down, ...] = ()
    left: tuple[Left, ...] = ()
    ends: tuple[Ended, ...] = ()
    asked: float = inf  # when the daemons were asked for their ends; they live on for a moment
    percents: dict[str, int] = field(default_factory=dict)  # what each edge shows at the end
    calm: str = ""  # why it did not become calm


def accepted(edge: str, log: str, daemons: dict[str, str]) -> tuple[Accepted, ...]:
    """The writes an edge's log tells, in its order; ``daemons`` are names by address."""
    found = []
    for line in log.splitlines():
        if fence := _FENCE.search(line):
            found.append(Accepted(edge, int(fence[2]), None, daemons.get(fence[3], "")))
        elif route := _ROUTE.search(line):
            found.append(Accepted(edge, int(route[3]), int(route[2]), daemons.get(route[4], "")))
    return tuple(found)
