"""Orders of maintenance and of the shelf, and how both end by themselves.

Rules
  - One order sets aside one thing; ordered again, it has the new end and the new reason.
  - What the order does to the spare units is said in its answer: the person at the plant decides, knowing it.
  - A page can be shelved only while it is open, under its key as the status shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from envmon.core.aside import Aside, SetAside, Sort, named, units_out
from envmon.core.aside_rules import ASIDE_RULES, AsideAct, AsideAsk, AsideFacts, Known, Lasts, Over
from envmon.core.fresh import speaking
from envmon.core.margin import capacity
from envmon.core.notices import notice
from envmon.core.pages import RANK, wanted
from envmon.core.say import until
from envmon.core.step import Step
from envmon.core.table import Answer, answer, find, tell
from envmon.core.world import SECOND, World
from envmon.model.effect import Decision, Urgency
from envmon.model.event import Order
from envmon.model.policy import Policy

LONGEST_S = {AsideAsk.MAINTENANCE: 7 * 86_400.0, AsideAsk.SHELVE: 86_400.0}
DEEDS = frozenset({"order", "mode", "policy", "journal"})  # the second part of a page's key
YES, NO = Answer.YES, Answer.NO
SHELF = (AsideAsk.SHELVE, AsideAsk.UNSHELVE)


@dataclass(frozen=True, slots=True)
class _Target:
    """What an order is about: its name, what else the word could mean, and the page's urgency."""

    name: str
    meanings: tuple[str, ...]
    urgency: Urgency = Urgency.WARNING


def order_aside(world: World, policy: Policy, order: Order) -> Step:
    """Answer one order by the one rule that matches."""
    ask = AsideAsk(order.command.value)
    target = _target(world, policy, ask, order.target)
    held = world.aside.shelved if ask in SHELF else world.aside.maintenance
    facts = AsideFacts(
        order=ask,
        known=Known.ONE if len(target.meanings) == 1 else Known.MANY if target.meanings else Known.NO,
        aside=answer(target.name in held),
        lasts=_lasts(world, ask, order.until),
        critical=answer(target.urgency is Urgency.CRITICAL),
        over=Over.NO,
        wide=answer(target.name.startswith((f"{Sort.ZONE}:", f"{Sort.SITE}:"))),
        deed=answer(target.name.removeprefix(f"envmon/{policy.site}/").partition("/")[0] in DEEDS),
    )
    found = find(ASIDE_RULES, facts)
    if found is None:
        return Step(world)
    if found.action is AsideAct.SET:
        until_ns = world.now.mono_ns + int((order.until - world.now.wall) * SECOND)
        entry = Aside(order.who, order.reason, world.now.mono_ns, until_ns, order.until, target.urgency)
        world = _put(world, ask in SHELF, {**held, target.name: entry})
    elif found.action is AsideAct.END:
        world = _put(world, ask in SHELF, {name: each for name, each in held.items() if name != target.name})
    why = f"{order.who}: {order.reason}; {_why(world, policy, order, target, found.action)}"
    subject = f"shelf:{target.name}" if ask in SHELF else target.name
    decision = Decision(found.id, subject, found.sentence, why, tell(facts), order=order.id, refused=found.refuses)
    if found.page is not None:
        world = notice(world, f"{found.id}-{order.id[:8]}", f"{target.name}: {found.sentence} {why}", found.page)
    return Step(world, (), (decision,))


def step_aside(world: World, policy: Policy) -> Step:
    """End what is over."""
    if not world.aside.maintenance and not world.aside.shelved:
        return Step(world)
    open_now = {page.key: page.urgency for page in wanted(world, policy)} if world.aside.shelved else {}
    step = Step(world)
    for shelf, held in ((False, world.aside.maintenance), (True, world.aside.shelved)):
        for name, entry in held.items():
            over = _over(world, entry, open_now.get(name) if shelf else None)
            facts = AsideFacts(AsideAsk.NONE, Known.ONE, YES, Lasts.WELL, NO, over, wide=NO, deed=NO)
            found = find(ASIDE_RULES, facts)
            if found is None:
                continue
            now = step.world.aside.shelved if shelf else step.world.aside.maintenance
            left = _put(step.world, shelf, {key: each for key, each in now.items() if key != name})
            subject = f"shelf:{name}" if shelf else name
            why = f"ordered by {entry.who}: {entry.reason}"
            decision = Decision(found.id, subject, found.sentence, why, tell(facts))
            step = step.then(Step(left, (), (decision,)))
    return step


