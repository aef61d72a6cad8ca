"""Everything the mind remembers, as frozen values.

Rules
  - Every monotonic time is a field ending in ``_ns``; ``snapshot`` relies on the name to carry it over a reboot.
  - Mappings are replaced, never changed: a batch copies its zone's mapping and no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envmon.core.aside import SetAside
from envmon.core.route_words import Errand
from envmon.core.sky import Sky
from envmon.model.effect import Urgency
from envmon.model.event import Bequest, EdgeStatus, Order, Stamp
from envmon.model.policy import Policy
from envmon.model.reading import Reading, Role
from envmon.model.verdict import (
    Basis,
    Kind,
    Mode,
    Phase,
    Position,
    Sight,
    TimeToLimit,
    Verdict,
    Vote,
)

SECOND = 1_000_000_000  # nanoseconds
NEVER = Stamp(0, 0.0, "")


@dataclass(frozen=True, slots=True)
class Habit:
    """How a temperature point behaves: what it must keep to in order to keep its vote. Values in degC and K."""

    value: float
    before: float
    changed_ns: int  # its value is what it is since
    room: float | None  # what the room was then, by its role
    changes: int = 0
    every_s: float = 0.0  # mean time between changes
    rough: float = 0.0  # mean size of the bend between three readings: a ramp has none
    offset: float | None = None  # slow mean of its distance to the room; None until it first agreed
    jumped_ns: int = 0  # moved faster than it can, and has not agreed since; 0: did not
    jumped_from: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The latest reading of a point, the latest good one behind it, and how the point behaves."""

    reading: Reading
    at_ns: int
    good: Reading | None = None
    good_ns: int = 0
    habit: Habit | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A point lost its vote: why, and since when."""

    why: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A zone's temperature in degC at a moment, with its return air by network path, and its chilled water."""

    at_ns: int
    value: float
    back: tuple[tuple[str, float], ...] = ()
    water: float | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Where a zone is heading: slopes of its recent past, None where there is too little of it.

    ``fast`` and ``steady`` are K/s (upper quartile and median), ``soak`` K per square root of seconds, ``fade`` K of
    return air per e-fold of the time since the onset by network path, ``water`` K/s of the chilled water.
    """

    rises: bool = False  # clearly: three quarters of all pairwise slopes go up
    fast: float | None = None
    steady: float | None = None
    soak: float | None = None
    fade: tuple[tuple[str, float], ...] = ()
    water: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge said of a zone at the last tick. Temperatures degC, powers kW."""

    verdict: Verdict = Verdict.UNKNOWN
    basis: Basis = Basis.PROJECTED
    temperature: float | None = None  # second-hottest good inlet
    worst: float | None = None  # with age x slew
    time_to_limit: TimeToLimit = TimeToLimit(Sight.CANNOT_TELL)
    votes: tuple[Vote, ...] = ()
    quorum: bool = False  # measured at this tick
    margin_kw: float = 0.0
    spare_units: int = 0  # how many more units may fail: N+k
    power_left_s: float | None = None  # what the batteries or the fuel still carry, when power is away
    power_borne_out: bool = False
    power_says: str = ""
    shortfall: float = 0.0  # the part of the IT load that nothing cools, 0 to 1
    lost_units: tuple[str, ...] = ()
    why: str = "no reading yet"


@dataclass(frozen=True, slots=True)
class ZoneState:
    """A zone: its readings, its recent past, its judgement."""

    seen: Mapping[str, Seen] = field(default_factory=dict)
    history: tuple[Sample, ...] = ()
    course: Course = Course()
    normal: Mapping[Role, float] = field(default_factory=dict)  # slow averages of a healthy room, degC
    middles: Mapping[Role, float] = field(default_factory=dict)  # what the room's trusted points agree on now, degC
    doubts: Mapping[str, Doubt] = field(default_factory=dict)  # point -> why it has no vote
    idlers: Mapping[str, Doubt] = field(default_factory=dict)  # unit -> why it cools nothing, though it says it runs
    suspects_ns: Mapping[str, int] = field(default_factory=dict)  # point -> last without a vote for long
    phase: Phase = Phase.NORMAL
    onset_ns: int | None = None  # the cooling is evidently lost since
    onset_c: float | None = None  # the coolest the inlets were in the minutes before
    restart_until_ns: int | None = None  # a restart may be expected until
    restart_spent: bool = False  # a restart was expected and did not succeed
    short_ns: int | None = None  # the plant was last too little at
    corroborated_ns: int | None = None  # a quorum was first measured in this loss at
    ended_ns: int | None = None  # the last loss ended then, and has not yet proved to be over
    quorum_ns: int | None = None  # last measured quorum
    witnesses: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)  # and the points behind it, by kind
    lost: tuple[str, ...] = ()  # units known to be lost since ``onset_ns``
    resting_ns: Mapping[str, int] = field(default_factory=dict)  # unit -> last seen in standby
    power_ns: int | None = None  # the utility is away since
    judged_ns: int = 0
    verdict_ns: int = 0  # since when the verdict is what it is
    last_limit: TimeToLimit = TimeToLimit(Sight.CANNOT_TELL)  # at the last measured quorum
    good_since_ns: int | None = None
    judgement: Judgement = Judgement()


