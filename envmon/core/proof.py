"""Whether a commanded move has happened: read-back, call counters and probe calls, together or not at all.

Rules
  - ``proven`` needs all three: every edge that answers reads back the command, the counters move only at the right
    site, a probe call was answered by the right site after the command.
  - With fewer new calls than ``proof_calls`` three probe calls replace the counters: at 03:30 nobody calls.
  - One new call counted at the wrong site after read-back contradicts the move.
"""

from envmon.core.readiness import reachable
from envmon.core.route_rules import Proven
from envmon.core.world import SECOND, RouteState, World, age_s
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Position

PROBES_INSTEAD = 3
WATCH_S = 5.0  # an edge that still calls the wrong site shows it by then


def proof(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Proven:
    """Judge the standing command of a route."""
    if state.position not in (Position.SHIFTING, Position.RESTORING):
        return Proven.IDLE
    to_backup = state.position is Position.SHIFTING
    alive = reachable(world, policy, route)
    right, wrong = _calls(state, alive, to_backup=to_backup)
    if wrong > 0:
        return Proven.CONTRADICTED
    read_back = bool(alive) and all(_watched(state, edge) for edge in alive)
    probes = _probes(state, alive, "backup" if to_backup else "primary")
    counted = right >= route.proof_calls or probes >= PROBES_INSTEAD
    if read_back and probes > 0 and counted:
        return Proven.PROVEN
    return Proven.OVERDUE if age_s(world.now, state.command_ns) > route.verify_s else Proven.WAITING


def _watched(state: RouteState, edge: str) -> bool:
    """Whether an edge has confirmed the command and its counters were then watched long enough to contradict it."""
    start = state.baseline.get(edge)
    watched_ns = state.edges[edge].at_ns - start.at_ns if start is not None else 0
    return edge in state.confirmed and watched_ns >= WATCH_S * SECOND


def _calls(state: RouteState, alive: tuple[str, ...], *, to_backup: bool) -> tuple[int, int]:
    """New calls since the baselines: at the commanded site, at the other."""
    primary = backup = 0
    for edge in alive:
        status, start = state.edges[edge].status, state.baseline.get(edge)
        if status is None or start is None or start.up_since != status.up_since:
            continue
        primary += status.calls_primary - start.calls_primary
        backup += status.calls_backup - start.calls_backup
    return (backup, primary) if to_backup else (primary, backup)


def _probes(state: RouteState, alive: tuple[str, ...], target: str) -> int:
    """Probe calls answered in a row since the command; 0 when the last through any edge was not."""
    views = [view for edge in alive if (view := state.probes.get(f"{edge}/{target}")) is not None]
    since = [view for view in views if view.at_ns >= state.asserted_ns]
    if not since or not all(view.answered for view in since):
        return 0
    return sum(view.in_a_row for view in since)


def calls_left(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> int | None:
    """Calls still at the primary; None when an edge restarted since the command and its counter started anew."""
    alive = reachable(world, policy, route)
    if not alive:
        return None
    if age_s(world.now, state.command_ns) > route.max_call_s:
        return sum(s.active_primary for edge in alive if (s := state.edges[edge].status) is not None)
    total = 0
    for edge in alive:
        status = state.edges[edge].status
        start = state.baseline.get(edge)
        if status is None or start is None or start.up_since != status.up_since:
            return None
        total += status.active_primary
    return total