def _over(world: World, entry: Aside, urgency: Urgency | None) -> Over:
    if world.now.mono_ns >= entry.until_ns:
        return Over.TIME
    return Over.WORSE if urgency is not None and RANK[urgency] > RANK[entry.urgency] else Over.NO


def _target(world: World, policy: Policy, ask: AsideAsk, word: str) -> _Target:
    if ask is AsideAsk.SHELVE:
        found = [page for page in wanted(world, policy) if page.key == word]
        return _Target(word, tuple(page.key for page in found), found[0].urgency if found else Urgency.WARNING)
    if ask is AsideAsk.UNSHELVE:
        return _Target(word, (word,))
    meanings = named(policy, word.partition(":")[2] if word.partition(":")[0] in set(Sort) else word)
    exact = tuple(name for name in meanings if name == word) or meanings
    standing = [name for name in exact if name in world.aside.maintenance]
    chosen = standing if ask is AsideAsk.MAINTENANCE_END and len(standing) == 1 else exact
    return _Target(chosen[0] if len(chosen) == 1 else word, tuple(chosen))


def _lasts(world: World, ask: AsideAsk, end: float) -> Lasts:
    left_s = end - world.now.wall
    if ask not in LONGEST_S:
        return Lasts.WELL
    if not left_s > 0:
        return Lasts.PAST
    return Lasts.WELL if left_s <= LONGEST_S[ask] else Lasts.TOO_LONG


def _put(world: World, shelf: bool, held: Mapping[str, Aside]) -> World:
    aside: SetAside = replace(world.aside, shelved=held) if shelf else replace(world.aside, maintenance=held)
    return replace(world, aside=aside)


def _why(world: World, policy: Policy, order: Order, target: _Target, action: AsideAct) -> str:
    if len(target.meanings) > 1:
        return f"{order.target} can be {', '.join(target.meanings)}"
    if not target.meanings and order.command.value == AsideAsk.MAINTENANCE:
        return f"{order.target!r} is none of {', '.join(_names(policy))}"
    if not target.meanings:
        return f"open: {', '.join(page.key for page in wanted(world, policy)) or 'none'}"
    lasting = f"until {until(order.until, world.now.wall)}" if action is AsideAct.SET else target.name
    return "; ".join(filter(None, (lasting, _spare(policy, world, target.name))))


def _names(policy: Policy) -> list[str]:
    units = [f"{zone.id}.{unit.id}" for zone in policy.zones for unit in (*zone.units, *zone.plant)]
    edges = dict.fromkeys(edge for route in policy.routes for edge in route.edges)
    return [policy.site, *(zone.id for zone in policy.zones), *units, *edges]


def _spare(policy: Policy, world: World, name: str) -> str:
    """What is left of a unit's zone without what is out."""
    sort, _, rest = name.partition(":")
    zone = next((each for each in policy.zones if sort == Sort.UNIT and rest.startswith(f"{each.id}.")), None)
    if zone is None:
        return ""
    state = world.zones[zone.id]
    fresh = speaking(policy, state, world.now)
    left = capacity(zone, fresh, state.normal, units_out(world.aside, zone.id))
    kilowatts = f"{left.available_kw:g} kW of cooling left for {zone.it_load_kw:g} kW"
    if left.margin_kw < 0:
        return f"{kilowatts}: too little, so it excuses nothing: the unit counts as lost when it stops"
    return f"{kilowatts}: one more failure is critical" if left.spare_units < 1 else kilowatts
