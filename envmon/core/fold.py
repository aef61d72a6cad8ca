"""Take an event into the world: what was read, reported or answered, before anything is judged or decided.

Rules
  - Folding never decides; it only remembers.
  - An answer older than the one remembered is dropped, and an answer asked for before a command never confirms it.
"""

from collections.abc import Mapping
from dataclasses import replace

from envmon.core.memory import found, kept_since, standing_by
from envmon.core.replacing import making, replacing
from envmon.core.sky import configured, reported
from envmon.core.tally import refutes, tally
from envmon.core.trust import JUDGED, behave
from envmon.core.world import (
    Baseline,
    EdgeView,
    LeaseState,
    ProbeView,
    ReportView,
    RouteState,
    Seen,
    World,
    ZoneState,
)
from envmon.model.event import (
    Bequest,
    DeviceBatch,
    EdgeReport,
    EdgeStatus,
    EffectReport,
    Event,
    LeaseReport,
    OrderReceived,
    Outcome,
    PolicyLoaded,
    ProbeReport,
    ReadinessReport,
    Stamp,
    Tick,
    WeatherReport,
)
from envmon.model.reading import Reading, Role
from envmon.model.readings import judged
from envmon.model.verdict import Phase, Position

MOVING = frozenset({Position.SHIFTING, Position.RESTORING})
_seen = making(Seen)
_with_seen = replacing(ZoneState, "seen")
_with_batch = replacing(World, "now", "zones", "devices", "silent_ns")
_with_now = replacing(World, "now")
_with_routes = replacing(World, "routes")
_with_edges = replacing(RouteState, "edges")
_with_probes = replacing(RouteState, "probes")
_with_reports = replacing(RouteState, "reports")


def fold(world: World, event: Event) -> World:
    """The world after ``event`` was taken in. Time never runs backwards."""
    later = event.at.boot_id != world.now.boot_id or event.at.mono_ns > world.now.mono_ns
    now = event.at if later else world.now
    if isinstance(event, DeviceBatch) and event.device in world.devices:
        return _batch(world, event, now)  # by far the most frequent: one new world, not two
    world = _with_now(world, now)
    match event:
        case PolicyLoaded():
            return _policy(world, event)
        case EdgeReport():
            return _edge(world, event)
        case ProbeReport():
            return _probe(world, event)
        case ReadinessReport():
            return _report(world, event)
        case LeaseReport():
            return _lease(world, event)
        case Bequest():
            return _beside(replace(world, bequest=event))
        case EffectReport():
            return _effect(world, event)
        case WeatherReport():
            return replace(world, sky=reported(world.sky, event))
        case Tick() | OrderReceived() | DeviceBatch():
            return world


def _policy(world: World, event: PolicyLoaded) -> World:
    """Zones and routes the new policy keeps keep their state; the others go."""
    policy = event.policy
    known = frozenset(policy.devices)
    zones = {zone.id: world.zones.get(zone.id, ZoneState()) for zone in policy.zones}
    return replace(
        world,
        policy=policy,
        digest=event.digest,
        proposal=None,
        zones={
            name: _with_seen(zone, {p: s for p, s in zone.seen.items() if s.reading.point.device in known})
            for name, zone in zones.items()
        },
        routes={route.id: world.routes.get(route.id, RouteState()) for route in policy.routes},
        devices={device: world.devices.get(device, "not polled yet") for device in policy.devices},
        silent_ns={device: at for device, at in world.silent_ns.items() if device in policy.devices},
        sky=configured(world.sky, policy),
    )


def _batch(world: World, event: DeviceBatch, now: Stamp) -> World:
    by_zone: dict[str, list[Reading]] = {}
    for reading in judged(event.readings):
        zone = reading.point.zone
        if zone is not None and zone in world.zones:
            by_zone.setdefault(zone, []).append(reading)
    zones = dict(world.zones)
    for zone, readings in by_zone.items():
        state = zones[zone]
        seen = dict(state.seen)
        calm = state.phase is Phase.NORMAL and state.onset_ns is None
        for reading in readings:
            name = reading.point.id
            seen[name] = _see(seen.get(name), reading, event.at.mono_ns, state.middles, calm=calm)
        zones[zone] = _with_seen(state, seen)
    devices, silent = world.devices, world.silent_ns  # thousands: copied only when something changed
    if devices[event.device] != event.error:
        devices = {**devices, event.device: event.error}
    if event.error:
        silent = {event.device: event.at.mono_ns, **silent}
    elif event.device in silent:
        silent = {device: at for device, at in silent.items() if device != event.device}
    return _with_batch(world, now, zones, devices, silent)


def _see(before: Seen | None, reading: Reading, at_ns: int, middles: Mapping[Role, float], *, calm: bool) -> Seen:
    if not reading.good:
        return Seen(reading, at_ns) if before is None else replace(before, reading=reading, at_ns=at_ns)
    habit, last_ns = (None, at_ns) if before is None else (before.habit, before.good_ns)
    role = reading.point.role
    if role in JUDGED and isinstance(reading.value, float):
        habit = behave(habit, reading, at_ns, last_ns, middles.get(role), calm=calm)
    return _seen(reading, at_ns, reading, at_ns, habit)


