"""How long the power of a zone lasts: batteries, then generator fuel; the other two hands of the one clock.

Rules
  - A store counts only while it is drawn on, and only when nobody in the zone says that it is not: one feed left is
    enough.
  - The time left is the longest any device tells. It may act only when two devices on two paths tell one: a single UPS
    that lies can cause nothing. Until then it is shown and paged.
  - Nothing is held against the zone in the first minute: generators start within it, and a self-test is over.
  - Silence is no loss and ends none: the minute begins with the first device that says so, and is over when
    one says the opposite and none says so any more.
"""

from dataclasses import dataclass

from envmon.core.fresh import Fresh
from envmon.core.world import ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import Policy
from envmon.model.reading import Role

STORES = (
    ("battery", Role.ON_BATTERY, Role.BATTERY_TIME_LEFT),
    ("generator fuel", Role.ON_GENERATOR, Role.FUEL_TIME_LEFT),
)
HELD_S = 60.0  # emergency generators carry the load within 10 to 60 s


@dataclass(frozen=True, slots=True)
class Power:
    """What a zone runs on when it is not the utility: "" when it is; ``left_s`` seconds, None when nobody tells."""

    runs_on: str = ""
    left_s: float | None = None
    borne_out: bool = False  # two devices on two paths tell how long


def power(policy: Policy, fresh: Fresh) -> Power:
    """The store that ends first."""
    found = [_store(policy, fresh, *store) for store in STORES]
    drawn = [each for each in found if each.runs_on]
    return min(drawn, key=lambda each: float("inf") if each.left_s is None else each.left_s, default=Power())


def since(state: ZoneState, fresh: Fresh, now: Stamp) -> int | None:
    """Since when the zone has been without utility power."""
    says = [seen.reading.value for _, drawn, _ in STORES for seen in fresh.of(drawn)]
    if "yes" in says:
        return state.power_ns if state.power_ns is not None else now.mono_ns
    return None if says else state.power_ns


def held(state: ZoneState, now: Stamp) -> bool:
    """Whether the power has been away for longer than a transfer takes."""
    return state.power_ns is not None and age_s(now, state.power_ns) >= HELD_S


def ends_s(state: ZoneState, now: Stamp) -> float | None:
    """When the power ends as two witnesses tell it, in seconds; None while nothing may be held against the zone."""
    told = state.judgement
    return told.power_left_s if told.power_borne_out and held(state, now) else None


def _store(policy: Policy, fresh: Fresh, name: str, drawn: Role, left: Role) -> Power:
    using = fresh.of(drawn)
    if not using or any(seen.reading.value != "yes" for seen in using):
        return Power()
    devices = [seen.reading.point.device for seen in using]
    told = [
        seen
        for seen in fresh.of(left)
        if seen.reading.point.device in devices and isinstance(seen.reading.value, float)
    ]
    if not told:
        return Power(name)
    paths = {seen.reading.point.path for seen in told}
    apart = len(paths) >= policy.quorum_paths and len({seen.reading.point.device for seen in told}) >= len(paths)
    return Power(name, max(float(seen.reading.value or 0.0) for seen in told), apart)
