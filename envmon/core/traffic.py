"""What a route's rules do: the new position, the effect that reaches the edges, the decision that is journalled."""

from collections.abc import Mapping
from dataclasses import replace

from envmon.core import clock
from envmon.core.aside import edge_out
from envmon.core.consent import waived
from envmon.core.proof import calls_left, counts_seen
from envmon.core.readiness import shown
from envmon.core.replacing import replacing
from envmon.core.route_facts import explain, route_facts, threat
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import Act, Ask, Edges, Errand, Proven, RouteFacts, Threat
from envmon.core.step import Step
from envmon.core.table import Row, find, tell
from envmon.core.world import Measured, RouteState, World, age_s
from envmon.model.effect import AskProbe, Decision, Effect, SetPercent
from envmon.model.event import Order
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Position

PROBE_EVERY_S = 2.0  # while a move is being proven
ATTEMPTS = 2  # of a move by rule in one episode: one that was rolled back leaves one more
KEPT = 5  # moves whose times are remembered
ARRIVALS = ("T20", "T23", "T24", "T40", "T94")  # what a new command makes untrue
_with_routes = replacing(World, "routes")
_followed = replacing(RouteState, "act_ns", "episode", "asked_ns")
_with_standing = replacing(RouteState, "standing")
REPETITIONS = ("T30", "T31", "T32", "T35", "T37")  # what the edges' agreement ends


def step_route(world: World, policy: Policy, route: RoutePolicy, order: Order | None) -> Step:
    """Apply the one rule that matches this route now, if any."""
    ask = Ask(order.command.value) if order is not None else Ask.NONE
    world, effects = _follow(world, route, threat(world, policy, route))
    facts = waived(route_facts(world, policy, route, ask), order)
    found = find(ROUTE_RULES, facts)
    state = world.routes[route.id]
    if facts.edges is Edges.AGREE and state.asserts:
        state = replace(state, asserts=0, announced=_without(state.announced, REPETITIONS))
        world = _put(world, route, state)
    if found is None or (found.standing and found.id == state.standing):
        standing = found.id if found else ""
        return Step(
            world if standing == state.standing else _put(world, route, _with_standing(state, standing)), effects
        )
    return _apply(world, policy, route, found, facts, order, effects)


def _follow(world: World, route: RoutePolicy, threatened: Threat) -> tuple[World, tuple[Effect, ...]]:
    """Keep what time alone moves: since when the threat is acute, the episode, the probe calls a decision waits for."""
    state = world.routes[route.id]
    now_ns = world.now.mono_ns
    acute = threatened is Threat.ACT
    since_ns = now_ns if state.act_ns is None else state.act_ns
    wants_probe = acute and (state.act_ns is None or state.asked_ns < since_ns)
    episode = state.episode or (f"{int(world.now.wall)}" if threatened is not Threat.NONE else "")
    if state.position in (Position.SHIFTING, Position.RESTORING):
        last_ns = max((view.at_ns for view in state.probes.values()), default=0)
        wants_probe = wants_probe or age_s(world.now, max(last_ns, state.asked_ns)) >= PROBE_EVERY_S
    kept = (since_ns if acute else None, episode, now_ns if wants_probe else state.asked_ns)
    if kept == (state.act_ns, state.episode, state.asked_ns):
        return world, ()
    return _put(world, route, _followed(state, *kept)), (AskProbe(route.id),) if wants_probe else ()


def _apply(
    world: World,
    policy: Policy,
    route: RoutePolicy,
    found: Row[Act],
    facts: RouteFacts,
    order: Order | None,
    effects: tuple[Effect, ...],
) -> Step:
    why = explain(world, policy, route)
    world, traffic = _act(world, policy, route, found.action, facts)
    state = world.routes[route.id]
    if order is not None and order.override and found.action in (Act.SHIFT_BY_ORDER, Act.STAGE_BY_ORDER):
        state = replace(state, vouched=True)
    announced = {**state.announced, found.id: why} if found.page and not found.standing else state.announced
    if found.action is Act.CLOSE:
        announced = {}
    standing = found.id if found.standing else state.standing if found.action is Act.ASSERT else ""
    world = _put(world, route, replace(state, standing=standing, announced=announced))
    decision = Decision(
        rule=found.id,
        subject=f"route:{route.id}",
        sentence=found.sentence,
        why=why,
        facts=(*tell(facts), *_numbers(world, policy, route)),
        effects=tuple(effect.id for effect in traffic),
        order=order.id if order is not None else "",
        episode=state.episode,
        refused=found.refuses,
    )
    return Step(world, (*effects, *traffic), (decision,))


