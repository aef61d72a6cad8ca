"""Whether a commanded move has happened: read-back, call counters and probe calls, together or not at all.

Rules
  - ``proven`` needs all three: every edge that answers reads back the command, the counters move in its proportion,
    a probe call was answered by the right site after the command.
  - With fewer new calls than ``proof_calls`` three probe calls replace the counters: at 03:30 nobody calls.
  - Calls that went otherwise than the read-back says contradict the move. At the end of a move, where one stray call
    can be that, the proof starts again from there; a stage it stops.
  - A site that fails the calls it is given falters, whatever the knobs and the probe calls say.
"""

from envmon.core.clock import stage_s, verify_s
from envmon.core.readiness import shown
from envmon.core.route_words import Errand, Left, Proven, Stage
from envmon.core.tally import Tally, falters, tally, total
from envmon.core.world import SECOND, RouteState, World, age_s
from envmon.model.event import EdgeStatus
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Position

PROBES_INSTEAD = 3
WATCH_S = 5.0  # an edge that still calls the wrong site shows it by then
CONTRADICTED_S = 30.0  # a call at the wrong site contradicts the end of a move for so long


def stage(state: RouteState) -> Stage:
    """Whether the standing command is one on the way."""
    moving = state.position in (Position.SHIFTING, Position.RESTORING)
    return Stage.PART if moving and state.commanded not in (0, 100) else Stage.WHOLE


def proof(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Proven:
    """Judge the standing command of a route."""
    if state.position not in (Position.SHIFTING, Position.RESTORING):
        return Proven.IDLE
    to_backup = state.position is Position.SHIFTING
    part = stage(state) is Stage.PART
    status = shown(world, policy, route)
    starts = [state.baseline[edge] for edge in status if edge in state.baseline]
    if any(start.wrong_ns and (part or age_s(world.now, start.wrong_ns) <= CONTRADICTED_S) for start in starts):
        return Proven.CONTRADICTED
    counted = [tally(state.baseline[edge].start, now) for edge, now in status.items() if edge in state.baseline]
    if falters(total(counted), backup=to_backup, before=total(map(_since_start, status.values()))):
        return Proven.FALTERING
    read_back = bool(status) and all(_watched(state, edge) for edge in status)
    probes = _probes(state, tuple(status), "backup" if to_backup else "primary")
    if read_back and probes > 0 and (_moved(counted, route, to_backup=to_backup) or _quiet(counted, route, probes)):
        return Proven.PROVEN
    patience_s = stage_s(route, state) if part else verify_s(route, state)
    return Proven.OVERDUE if age_s(world.now, state.command_ns) > patience_s else Proven.WAITING


def say(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> str:
    """What the counters show of the move under way, edge by edge; "" without one."""
    if state.position not in (Position.SHIFTING, Position.RESTORING):
        return ""
    parts = []
    for edge, now in shown(world, policy, route).items():
        start = state.baseline.get(edge)
        if start is None:
            parts.append(f"{edge} shows {now.percent} %")
            continue
        counted = tally(start.start, now)
        failed = counted.failed_primary + counted.failed_backup
        parts.append(
            f"{edge} shows {now.percent} %, {counted.backup} of {counted.calls} new calls at the backup"
            + (f", {failed} failed" if failed else "")
        )
    return ", ".join(parts)


def _watched(state: RouteState, edge: str) -> bool:
    """Whether an edge has stored and confirmed the command, and was then watched long enough to contradict it."""
    start = state.baseline.get(edge)
    watched_ns = state.edges[edge].at_ns - start.at_ns if start is not None else 0
    return edge in state.confirmed and edge not in state.unsure and watched_ns >= WATCH_S * SECOND


def _moved(counted: list[Tally], route: RoutePolicy, *, to_backup: bool) -> bool:
    """Whether enough new calls were seen, some of them at the commanded site, at every edge that had enough."""
    busy = [each for each in counted if each.calls >= route.proof_calls]
    together = total(counted)
    enough = together.calls >= route.proof_calls
    return enough and all((each.backup if to_backup else each.primary) > 0 for each in (*busy, together))


def _quiet(counted: list[Tally], route: RoutePolicy, probes: int) -> bool:
    return total(counted).calls < route.proof_calls and probes >= PROBES_INSTEAD


def _since_start(status: EdgeStatus) -> Tally:
    """All an edge has counted in its life."""
    return Tally(
        status.calls_primary,
        status.calls_backup,
        status.answered_primary,
        status.answered_backup,
        status.refused_primary,
        status.refused_backup,
        status.failed_primary,
        status.failed_backup,
    )


def _probes(state: RouteState, alive: tuple[str, ...], target: str) -> int:
    """Probe calls answered in a row since the command; 0 when the last through any edge was not."""
    views = [view for edge in alive if (view := state.probes.get(f"{edge}/{target}")) is not None]
    since = [view for view in views if view.at_ns >= state.asserted_ns]
    if not since or not all(view.answered for view in since):
        return 0
    return sum(view.in_a_row for view in since)


def calls_left(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> int | None:
    """Calls still at the site that is left, over the edges that answer; None when one has lost sight of its calls.

    An edge that restarted since the command counts from 0 while its earlier calls go on, and some edges count none;
    after the longest call they have ended. That site is the primary, but for a drill on its way home.
    """
    status = shown(world, policy, route)
    over = age_s(world.now, state.command_ns) > route.max_call_s
    seen = counts_seen(state, status)
    if not status or not (over or seen):
        return None
    homeward = _drill_home(state)
    return sum(now.active_backup if homeward else now.active_primary for now in status.values())


def counts_seen(state: RouteState, status: dict[str, EdgeStatus]) -> bool:
    """Whether every edge has counted its calls without a break since the command."""
    return all(now.counts and state.started.get(edge) == now.up_since for edge, now in status.items())


def left(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Left:
    """Whether the last call has left the site that is left, on every edge of the route.

    A drill waits no longer than the longest call: others than its own may be at the backup.
    """
    if state.position is not Position.BACKUP and not _drill_home(state):
        return Left.NO
    over = _drill_home(state) and age_s(world.now, state.command_ns) > route.max_call_s
    if calls_left(world, policy, route, state) != 0 and not over:
        return Left.NO
    return Left.YES if len(shown(world, policy, route)) == len(route.edges) else Left.PARTIAL


def _drill_home(state: RouteState) -> bool:
    return state.position is Position.RESTORING and state.errand is Errand.DRILL
