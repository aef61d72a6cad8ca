"""The rules of following another envmon: what was decided is inherited whole, or automation starts held.

Rules
  - Part of a memory is none: a latch without its position, or a hold without its reason, is worse than knowing nothing.
  - Whether the edges show the inherited position is not asked here: what another hand put there holds by M50.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Row, row
from envmon.model.effect import Urgency


class Legacy(StrEnum):
    """What the holder before us left."""

    NONE = "none"  # nobody is followed, or it is known already
    WHOLE = "whole"  # all of it can be inherited
    LOST = "lost"  # something is wanting


class HeirAct(StrEnum):
    """What a row does."""

    INHERIT = "inherit"
    START_HELD = "start_held"


@dataclass(frozen=True, slots=True)
class HeirFacts:
    """The finite facts of a lease that was another's."""

    legacy: Legacy


# fmt: off
HEIR_RULES: tuple[Row[HeirAct], ...] = (
    row("M52", "Held by rule: the lease was another envmon's, and what it had decided is not known here.",
        HeirAct.START_HELD, page=Urgency.CRITICAL, legacy=Legacy.LOST),
    row("M53", "The lease was another envmon's: all it had decided is inherited, and goes on from there.",
        HeirAct.INHERIT, page=Urgency.WARNING, legacy=Legacy.WHOLE),
)
# fmt: on
