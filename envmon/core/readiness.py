"""Readiness: can the backup take the calls of a route now, item by item.

Rules
  - An item passes, fails or is unknown; only a pass counts. A stale proof is no proof.
  - Backup cooling must be good and known: a normal, sighted zone with capacity for its load, or the word of the
    backup's own envmon (``proofs.backup_cooling``); where both are configured, both.
  - An item reported from outside (capacity, list parity, the carrier's route) counts while its report is young.
  - The probe call must have been answered through every edge that answers, after the threat began.
  - An edge that is silent to command, OPTIONS and probe calls is gone and not waited for. One that still answers SIP
    takes calls which nobody could move: that stands in the way (``every_edge``).
  - Soft items (spare calls, replication age, a single edge, the dwell after a roll-back) are waived once time to limit
    is below time to evacuate; the others are hard, and so is a backup that says it takes no call at all.
"""

from dataclasses import dataclass, replace

from envmon.core.aside import edge_out
from envmon.core.clock import pressed
from envmon.core.route_words import Ready
from envmon.core.world import SECOND, RouteState, World, age_s
from envmon.model.event import EdgeStatus, Target
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Phase, Verdict

PROBE_CALL = "probe_call"
BACKUP_COOLING = "backup_cooling"
CAPACITY = "call_capacity"
DWELL = "dwell"
EVERY_EDGE = "every_edge"
SOFT = frozenset({CAPACITY, "replication_age", EVERY_EDGE, DWELL})
_UNSEEN = RouteState()
CALL_S = 10.0  # a probe call placed for a decision is back by then


@dataclass(frozen=True, slots=True)
class Item:
    """One check: ``passed`` None means unknown; ``waived`` that it is not asked for any more."""

    name: str
    passed: bool | None
    why: str
    waived: bool = False

    @property
    def wanting(self) -> bool:
        """Whether it stands in the way."""
        return self.passed is not True and not self.waived


def readiness(world: World, policy: Policy, route: RoutePolicy) -> tuple[Item, ...]:
    """Every item for a route."""
    state = world.routes.get(route.id, _UNSEEN)
    alive = reachable(world, policy, route)
    items = (
        _backup_cooling(world, policy, route, state),
        _edges(world, route, state, alive),
        _every_edge(world, route, state, alive),
        _probe(world, policy, state, alive),
        *(_report(world, policy, route, state, name) for name in route.proofs if name != BACKUP_COOLING),
        _dwell(world, route, state),
        Item("lease", world.lease.held, f"epoch {world.lease.epoch}" if world.lease.held else world.lease.detail),
    )
    if not pressed(world, policy, route, state):
        return items
    return tuple(replace(item, waived=True) if item.wanting and _soft(item, state) else item for item in items)


def _soft(item: Item, state: RouteState) -> bool:
    """Whether it may be waived. Too few spare calls may; a backup whose last word was that it takes none may not."""
    told = state.reports.get(CAPACITY) if item.name == CAPACITY else None
    full = told is not None and told.at_ns > 0 and (told.passed is False or told.value == 0)
    return item.name in SOFT and not full


def ready(world: World, items: tuple[Item, ...], act_ns: int | None) -> Ready:
    """Sum the items up; the lease is left out, it is a fact of its own in the rules."""
    wanting = [item for item in items if item.wanting and item.name != "lease"]
    if not wanting:
        return Ready.YES
    only_the_call = [(item.name, item.passed) for item in wanting] == [(PROBE_CALL, None)]
    waiting = act_ns is not None and age_s(world.now, act_ns) <= CALL_S
    return Ready.ASKED if only_the_call and waiting else Ready.NO


def reachable(world: World, policy: Policy, route: RoutePolicy) -> tuple[str, ...]:
    """The edges that have answered lately and are not in maintenance: what those show is nobody's word."""
    state = world.routes.get(route.id, _UNSEEN)
    return tuple(
        edge
        for edge in route.edges
        if (view := state.edges.get(edge)) is not None
        and view.status is not None
        and not edge_out(world.aside, edge)
        and age_s(world.now, view.at_ns) <= policy.edge_stands_s
    )


def shown(world: World, policy: Policy, route: RoutePolicy) -> dict[str, EdgeStatus]:
    """What the edges that have answered lately report."""
    views = world.routes[route.id].edges
    return {e: status for e in reachable(world, policy, route) if (status := views[e].status) is not None}


