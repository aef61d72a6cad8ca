"""The rules of the control mode and of the lease, as tables.

Rules
  - The mode is never a position: holding, arming or disarming moves no traffic.
  - Automatic is refused where losing a zone would also lose the lever that leaves it.
  - A position set by somebody else's hand, or a newer epoch at an edge, holds automation until an operator resumes.
  - A hold by order ends by itself and is then as if it had been resumed; one by rule ends by order only, and is told
    again and again. Neither end moves anything.
  - Whoever takes the lease from another envmon inherits its mode, or starts held: ``heir_rules``.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.aside_rules import Lasts
from envmon.core.table import Answer, Row, row
from envmon.model.effect import Urgency
from envmon.model.verdict import Mode


class Hand(StrEnum):
    """Whether somebody else's hand shows at the edges."""

    NONE = "none"
    ELSEWHERE = "elsewhere"  # another position, the same on every edge
    DIVIDED = "divided"  # the edges differ among themselves
    NEWER = "newer"  # an edge has seen a newer epoch than ours


class Held(StrEnum):
    """How long automation is still held."""

    NONE = "none"  # it is not
    RULE = "rule"  # by rule: until an operator resumes
    REMIND = "remind"  # by rule, and nobody was told for an hour
    RUNS = "runs"  # by order, for a while yet
    SOON = "soon"  # its end is near, and nobody was told
    OVER = "over"  # its time is over


class ModeAsk(StrEnum):
    """The order being answered."""

    NONE = "none"
    HOLD = "hold"
    RESUME = "resume"
    ARM = "arm"
    DISARM = "disarm"


class ModeAct(StrEnum):
    """What a row does."""

    OBSERVE = "observe"
    AUTOMATIC = "automatic"
    HOLD = "hold"
    RESUME = "resume"
    EXTEND = "extend"  # give the hold a new end
    WARN = "warn"  # tell that its end is near
    LIFT = "lift"  # end it
    REMIND = "remind"  # tell again that it stands
    SAY = "say"


class Fence(StrEnum):
    """How the edges' fences stand to our epoch."""

    LOW = "low"  # an edge that answers has not seen it
    LEVEL = "level"


class LeaseAct(StrEnum):
    """What a lease row does."""

    STAMP = "stamp"


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """The finite facts the mode is decided on."""

    mode: Mode
    placement: Answer  # YES: losing a zone never loses the lever that leaves it
    hand: Hand
    held: Held
    lasts: Lasts  # the end a hold was ordered with
    order: ModeAsk


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """The finite facts of the lease."""

    mode: Mode
    lease: Answer
    fence: Fence
    outbid: Answer  # YES: a newer epoch holds us (M51), and nobody has resumed since
    due: Answer  # YES: not stamped in the last seconds


YES, NO = Answer.YES, Answer.NO
AUTO, HELD, OBSERVE = Mode.AUTOMATIC, Mode.HELD, Mode.OBSERVE
BY_RULE = (Held.RULE, Held.REMIND)
ENDS = (Held.NONE, Held.RUNS, Held.SOON, Held.OVER)
FREE = (Held.NONE, Held.OVER)  # nobody's order holds automation

# fmt: off
MODE_RULES: tuple[Row[ModeAct], ...] = (
    row("M10", "Armed: envmon may move traffic by its rules.",
        ModeAct.AUTOMATIC, page=Urgency.INFO, order=ModeAsk.ARM, mode=OBSERVE, placement=YES),
    row("M11", "Refused: losing a zone would also lose the lever that leaves it.",
        ModeAct.SAY, refuses=True, order=ModeAsk.ARM, mode=OBSERVE, placement=NO),
    row("M12", "Refused: already armed.",
        ModeAct.SAY, refuses=True, order=ModeAsk.ARM, mode=AUTO),
    row("M13", "Refused: automation is held. Resume first.",
        ModeAct.SAY, refuses=True, order=ModeAsk.ARM, mode=HELD),
    row("M20", "Disarmed: envmon observes and writes nothing.",
        ModeAct.OBSERVE, page=Urgency.ERROR, order=ModeAsk.DISARM, mode=(AUTO, HELD)),
    row("M21", "Refused: already observing.",
        ModeAct.SAY, refuses=True, order=ModeAsk.DISARM, mode=OBSERVE),
    row("M30", "Held by order: no new decision is taken, the commanded position is kept.",
        ModeAct.HOLD, page=Urgency.ERROR, order=ModeAsk.HOLD, mode=AUTO, held=ENDS, lasts=Lasts.WELL),
    row("M31", "Refused: already held by rule, until an operator resumes.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=(AUTO, HELD), held=BY_RULE),
    row("M32", "Refused: in observe nothing is decided, there is nothing to hold.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=OBSERVE),
    row("M33", "Extended: the hold by order has a new end.",
        ModeAct.EXTEND, page=Urgency.ERROR, order=ModeAsk.HOLD, mode=HELD, held=ENDS, lasts=Lasts.WELL),
    row("M34", "Refused: the end of the hold is not in the future.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=(AUTO, HELD), held=ENDS, lasts=Lasts.PAST),
    row("M35", "Refused: a hold ends within a day; hold again when it takes longer.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=(AUTO, HELD), held=ENDS, lasts=Lasts.TOO_LONG),
    row("M36", "The hold by order ends soon: then envmon acts by its rules again.",
        ModeAct.WARN, page=Urgency.WARNING, order=ModeAsk.NONE, mode=HELD, held=Held.SOON),
    row("M37", "The hold by order is over: envmon acts by its rules again.",
        ModeAct.LIFT, page=Urgency.WARNING, order=ModeAsk.NONE, mode=HELD, held=Held.OVER, placement=YES,
        hand=Hand.NONE),
    row("M39", "Still held by rule: nobody has resumed.",
        ModeAct.REMIND, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=HELD, held=Held.REMIND),
    row("M40", "Resumed: the position the edges show is taken as ours.",
        ModeAct.RESUME, page=Urgency.INFO, order=ModeAsk.RESUME, mode=HELD, hand=(Hand.NONE, Hand.ELSEWHERE)),
    row("M41", "Refused: nothing is held.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=(AUTO, OBSERVE)),
    row("M42", "Refused: the edges differ among themselves. Put them in one position first.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=HELD, hand=Hand.DIVIDED),
    row("M43", "Refused: an edge has seen a newer epoch. Stop the other envmon, then restart this one.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=HELD, hand=Hand.NEWER),
    row("M50", "Held by rule: somebody else has set another position.",
        ModeAct.HOLD, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=(AUTO, HELD), held=FREE, placement=YES,
        hand=(Hand.ELSEWHERE, Hand.DIVIDED)),
    row("M51", "Held by rule: an edge has seen a newer epoch, another envmon holds the right to act.",
        ModeAct.HOLD, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=(AUTO, HELD), held=FREE, placement=YES,
        hand=Hand.NEWER),
    row("M60", "Disarmed by rule: with this policy, losing a zone would also lose the lever that leaves it.",
        ModeAct.OBSERVE, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=(AUTO, HELD), held=FREE, placement=NO),
)

LEASE_RULES: tuple[Row[LeaseAct], ...] = (
    row("L10", "The lease is held: its epoch is stamped on the edges, so that an older holder is fenced.",
        LeaseAct.STAMP, mode=(AUTO, HELD), lease=YES, fence=Fence.LOW, outbid=NO, due=YES),
)
# fmt: on
