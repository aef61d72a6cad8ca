"""Which estimate of a zone's time to limit counts now, and what it is held against, in words.

Rules
  - Words only: the comparison itself is ``route_facts.threat``, and these words follow it case by case.
"""

from collections.abc import Iterator

from envmon.core import clock
from envmon.core.judge import minutes
from envmon.core.loss import for_good, restart_expected
from envmon.core.readiness import shown
from envmon.core.world import World, ZoneState, age_s
from envmon.model.event import Stamp
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Basis


def bars(world: World, policy: Policy, route: RoutePolicy) -> Iterator[str]:
    """How long an evacuation takes, and why a zone's estimate counts otherwise than as its lower bound against that."""
    needed_s = clock.evacuate_s(route, world.routes[route.id])
    yield f"evacuation takes {minutes(needed_s)}"
    for zone in policy.zones:
        if zone.id in route.zones and (said := _bar(zone, world.zones[zone.id], needed_s + route.early_s, world.now)):
            yield f"{zone.id}: {said}"


def _bar(zone: ZonePolicy, state: ZoneState, early_s: float, now: Stamp) -> str:
    parts: list[str] = []
    if state.judgement.basis is Basis.PROJECTED and state.quorum_ns is not None:
        parts.append(f"what was measured {minutes(age_s(now, state.quorum_ns))} ago counts, less that time")
    if state.onset_ns is not None and restart_expected(state, now):
        upper = state.judgement.time_to_limit.upper
        least = f", {minutes(upper)}," if upper is not None else ", not known yet,"
        parts.append(f"units may restart by themselves, so only the longest estimate{least} counts")
    elif for_good(zone, state, now):
        parts.append(f"lost for good, waiting gains nothing, so calls move from {minutes(early_s)} before the limit on")
    return "; ".join(parts)


def astray(world: World, policy: Policy, route: RoutePolicy) -> Iterator[str]:
    """The edges that show another position than was commanded."""
    commanded = world.routes[route.id].commanded
    for edge, status in shown(world, policy, route).items():
        if commanded is not None and status.percent != commanded:
            yield f"{edge} shows {status.percent} % to the backup, {commanded} % was commanded"
