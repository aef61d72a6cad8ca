"""Whether a commanded move has happened: read-back, call counters and probe calls, together or not at all.

Rules
  - ``proven`` needs all three: every edge that answers reads back the command, the counters move only at the right
    site, a probe call was answered by the right site after the command.
  - With fewer new calls than ``proof_calls`` three probe calls replace the counters: at 03:30 nobody calls.
  - A new call counted at the wrong site after read-back contradicts the move; the proof starts again from there.
"""

from collections.abc import Mapping

from envmon.core.readiness import shown
from envmon.core.route_rules import Left, Proven
from envmon.core.world import SECOND, RouteState, World, age_s
from envmon.model.event import EdgeStatus
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Position

PROBES_INSTEAD = 3
WATCH_S = 5.0  # an edge that still calls the wrong site shows it by then
CONTRADICTED_S = 30.0  # a call at the wrong site contradicts the move for so long


def proof(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Proven:
    """Judge the standing command of a route."""
    if state.position not in (Position.SHIFTING, Position.RESTORING):
        return Proven.IDLE
    to_backup = state.position is Position.SHIFTING
    status = shown(world, policy, route)
    starts = [state.baseline[edge] for edge in status if edge in state.baseline]
    if any(start.wrong_ns and age_s(world.now, start.wrong_ns) <= CONTRADICTED_S for start in starts):
        return Proven.CONTRADICTED
    read_back = bool(status) and all(_watched(state, edge) for edge in status)
    probes = _probes(state, tuple(status), "backup" if to_backup else "primary")
    counted = _calls(state, status, to_backup=to_backup) >= route.proof_calls or probes >= PROBES_INSTEAD
    if read_back and probes > 0 and counted:
        return Proven.PROVEN
    return Proven.OVERDUE if age_s(world.now, state.command_ns) > route.verify_s else Proven.WAITING


def _watched(state: RouteState, edge: str) -> bool:
    """Whether an edge has stored and confirmed the command, and was then watched long enough to contradict it."""
    start = state.baseline.get(edge)
    watched_ns = state.edges[edge].at_ns - start.at_ns if start is not None else 0
    return edge in state.confirmed and edge not in state.unsure and watched_ns >= WATCH_S * SECOND


def _calls(state: RouteState, status: Mapping[str, EdgeStatus], *, to_backup: bool) -> int:
    """New calls at the commanded site since the baselines."""
    total = 0
    for edge, now in status.items():
        start = state.baseline.get(edge)
        if start is not None and start.up_since == now.up_since:
            total += now.calls_backup - start.calls_backup if to_backup else now.calls_primary - start.calls_primary
    return total


def _probes(state: RouteState, alive: tuple[str, ...], target: str) -> int:
    """Probe calls answered in a row since the command; 0 when the last through any edge was not."""
    views = [view for edge in alive if (view := state.probes.get(f"{edge}/{target}")) is not None]
    since = [view for view in views if view.at_ns >= state.asserted_ns]
    if not since or not all(view.answered for view in since):
        return 0
    return sum(view.in_a_row for view in since)


def calls_left(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> int | None:
    """Calls still at the primary over the edges that answer; None when one of them has lost sight of its calls.

    An edge that restarted since the command counts from 0 while its earlier calls go on, and some edges count none;
    after the longest call they have ended.
    """
    status = shown(world, policy, route)
    over = age_s(world.now, state.command_ns) > route.max_call_s
    seen = all(now.counts and state.started.get(edge) == now.up_since for edge, now in status.items())
    if not status or not (over or seen):
        return None
    return sum(now.active_primary for now in status.values())


def left(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Left:
    """Whether the last call has left the primary, on every edge of the route."""
    if state.position is not Position.BACKUP or calls_left(world, policy, route, state) != 0:
        return Left.NO
    return Left.YES if len(shown(world, policy, route)) == len(route.edges) else Left.PARTIAL