@dataclass(frozen=True, slots=True)
class EdgeView:
    """The last answer of an edge about one route; ``error`` is "" when it answered.

    ``speaks``: it did not, but it answers SIP.
    """

    status: EdgeStatus | None = None
    at_ns: int = 0
    error: str = "not asked yet"
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class ProbeView:
    """The last probe call through an edge, and how many were answered in a row since the standing command."""

    answered: bool
    at_ns: int
    detail: str
    in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class ReportView:
    """The last outside report of a readiness item, ``at_ns`` 0 before any; ``error``: why there is no newer one."""

    passed: bool
    at_ns: int
    why: str
    value: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an edge showed just after it confirmed a command: the starting line of the proof."""

    at_ns: int
    start: EdgeStatus
    wrong_ns: int = 0  # its calls last went otherwise than commanded; 0: never


@dataclass(frozen=True, slots=True)
class Measured:
    """What one real move or drill took, in seconds; ``drain_s`` None where nobody saw the last call end."""

    wall: float
    verify_s: float
    drain_s: float | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True)
class RouteState:
    """The traffic position of a route and what is known about it.

    ``command_epoch`` is the epoch ``commanded`` was last sent under, 0 for a position that was only adopted;
    ``asserted_ns`` is when. ``confirmed`` are the edges that have reported it since, with what they reported then;
    ``taken`` says one ever did, ``started`` when each of them had started then. ``unsure`` are the writes whose end
    is not known to be good, by edge. ``announced`` are the pages of this episode, by rule. ``moved_ns`` is when the
    move under way, or the last one, began, and ``errand`` what for; ``attempts`` counts those of this episode that
    were rolled back, the last one then. ``measured`` are the last real moves.
    """

    position: Position = Position.UNREAD
    commanded: int | None = None  # percent to the backup
    command_ns: int = 0
    asserted_ns: int = 0
    asserts: int = 0  # writes repeated since the edges last agreed
    command_epoch: int = 0
    taken: bool = False
    confirmed: Mapping[str, EdgeStatus] = field(default_factory=dict)
    started: Mapping[str, int] = field(default_factory=dict)  # edge -> up_since
    unsure: Mapping[str, str] = field(default_factory=dict)  # edge -> effect
    edges: Mapping[str, EdgeView] = field(default_factory=dict)
    probes: Mapping[str, ProbeView] = field(default_factory=dict)  # "edge/target"
    reports: Mapping[str, ReportView] = field(default_factory=dict)  # readiness item -> last outside report
    baseline: Mapping[str, Baseline] = field(default_factory=dict)
    act_ns: int | None = None  # threat stands at ACT since
    asked_ns: int = 0  # last probe call asked for
    episode: str = ""
    latched: bool = False
    errand: Errand = Errand.RULE
    frozen: bool = False  # held since the move began
    vouched: bool = False  # two people vouched for the backup when they ordered the move under way
    moved_ns: int = 0
    attempts: int = 0
    rolled_back_ns: int = 0
    measured: tuple[Measured, ...] = ()
    drain_said: bool = False
    standing: str = ""  # id of the rule that stood at the last tick
    announced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The right to act, as last reported; ``stamped_ns`` is when its epoch was last sent to the edges.

    ``holder`` is who holds it while we stand by, "" while nobody is known to; ``beside_ns`` is since when.
    """

    held: bool = False
    epoch: int = 0
    detail: str = "not taken yet"
    stamped_ns: int = 0
    holder: str = ""
    beside_ns: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """An order that waits for a second person, and the state it was made for, a line each."""

    order: Order
    state: tuple[str, ...]
    until_ns: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A page about an event, not about a condition: it is resolved when its time is over."""

    text: str
    urgency: Urgency
    until_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What freezes automation: whose order, and until when (``until`` in Unix seconds, for people).

    A hold by rule has no end (0): an operator ends it. ``told_ns`` is when people were last told of one by rule, or
    warned of the end of one by order; 0: not yet.
    """

    who: str
    reason: str
    since_ns: int
    until_ns: int = 0
    until: float = 0.0
    told_ns: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy that was refused because it is looser, and in what."""

    policy: Policy
    digest: str
    who: str
    looser: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """The whole memory. ``effects`` counts the traffic effects ever issued and names the next one.

    ``last_epoch`` is the last one we held ourselves; ``followed`` the one of another envmon whose lease we took and
    whose memory we do not have, 0 once it was inherited or an operator has said to go on. ``bequest`` is what lies
    under the lease while another holds it, until it is taken. ``decided`` counts our decisions: it dates a memory.
    """

    now: Stamp = NEVER
    policy: Policy | None = None
    digest: str = ""
    proposal: Proposal | None = None
    mode: Mode = Mode.OBSERVE
    mode_rule: str = ""  # the rule that put us into this mode
    mode_why: str = ""
    hold: Hold | None = None  # while the mode is held
    zones: Mapping[str, ZoneState] = field(default_factory=dict)
    routes: Mapping[str, RouteState] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)  # id -> error, "" when it answers
    silent_ns: Mapping[str, int] = field(default_factory=dict)  # device -> silent since
    lease: LeaseState = LeaseState()
    last_epoch: int = 0
    followed: int = 0
    bequest: Bequest | None = None
    decided: int = 0
    raised: Mapping[str, str] = field(default_factory=dict)  # page key -> urgency as last sent
    faster: Mapping[str, float] = field(default_factory=dict)  # zone -> poll interval asked for, s
    effects: int = 0
    sky: Sky = Sky()
    aside: SetAside = SetAside()
    requests: Mapping[str, Request] = field(default_factory=dict)
    notices: Mapping[str, Notice] = field(default_factory=dict)


def initial() -> World:
    """A mind that has seen nothing: it observes."""
    return World()


def age_s(now: Stamp, at_ns: int) -> float:
    """Seconds since a monotonic moment."""
    return (now.mono_ns - at_ns) / SECOND
