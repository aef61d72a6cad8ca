"""Sensors earn their vote: what a temperature point must keep to, and why it loses its vote.

Rules
  - A point loses its vote for as long as it jumps faster than its medium can, is noisy, is stuck, or stands alone
    against the room; it has its vote back when it agrees again.
  - The room is the median over network paths of each path's median: a gateway with many sensors is one opinion.
  - Two points that stray together keep their votes: half a room may be hot. So does one that a single other path speaks
    against: nobody can say which of the two lies. Whether that suffices is the quorum's business.
  - Points that jumped alike on two paths have their votes back after a minute.
  - Only the poller's clock counts. What a device says of the time is never read, so a clock that jumps changes nothing.

Theory of operation
  ``behave`` runs once per reading and keeps a few numbers per point; ``doubts`` runs once a tick and compares them.
  The fastest published room warmed by 6 K a minute (0.1 K/s), so a step of more than 4 K and 0.15 K/s between two polls
  is no temperature: a spike, a sentinel, a factor of ten, two probes swapped. Noise is the bend
  between three readings, which a ramp does not have. A point that used to change every 20 s and has not changed for
  20 times as long is stuck or sits behind a frozen gateway; one that always stood still never learnt the habit, and
  loses its vote only when the room moves away from it. Drift, and history replayed by a gateway, show as a distance
  to the room that is not the point's own.
"""

from collections.abc import Callable, Iterable, Mapping
from statistics import median

from envmon.core.fresh import Fresh
from envmon.core.replacing import making
from envmon.core.world import SECOND, Doubt, Habit, Seen, age_s
from envmon.model.event import Stamp
from envmon.model.reading import Reading, Role

JUDGED = (Role.CHILLED_WATER_SUPPLY_TEMP, Role.RACK_INLET_TEMP, Role.RETURN_TEMP, Role.SUPPLY_TEMP)
COMPARED = (Role.RACK_INLET_TEMP, Role.RETURN_TEMP)  # many points of one air; supply air follows its own unit
STEP_K, STEP_K_PER_S = 4.0, 0.15
ROUGH_K = 2.0
ROUGH_GAIN, BEND_K = 0.15, 5.0  # one step, however large, is no noise
STUCK_S, STUCK_TIMES, LEARNT_CHANGES = 300.0, 20.0, 10
LEFT_BEHIND_S, LEFT_BEHIND_K = 120.0, 2.0
STRAY_K = 4.0
HOT_SPOT_K = 5.0  # a learnt distance is never larger
OFFSET_TAU_S = 7200.0
GAP_S = 300.0  # after a longer silence a point starts anew
EARN_S = 600.0  # a point that jumped with nobody to agree with has its vote back after this
VOUCH_S = 60.0
RIPE_S, SUSPECT_S = 120.0, 3600.0  # a doubt is told after this, and told again only after an hour without one
HYSTERESIS = 0.6  # a doubted point must come this much closer
_habit = making(Habit)


def behave(
    before: Habit | None, reading: Reading, at_ns: int, last_ns: int, room: float | None, *, calm: bool
) -> Habit:
    """What a point's good reading adds to what is known of it; ``room`` is what its role agreed on at the last tick."""
    value = float(reading.value or 0.0)
    if before is None:
        return Habit(value, value, at_ns, room, offset=_first_offset(value, room))
    gap_s = (at_ns - last_ns) / SECOND
    jumped_ns, jumped_from = _jump(before, reading, value, at_ns, gap_s, room)
    if gap_s > GAP_S:
        return Habit(
            value, value, at_ns, room, before.changes, before.every_s, 0.0, before.offset, jumped_ns, jumped_from
        )
    bend = min(BEND_K, abs(value - 2 * before.value + before.before))
    changes, every_s = before.changes, before.every_s
    changed = value != before.value
    if changed:
        changes += 1
        every_s += max(1.0 / changes, 0.1) * ((at_ns - before.changed_ns) / SECOND - every_s)
    learns = calm and room is not None and not jumped_ns
    return _habit(
        value=value,
        before=before.value,
        changed_ns=at_ns if changed else before.changed_ns,
        room=room if changed or before.room is None else before.room,
        changes=changes,
        every_s=every_s,
        rough=before.rough + ROUGH_GAIN * (bend - before.rough),
        offset=_offset(before.offset, value - (room or 0.0), gap_s) if learns else before.offset,
        jumped_ns=jumped_ns,
        jumped_from=jumped_from,
    )


def _jump(
    before: Habit, reading: Reading, value: float, at_ns: int, gap_s: float, room: float | None
) -> tuple[int, float]:
    """When the point jumped and from where; 0 when it did not, or has been borne out since."""
    if before.jumped_ns:
        back = abs(value - before.jumped_from) <= STEP_K
        agrees = room is not None and abs(value - room - (before.offset or 0.0)) <= STRAY_K * HYSTERESIS
        alone = room is None and at_ns - before.jumped_ns > EARN_S * SECOND
        return (0, 0.0) if back or agrees or alone else (before.jumped_ns, before.jumped_from)
    can = STEP_K + STEP_K_PER_S * gap_s
    if reading.point.role in COMPARED and abs(value - before.value) > can:
        return at_ns, before.value
    return 0, 0.0


def _first_offset(value: float, room: float | None) -> float | None:
    return value - room if room is not None and abs(value - room) <= HOT_SPOT_K else None


