"""The rules of who may order what: roles, the second person, and break-glass, as a table.

Rules
  - Two different people for what one alone could abuse: to disarm, and to move calls against a refusal.
  - An approval is given for a state. Once that state is another one, the request is worth nothing.
  - Break-glass needs nobody else and tells everybody.
  - An order that nobody waits for any more is refused: whoever gave it has been told that it failed, or has left.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row
from envmon.model.effect import Urgency
from envmon.model.event import Access


class Step(StrEnum):
    """What is being answered."""

    ORDER = "order"
    APPROVAL = "approval"


class Need(StrEnum):
    """How many people the order needs."""

    ONE = "one"
    TWO = "two"


class Asked(StrEnum):
    """The request that an approval names."""

    NONE = "none"  # unknown, carried out already, or run out
    CHANGED = "changed"  # the state it was made for is not the state now
    STANDS = "stands"


class ConsentAct(StrEnum):
    """What a row does."""

    ASK = "ask"  # keep the order until a second person approves it
    CARRY_OUT = "carry_out"
    SAY = "say"


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """The finite facts consent is decided on."""

    step: Step
    access: Access
    need: Need  # of an order
    glass: Answer  # YES: break-glass was asked for
    asked: Asked  # of an approval
    other: Answer  # YES: who approves is not who asked
    late: Answer  # YES: nobody waits for its answer any more


YES, NO = Answer.YES, Answer.NO
ACTING = (Access.OPERATOR, Access.APPROVER)

# fmt: off
CONSENT_RULES: tuple[Row[ConsentAct], ...] = (
    row("P10", "Refused: your role may look, and give no orders.",
        ConsentAct.SAY, refuses=True, page=Urgency.WARNING, access=Access.VIEWER, late=NO),
    row("P11", "Refused: the order comes too late, whoever gave it waits for no answer any more.",
        ConsentAct.SAY, refuses=True, late=YES),
    row("P20", "A second person is needed: the order waits for an approver.",
        ConsentAct.ASK, page=Urgency.WARNING, step=Step.ORDER, access=ACTING, need=Need.TWO, glass=NO,
        late=NO),
    row("P21", "Break-glass: carried out on one person's word, and everybody is told.",
        ConsentAct.CARRY_OUT, page=Urgency.CRITICAL, step=Step.ORDER, access=ACTING, need=Need.TWO, glass=YES,
        late=NO),
    row("P30", "Refused: no such request waits; it was answered, or it has run out.",
        ConsentAct.SAY, refuses=True, step=Step.APPROVAL, access=ACTING, asked=Asked.NONE, late=NO),
    row("P31", "Refused: only an approver may approve.",
        ConsentAct.SAY, refuses=True, page=Urgency.WARNING, step=Step.APPROVAL, access=Access.OPERATOR,
        asked=(Asked.CHANGED, Asked.STANDS), late=NO),
    row("P32", "Refused: the second person must be another than the first.",
        ConsentAct.SAY, refuses=True, page=Urgency.WARNING, step=Step.APPROVAL, access=Access.APPROVER,
        asked=(Asked.CHANGED, Asked.STANDS), other=NO, late=NO),
    row("P33", "Refused: what the request was made for has changed since. Ask again.",
        ConsentAct.SAY, refuses=True, step=Step.APPROVAL, access=Access.APPROVER, asked=Asked.CHANGED, other=YES,
        late=NO),
    row("P34", "Approved by a second person: the order is carried out.",
        ConsentAct.CARRY_OUT, page=Urgency.INFO, step=Step.APPROVAL, access=Access.APPROVER, asked=Asked.STANDS,
        other=YES, late=NO),
)
# fmt: on
