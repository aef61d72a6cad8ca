"""What a route's rules do: the new position, the effect that reaches the edges, the decision that is journalled."""

from collections.abc import Mapping
from dataclasses import replace

from envmon.core.aside import edge_out
from envmon.core.consent import waived
from envmon.core.proof import calls_left
from envmon.core.readiness import shown
from envmon.core.route_facts import explain, route_facts, threat
from envmon.core.route_rules import ROUTE_RULES, Act, Ask, Edges, RouteFacts, Threat
from envmon.core.step import Step
from envmon.core.table import Row, find, tell
from envmon.core.world import RouteState, World, age_s
from envmon.model.effect import AskProbe, Decision, Effect, SetPercent
from envmon.model.event import Order
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Position

PROBE_EVERY_S = 2.0  # while a move is being proven
ARRIVALS = ("T20", "T24", "T40")  # what a new command makes untrue
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
        return Step(_put(world, route, replace(state, standing=found.id if found else "")), effects, ())
    return _apply(world, policy, route, found, facts, order, effects)


def _follow(world: World, route: RoutePolicy, threatened: Threat) -> tuple[World, tuple[Effect, ...]]:
    """Keep what time alone moves: since when the threat is acute, the episode, the probe calls a decision waits for."""
    state = world.routes[route.id]
    now_ns = world.now.mono_ns
    acute = threatened is Threat.ACT
    wants_probe = acute and state.act_ns is None
    since_ns = now_ns if state.act_ns is None else state.act_ns
    state = replace(state, act_ns=since_ns if acute else None)
    if threatened is not Threat.NONE and not state.episode:
        state = replace(state, episode=f"{int(world.now.wall)}")
    if state.position in (Position.SHIFTING, Position.RESTORING):
        last_ns = max((view.at_ns for view in state.probes.values()), default=0)
        wants_probe = wants_probe or age_s(world.now, max(last_ns, state.asked_ns)) >= PROBE_EVERY_S
    if wants_probe:
        state = replace(state, asked_ns=now_ns)
    return _put(world, route, state), (AskProbe(route.id),) if wants_probe else ()


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
        case Act.SHIFT_BY_RULE:
            latched = facts.position is not Position.RESTORING or state.latched
            return _command(world, route, replace(state, position=Position.SHIFTING, latched=latched), 100)
        case Act.SHIFT_BY_ORDER:
            return _command(world, route, replace(state, position=Position.SHIFTING), 100)
        case Act.RESTORE:
            return _command(world, route, replace(state, position=Position.RESTORING), 0)
        case Act.ASSERT:
            return _assert_again(world, route, state)
        case Act.ARRIVE:
            there = Position.BACKUP if state.position is Position.SHIFTING else Position.PRIMARY
            return _put(world, route, replace(state, position=there)), ()
        case Act.DRAINED:
            return _put(world, route, replace(state, drain_said=True)), ()
        case Act.CLOSE:
            return _put(world, route, replace(state, episode="", latched=False)), ()
        case Act.SAY:
            return world, ()


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
    return replace(world, routes={**world.routes, route.id: state})


def _numbers(world: World, policy: Policy, route: RoutePolicy) -> tuple[tuple[str, str], ...]:
    """The measured numbers behind the facts, for the journal."""
    found: list[tuple[str, str]] = [("time_to_evacuate_s", f"{route.evacuate_s:.0f}")]
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