def _offset(offset: float | None, distance: float, gap_s: float) -> float | None:
    """The point's own distance to the room, learnt slowly and within reason."""
    if offset is None:
        return distance if abs(distance) <= HOT_SPOT_K else None
    if abs(distance - offset) > STRAY_K:
        return offset
    moved = offset + min(1.0, gap_s / OFFSET_TAU_S) * (distance - offset)
    return max(-HOT_SPOT_K, min(HOT_SPOT_K, moved))


def doubts(fresh: Fresh, before: Mapping[str, Doubt], middles: Mapping[Role, float], now: Stamp) -> dict[str, Doubt]:
    """Who has no vote now. ``middles`` is what the room agreed on at the last tick."""
    found: dict[str, str] = {}
    for role in JUDGED:
        points = [seen for seen in fresh.of(role) if seen.habit is not None]
        jumped = [seen for seen in points if seen.habit is not None and seen.habit.jumped_ns]
        room = middles.get(role)
        for seen in points:
            name = seen.reading.point.id
            if jumped and _vouched(seen, jumped, now):
                continue
            if why := _alone(seen, room, now, doubted=name in before):
                found[name] = why
        if role in COMPARED:
            found |= _strays(points, found, before)
    return {name: Doubt(why, before[name].since_ns if name in before else now.mono_ns) for name, why in found.items()}


def suspects(found: Mapping[str, Doubt], before: Mapping[str, int], now: Stamp) -> dict[str, int]:
    """Point -> when it was last without a vote for long: a loose contact is one fault, however often it comes back."""
    kept = {name: at for name, at in before.items() if age_s(now, at) <= SUSPECT_S}
    return kept | {name: now.mono_ns for name, doubt in found.items() if age_s(now, doubt.since_ns) >= RIPE_S}


def _vouched(seen: Seen, jumped: list[Seen], now: Stamp) -> bool:
    """Whether a point that jumped is borne out by one that did the same on another path."""
    return _stood(seen, now) and any(
        other.reading.point.path != seen.reading.point.path
        and abs(_raw(other) - _raw(seen)) <= STRAY_K
        and _stood(other, now)
        for other in jumped
    )


def _stood(seen: Seen, now: Stamp) -> bool:
    """Whether the point jumped and has stayed there for a while."""
    habit = seen.habit
    return habit is not None and bool(habit.jumped_ns) and age_s(now, habit.jumped_ns) >= VOUCH_S


def _alone(seen: Seen, room: float | None, now: Stamp, *, doubted: bool) -> str:
    """What the point's own past says against it, or ""."""
    habit = seen.habit
    assert habit is not None  # noqa: S101 - narrows for the type checker
    if habit.jumped_ns:
        return f"jumped from {habit.jumped_from:.1f} to {habit.value:.1f} degC, faster than it can"
    if habit.rough > ROUGH_K * (HYSTERESIS if doubted else 1.0):
        return f"noisy, {habit.rough:.1f} K from reading to reading"
    still_s = age_s(now, habit.changed_ns)
    if habit.changes >= LEARNT_CHANGES and still_s > max(STUCK_S, STUCK_TIMES * habit.every_s):
        return f"stuck at {habit.value:.1f} degC for {still_s:.0f} s, it used to change every {habit.every_s:.0f} s"
    left = room is not None and habit.room is not None and abs(room - habit.room) > LEFT_BEHIND_K
    if seen.reading.point.role in COMPARED and still_s > LEFT_BEHIND_S and left:
        return f"stuck at {habit.value:.1f} degC while the room moved {(room or 0) - (habit.room or 0):+.1f} K"
    return ""


def _strays(points: list[Seen], found: Mapping[str, str], before: Mapping[str, Doubt]) -> dict[str, str]:
    """Points that stand alone against points of their role on at least two paths."""
    able = [seen for seen in points if seen.reading.point.id not in found]
    if len(able) < 3:
        return {}
    room = _middle(able, _own)
    places = [(_own(seen) - room, seen.reading.point) for seen in able]
    strays: dict[str, str] = {}
    for distance, point in places:
        name = point.id
        allowed = STRAY_K * (HYSTERESIS if name in before else 1.0)
        if abs(distance) <= allowed:
            continue
        others = [(away, other.path) for away, other in places if other is not point]
        company = any(away * distance > 0 and abs(away) >= abs(distance) / 2 for away, _ in others)
        against = dict.fromkeys(path for away, path in others if abs(away - distance) > allowed)
        if not company and len(against) > 1:
            strays[name] = f"{distance:+.1f} K from where its neighbours put it"
    return strays


def _own(seen: Seen) -> float:
    """The room as this point shows it: its value less its own distance."""
    habit = seen.habit
    return float(seen.reading.value or 0.0) - (habit.offset or 0.0 if habit is not None else 0.0)


def _raw(seen: Seen) -> float:
    return float(seen.reading.value or 0.0)


def _middle(points: Iterable[Seen], of: Callable[[Seen], float]) -> float:
    """The median over network paths of each path's median, degC."""
    by_path: dict[str, list[float]] = {}
    for seen in points:
        by_path.setdefault(seen.reading.point.path, []).append(of(seen))
    return median([median(values) for values in by_path.values()])


def middles(trusted: Fresh) -> dict[Role, float]:
    """What the trusted points of each role read in the middle, degC."""
    return {role: _middle(some, _raw) for role in JUDGED if (some := trusted.of(role))}
