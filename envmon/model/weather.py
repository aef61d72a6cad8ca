"""What a weather service says, and what it means for how closely the site is watched.

Rules
  - A warning is news, never evidence: no route's rule looks at it.
  - A service that does not answer has said nothing: its silence is ``unknown``, never clear.
"""

from dataclasses import dataclass
from enum import StrEnum


class Posture(StrEnum):
    """How closely the site is watched, and why."""

    CALM = "calm"
    STORM = "storm"
    UNKNOWN = "unknown"  # no reason for a storm is known, and a weather service has not answered


@dataclass(frozen=True, slots=True)
class WeatherWarning:
    """One warning that concerns the site. Times are Unix seconds; ``until`` is its own end.

    ``severity`` is one of CAP 1.2's words in lower case: extreme, severe, moderate, minor, unknown.
    """

    id: str
    event: str
    severity: str
    onset: float
    until: float
    headline: str = ""