def _act(
    world: World, policy: Policy, route: RoutePolicy, action: Act, facts: RouteFacts
) -> tuple[World, tuple[SetPercent, ...]]:
    state = world.routes[route.id]
    match action:
        case Act.ADOPT:
            return _put(world, route, adopt(world, policy, route)), ()
        case Act.GIVE_UP:
            return _put(world, route, replace(adopt(world, policy, route), latched=False)), ()
        case Act.SHIFT_BY_RULE | Act.STAGE_BY_RULE:
            returning = facts.position is Position.RESTORING and facts.errand is not Errand.DRILL
            state = replace(
                _begin(world, state, Position.SHIFTING, Errand.RULE), latched=state.latched or not returning
            )
            return _command(world, route, state, _next(route, state, at_once=action is Act.SHIFT_BY_RULE))
        case Act.SHIFT_BY_ORDER | Act.STAGE_BY_ORDER:
            state = _begin(world, state, Position.SHIFTING, Errand.ORDER)
            return _command(world, route, state, _next(route, state, at_once=action is Act.SHIFT_BY_ORDER))
        case Act.DRILL:
            state = _begin(world, state, Position.SHIFTING, Errand.DRILL)
            return _command(world, route, state, _next(route, state))
        case Act.RESTORE | Act.STAGE_HOME:
            state = _begin(world, state, Position.RESTORING, Errand.ORDER)
            return _command(world, route, state, _next(route, state, at_once=action is Act.RESTORE))
        case Act.NEXT_STAGE | Act.THE_REST:
            return _command(world, route, state, _next(route, state, at_once=action is Act.THE_REST))
        case Act.ROLL_BACK:
            return _command(world, route, _rolled_back(world, state), 0)
        case Act.DRILL_HOME:
            return _command(world, route, _drilled(world, route, state, proven=facts.proof is Proven.PROVEN), 0)
        case Act.DRILL_ENDS:
            return _put(world, route, replace(state, position=Position.SPLIT, errand=Errand.RULE)), ()
        case _:
            return _settle(world, policy, route, action)


def _settle(world: World, policy: Policy, route: RoutePolicy, action: Act) -> tuple[World, tuple[SetPercent, ...]]:
    """What ends something, or keeps it as it was commanded."""
    state = world.routes[route.id]
    match action:
        case Act.ASSERT:
            return _assert_again(world, route, state)
        case Act.ARRIVE:
            there = Position.BACKUP if state.position is Position.SHIFTING else Position.PRIMARY
            if there is Position.BACKUP:
                state = _measure(route, state, Measured(world.now.wall, age_s(world.now, state.moved_ns)))
            return _put(world, route, replace(state, position=there, vouched=False)), ()
        case Act.DRAINED:
            return _put(world, route, replace(_drained(world, policy, route, state), drain_said=True)), ()
        case Act.DRILL_DONE:
            state = _drained(world, policy, route, state)
            return _put(world, route, replace(state, position=Position.PRIMARY, errand=Errand.RULE)), ()
        case Act.CLOSE:
            return _put(world, route, replace(state, episode="", latched=False, attempts=0)), ()
        case _:
            return world, ()


def _begin(world: World, state: RouteState, to: Position, errand: Errand) -> RouteState:
    """Start a move; an order that is given while automation is held is carried out all the same."""
    return replace(state, position=to, errand=errand, moved_ns=world.now.mono_ns, frozen=False, vouched=False)


def _next(route: RoutePolicy, state: RouteState, *, at_once: bool = False) -> int:
    """The percent after the one commanded, in the direction of the move."""
    now = state.commanded or 0
    if state.position is Position.RESTORING:
        return 0 if at_once else max((100 - stage for stage in route.stages if 100 - stage < now), default=0)
    return 100 if at_once else min((stage for stage in route.stages if stage > now), default=100)


def _rolled_back(world: World, state: RouteState) -> RouteState:
    """Give a move up for home. One by rule leaves one more attempt, after a readiness proven from here on."""
    attempts = state.attempts + (state.errand is Errand.RULE)
    return replace(
        state,
        position=Position.PRIMARY,
        errand=Errand.RULE,
        attempts=attempts,
        latched=attempts >= ATTEMPTS,
        rolled_back_ns=world.now.mono_ns,
        vouched=False,
    )


def _drilled(world: World, route: RoutePolicy, state: RouteState, *, proven: bool) -> RouteState:
    """A drill turns home; one stage of many was proven, or none."""
    if proven:
        took_s = age_s(world.now, state.moved_ns) * len(route.stages)
        state = _measure(route, state, Measured(world.now.wall, took_s, drill=True))
    return replace(state, position=Position.RESTORING, moved_ns=state.moved_ns if proven else 0)


def _measure(route: RoutePolicy, state: RouteState, seen: Measured) -> RouteState:
    """Remember what a real move took."""
    if not route.learns or state.moved_ns == 0:
        return state
    return replace(state, measured=(*state.measured, seen)[-KEPT:])


