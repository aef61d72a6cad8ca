"""What the mode's and the lease's rules do."""

from dataclasses import replace

from envmon.core import holds
from envmon.core.mode_rules import LEASE_RULES, MODE_RULES, Fence, Hand, LeaseFacts, ModeAct, ModeAsk, ModeFacts
from envmon.core.readiness import shown
from envmon.core.route_facts import edges
from envmon.core.route_words import Edges
from envmon.core.step import Step
from envmon.core.table import answer, find, tell
from envmon.core.traffic import adopt
from envmon.core.world import World, age_s
from envmon.model.effect import Decision, StampEpoch
from envmon.model.event import EdgeStatus, Order
from envmon.model.policy import Policy
from envmon.model.verdict import Mode

STAMP_EVERY_S = 5.0
HELD_PAGE = "mode/held"
SAYS_ONLY = frozenset({ModeAct.SAY, ModeAct.WARN, ModeAct.REMIND})
OUTBID = "M51"  # after a newer epoch we hold: a restart that takes a higher one must not win by itself


def step_mode(world: World, policy: Policy, order: Order | None) -> Step:
    """Apply the one mode rule that matches, if any."""
    ask = ModeAsk(order.command.value) if order is not None else ModeAsk.NONE
    facts = ModeFacts(
        mode=world.mode,
        placement=answer(not policy.placement_faults),
        hand=hand(world, policy),
        held=holds.held(world),
        lasts=holds.lasts(world, order),
        order=ask,
    )
    found = find(MODE_RULES, facts)
    if found is None:
        return Step(world)
    why = _why(world, policy, facts, order)
    world = _enter(world, policy, found.action, order)
    if order is not None and found.action in (ModeAct.HOLD, ModeAct.EXTEND):
        why = f"{why}; {holds.ends(world)}"
    decision = Decision(
        rule=found.id,
        subject="mode",
        sentence=found.sentence,
        why=why,
        facts=tell(facts),
        order=order.id if order is not None else "",
        refused=found.refuses,
    )
    if found.action not in SAYS_ONLY:
        world = replace(world, mode_rule=found.id, mode_why=why)
    standing = f"envmon/{policy.site}/{HELD_PAGE}" in world.raised
    return Step(holds.noticed(world, found, why, order, standing=standing), (), (decision,))


def _enter(world: World, policy: Policy, action: ModeAct, order: Order | None) -> World:
    match action:
        case ModeAct.AUTOMATIC | ModeAct.LIFT:
            return replace(world, mode=Mode.AUTOMATIC, followed=0, hold=None)
        case ModeAct.OBSERVE:
            return replace(world, mode=Mode.OBSERVE, hold=None)
        case ModeAct.HOLD:
            frozen = {name: replace(state, frozen=True) for name, state in world.routes.items()}
            return replace(world, mode=Mode.HELD, routes=frozen, hold=holds.begun(world, policy, order))
        case ModeAct.EXTEND:
            return replace(world, hold=holds.begun(world, policy, order))
        case ModeAct.WARN | ModeAct.REMIND:
            return holds.told(world)
        case ModeAct.RESUME:
            contested = [r for r in policy.routes if edges(world, policy, r, world.routes[r.id]) is Edges.CONTESTED]
            adopted = {route.id: adopt(world, policy, route) for route in contested}
            routes = {**world.routes, **adopted}
            return replace(world, mode=Mode.AUTOMATIC, followed=0, routes=routes, hold=None)
        case ModeAct.SAY:
            return world


def hand(world: World, policy: Policy) -> Hand:
    """Whether somebody else's hand shows at the edges."""
    if world.lease.held and any(s.fence > world.lease.epoch for s in _statuses(world, policy)):
        return Hand.NEWER
    contested = [r for r in policy.routes if edges(world, policy, r, world.routes[r.id]) is Edges.CONTESTED]
    if not contested:
        return Hand.NONE
    divided = any(len({s.percent for s in shown(world, policy, r).values()}) > 1 for r in contested)
    return Hand.DIVIDED if divided else Hand.ELSEWHERE


def _statuses(world: World, policy: Policy) -> list[EdgeStatus]:
    """What the edges that answer last reported, all routes."""
    return [status for route in policy.routes for status in shown(world, policy, route).values()]


def _why(world: World, policy: Policy, facts: ModeFacts, order: Order | None) -> str:
    parts = [f"{order.who}: {order.reason}"] if order is not None else []
    if facts.mode is Mode.HELD and facts.order is ModeAsk.NONE:
        parts.append(holds.says(world) or world.mode_why)
    parts.extend(policy.placement_faults)
    if facts.hand is not Hand.NONE:
        shown = {
            f"{s.edge} sends {s.percent} % of {s.route} to the backup (epoch {s.fence})"
            for s in _statuses(world, policy)
        }
        parts.extend(sorted(shown))
    return "; ".join(filter(None, parts))


def step_lease(world: World, policy: Policy) -> Step:
    """Stamp a newly taken epoch on the edges that have not seen it."""
    low = tuple(dict.fromkeys(s.edge for s in _statuses(world, policy) if s.fence < world.lease.epoch))
    facts = LeaseFacts(
        world.mode,
        answer(world.lease.held),
        Fence.LOW if low else Fence.LEVEL,
        answer(world.mode is Mode.HELD and world.mode_rule == OUTBID),
        answer(world.lease.stamped_ns == 0 or age_s(world.now, world.lease.stamped_ns) > STAMP_EVERY_S),
    )
    found = find(LEASE_RULES, facts)
    if found is None:
        return Step(world)
    number = world.effects + 1
    effect = StampEpoch(f"{world.lease.epoch}.{number}", low, world.lease.epoch)
    why = f"epoch {world.lease.epoch} on {', '.join(low)}"
    decision = Decision(found.id, "lease", found.sentence, why, tell(facts), (effect.id,))
    lease = replace(world.lease, stamped_ns=world.now.mono_ns)
    return Step(replace(world, lease=lease, effects=number), (effect,), (decision,))
