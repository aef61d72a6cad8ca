"""The words of a route's rules: the finite facts it is decided on, and what a rule does."""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer
from envmon.model.verdict import Mode, Position


class Threat(StrEnum):
    """What the zones of a route mean for it."""

    NONE = "none"
    WATCH = "watch"  # evidence, but more time than an evacuation needs
    ACT = "act"  # time to limit has come down to time to evacuate


class Edges(StrEnum):
    """What the edges report against what was commanded."""

    AGREE = "agree"
    PENDING = "pending"  # a write is on its way
    FORGOT = "forgot"  # restarted, reloaded or missed the write
    CONTESTED = "contested"  # set otherwise by somebody else's hand
    UNREAD = "unread"  # none has answered lately


class Proven(StrEnum):
    """How far a commanded move is proven."""

    IDLE = "idle"  # nothing to prove
    WAITING = "waiting"
    PROVEN = "proven"
    OVERDUE = "overdue"
    CONTRADICTED = "contradicted"  # the counters say other than the read-back
    FALTERING = "faltering"  # the site the calls go to fails them


class Ready(StrEnum):
    """Can the backup take the calls."""

    YES = "yes"
    ASKED = "asked"  # a probe call placed for this decision is on its way, all else passes
    NO = "no"


class Left(StrEnum):
    """Whether the last call has left the site that is being left."""

    NO = "no"
    YES = "yes"
    PARTIAL = "partial"  # none at the edges that answer; a silent edge's calls are not known


class Episode(StrEnum):
    """Where the route is in a cooling-loss episode."""

    NONE = "none"
    OPEN = "open"
    LATCHED = "latched"  # its one automatic failover is spent


class Ask(StrEnum):
    """The order being answered."""

    NONE = "none"
    SHIFT = "shift"
    RESTORE = "restore"
    DRILL = "drill"


class Stage(StrEnum):
    """How much of the new calls the standing command moves."""

    PART = "part"  # a tenth, a half: more is to follow
    WHOLE = "whole"


class Pace(StrEnum):
    """Whether there is time, and a way, to move by stages."""

    STAGED = "staged"
    URGENT = "urgent"  # time to limit leaves no room for a stage, or the edges can only move all or nothing


class Errand(StrEnum):
    """What the move under way is for."""

    RULE = "rule"
    ORDER = "order"
    DRILL = "drill"


class Act(StrEnum):
    """What a row does."""

    ADOPT = "adopt"  # take the read position as ours
    SHIFT_BY_RULE = "shift_by_rule"  # all new calls at once
    SHIFT_BY_ORDER = "shift_by_order"
    STAGE_BY_RULE = "stage_by_rule"  # the first stage
    STAGE_BY_ORDER = "stage_by_order"
    NEXT_STAGE = "next_stage"
    THE_REST = "the_rest"  # all new calls at once, on a move under way
    ROLL_BACK = "roll_back"
    RESTORE = "restore"  # all new calls at once
    STAGE_HOME = "stage_home"  # the first stage
    DRILL = "drill"
    DRILL_HOME = "drill_home"
    DRILL_DONE = "drill_done"
    DRILL_ENDS = "drill_ends"  # its position is kept, its errand is over
    ASSERT = "assert"  # write the commanded position again
    ARRIVE = "arrive"  # the commanded position is proven
    DRAINED = "drained"
    GIVE_UP = "give_up"  # a command no edge ever took is dropped
    CLOSE = "close"  # the episode is over
    SAY = "say"  # only tell


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """The finite facts a route is decided on."""

    mode: Mode
    position: Position
    threat: Threat
    ready: Ready
    lease: Answer
    episode: Episode
    edges: Edges
    proof: Proven
    stage: Stage
    pace: Pace
    errand: Errand
    going: Answer  # the move may go on: automatic, or held since before the order that it carries out
    back: Answer  # going back is ours to do, and the primary's lower bound leaves an evacuation and a dwell
    taken: Answer  # an edge has confirmed the standing command since it was given
    whole: Answer  # every edge of the route answers
    soaked: Answer
    spare: Answer  # every zone is back at N+1: no unit lost, or one to spare
    quiet: Answer  # inside the window for drills
    left: Left
    order: Ask


YES, NO = Answer.YES, Answer.NO
AUTO, HELD, OBSERVE = Mode.AUTOMATIC, Mode.HELD, Mode.OBSERVE
HOME = (Position.PRIMARY, Position.SPLIT)
HOMEWARD = (*HOME, Position.RESTORING)
AWAY = (Position.SHIFTING, Position.BACKUP)
KNOWN = (Position.PRIMARY, Position.SHIFTING, Position.BACKUP, Position.RESTORING, Position.SPLIT)
IN_TIME = (Proven.IDLE, Proven.WAITING, Proven.PROVEN, Proven.CONTRADICTED, Proven.FALTERING)
CALM = (Threat.NONE, Threat.WATCH)
WRITABLE = (Edges.AGREE, Edges.PENDING, Edges.FORGOT)
NOT_LATCHED = (Episode.NONE, Episode.OPEN)
