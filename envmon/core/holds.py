"""Holds: how long automation stays frozen, and who is told of it when.

Rules
  - A hold by order has an end; without one in the order it is the policy's. Ordered again, it has the new end.
  - Whatever lengthens a hold is paged anew, each time: a page that stands already would not be noticed.
  - A hold by rule has no end, and is told again every hour.
"""

from dataclasses import replace

from envmon.core.aside_rules import Lasts
from envmon.core.mode_rules import Held, ModeAct
from envmon.core.notices import notice
from envmon.core.say import until
from envmon.core.table import Row
from envmon.core.world import SECOND, Hold, World, age_s
from envmon.model.event import Command, Order
from envmon.model.policy import Policy
from envmon.model.verdict import Mode

LONGEST_S = 86_400.0
WARN_S = 900.0
AGAIN_S = 3_600.0
BRIEF = 0.5  # a hold shorter than twice WARN_S is warned of when this part of it is over
ENDS_SOON = "M36"
TOLD = frozenset({ModeAct.EXTEND, ModeAct.WARN, ModeAct.LIFT, ModeAct.REMIND})


def held(world: World) -> Held:
    """How long automation is still held."""
    if world.mode is not Mode.HELD:
        return Held.NONE
    hold = world.hold
    if hold is None or not hold.until_ns:
        return Held.REMIND if hold is None or age_s(world.now, hold.told_ns) >= AGAIN_S else Held.RULE
    left_s = -age_s(world.now, hold.until_ns)
    if left_s <= 0:
        return Held.OVER
    warn_s = min(WARN_S, BRIEF * (hold.until_ns - hold.since_ns) / SECOND)
    return Held.SOON if left_s <= warn_s and not hold.told_ns else Held.RUNS


def lasts(world: World, order: Order | None) -> Lasts:
    """Whether the end a hold was ordered with may be; an order without one has the policy's, which may."""
    if order is None or order.command is not Command.HOLD or not order.until:
        return Lasts.WELL
    left_s = order.until - world.now.wall
    if not left_s > 0:
        return Lasts.PAST
    return Lasts.WELL if left_s <= LONGEST_S else Lasts.TOO_LONG


def begun(world: World, policy: Policy, order: Order | None) -> Hold:
    """The hold that begins, or is extended, now: by order with its end, by rule without."""
    now = world.now
    if order is None:
        return Hold("", "", now.mono_ns, told_ns=now.mono_ns)
    left_s = order.until - now.wall if order.until else policy.hold_s
    return Hold(order.who, order.reason, now.mono_ns, now.mono_ns + int(left_s * SECOND), now.wall + left_s)


def told(world: World) -> World:
    """The world once people were told of its hold."""
    hold = world.hold or Hold("", "", world.now.mono_ns)
    return replace(world, hold=replace(hold, told_ns=world.now.mono_ns))


def noticed(world: World, found: Row[ModeAct], why: str, order: Order | None, *, standing: bool) -> World:
    """The world with a page of its own about what a rule did; ``standing``: the page of the hold is open already."""
    if found.action is not ModeAct.SAY:  # whatever happens to a hold, the word that it ends soon is out of date
        notices = {key: each for key, each in world.notices.items() if not key.startswith(f"{ENDS_SOON}-")}
        world = replace(world, notices=notices)
    if found.page is None or not (found.action in TOLD or (found.action is ModeAct.HOLD and standing)):
        return world
    key = f"{found.id}-{order.id[:8] if order is not None else world.now.mono_ns // SECOND}"
    return notice(world, key, f"{found.sentence} {why}", found.page, AGAIN_S)


def ends(world: World) -> str:
    """Until when automation is held; "" for ever."""
    return f"until {until(world.hold.until, world.now.wall)}" if world.hold and world.hold.until_ns else ""


def says(world: World) -> str:
    """Whose hold it is and until when; "" for one by rule, or none."""
    hold = world.hold
    if hold is None or not hold.until_ns:
        return ""
    return f"held {ends(world)} by {hold.who} ({hold.reason})"