def _edge(world: World, event: EdgeReport) -> World:
    routes = dict(world.routes)
    by_route: Mapping[str, EdgeStatus] = {status.route: status for status in event.statuses}
    for policy in world.policy.routes if world.policy else ():
        state = routes[policy.id]
        before = state.edges.get(event.edge, EdgeView())
        if event.edge not in policy.edges or event.at.mono_ns < before.at_ns:
            continue
        status = by_route.get(policy.id)
        if status is None:
            error = event.error or f"the edge does not know the route {policy.id}"
            view = replace(before, error=error, speaks=event.speaks)
        else:
            view = EdgeView(status, event.at.mono_ns, "")
            state = _confirm(state, event.at.mono_ns, status, before.status)
        routes[policy.id] = _with_edges(state, {**state.edges, event.edge: view})
    return _with_routes(world, routes)


def _confirm(state: RouteState, asked_ns: int, status: EdgeStatus, before: EdgeStatus | None) -> RouteState:
    """An edge that reports the command confirms it; its next report is the starting line of the counters."""
    if status.percent != state.commanded or asked_ns < state.asserted_ns:
        return state
    edge = status.edge
    known = edge in state.confirmed
    if not (known and state.taken and edge in state.started):
        state = replace(
            state,
            taken=True,
            confirmed={**state.confirmed, edge: state.confirmed[edge] if known else status},
            started={edge: status.up_since, **state.started},
        )
    if not known or state.position not in MOVING:
        return state
    start = state.baseline.get(edge)
    if start is None or start.start.up_since != status.up_since:
        start = Baseline(asked_ns, status)
    elif _strayed(state, start, status, before):
        start = Baseline(asked_ns, status, asked_ns)
    return replace(state, baseline={**state.baseline, edge: start})


def _strayed(state: RouteState, start: Baseline, status: EdgeStatus, before: EdgeStatus | None) -> bool:
    """Whether calls went otherwise than commanded: at an end since the last look, at a stage since its start."""
    percent = state.commanded or 0
    since = before if percent in (0, 100) and before is not None else start.start
    return refutes(tally(since, status), percent, ends=status.ends)


def _effect(world: World, event: EffectReport) -> World:
    """A write that ended well is not unsure any more, if no newer one has been sent."""
    if event.outcome is not Outcome.DONE:
        return world
    routes = dict(world.routes)
    for name, state in world.routes.items():
        if state.unsure.get(event.edge) == event.effect:
            rest = {edge: effect for edge, effect in state.unsure.items() if edge != event.edge}
            routes[name] = replace(state, unsure=rest)
    return replace(world, routes=routes)


def _probe(world: World, event: ProbeReport) -> World:
    state = world.routes.get(event.route)
    if state is None:
        return world
    key = f"{event.edge}/{event.target}"
    before = state.probes.get(key)
    if before is not None and event.at.mono_ns < before.at_ns:
        return world
    earlier = before.in_a_row if before is not None and before.at_ns >= state.asserted_ns else 0
    counts = event.answered and event.at.mono_ns >= state.asserted_ns
    detail = event.detail or f"answered by {event.answered_by}"
    view = ProbeView(event.answered, event.at.mono_ns, detail, earlier + 1 if counts else 0)
    return _with_routes(world, {**world.routes, event.route: _with_probes(state, {**state.probes, key: view})})


def _report(world: World, event: ReadinessReport) -> World:
    state = world.routes.get(event.route)
    if state is None:
        return world
    before = state.reports.get(event.item)
    if before is not None and event.at.mono_ns < before.at_ns:
        return world
    if event.error:
        view = replace(before or ReportView(passed=False, at_ns=0, why=""), error=event.error)
    else:
        view = ReportView(event.passed, event.at.mono_ns, event.why, event.value)
    reports = {**state.reports, event.item: view}
    return _with_routes(world, {**world.routes, event.route: _with_reports(state, reports)})


def _lease(world: World, event: LeaseReport) -> World:
    same = event.epoch == world.lease.epoch
    stamped_ns = world.lease.stamped_ns if same else 0
    beside_ns = world.lease.beside_ns if event.holder == world.lease.holder else world.now.mono_ns
    lease = LeaseState(event.held, event.epoch, event.detail, stamped_ns, event.holder, beside_ns)
    world = replace(world, lease=lease)
    if not event.held:
        return _beside(world)
    ours = event.former in (0, world.last_epoch) and not kept_since(world)
    world = replace(world, last_epoch=event.epoch)
    if ours:
        return replace(world, bequest=None)
    return replace(world, followed=event.former, bequest=world.bequest or Bequest(event.at, 0, event.former))


def _beside(world: World) -> World:
    """A standby goes by what people have set aside at the holder: it is where they order."""
    memory = found(world) if standing_by(world) else None
    return world if memory is None else replace(world, aside=memory.aside)
