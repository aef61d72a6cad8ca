"""Time to limit: when a zone reaches its service limit, as a lower bound and a median.

Rules
  - The median follows the measured trend; the lower bound follows the fastest trend that is still credible.
  - The first minutes after a loss are a mixing jump and are not extrapolated: until the room's own rate is measured
    the bound is the room's heat capacity, rate = uncooled share of the IT load / heat capacity per kW.
  - A restart window suspends extrapolation in the same way.

Theory of operation
  Rates are Theil-Sen slopes (the median of all pairwise slopes tolerates about 29 % bad samples) over the last five
  minutes; the credible fast trend is their upper quartile. Khankari 2011: the rate of rise starts at a maximum and
  decays to a minimum, so a linear forecast from measured slopes errs early, never late.
"""

from dataclasses import dataclass
from itertools import combinations

from envmon.core.world import SECOND, Sample
from envmon.model.verdict import Sight, TimeToLimit

WINDOW_S = 300.0
STEP_S = 10.0
SETTLE_S = 300.0  # the mixing jump
LEAST_S = 60.0  # shorter trends are noise
STILL = 0.0005  # K/s: slower than 1.8 K an hour is no trend


@dataclass(frozen=True, slots=True)
class Trend:
    """Slopes in K/s over the window."""

    median: float
    fast: float


def remember(history: tuple[Sample, ...], now_ns: int, value: float) -> tuple[Sample, ...]:
    """Keep one sample per step over the window."""
    if history and now_ns - history[-1].at_ns < STEP_S * SECOND:
        return history
    oldest = now_ns - int(WINDOW_S * SECOND)
    return (*(sample for sample in history if sample.at_ns >= oldest), Sample(now_ns, value))


def trend(history: tuple[Sample, ...]) -> Trend | None:
    """The measured trend, or None while there is too little past."""
    if len(history) < 2 or (history[-1].at_ns - history[0].at_ns) < LEAST_S * SECOND:
        return None
    slopes = sorted((b.value - a.value) * SECOND / (b.at_ns - a.at_ns) for a, b in combinations(history, 2))
    return Trend(slopes[len(slopes) // 2], slopes[(3 * len(slopes)) // 4])


def time_to_limit(
    *,
    temperature: float | None,
    worst: float | None,
    limit: float,
    measured: Trend | None,
    bound: float,
    settled: bool,
) -> TimeToLimit:
    """Combine the measured trend with the heat-capacity ``bound`` (K/s, 0 with the load cooled).

    ``settled`` says the mixing jump and any restart window are over, so that the measured trend may be extrapolated.
    """
    if temperature is None or worst is None:
        return TimeToLimit(Sight.CANNOT_TELL)
    if temperature >= limit:
        return TimeToLimit(Sight.FORECAST, 0.0, 0.0)
    if measured is None and bound <= 0:
        return TimeToLimit(Sight.CANNOT_TELL)
    if settled and measured is not None:
        fast, typical = measured.fast, measured.median
    else:
        fast, typical = bound, min(bound, measured.median) if measured else bound
    if fast < STILL:
        return TimeToLimit(Sight.NONE_IN_SIGHT)
    lower = max(0.0, (limit - worst) / fast)
    return TimeToLimit(Sight.FORECAST, lower, max(lower, (limit - temperature) / max(typical, STILL)))
