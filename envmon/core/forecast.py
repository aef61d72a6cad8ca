"""Time to limit: when a zone reaches its service limit, as a lower bound, a median and an upper estimate.

Rules
  - Nothing but the room's own measured course and the policy's heat capacity goes in; no model of the room.
  - The first mixing jump is not extrapolated: while it lasts only the upper estimate may be held against the room.
  - "None in sight" (measured, not rising) and "cannot tell" (not measured) are different answers.

Theory of operation
  A room that lost its cooling warms at a rate that starts at a maximum and decays (Khankari 2011): first the aisles
  mix within minutes, then racks and walls soak up heat. How fast the rate decays is unknown, but it is bracketed:
    - it never decays again: the present rate goes on; the earliest, the lower bound;
    - it decays as 1/sqrt(t), as heat soaks into something thick;
    - it decays as 1/t, as across many masses of all sizes at once: the latest, the upper estimate.
  The median lies between two of them, in the geometric middle: while the air still mixes the rate falls faster than
  1/sqrt(t), so between the second and the third; once the jump has left the window it falls slower, for what is thin is
  warm by then, so between the second and the first.
  Each is a straight line over t, sqrt(t) or ln(t), so each is one Theil-Sen slope (the median of all pairwise slopes
  tolerates about 29 % bad samples). Without an onset to count t from, all three are the straight line.
  Until the jump has left the window, the second and the third look at the return air: the inlets mix towards it, so it
  has the jump behind it first.
  A rise is one when three quarters of all pairwise slopes go up; a room that does not clearly rise has no median.
  Chilled water leads the air by minutes: while the plant is short the air may come to warm as fast as its water does.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import exp, log, sqrt

from envmon.core.world import SECOND, Course, Sample
from envmon.model.verdict import Sight, TimeToLimit

WINDOW_S = 300.0
STEP_S = 10.0
SETTLE_S = 300.0  # the mixing jump
FAST_S = 120.0  # the lower bound follows the last two minutes
MIXED_S = 30.0  # fans coast and coils lag: the return air tells nothing sooner
LEAST_S = 45.0  # shorter trends are noise
STILL = 0.0005  # K/s: slower than 1.8 K an hour is no trend
INLETS = ""  # stands for a network path where there is no return air
READ_K = 0.25  # a probe reads no truer
FAR_S = 48 * 3600.0  # nothing is said beyond two days


def remember(history: tuple[Sample, ...], sample: Sample) -> tuple[Sample, ...]:
    """Keep one sample per step over the window."""
    if history and sample.at_ns - history[-1].at_ns < STEP_S * SECOND:
        return history
    oldest = sample.at_ns - int(WINDOW_S * SECOND)
    return (*(kept for kept in history if kept.at_ns >= oldest), sample)


def course(history: tuple[Sample, ...], onset_ns: int | None) -> Course:
    """The slopes of a history; ``onset_ns`` is when the loss began, None when there is none."""
    if not history:
        return Course()
    now_ns = history[-1].at_ns
    recent = [s for s in history if now_ns - s.at_ns <= FAST_S * SECOND]
    fast = _slopes([(s.at_ns / SECOND, s.value) for s in recent])
    water = _slopes([(s.at_ns / SECOND, s.water) for s in recent if s.water is not None])
    steady = _slopes([(s.at_ns / SECOND, s.value) for s in history])
    rises = bool(steady) and steady[len(steady) // 4] > 0
    found = Course(rises, _at(fast, 3, 4), _at(steady, 1, 2), water=_at(water, 1, 2))
    if onset_ns is None:
        return found
    since = [((s.at_ns - onset_ns) / SECOND, s) for s in history if s.at_ns - onset_ns >= MIXED_S * SECOND]
    paths = tuple(path for path, _ in history[-1].back)
    backs = {path: [(t, v) for t, s in since for name, v in s.back if name == path] for path in paths}
    inlets = [(t, s.value) for t, s in since]
    mixed = not backs or now_ns - onset_ns >= (SETTLE_S + WINDOW_S) * SECOND
    soaks = [_at(_slopes(points, sqrt), 1, 2) for points in ([inlets] if mixed else backs.values())]
    fades = {path: _at(_slopes(points, log), 1, 2) for path, points in (backs or {INLETS: inlets}).items()}
    return replace(
        found,
        soak=_upper_middle([soak for soak in soaks if soak is not None]),
        fade=tuple((path, fade) for path, fade in fades.items() if fade is not None),
    )


def time_to_limit(
    *,
    temperature: float | None,
    back: tuple[tuple[str, float], ...],
    limit: float,
    heading: Course,
    bound: float,
    since_s: float | None,
) -> TimeToLimit:
    """When ``temperature`` (degC) comes to ``limit``.

    ``back`` is the return air by network path, ``bound`` the rate (K/s) that the heat capacity allows (0 with the load
    cooled), ``since_s`` the time since the onset of a loss, None when there is none.
    """
    if temperature is None:
        return TimeToLimit(Sight.CANNOT_TELL)
    if temperature >= limit:
        return TimeToLimit(Sight.FORECAST, 0.0, 0.0, 0.0)
    if heading.fast is None and bound <= 0:
        return TimeToLimit(Sight.CANNOT_TELL)
    fast = _fastest(heading, bound, since_s)
    if fast < STILL or (bound <= 0 and not heading.rises):
        return TimeToLimit(Sight.NONE_IN_SIGHT)
    mixed = max([temperature, *(value for _, value in back)])
    jumping = since_s is not None and since_s < FAST_S
    lower = max(0.0, limit - READ_K - (mixed if jumping else temperature)) / fast
    upper = _upper(heading, temperature, back, limit, since_s)
    median = _median(heading, limit - temperature, since_s, upper)
    return TimeToLimit(Sight.FORECAST, lower, None if median is None else max(lower, median), upper)


def _fastest(heading: Course, bound: float, since_s: float | None) -> float:
    """The fastest rate that is still credible, K/s."""
    if heading.fast is None:
        return bound
    water = heading.water if heading.water is not None and bound > 0 else 0.0
    early = bound if since_s is not None and since_s < FAST_S else 0.0
    return max(heading.fast, water, early)


def _median(heading: Course, left: float, since_s: float | None, upper: float | None) -> float | None:
    """The way of ``left`` K, between two laws of decay, s; None while the zone does not clearly rise."""
    if not heading.rises or heading.steady is None:
        return None
    straight = left / heading.steady if heading.steady > 0 else None
    if since_s is None:
        return None if straight is None else min(FAR_S, straight)
    if heading.soak is None or heading.soak <= 0:
        return None
    soaking = (sqrt(since_s) + left / heading.soak) ** 2 - since_s
    other = straight if since_s >= SETTLE_S + WINDOW_S else upper
    return min(FAR_S, soaking if other is None else sqrt(soaking * other))


def _upper(
    heading: Course, temperature: float, back: tuple[tuple[str, float], ...], limit: float, since_s: float | None
) -> float | None:
    """The return air's way to the limit at a rate that decays as 1/t, s; None where there is no such course.

    Every network path makes its own estimate and the middle one counts, of two the later: one path cannot hurry it.
    """
    if since_s is None or since_s <= MIXED_S:
        return None
    now = dict(back) or {INLETS: temperature}
    ways = [
        _folded(max(0.0, limit - now[path]) / fade if fade > 0 else FAR_S, since_s)
        for path, fade in heading.fade
        if path in now
    ]
    return _upper_middle(ways)


def _folded(folds: float, since_s: float) -> float:
    """The time in which the time since the onset grows by so many e-folds, s."""
    return FAR_S if folds > log(FAR_S / since_s) else since_s * (exp(folds) - 1.0)


def _upper_middle(values: list[float]) -> float | None:
    """The middle value, of two the larger."""
    return sorted(values)[len(values) // 2] if values else None


def _slopes(points: list[tuple[float, float]], over: Callable[[float], float] | None = None) -> list[float]:
    """All pairwise slopes, sorted; none while the points span too little time."""
    if len(points) < 3 or points[-1][0] - points[0][0] < LEAST_S:
        return []
    line = [(over(t), value) for t, value in points] if over is not None else points
    return sorted([(b - a) / (u - t) for (t, a), (u, b) in combinations(line, 2)])


def _at(slopes: list[float], part: int, of: int) -> float | None:
    """A quantile of sorted slopes."""
    return slopes[part * len(slopes) // of] if slopes else None
