"""The rules of maintenance and of shelved pages, as a table.

Rules
  - Nothing is set aside without an end; maintenance ends within a week, a shelved page within a day.
  - A critical page is never shelved, and one that grows more urgent than when it was shelved is shelved no more.
  - What quiets more than one thing, and every page that is shelved, is paged: nobody silences a site in silence. A page
    that tells what people did is never shelved.
  - Nothing here is a fact of a move: a zone in maintenance is judged and evacuated like any other.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row
from envmon.model.effect import Urgency


class AsideAsk(StrEnum):
    """The order being answered; NONE looks at one thing that is set aside."""

    NONE = "none"
    MAINTENANCE = "maintenance"
    MAINTENANCE_END = "maintenance_end"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"


class Known(StrEnum):
    """Whether the order names one thing."""

    NO = "no"
    ONE = "one"
    MANY = "many"


class Lasts(StrEnum):
    """How the end that was asked for lies."""

    WELL = "well"
    PAST = "past"
    TOO_LONG = "too_long"


class Over(StrEnum):
    """Whether something that is set aside should still be."""

    NO = "no"
    TIME = "time"
    WORSE = "worse"  # a shelved page has grown more urgent


class AsideAct(StrEnum):
    """What a row does."""

    SET = "set"
    END = "end"
    SAY = "say"


@dataclass(frozen=True, slots=True)
class AsideFacts:
    """The finite facts of setting aside."""

    order: AsideAsk
    known: Known  # of maintenance: a unit, zone, edge or site; of a shelf: an open page
    aside: Answer  # YES: it is set aside already
    lasts: Lasts
    critical: Answer  # YES: the page is critical
    over: Over
    wide: Answer  # YES: maintenance of a whole zone, or of the site
    deed: Answer  # YES: the page tells what somebody has done: an order, a hold, a policy, a journal that was touched


YES, NO = Answer.YES, Answer.NO
STARTS = (AsideAsk.MAINTENANCE, AsideAsk.SHELVE)

# fmt: off
ASIDE_RULES: tuple[Row[AsideAct], ...] = (
    row("K10", "Ordered: it is in maintenance, and counts neither as capacity nor as a fresh loss.",
        AsideAct.SET, order=AsideAsk.MAINTENANCE, known=Known.ONE, lasts=Lasts.WELL, wide=NO),
    row("K15", "Ordered: all of it is in maintenance; what does not answer there is no page, heat and calls are.",
        AsideAct.SET, page=Urgency.WARNING, order=AsideAsk.MAINTENANCE, known=Known.ONE, lasts=Lasts.WELL, wide=YES),
    row("K11", "Refused: no unit, zone, edge or site has this name.",
        AsideAct.SAY, refuses=True, order=AsideAsk.MAINTENANCE, known=Known.NO),
    row("K12", "Refused: more than one thing has this name.",
        AsideAct.SAY, refuses=True, order=AsideAsk.MAINTENANCE, known=Known.MANY),
    row("K13", "Refused: its end is not in the future.",
        AsideAct.SAY, refuses=True, order=STARTS, known=Known.ONE, lasts=Lasts.PAST),
    row("K14", "Refused: maintenance ends within seven days; order it again when it takes longer.",
        AsideAct.SAY, refuses=True, order=AsideAsk.MAINTENANCE, known=Known.ONE, lasts=Lasts.TOO_LONG),
    row("K20", "Ordered: its maintenance is over.",
        AsideAct.END, order=AsideAsk.MAINTENANCE_END, aside=YES),
    row("K21", "Refused: nothing of this name is in maintenance.",
        AsideAct.SAY, refuses=True, order=AsideAsk.MAINTENANCE_END, aside=NO),
    row("K30", "Ordered: the page is shelved; it stays in the status, and comes back when its time is over.",
        AsideAct.SET, page=Urgency.INFO, order=AsideAsk.SHELVE, known=Known.ONE, lasts=Lasts.WELL, critical=NO,
        deed=NO),
    row("K31", "Refused: no open page has this key.",
        AsideAct.SAY, refuses=True, order=AsideAsk.SHELVE, known=(Known.NO, Known.MANY)),
    row("K32", "Refused: a critical page is never shelved.",
        AsideAct.SAY, refuses=True, order=AsideAsk.SHELVE, known=Known.ONE, lasts=Lasts.WELL, critical=YES),
    row("K33", "Refused: a page is shelved for a day at most; shelve it again when it takes longer.",
        AsideAct.SAY, refuses=True, order=AsideAsk.SHELVE, known=Known.ONE, lasts=Lasts.TOO_LONG),
    row("K34", "Refused: a page that tells what somebody has done is never shelved.",
        AsideAct.SAY, refuses=True, page=Urgency.WARNING, order=AsideAsk.SHELVE, known=Known.ONE, lasts=Lasts.WELL,
        critical=NO, deed=YES),
    row("K40", "Ordered: the page is shelved no more.",
        AsideAct.END, order=AsideAsk.UNSHELVE, aside=YES),
    row("K41", "Refused: no shelved page has this key.",
        AsideAct.SAY, refuses=True, order=AsideAsk.UNSHELVE, aside=NO),
    row("K50", "Its time is over: it is set aside no more.",
        AsideAct.END, order=AsideAsk.NONE, aside=YES, over=Over.TIME),
    row("K51", "The page has grown more urgent than when it was shelved: it is shelved no more.",
        AsideAct.END, order=AsideAsk.NONE, aside=YES, over=Over.WORSE),
)
# fmt: on
