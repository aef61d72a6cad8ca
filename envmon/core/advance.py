"""The only door of the mind: ``advance(world, event) -> Step``.

Rules
  - Pure: the same world and event give the same step, in this process, in a rehearsal and in a replay.
  - At most one rule fires per route, one for the mode and one for the lease, for one event.
  - An order is answered in the step that takes it in.

Theory of operation
  Every event is folded in. A tick then judges the zones, lets each table look once, and compares the pages wanted
  with those raised. An order lets its own table look at once; a lease that was another's is inherited before anything
  else is decided; nothing else decides. While another envmon is known to hold the lease, this one decides nothing of
  the mode or of traffic, and takes no orders for them: it goes by what lies under the lease when it takes it.
"""

from dataclasses import replace

from envmon.core import guard, pages
from envmon.core.aside import units_out
from envmon.core.consent import consent, expire
from envmon.core.door import ROUTE_ORDERS, turned_away
from envmon.core.fold import fold
from envmon.core.heir import step_heir
from envmon.core.judge import judge
from envmon.core.memory import standing_by
from envmon.core.modes import step_lease, step_mode
from envmon.core.replacing import replacing
from envmon.core.set_aside import order_aside, step_aside
from envmon.core.step import Step
from envmon.core.storm import poll_s, step_storm
from envmon.core.traffic import step_route
from envmon.core.world import World
from envmon.core.zone_rules import tell_zone
from envmon.model.effect import Decision, PollFaster
from envmon.model.event import Command, Event, LeaseReport, Order, OrderReceived, PolicyLoaded, Tick
from envmon.model.policy import Policy
from envmon.model.verdict import Verdict

_judged = replacing(World, "zones", "faster")
WATCHED_POLL_S = 2.0  # devices of a zone that is not well are wanted this often
ASIDE_ORDERS = frozenset({Command.MAINTENANCE, Command.MAINTENANCE_END, Command.SHELVE, Command.UNSHELVE})


def advance(world: World, event: Event) -> Step:
    """Take in one event and decide what follows from it."""
    if isinstance(event, PolicyLoaded) and (looser := guard.objections(world, event)):
        return guard.refuse(world, event, looser)
    step = _advance(fold(world, event), event)
    if not step.decisions:
        return step
    return replace(step, world=replace(step.world, decided=step.world.decided + len(step.decisions)))


def _advance(world: World, event: Event) -> Step:
    policy = world.policy
    if policy is None:
        if isinstance(event, OrderReceived):
            return turned_away(world, event.order) or Step(world)
        return Step(world)
    match event:
        case Tick():
            return _tick(world, policy)
        case OrderReceived(order=order):
            step, carried = consent(world, policy, order)
            return step if carried is None else step.then(_order(step.world, policy, carried))
        case LeaseReport():
            return step_heir(world, policy)
        case _:
            return Step(world)


def _tick(world: World, policy: Policy) -> Step:
    step = _judge_zones(expire(world), policy)
    if not standing_by(step.world):
        step = step.then(_drive(step.world, policy))
    step = step.then(step_storm(step.world, policy))
    step = step.then(step_aside(step.world, policy))
    return step.then(pages.step_pages(step.world, policy))


def _drive(world: World, policy: Policy) -> Step:
    """The mode, then every route: what only the holder of the lease decides, and whoever knows of none."""
    step = step_heir(world, policy)
    step = step.then(step_lease(step.world, policy))
    step = step.then(step_mode(step.world, policy, None))
    for route in policy.routes:
        step = step.then(step_route(step.world, policy, route, None))
    return step


def _judge_zones(world: World, policy: Policy) -> Step:
    zones = dict(world.zones)
    decisions: list[Decision] = []
    faster: dict[str, float] = {}
    for zone in policy.zones:
        before = zones[zone.id]
        after = judge(policy, zone, before, world.now, units_out(world.aside, zone.id))
        zones[zone.id] = after
        if after.judgement.verdict is not before.judgement.verdict:
            decisions.append(tell_zone(zone, before, after))
        if after.judgement.verdict is not Verdict.OK:
            faster[zone.id] = WATCHED_POLL_S
        elif storm_s := poll_s(world):
            faster[zone.id] = storm_s
    changed = [zone for zone in zones if faster.get(zone) != world.faster.get(zone)]
    hints = tuple(PollFaster(zone, faster.get(zone, 0.0)) for zone in changed)
    return Step(_judged(world, zones, faster), hints, tuple(decisions))


def _order(world: World, policy: Policy, order: Order) -> Step:
    if order.command is Command.ACCEPT:
        return guard.accept(world, order)
    if refused := turned_away(world, order):
        return refused
    if order.command in ASIDE_ORDERS:
        return order_aside(world, policy, order)
    if order.command not in ROUTE_ORDERS:
        return step_mode(world, policy, order)
    step = step_lease(world, policy)  # what is ordered right after the lease was taken waits for its epoch, too
    for route in [route for route in policy.routes if order.route in ("", route.id)]:
        step = step.then(step_route(step.world, policy, route, order))
    return step
