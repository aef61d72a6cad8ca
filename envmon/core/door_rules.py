"""The doorstep of an order, as a table: who is turned away before any other table is asked.

Rules
  - An order goes to whoever can carry it out: not to a daemon without a policy, not to a standby.
  - What is about this daemon's own policy file is its own to answer, standby or not.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row


class Aim(StrEnum):
    """What an order is about."""

    OURS = "ours"  # this daemon's own policy
    KNOWN = "known"  # the site, or a route there is
    UNKNOWN = "unknown"  # a route the policy does not know


class DoorAct(StrEnum):
    """What a row does."""

    SAY = "say"


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """The finite facts an order is let in on."""

    ruled: Answer  # YES: a policy is in force
    standby: Answer  # YES: another envmon is known to hold the lease
    aim: Aim


YES, NO = Answer.YES, Answer.NO

# fmt: off
DOOR_RULES: tuple[Row[DoorAct], ...] = (
    row("O00", "Refused: no policy is in force yet.",
        DoorAct.SAY, refuses=True, ruled=NO),
    row("O01", "Refused: there is no such route.",
        DoorAct.SAY, refuses=True, ruled=YES, standby=NO, aim=Aim.UNKNOWN),
    row("O02", "Refused: this envmon stands by for another. Give the order there.",
        DoorAct.SAY, refuses=True, ruled=YES, standby=YES, aim=(Aim.KNOWN, Aim.UNKNOWN)),
)
# fmt: on