def _drained(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> RouteState:
    """Remember how long the last call took to leave, if every edge saw it leave."""
    seen = counts_seen(state, shown(world, policy, route)) and calls_left(world, policy, route, state) == 0
    if state.moved_ns == 0 or not seen or not state.measured:
        return state
    *before, last = state.measured
    return replace(state, measured=(*before, replace(last, drain_s=age_s(world.now, state.command_ns))))


def _command(world: World, route: RoutePolicy, state: RouteState, percent: int) -> tuple[World, tuple[SetPercent, ...]]:
    """Command a new position on every edge, silent ones included: they may hear what they do not answer."""
    now_ns = world.now.mono_ns
    state = replace(
        state,
        commanded=percent,
        command_ns=now_ns,
        asserted_ns=now_ns,
        asserts=0,
        command_epoch=world.lease.epoch,
        taken=False,
        confirmed={},
        started={},
        baseline={},
        announced=_without(state.announced, ARRIVALS),
        drain_said=False,
        episode=state.episode or f"{int(world.now.wall)}",
    )
    return _write(_put(world, route, state), route, route.edges, percent)


def _assert_again(world: World, route: RoutePolicy, state: RouteState) -> tuple[World, tuple[SetPercent, ...]]:
    """Write the commanded position to the edges that show another."""
    forgot = tuple(
        edge
        for edge in route.edges
        if (view := state.edges.get(edge)) is not None
        and view.status is not None
        and not edge_out(world.aside, edge)
        and (view.status.percent != state.commanded or edge in state.unsure)
    )
    state = replace(
        state,
        asserted_ns=world.now.mono_ns,
        asserts=state.asserts + 1,
        command_epoch=world.lease.epoch,
        confirmed={edge: seen for edge, seen in state.confirmed.items() if edge not in forgot},
        baseline={edge: start for edge, start in state.baseline.items() if edge not in forgot},
    )
    return _write(_put(world, route, state), route, forgot, state.commanded or 0)


def _write(
    world: World, route: RoutePolicy, edges: tuple[str, ...], percent: int
) -> tuple[World, tuple[SetPercent, ...]]:
    number = world.effects + 1
    epoch = world.lease.epoch
    effect = SetPercent(f"{epoch}.{number}", route.id, edges, percent, epoch)
    state = world.routes[route.id]
    state = replace(state, unsure={**state.unsure, **dict.fromkeys(edges, effect.id)})
    return replace(_put(world, route, state), effects=number), (effect,)


def adopt(world: World, policy: Policy, route: RoutePolicy) -> RouteState:
    """Take what the edges that answer show as the commanded position; edges that differ leave it unread."""
    state = world.routes[route.id]
    status = shown(world, policy, route)
    state = replace(
        state,
        command_ns=world.now.mono_ns,
        asserted_ns=world.now.mono_ns,
        command_epoch=0,
        asserts=0,
        errand=Errand.RULE,
        moved_ns=0,
        vouched=False,
        baseline={},
        unsure={},
        announced=_without(state.announced, ARRIVALS),
    )
    percents = {now.percent for now in status.values()}
    if len(percents) != 1:
        return replace(state, position=Position.UNREAD, commanded=None, taken=False, confirmed={}, started={})
    percent = percents.pop()
    named = {0: Position.PRIMARY, 100: Position.BACKUP}
    return replace(
        state,
        position=named.get(percent, Position.SPLIT),
        commanded=percent,
        taken=True,
        confirmed=status,
        started={edge: now.up_since for edge, now in status.items()},
        drain_said=percent != 100,
    )


def _without(announced: Mapping[str, str], rules: tuple[str, ...]) -> dict[str, str]:
    return {rule: why for rule, why in announced.items() if rule not in rules}


def _put(world: World, route: RoutePolicy, state: RouteState) -> World:
    return _with_routes(world, {**world.routes, route.id: state})


def _numbers(world: World, policy: Policy, route: RoutePolicy) -> tuple[tuple[str, str], ...]:
    """The measured numbers behind the facts, for the journal."""
    state = world.routes[route.id]
    found: list[tuple[str, str]] = [("time_to_evacuate_s", f"{clock.evacuate_s(route, state):.0f}")]
    if state.commanded is not None:
        found.append(("percent", f"{state.commanded}"))
    if state.measured:
        last = state.measured[-1]
        found.append(("seen_verify_s", f"{last.verify_s:.1f}"))
        found.append(("seen_drain_s", "none" if last.drain_s is None else f"{last.drain_s:.1f}"))
    for zone in route.zones:
        judgement = world.zones[zone].judgement
        lower = judgement.time_to_limit.lower
        found.append((f"{zone}.verdict", judgement.verdict))
        found.append(
            (f"{zone}.temperature_c", "none" if judgement.temperature is None else f"{judgement.temperature:.2f}")
        )
        found.append((f"{zone}.time_to_limit_s", judgement.time_to_limit.sight if lower is None else f"{lower:.0f}"))
    counted = [status for status in shown(world, policy, route).values() if status.counts]
    if counted:
        left = calls_left(world, policy, route, world.routes[route.id])
        found.append(("calls_primary", str(sum(status.calls_primary for status in counted))))
        found.append(("calls_backup", str(sum(status.calls_backup for status in counted))))
        found.append(("calls_left", "not known" if left is None else str(left)))
    return tuple(found)
