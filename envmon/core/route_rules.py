"""The rules of a route's traffic: every move, refusal and verification, as a table.

Rules
  - Nothing moves traffic without the lease; nothing moves it to the backup without a ready backup.
  - One automatic failover per episode (``episode=latched``); coming home is always an order.
  - In observe nothing is written; in held nothing is decided, and what was commanded is kept.
  - T rows answer the clock, O rows answer an operator; every order matches exactly one O row.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row
from envmon.model.effect import Urgency
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
    CONTRADICTED = "contradicted"


class Ready(StrEnum):
    """Can the backup take the calls."""

    YES = "yes"
    ASKED = "asked"  # a probe call placed for this decision is on its way, all else passes
    NO = "no"


class Left(StrEnum):
    """Whether the last call has left the primary."""

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


class Act(StrEnum):
    """What a row does."""

    ADOPT = "adopt"  # take the read position as ours
    SHIFT_BY_RULE = "shift_by_rule"
    SHIFT_BY_ORDER = "shift_by_order"
    RESTORE = "restore"
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
    taken: Answer  # an edge has confirmed the standing command since it was given
    whole: Answer  # every edge of the route answers
    soaked: Answer
    left: Left
    order: Ask


YES, NO = Answer.YES, Answer.NO
AUTO, HELD, OBSERVE = Mode.AUTOMATIC, Mode.HELD, Mode.OBSERVE
HOME = (Position.PRIMARY, Position.SPLIT)
HOMEWARD = (*HOME, Position.RESTORING)
AWAY = (Position.SHIFTING, Position.BACKUP)
KNOWN = (Position.PRIMARY, Position.SHIFTING, Position.BACKUP, Position.RESTORING, Position.SPLIT)
IN_TIME = (Proven.IDLE, Proven.WAITING, Proven.PROVEN, Proven.CONTRADICTED)
CALM = (Threat.NONE, Threat.WATCH)
WRITABLE = (Edges.AGREE, Edges.PENDING, Edges.FORGOT)
NOT_LATCHED = (Episode.NONE, Episode.OPEN)
CRITICAL, ERROR, WARNING, INFO = Urgency.CRITICAL, Urgency.ERROR, Urgency.WARNING, Urgency.INFO

# fmt: off
ROUTE_RULES: tuple[Row[Act], ...] = (
    # --- what the edges show -------------------------------------------------------------------------------------
    row("T01", "The edges show a position and no other was commanded: it is taken as the position.",
        Act.ADOPT, order=Ask.NONE, position=Position.UNREAD, edges=Edges.AGREE),
    row("T02", "In observe the position follows what the edges show.",
        Act.ADOPT, order=Ask.NONE, mode=OBSERVE, position=KNOWN, edges=(Edges.FORGOT, Edges.CONTESTED)),
    row("T03", "Somebody else has set another position: envmon does not fight an engineer.",
        Act.SAY, standing=True, page=CRITICAL,
        order=Ask.NONE, mode=(AUTO, HELD), position=KNOWN, edges=Edges.CONTESTED),
    row("T04", "The edges disagree among themselves and nothing was commanded.",
        Act.SAY, standing=True, page=ERROR, order=Ask.NONE, position=Position.UNREAD, edges=Edges.CONTESTED),
    row("T05", "The room is being lost and no edge has ever shown its position.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, position=Position.UNREAD, threat=Threat.ACT,
        edges=(Edges.UNREAD, Edges.PENDING, Edges.FORGOT)),
    # --- the room is being lost ----------------------------------------------------------------------------------
    row("T09", "Time to limit has come down to time to evacuate: the backup is called once more before anything moves.",
        Act.SAY, standing=True, order=Ask.NONE, mode=AUTO, position=HOME, threat=Threat.ACT,
        episode=NOT_LATCHED, lease=YES, ready=Ready.ASKED, edges=WRITABLE),
    row("T10", "Time to limit has come down to time to evacuate and the backup is ready: new calls go to the backup.",
        Act.SHIFT_BY_RULE, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=HOME, threat=Threat.ACT,
        episode=NOT_LATCHED, lease=YES, ready=Ready.YES, edges=WRITABLE),
    row("T11", "Observing: envmon would move new calls to the backup now.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=OBSERVE, position=HOMEWARD, threat=Threat.ACT,
        edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T12", "Held: envmon would move new calls to the backup now, but automation is frozen.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=HELD, position=HOMEWARD, threat=Threat.ACT,
        edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T13", "The calls cannot move: the backup is not ready.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=HOME, threat=Threat.ACT,
        episode=NOT_LATCHED, lease=YES, ready=Ready.NO, edges=WRITABLE),
    row("T14", "The one automatic failover of this episode is spent: the next move needs an order.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=HOME, threat=Threat.ACT,
        episode=Episode.LATCHED, edges=WRITABLE),
    row("T15", "The calls cannot move: the lease, the right to act, is not held.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=HOME, threat=Threat.ACT,
        episode=NOT_LATCHED, lease=NO, edges=WRITABLE),
    row("T16", "The calls cannot move: no edge answers.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=HOMEWARD, threat=Threat.ACT,
        edges=Edges.UNREAD),
    row("T17", "The room is being lost again while calls come home: new calls go back to the backup.",
        Act.SHIFT_BY_RULE, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=Position.RESTORING, threat=Threat.ACT,
        lease=YES, ready=Ready.YES, edges=WRITABLE),
    row("T18", "The room is being lost again while calls come home, and the backup is not ready.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=Position.RESTORING,
        threat=Threat.ACT, lease=YES, ready=(Ready.NO, Ready.ASKED), edges=WRITABLE),
    row("T19", "The room is being lost again while calls come home, and the lease is not held.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=AUTO, position=Position.RESTORING,
        threat=Threat.ACT, lease=NO, edges=WRITABLE),
    # --- proving a move ------------------------------------------------------------------------------------------
    row("T20", "The move to the backup is proven: read back on every edge, counters and probe calls agree.",
        Act.ARRIVE, page=INFO, order=Ask.NONE, position=Position.SHIFTING, proof=Proven.PROVEN, edges=Edges.AGREE,
        whole=YES),
    row("T24", "The move to the backup is proven at the edges that answer; partial, for one is silent.",
        Act.ARRIVE, page=ERROR, order=Ask.NONE, position=Position.SHIFTING, proof=Proven.PROVEN, edges=Edges.AGREE,
        whole=NO),
    row("T21", "The move to the backup is commanded, unproven.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=(AUTO, HELD), position=Position.SHIFTING,
        proof=Proven.OVERDUE, edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T22", "The move to the backup is contradicted: calls still reach the primary.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=(AUTO, HELD), position=Position.SHIFTING,
        proof=Proven.CONTRADICTED, edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T23", "The last call has left the primary: its power may go.",
        Act.DRAINED, page=INFO, order=Ask.NONE, position=Position.BACKUP, left=Left.YES, edges=Edges.AGREE),
    row("T25", "No call is left at the primary by the edges that answer; a silent edge may still send it calls.",
        Act.SAY, standing=True, page=ERROR, order=Ask.NONE, mode=(AUTO, HELD), position=Position.BACKUP,
        left=Left.PARTIAL, edges=Edges.AGREE),
    # --- keeping what was commanded ------------------------------------------------------------------------------
    row("T30", "An edge forgot the commanded position, or did not store it: it is written again.",
        Act.ASSERT, page=WARNING, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES, edges=Edges.FORGOT,
        taken=YES),
    row("T35", "The move has reached no edge yet, the backup is ready: it is written again.",
        Act.ASSERT, page=WARNING, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES, edges=Edges.FORGOT,
        taken=NO, ready=(Ready.YES, Ready.ASKED), threat=(Threat.WATCH, Threat.ACT)),
    row("T36", "The move has reached no edge, and the backup is not ready any more: nothing is written.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES,
        edges=Edges.FORGOT, taken=NO, ready=Ready.NO, threat=(Threat.WATCH, Threat.ACT)),
    row("T37", "The ordered move has reached no edge yet, the backup is ready: it is written again.",
        Act.ASSERT, page=WARNING, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES, edges=Edges.FORGOT,
        taken=NO, ready=(Ready.YES, Ready.ASKED), threat=Threat.NONE, proof=IN_TIME),
    row("T38", "The move has reached no edge, and its reason or its time is gone: it is given up.",
        Act.GIVE_UP, page=ERROR, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES, edges=Edges.FORGOT,
        taken=NO, threat=Threat.NONE, proof=Proven.OVERDUE),
    row("T39", "The ordered move has reached no edge, and the backup is not ready any more: nothing is written.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=YES,
        edges=Edges.FORGOT, taken=NO, ready=Ready.NO, threat=Threat.NONE, proof=IN_TIME),
    row("T31", "An edge forgot the commanded position on the way home: it is written again.",
        Act.ASSERT, page=WARNING, order=Ask.NONE, mode=(AUTO, HELD),
        position=HOMEWARD, threat=CALM, lease=YES, edges=Edges.FORGOT),
    row("T32", "An edge forgot the commanded position while automation is held: it is written again.",
        Act.ASSERT, page=WARNING, order=Ask.NONE, mode=HELD,
        position=HOMEWARD, threat=Threat.ACT, lease=YES,
        edges=Edges.FORGOT),
    row("T33", "An edge forgot the commanded position and the lease is not held: it cannot be written.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=(AUTO, HELD), position=AWAY, lease=NO,
        edges=Edges.FORGOT),
    row("T34", "Held, the room is being lost, an edge forgot its position, and the lease is not held.",
        Act.SAY, standing=True, page=CRITICAL, order=Ask.NONE, mode=HELD, position=HOMEWARD, threat=Threat.ACT,
        lease=NO, edges=Edges.FORGOT),
    row("T43", "An edge forgot that calls go to the primary, and the lease is not held: it cannot be written.",
        Act.SAY, standing=True, page=ERROR, order=Ask.NONE, mode=(AUTO, HELD), position=HOMEWARD, threat=CALM,
        lease=NO, edges=Edges.FORGOT),
    # --- coming home ---------------------------------------------------------------------------------------------
    row("T40", "The return to the primary is proven: read back on every edge, counters and probe calls agree.",
        Act.ARRIVE, page=INFO, order=Ask.NONE, position=Position.RESTORING, threat=CALM, proof=Proven.PROVEN,
        edges=Edges.AGREE),
    row("T41", "The return to the primary is commanded, unproven.",
        Act.SAY, standing=True, page=ERROR, order=Ask.NONE, mode=(AUTO, HELD), position=Position.RESTORING,
        threat=CALM, proof=Proven.OVERDUE, edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T42", "The return to the primary is contradicted: calls still reach the backup.",
        Act.SAY, standing=True, page=ERROR, order=Ask.NONE, mode=(AUTO, HELD), position=Position.RESTORING,
        threat=CALM, proof=Proven.CONTRADICTED, edges=(Edges.AGREE, Edges.PENDING, Edges.UNREAD)),
    row("T50", "The room has soaked and the calls are home: the episode is over.",
        Act.CLOSE, order=Ask.NONE, position=Position.PRIMARY, threat=Threat.NONE,
        episode=(Episode.OPEN, Episode.LATCHED), soaked=YES, edges=Edges.AGREE),
    # --- orders: shift -------------------------------------------------------------------------------------------
    row("O10", "Ordered: new calls go to the backup.",
        Act.SHIFT_BY_ORDER, page=CRITICAL, order=Ask.SHIFT, mode=(AUTO, HELD), position=HOMEWARD,
        lease=YES, ready=Ready.YES, edges=WRITABLE),
    row("O11", "Refused: in observe nothing is written. Arm first.",
        Act.SAY, refuses=True, order=(Ask.SHIFT, Ask.RESTORE), mode=OBSERVE),
    row("O12", "Refused: new calls already go to the backup.",
        Act.SAY, refuses=True, order=Ask.SHIFT, mode=(AUTO, HELD), position=AWAY),
    row("O13", "Refused: the lease, the right to act, is not held.",
        Act.SAY, refuses=True, order=Ask.SHIFT, mode=(AUTO, HELD), position=HOMEWARD, lease=NO,
        edges=WRITABLE),
    row("O14", "Refused: the backup is not ready.",
        Act.SAY, refuses=True, order=Ask.SHIFT, mode=(AUTO, HELD), position=HOMEWARD, lease=YES,
        ready=(Ready.NO, Ready.ASKED), edges=WRITABLE),
    row("O15", "Refused: no edge answers, or somebody else has set another position.",
        Act.SAY, refuses=True, order=Ask.SHIFT, mode=(AUTO, HELD), position=HOMEWARD,
        edges=(Edges.CONTESTED, Edges.UNREAD)),
    row("O16", "Refused: no edge has reported its position yet.",
        Act.SAY, refuses=True, order=(Ask.SHIFT, Ask.RESTORE), mode=(AUTO, HELD), position=Position.UNREAD),
    # --- orders: restore -----------------------------------------------------------------------------------------
    row("O20", "Ordered: new calls come home to the primary.",
        Act.RESTORE, page=WARNING, order=Ask.RESTORE, mode=(AUTO, HELD), position=(*AWAY, Position.SPLIT),
        threat=Threat.NONE, soaked=YES, lease=YES, edges=WRITABLE),
    row("O22", "Refused: new calls already go to the primary.",
        Act.SAY, refuses=True, order=Ask.RESTORE, mode=(AUTO, HELD),
        position=(Position.PRIMARY, Position.RESTORING)),
    row("O23", "Refused: the lease, the right to act, is not held.",
        Act.SAY, refuses=True, order=Ask.RESTORE, mode=(AUTO, HELD), position=(*AWAY, Position.SPLIT), lease=NO,
        edges=WRITABLE),
    row("O24", "Refused: the primary is not safe, there is evidence of a cooling loss.",
        Act.SAY, refuses=True, order=Ask.RESTORE, mode=(AUTO, HELD), position=(*AWAY, Position.SPLIT),
        threat=(Threat.WATCH, Threat.ACT), lease=YES, edges=WRITABLE),
    row("O25", "Refused: the repaired zones have not been good long enough.",
        Act.SAY, refuses=True, order=Ask.RESTORE, mode=(AUTO, HELD), position=(*AWAY, Position.SPLIT),
        threat=Threat.NONE, soaked=NO, lease=YES, edges=WRITABLE),
    row("O26", "Refused: no edge answers, or somebody else has set another position.",
        Act.SAY, refuses=True, order=Ask.RESTORE, mode=(AUTO, HELD), position=(*AWAY, Position.SPLIT),
        edges=(Edges.CONTESTED, Edges.UNREAD)),
)
# fmt: on
