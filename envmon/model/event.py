"""Everything that can happen to the mind: the inputs of ``core.advance``.

Rules
  - Time arrives inside events; durations use ``mono_ns`` only, ``wall`` is for people.
  - One event per device poll (a batch), never one per reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from envmon.model.policy import Policy
from envmon.model.reading import Reading
from envmon.model.weather import WeatherWarning


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: monotonic nanoseconds since ``boot_id``'s boot, and Unix seconds for people."""

    mono_ns: int
    wall: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """A policy wants force; ``text`` is the configuration as read, ``digest`` its SHA-256.

    ``approvals`` are those who let it be looser than the one in force.
    """

    at: Stamp
    policy: Policy
    digest: str
    who: str
    text: str = ""
    approvals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """One poll of one device: every point of the device, good or not. ``error`` is "" when it answered.

    What comes from a poller are ``Readings``; any other sequence will do.
    """

    at: Stamp
    device: str
    readings: Sequence[Reading]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Once a second: judge the zones, run the clocks, look for a rule."""

    at: Stamp


@dataclass(frozen=True, slots=True)
class EdgeStatus:
    """What one SIP edge reports about one route.

    ``percent`` is its share of new calls going to the backup, ``set_epoch`` the epoch of the write that put it
    there (0: nobody ever), ``fence`` the newest epoch the edge has seen, ``up_since`` its start in
    Unix seconds. Counters count calls routed since ``up_since``; active counts are calls in progress.
    An edge that ``counts`` is False sees no calls: its four counts are 0 and mean nothing. One that ``ends`` counts how
    calls ended, too, by the site that had them last: answered, refused (an end that is no fault of the site) or failed
    (no answer in time, or 5xx); and ``retried``, the calls in ``calls_backup`` that had first been sent to the primary.
    """

    edge: str
    route: str
    percent: int
    set_epoch: int
    fence: int
    up_since: int
    calls_primary: int
    calls_backup: int
    active_primary: int
    active_backup: int
    counts: bool = True
    ends: bool = False
    answered_primary: int = 0
    answered_backup: int = 0
    refused_primary: int = 0
    refused_backup: int = 0
    failed_primary: int = 0
    failed_backup: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class EdgeReport:
    """An edge was asked: it answered with one status per route, or did not (``error``).

    ``at`` is the moment it was asked, so that a write that finished meanwhile is never judged by an older answer.
    ``speaks``: it takes no commands, but it answered OPTIONS: calls still go through it.
    """

    at: Stamp
    edge: str
    statuses: tuple[EdgeStatus, ...]
    error: str = ""
    speaks: bool = False


class Target(StrEnum):
    """Which far end a probe call was sent to."""

    PRIMARY = "primary"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """A probe call through ``edge`` to the ``target`` site of ``route`` was answered, or was not.

    ``at`` is the moment the call was placed: a probe proves nothing about a command given after it began.
    """

    at: Stamp
    route: str
    edge: str
    target: Target
    answered: bool
    answered_by: str
    detail: str
    millis: float


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Somebody outside checked one thing the backup of ``route`` needs (capacity, list parity, the carrier's route).

    ``item`` is a name in the route's ``proofs``, ``why`` says what was found. ``at`` is when it was checked. With an
    ``error`` nothing was learnt: the last word stands, and grows old.
    """

    at: Stamp
    route: str
    item: str
    passed: bool
    why: str
    value: float | None = None  # for call_capacity: how many more calls the backup can take
    error: str = ""


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """The right to act: taken with ``epoch``, or not held, and why.

    ``former`` is the epoch of the holder before, 0 where there was none: it may be another envmon's. ``holder`` names
    who holds it instead of us, "" where nobody is known to.
    """

    at: Stamp
    held: bool
    epoch: int
    detail: str
    former: int = 0
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Bequest:
    """What lay under the lease when we looked: the memory of who holds it, or held it last.

    ``epoch`` is the one it was kept under, ``latest`` the newest epoch of the lease then. ``age_s`` is how old it is at
    most by our own clock, None where we had not looked before. ``text`` is "" where nothing is kept.
    """

    at: Stamp
    epoch: int
    latest: int
    text: str = ""
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class WeatherReport:
    """A weather service was asked: the warnings that concern the site, all of them unless there is an ``error``."""

    at: Stamp
    feed: str
    warnings: tuple[WeatherWarning, ...]
    error: str = ""


class Outcome(StrEnum):
    """How an effect ended at its executor."""

    DONE = "done"
    FENCED = "fenced"  # the edge has seen a newer epoch (HTTP 409)
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EffectReport:
    """The dispatcher's answer for one effect at one edge."""

    at: Stamp
    effect: str
    edge: str
    outcome: Outcome
    detail: str


class Command(StrEnum):
    """What an operator can order."""

    SHIFT = "shift"
    RESTORE = "restore"
    DRILL = "drill"
    HOLD = "hold"
    RESUME = "resume"
    ARM = "arm"
    DISARM = "disarm"
    ACCEPT = "accept"  # a looser policy
    MAINTENANCE = "maintenance"
    MAINTENANCE_END = "maintenance_end"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    APPROVE = "approve"  # what somebody else asked for and one alone may not do


class Access(StrEnum):
    """What a person may do: look; give orders; also be the second person."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Order:
    """An authenticated operator command; ``route`` is "" for the orders that concern the control mode.

    ``who`` is for people to read, ``person`` is who is behind it: two orders of one person have one ``person``.
    ``override`` orders against a refusal, ``break_glass`` does alone what needs two; ``request`` is what is approved.
    ``target`` is what is set aside (a unit, a page's key), ``until`` its end in Unix seconds.
    ``late`` tells that nobody waited for its answer any more when it was taken.
    """

    id: str
    command: Command
    route: str
    who: str
    reason: str
    approvals: tuple[str, ...] = ()
    person: str = ""
    access: Access = Access.APPROVER
    override: bool = False
    break_glass: bool = False
    request: str = ""
    target: str = ""
    until: float = 0.0
    late: bool = False


@dataclass(frozen=True, slots=True)
class OrderReceived:
    """An order arrived; it is answered in the same step, accepted or refused."""

    at: Stamp
    order: Order


Event = (
    PolicyLoaded
    | DeviceBatch
    | Tick
    | EdgeReport
    | ProbeReport
    | ReadinessReport
    | LeaseReport
    | Bequest
    | WeatherReport
    | EffectReport
    | OrderReceived
)