def _backup_cooling(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Item:
    peer = _report(world, policy, route, state, BACKUP_COOLING) if BACKUP_COOLING in route.proofs else None
    if not route.backup_zones:
        return peer or Item(BACKUP_COOLING, None, "no backup zone is configured, and no peer is asked")
    ours = _backup_zones(world, route)
    return ours if peer is None or ours.passed is not True else peer


def _backup_zones(world: World, route: RoutePolicy) -> Item:
    name = BACKUP_COOLING
    for zone in route.backup_zones:
        state = world.zones.get(zone)
        if state is None or state.judgement.verdict is Verdict.UNKNOWN:
            return Item(name, None, f"{zone} is unknown: {_as_one(state.judgement.why) if state else 'not configured'}")
        poor = state.judgement.verdict is Verdict.CRITICAL or state.phase is not Phase.NORMAL
        if poor or state.judgement.margin_kw < 0:
            return Item(name, False, f"{zone} is {state.judgement.verdict}: {_as_one(state.judgement.why)}")
    return Item(name, True, f"{', '.join(route.backup_zones)} good")


def _as_one(why: str) -> str:
    """A zone's reasons as one: they stand in a list of others."""
    return why.replace("; ", ", ")


def _edges(world: World, route: RoutePolicy, state: RouteState, alive: tuple[str, ...]) -> Item:
    out = [edge for edge in route.edges if edge_out(world.aside, edge)]
    silent = [edge for edge in route.edges if edge not in alive and edge not in out]
    aside = [f"{edge}: in maintenance" for edge in out]
    if not alive:
        told = [f"{edge}: {_silence(state, edge)}" for edge in silent]
        return Item("edges", False, "; ".join((*told, *aside)) or "no edge is configured")
    missing = [*([f"{', '.join(silent)} silent"] if silent else []), *aside]
    return Item("edges", True, f"{', '.join(alive)} answer" + (f"; partial, {', '.join(missing)}" if missing else ""))


def _every_edge(world: World, route: RoutePolicy, state: RouteState, alive: tuple[str, ...]) -> Item:
    """No edge goes on taking calls while it takes no commands."""
    for edge in route.edges:
        if edge not in alive and not edge_out(world.aside, edge) and _speaks(state, edge):
            return Item(EVERY_EDGE, False, f"{edge} takes calls but no commands: {_silence(state, edge)}")
    return Item(EVERY_EDGE, True, "no edge takes calls without commands")


def _silence(state: RouteState, edge: str) -> str:
    """Why an edge counts as silent; its last answer may simply be too old."""
    return (state.edges[edge].error or "no answer lately") if edge in state.edges else "not asked yet"


def _speaks(state: RouteState, edge: str) -> bool:
    """Whether it answers OPTIONS, or has answered a probe call since it last took a command."""
    view = state.edges.get(edge)
    if view is None:
        return False
    calls = [state.probes.get(f"{edge}/{target}") for target in Target]
    return view.speaks or any(call.answered and call.at_ns > view.at_ns for call in calls if call is not None)


def _dwell(world: World, route: RoutePolicy, state: RouteState) -> Item:
    """A move that was rolled back is not tried again at once."""
    if state.rolled_back_ns == 0 or (age := age_s(world.now, state.rolled_back_ns)) >= route.dwell_s:
        return Item(DWELL, True, "no move was rolled back lately")
    return Item(DWELL, False, f"a move was rolled back {age:.0f} s ago, the next waits for {route.dwell_s:.0f} s")


def _report(world: World, policy: Policy, route: RoutePolicy, state: RouteState, name: str) -> Item:
    """An item somebody else checks: its last report, unless it is too old to speak for now."""
    view = state.reports.get(name)
    error = f": {view.error}" if view is not None and view.error else ""
    if view is None or not view.at_ns:
        return Item(name, None, f"not reported yet{error}")
    age = age_s(world.now, view.at_ns)
    if age > route.proof_stands_s:
        return Item(name, None, f"reported {age:.0f} s ago, a report stands for {route.proof_stands_s:.0f} s{error}")
    if view.value is None:
        return Item(name, view.passed, view.why)
    calls = sum(status.active_primary for status in shown(world, policy, route).values())
    needed = calls * route.capacity_margin
    return Item(name, view.passed and view.value >= needed, f"{view.why}; {calls} calls now need {needed:.0f}")


def _probe(world: World, policy: Policy, state: RouteState, alive: tuple[str, ...]) -> Item:
    if not alive:
        return Item(PROBE_CALL, None, "no edge to call through")
    since_ns = world.now.mono_ns - int(policy.probe_stands_s * SECOND)
    for edge in alive:
        view = state.probes.get(f"{edge}/backup")
        if view is None:
            return Item(PROBE_CALL, None, f"{edge}: no probe call yet")
        if not view.answered:
            return Item(PROBE_CALL, False, f"{edge}: the backup did not answer the probe call: {view.detail}")
        if view.at_ns < max(since_ns, state.act_ns or 0, state.rolled_back_ns + 1):
            return Item(
                PROBE_CALL, None, f"{edge}: last probe call {age_s(world.now, view.at_ns):.0f} s ago, a new one is due"
            )
    return Item(PROBE_CALL, True, f"answered through {', '.join(alive)}")
