"""The rules of the posture, as a table: when the site is watched more closely because of the weather or the power.

Rules
  - The posture polls, proves and tells; it is no fact of a route, of the mode or of the lease, and moves nothing.
  - A service that does not answer makes the posture unknown, never calm.
"""

from dataclasses import dataclass
from enum import StrEnum

from envmon.core.table import Answer, Row, row
from envmon.model.weather import Posture


class Weather(StrEnum):
    """What the weather services say, together."""

    CLEAR = "clear"  # every one of them answered, none warns
    WARNED = "warned"
    UNKNOWN = "unknown"  # none warns, and one has not answered lately


class StormAct(StrEnum):
    """The posture a row takes."""

    STORM = "storm"
    CALM = "calm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StormFacts:
    """The finite facts the posture is decided on."""

    posture: Posture
    weather: Weather
    power: Answer  # YES: battery or generator has fed the site for a while
    recent: Answer  # YES: there was a reason for a storm within the hold time


YES, NO = Answer.YES, Answer.NO
QUIET = (Posture.CALM, Posture.UNKNOWN)

# fmt: off
STORM_RULES: tuple[Row[StormAct], ...] = (
    row("W10", "A warning is near: envmon polls faster and proves the backup more often; it moves nothing for it.",
        StormAct.STORM, posture=QUIET, weather=Weather.WARNED),
    row("W11", "The mains are away: envmon polls faster and proves the backup more often; it moves nothing for it.",
        StormAct.STORM, posture=QUIET, weather=(Weather.CLEAR, Weather.UNKNOWN), power=YES),
    row("W20", "No warning stands and the mains have been quiet for the hold time: the storm posture ends.",
        StormAct.CALM, posture=Posture.STORM, weather=Weather.CLEAR, power=NO, recent=NO),
    row("W21", "No reason for the storm posture is left, but a weather service does not answer: unknown, not calm.",
        StormAct.UNKNOWN, posture=Posture.STORM, weather=Weather.UNKNOWN, power=NO, recent=NO),
    row("W30", "A weather service does not answer: what it would say is unknown, not clear.",
        StormAct.UNKNOWN, posture=Posture.CALM, weather=Weather.UNKNOWN, power=NO),
    row("W31", "Every weather service has answered and none warns.",
        StormAct.CALM, posture=Posture.UNKNOWN, weather=Weather.CLEAR, power=NO),
)
# fmt: on
