"""The doorstep of an order: one nobody here can carry out is refused before anything else is asked.

Rules
  - The one row of ``DOOR_RULES`` that matches refuses; where none does, the order goes on.
"""

from envmon.core.door_rules import DOOR_RULES, Aim, DoorFacts
from envmon.core.memory import standing_by
from envmon.core.step import Step
from envmon.core.table import Answer, answer, find, tell
from envmon.core.world import World
from envmon.model.effect import Decision
from envmon.model.event import Command, Order

ROUTE_ORDERS = frozenset({Command.SHIFT, Command.RESTORE, Command.DRILL})


def turned_away(world: World, order: Order) -> Step | None:
    """The refusal of an order that goes no further; None lets it in."""
    facts = DoorFacts(answer(world.policy is not None), answer(standing_by(world)), _aim(world, order))
    found = find(DOOR_RULES, facts)
    if found is None:
        return None
    told = (("order", order.command), *tell(facts))
    why = _why(world, order, facts)
    return Step(world, (), (Decision(found.id, "order", found.sentence, why, told, order=order.id, refused=True),))


def _aim(world: World, order: Order) -> Aim:
    if order.command is Command.ACCEPT:
        return Aim.OURS
    routes = world.policy.routes if world.policy is not None else ()
    known = order.command not in ROUTE_ORDERS or any(order.route in ("", route.id) for route in routes)
    return Aim.KNOWN if known else Aim.UNKNOWN


def _why(world: World, order: Order, facts: DoorFacts) -> str:
    if world.policy is None:
        return ""
    if facts.standby is Answer.YES:
        return f"the lease is held by {world.lease.holder}"
    return f"no route {order.route!r}; routes: {', '.join(route.id for route in world.policy.routes)}"
