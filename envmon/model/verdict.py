"""What the judge says of a zone, and in which states the two machines can be."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The cooling of a zone. ``UNKNOWN`` never resolves an alarm and never votes for a shift."""

    OK = "ok"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """Where a zone stands between its limits; ``RECOVERING`` is the hysteresis, by name."""

    NORMAL = "normal"
    WARM = "warm"  # above recommended
    HOT = "hot"  # above allowable
    RECOVERING = "recovering"  # below recommended, not yet below recommended - deadband


class Basis(StrEnum):
    """Whether a verdict rests on what was measured or on what a silent room could have become."""

    MEASURED = "measured"
    PROJECTED = "projected"


class Kind(StrEnum):
    """Independent kinds of evidence of a cooling loss."""

    INLET_AIR = "inlet_air"
    COOLING_AIR = "cooling_air"  # return air, supply air, chilled water
    PLANT = "plant"  # unit state, power


class Sight(StrEnum):
    """What a forecast can say."""

    FORECAST = "forecast"
    NONE_IN_SIGHT = "none_in_sight"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class TimeToLimit:
    """Seconds until the zone reaches its service limit: ``lower`` bound and ``median``; None unless FORECAST.

    ``upper`` is the longest that the room's course allows when its rate keeps falling; None where it is not known.
    """

    sight: Sight
    lower: float | None = None
    median: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One kind of evidence, with the points and network paths behind it."""

    kind: Kind
    points: tuple[str, ...]
    paths: tuple[str, ...]
    devices: tuple[str, ...]
    says: str


class Mode(StrEnum):
    """The control mode: may envmon decide."""

    OBSERVE = "observe"
    AUTOMATIC = "automatic"
    HELD = "held"


class Position(StrEnum):
    """The traffic position of a route: where new calls go."""

    UNREAD = "unread"  # no edge has reported yet
    PRIMARY = "primary"
    SHIFTING = "shifting"  # commanded to the backup, not proven
    BACKUP = "backup"
    RESTORING = "restoring"  # commanded home, not proven
    SPLIT = "split"  # found between the two, by somebody else's hand
