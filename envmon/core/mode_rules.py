"""The rules of the control mode and of the lease, as tables.

Rules
  - The mode is never a position: holding, arming or disarming moves no traffic.
  - Automatic is refused where losing a zone would also lose the lever that leaves it.
  - A position set by somebody else's hand, or a newer epoch at an edge, holds automation until an operator resumes.
  - Whoever takes the lease from another envmon inherits its mode, or starts held: ``heir_rules``.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row
from envmon.model.effect import Urgency
from envmon.model.verdict import Mode


class Hand(StrEnum):
    """Whether somebody else's hand shows at the edges."""

    NONE = "none"
    ELSEWHERE = "elsewhere"  # another position, the same on every edge
    DIVIDED = "divided"  # the edges differ among themselves
    NEWER = "newer"  # an edge has seen a newer epoch than ours


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
    memory: Answer  # NO: the lease was another envmon's before it was ours, and its memory is not here
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
        ModeAct.HOLD, page=Urgency.ERROR, order=ModeAsk.HOLD, mode=AUTO),
    row("M31", "Refused: already held.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=HELD),
    row("M32", "Refused: in observe nothing is decided, there is nothing to hold.",
        ModeAct.SAY, refuses=True, order=ModeAsk.HOLD, mode=OBSERVE),
    row("M40", "Resumed: the position the edges show is taken as ours.",
        ModeAct.RESUME, page=Urgency.INFO, order=ModeAsk.RESUME, mode=HELD, hand=(Hand.NONE, Hand.ELSEWHERE)),
    row("M41", "Refused: nothing is held.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=(AUTO, OBSERVE)),
    row("M42", "Refused: the edges differ among themselves. Put them in one position first.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=HELD, hand=Hand.DIVIDED),
    row("M43", "Refused: an edge has seen a newer epoch. Stop the other envmon, then restart this one.",
        ModeAct.SAY, refuses=True, order=ModeAsk.RESUME, mode=HELD, hand=Hand.NEWER),
    row("M50", "Held by rule: somebody else has set another position.",
        ModeAct.HOLD, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=AUTO, placement=YES,
        hand=(Hand.ELSEWHERE, Hand.DIVIDED)),
    row("M51", "Held by rule: an edge has seen a newer epoch, another envmon holds the right to act.",
        ModeAct.HOLD, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=AUTO, placement=YES, hand=Hand.NEWER),
    row("M60", "Disarmed by rule: with this policy, losing a zone would also lose the lever that leaves it.",
        ModeAct.OBSERVE, page=Urgency.CRITICAL, order=ModeAsk.NONE, mode=AUTO, placement=NO),
)

LEASE_RULES: tuple[Row[LeaseAct], ...] = (
    row("L10", "The lease is held: its epoch is stamped on the edges, so that an older holder is fenced.",
        LeaseAct.STAMP, mode=(AUTO, HELD), lease=YES, fence=Fence.LOW, outbid=NO, due=YES),
)
# fmt: on
