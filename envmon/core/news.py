"""Whether an event tells the mind anything it could act on, or repeats what is known: news ends its rest.

Rules
  - In doubt it is news. A repetition only moves the moments further away at which what is known grows too old.
  - While calls are being moved every answer is news: the proof lives on counters, and on answers that repeat.
"""

from operator import attrgetter

from envmon.core.world import SECOND, RouteState, World
from envmon.model.event import (
    DeviceBatch,
    EdgeReport,
    EdgeStatus,
    Event,
    LeaseReport,
    ProbeReport,
    ReadinessReport,
    Tick,
)
from envmon.model.policy import Policy
from envmon.model.verdict import Position

MOVING = frozenset({Position.SHIFTING, Position.RESTORING})
_shows = attrgetter(
    "percent", "set_epoch", "fence", "up_since", "active_primary", "active_backup", "counts", "ends"
)  # all of a status but the calls it has counted


def is_news(world: World, event: Event) -> bool:
    """Whether anything but the time could be other than before ``event``. What devices read is judged elsewhere."""
    policy = world.policy
    match event:
        case Tick():
            return False
        case EdgeReport() if policy is not None and not event.error:
            by_route = {status.route: status for status in event.statuses}
            return any(_edge(policy, state, event, by_route.get(name)) for name, state in world.routes.items())
        case ProbeReport() if policy is not None:
            state = world.routes.get(event.route)
            return state is not None and _probe(policy, state, event)
        case ReadinessReport():
            return _report(world, event)
        case LeaseReport():
            same = (event.held, event.epoch) == (world.lease.held, world.lease.epoch)
            return not same or event.former not in (0, world.last_epoch)
        case DeviceBatch():
            return world.devices.get(event.device, event.error) != event.error
        case _:
            return True


def _edge(policy: Policy, state: RouteState, event: EdgeReport, status: EdgeStatus | None) -> bool:
    view = state.edges.get(event.edge)
    if view is None or view.status is None:
        return status is not None
    return (
        status is None
        or bool(view.error)
        or state.position in MOVING
        or event.edge not in state.confirmed
        or event.at.mono_ns - view.at_ns > policy.edge_stands_s * SECOND
        or _shows(view.status) != _shows(status)
    )


def _probe(policy: Policy, state: RouteState, event: ProbeReport) -> bool:
    view = state.probes.get(f"{event.edge}/{event.target}")
    return (
        view is None
        or view.answered is not event.answered
        or state.position in MOVING
        or view.at_ns < max(state.act_ns or 0, state.rolled_back_ns + 1)
        or event.at.mono_ns - view.at_ns > policy.probe_stands_s * SECOND
    )


def _report(world: World, event: ReadinessReport) -> bool:
    state = world.routes.get(event.route)
    view = state.reports.get(event.item) if state is not None else None
    stands_s = (
        next((r.proof_stands_s for r in world.policy.routes if r.id == event.route), 0.0) if world.policy else 0.0
    )
    return (
        view is None
        or (view.passed, view.value) != (event.passed, event.value)
        or event.at.mono_ns - view.at_ns > stands_s * SECOND
    )
