"""Who may order what: one person, two people, or one who breaks the glass.

Rules
  - What a second person approves is the state the first one saw; it is kept as text, so a refusal says what changed.
  - A request runs out after ten minutes; a daemon that restarts meanwhile still knows it.
  - What a request is for is part of that state: a looser policy that changes again is asked for again.
  - What two people or a broken glass do, and who tried what they may not, is paged for an hour.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256

from envmon.core.consent_rules import CONSENT_RULES, Asked, ConsentAct, ConsentFacts, Need
from envmon.core.consent_rules import Step as Stage
from envmon.core.notices import NOTICE_S, notice
from envmon.core.readiness import readiness
from envmon.core.route_words import Ask, Pace, Ready, RouteFacts, Threat
from envmon.core.step import Step
from envmon.core.table import Answer, Row, answer, find, tell
from envmon.core.world import SECOND, Request, World
from envmon.model.effect import Decision, Page
from envmon.model.event import Command, Order
from envmon.model.policy import Policy
from envmon.model.verdict import Mode

REQUEST_S = 600.0


def consent(world: World, policy: Policy, order: Order) -> tuple[Step, Order | None]:
    """Apply the one rule of consent that matches, if any; the order that is to be carried out now, if any."""
    world = expire(world)
    request = world.requests.get(order.request)
    state = state_of(world, policy)
    facts = ConsentFacts(
        step=Stage.APPROVAL if order.command is Command.APPROVE else Stage.ORDER,
        access=order.access,
        need=need(world, order),
        glass=answer(order.break_glass),
        asked=Asked.NONE if request is None else Asked.STANDS if request.state == state else Asked.CHANGED,
        other=answer(request is not None and order.person != request.order.person),
        late=answer(order.late),
    )
    found = find(CONSENT_RULES, facts)
    if found is None:
        return Step(world), order
    asked = request.order if request is not None else order
    carried = found.action is ConsentAct.CARRY_OUT
    approvals = tuple(dict.fromkeys((asked.who, order.who))) if carried else ()
    why = _why(order, request, state, found.action)
    decision = Decision(
        rule=found.id,
        subject="order",
        sentence=found.sentence,
        why=why,
        facts=(*tell(facts), ("state", fingerprint(state))),
        order=order.id,
        refused=found.refuses,
        waits=found.action is ConsentAct.ASK,
        approvals=approvals,
    )
    world = _remember(world, order, state, found, why)
    execute = replace(asked, id=order.id, approvals=approvals) if carried else None
    return Step(world, (), (decision,)), execute


def need(world: World, order: Order) -> Need:
    """Two people for what one could abuse; in observe nothing moves, so nothing can be."""
    looser = order.command is Command.ACCEPT and world.proposal is not None
    abusable = order.command is Command.DISARM or order.override or looser
    return Need.TWO if abusable and world.mode is not Mode.OBSERVE else Need.ONE


def waived(facts: RouteFacts, order: Order | None) -> RouteFacts:
    """The facts two people vouch for: the backup's readiness, or that the primary is safe. Never the lease.

    A return they vouch for is made at once: its stages would wait for a room that the rules do not believe in.
    """
    if order is None or not order.override:
        return facts
    if facts.order is Ask.SHIFT:
        return replace(facts, ready=Ready.YES)
    return replace(facts, threat=Threat.NONE, soaked=Answer.YES, spare=Answer.YES, pace=Pace.URGENT)


def expire(world: World) -> World:
    """Forget requests and notices that have run out."""
    now_ns = world.now.mono_ns
    requests = {name: each for name, each in world.requests.items() if each.until_ns > now_ns}
    notices = {key: each for key, each in world.notices.items() if each.until_ns > now_ns}
    if (len(requests), len(notices)) == (len(world.requests), len(world.notices)):
        return world
    return replace(world, requests=requests, notices=notices)


def state_of(world: World, policy: Policy) -> tuple[str, ...]:
    """What somebody who approves an order relies on, a line each."""
    lines = [f"mode {world.mode}", f"policy {world.digest[:12]}"]
    if world.proposal is not None:
        lines.append(f"looser policy {world.proposal.digest[:12]}: {'; '.join(world.proposal.looser)}")
    lines.extend(f"zone {zone.id} {world.zones[zone.id].judgement.verdict}" for zone in policy.zones)
    for route in policy.routes:
        state = world.routes[route.id]
        wanting = [item.name for item in readiness(world, policy, route) if item.passed is not True]
        lines.append(f"route {route.id} {state.position}, latched {answer(state.latched)}")
        lines.append(f"route {route.id} not ready: {', '.join(wanting) or 'nothing'}")
    return tuple(lines)


def fingerprint(state: tuple[str, ...]) -> str:
    """The SHA-256 of a state's lines, shortened to what people can compare."""
    return sha256("\n".join(state).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def pages(world: World, policy: Policy) -> list[Page]:
    """What everybody is told of orders now."""
    prefix = f"envmon/{policy.site}/order"
    return [
        Page(f"{prefix}/{key}", True, notice.urgency, f"{policy.site}: {notice.text}")
        for key, notice in world.notices.items()
    ]


def waiting(world: World) -> Mapping[str, dict[str, object]]:
    """The requests that wait for a second person, in plain values."""
    return {
        name: {
            "command": request.order.command.value,
            "route": request.order.route,
            "override": request.order.override,
            "who": request.order.who,
            "reason": request.order.reason,
            "state": fingerprint(request.state),
            "left_s": round((request.until_ns - world.now.mono_ns) / SECOND),
        }
        for name, request in world.requests.items()
    }


def _remember(world: World, order: Order, state: tuple[str, ...], found: Row[ConsentAct], why: str) -> World:
    requests = {name: each for name, each in world.requests.items() if name != order.request or found.refuses}
    if found.action is ConsentAct.ASK:
        requests[order.id[:8]] = Request(order, state, world.now.mono_ns + int(REQUEST_S * SECOND))
    world = replace(world, requests=requests)
    if found.page is None:
        return world
    lasts_s = REQUEST_S if found.action is ConsentAct.ASK else NOTICE_S
    return notice(world, f"{found.id}-{order.id[:8]}", f"{found.sentence} {why}", found.page, lasts_s)


def _why(order: Order, request: Request | None, state: tuple[str, ...], act: ConsentAct) -> str:
    parts = [_told(request.order if request is not None else order)]
    if request is not None:
        parts.append(f"{order.who} approves: {order.reason}")
        parts.extend(_changed(request.state, state))
    if act is ConsentAct.ASK:
        parts.append(f"within {REQUEST_S / 60:.0f} min: envmon approve {order.id[:8]} --reason ...")
    return "; ".join(parts)


def _changed(then: tuple[str, ...], now: tuple[str, ...]) -> Iterator[str]:
    if len(then) == len(now):
        yield from (f"{new} (was: {old})" for old, new in zip(then, now, strict=True) if old != new)
    else:
        yield from (f"now: {line}" for line in now if line not in then)


def _told(order: Order) -> str:
    against = " against the rules" if order.override else ""
    what = f"approve {order.request}" if order.command is Command.APPROVE else f"{order.command} {order.route}".rstrip()
    return f"{order.who} orders: {what}{against} ({order.reason})"
