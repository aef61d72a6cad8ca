"""Policy is guarded like traffic: what makes one policy looser than another, and how a looser one takes force.

Rules
  - Looser is what lets calls stay longer in a room that is being lost, or lets them move on less evidence or into a
    place less proven. Whatever disappears (a zone, a unit, an edge, a device) is looser too.
  - What is added is looser where it vouches or acts: a unit is capacity that need not exist, a route is calls that
    nobody let us move, and an edge can hold up every other. What must be good or proven besides (a zone, a backup's
    zone, a proof), and a device, whose word is weighed against the others', is not.
  - While envmon may act, a looser policy takes force only by an order of two people; until then the old one rules.
  - So is whoever was paged and is not any more, or not as before, and whoever may give orders and might not before.
  - In observe nothing moves, so a policy may take any form: an engineer is writing it.

Theory of operation
  The tables below name every field of a policy with the direction that loosens it. A field without a row would be a
  way round the guard; a test compares the tables with the policy's own fields.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

from envmon.core.fold import fold
from envmon.core.step import Step
from envmon.core.world import Proposal, World
from envmon.model.effect import Decision, Page, Urgency
from envmon.model.event import Order, PolicyLoaded
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.verdict import Mode


class Looser(StrEnum):
    """Which change of a field makes a policy looser."""

    MORE = "more"
    LESS = "less"
    OTHER = "other"  # any change
    GONE = "gone"  # something that was named is not any more
    CHANGED = "changed"  # something is not as it was, or not any more
    NEW = "new"  # something is named that was not
    EITHER = "either"  # something is not named any more, or was not before
    PARTS = "parts"  # has a table of its own; one that is gone is looser
    CLOSED = "closed"  # the same, and one more is looser, too
    NEVER = "never"  # names it, or is judged elsewhere


REFUSED, ACCEPTED, NOTHING_WAITS = "G20", "G30", "G31"
GUARD_RULES: Mapping[str, str] = {
    REFUSED: "Refused: the policy is looser than the one in force, and nobody has approved it. The old one stays.",
    ACCEPTED: "Accepted: the looser policy takes force.",
    NOTHING_WAITS: "Refused: no policy waits to be accepted.",
}
MORE, LESS, OTHER, GONE, CHANGED, NEW, EITHER, PARTS, CLOSED, NEVER = Looser
TABLES: Mapping[type, Mapping[str, Looser]] = {
    Policy: {
        "site": OTHER, "zones": PARTS, "routes": CLOSED, "devices": GONE, "stale_s": MORE, "quorum_kinds": LESS,
        "quorum_paths": LESS, "quorum_stands_s": MORE, "probe_stands_s": MORE, "edge_stands_s": MORE,
        "hold_s": MORE,
        "start_automatic": NEVER, "placement_faults": NEVER,  # M11 and M60 judge it
        "feeds": NEVER,  # a warning moves nothing
        "pagers": CHANGED, "groups": NEW, "certified": NEW,
    },
    ZonePolicy: {
        "id": NEVER, "here": OTHER, "it_load_kw": LESS, "limits": PARTS, "units": CLOSED, "needed": LESS,
        "heat_capacity": MORE, "slew": LESS, "restart_s": MORE, "min_inlets": LESS, "plant": CLOSED,
    },
    Limits: {"recommended": MORE, "allowable": MORE, "service": MORE, "deadband": LESS},
    UnitPolicy: {"id": NEVER, "sensible_kw": MORE, "chilled": OTHER, "restart_s": MORE},
    RoutePolicy: {
        "id": NEVER, "edges": EITHER, "zones": GONE, "backup_zones": GONE, "max_call_s": LESS, "verify_s": LESS,
        "margin_s": LESS, "soak_s": LESS, "proof_calls": LESS, "proofs": GONE, "proof_stands_s": MORE, "early_s": LESS,
        "stages": OTHER, "dwell_s": LESS, "drain_floor_s": LESS, "quiet": OTHER, "learns": OTHER,
        "capacity_margin": LESS,
    },
}  # fmt: skip


def loosened(old: Policy, new: Policy) -> tuple[str, ...]:
    """Everything in which ``new`` is looser than ``old``, a phrase each; empty when nothing is."""
    return tuple(_looser(_named(old, new), _named(new, old), ""))


def _named(policy: Policy, other: Policy) -> Policy:
    """A policy that names who gives orders: where no group is, everybody, the groups of the other policy among them."""
    return policy if policy.groups else replace(policy, groups=("everybody", *other.groups))


def objections(world: World, event: PolicyLoaded) -> tuple[str, ...]:
    """Why this policy may not take force by itself; empty when it may."""
    if world.policy is None or world.mode is Mode.OBSERVE or event.approvals:
        return ()
    return loosened(world.policy, event.policy)


def refuse(world: World, event: PolicyLoaded, looser: tuple[str, ...]) -> Step:
    """Keep the policy in force; remember the one that was refused, so that two people can accept it."""
    why = "; ".join(looser)
    facts = (("in_force", world.digest), ("refused", event.digest))
    decision = Decision(REFUSED, "policy", GUARD_RULES[REFUSED], why, facts, refused=True)
    proposal = Proposal(event.policy, event.digest, event.who, looser)
    return Step(replace(world, now=event.at, proposal=proposal), (), (decision,))


def accept(world: World, order: Order) -> Step:
    """Answer the order to let the refused policy take force."""
    proposal = world.proposal
    if proposal is None:
        nothing = Decision(NOTHING_WAITS, "policy", GUARD_RULES[NOTHING_WAITS], "", (), order=order.id, refused=True)
        return Step(world, (), (nothing,))
    event = PolicyLoaded(world.now, proposal.policy, proposal.digest, order.who, approvals=order.approvals)
    why = f"{order.who}: {order.reason}; {'; '.join(proposal.looser)}"
    facts = (("in_force", world.digest), ("accepted", proposal.digest))
    decision = Decision(
        ACCEPTED, "policy", GUARD_RULES[ACCEPTED], why, facts, order=order.id, approvals=order.approvals
    )
    return Step(fold(world, event), (), (decision,))


def pages(world: World, policy: Policy) -> list[Page]:
    """The page that stands while a refused policy waits."""
    if world.proposal is None:
        return []
    text = f"{policy.site}: a looser policy was refused, the old one rules: {'; '.join(world.proposal.looser)}"
    return [Page(f"envmon/{policy.site}/policy/looser", True, Urgency.ERROR, text)]


def _looser(old: Any, new: Any, where: str) -> Iterator[str]:
    table = TABLES[type(old)]
    for field in fields(old):
        name, before, after = field.name, getattr(old, field.name), getattr(new, field.name)
        match table[name]:
            case Looser.MORE if after > before:
                yield f"{where}{name} {_say(before)} -> {_say(after)}"
            case Looser.LESS if after < before:
                yield f"{where}{name} {_say(before)} -> {_say(after)}"
            case Looser.OTHER if after != before:
                yield f"{where}{name} {before} -> {after}"
            case Looser.GONE | Looser.EITHER as way:
                yield from (f"{where}{name}: {each} is gone" for each in before if each not in after)
                if way is Looser.EITHER:
                    yield from (f"{where}{name}: {each} is new" for each in after if each not in before)
            case Looser.CHANGED:
                yield from (f"{where}{name}: {_first(each)} is gone or changed" for each in before if each not in after)
            case Looser.NEW:
                yield from (f"{where}{name}: {each} is new" for each in after if each not in before)
            case Looser.PARTS | Looser.CLOSED as way if isinstance(before, tuple):
                yield from _parts(before, {each.id: each for each in after}, where, name)
                if way is Looser.CLOSED:
                    known = {each.id for each in before}
                    yield from (f"{where}{name}: {_new(each)} is new" for each in after if each.id not in known)
            case Looser.PARTS:
                yield from _looser(before, after, f"{where}{name}.")
            case _:
                pass


def _parts(before: tuple[Any, ...], after: Mapping[str, Any], where: str, name: str) -> Iterator[str]:
    for each in before:
        if each.id in after:
            yield from _looser(each, after[each.id], f"{where}{each.id}.")
        else:
            yield f"{where}{name}: {each.id} is gone"


def _first(text: str) -> str:
    return text.partition(" ")[0]


def _new(part: Any) -> str:
    return f"{part.id} of {part.sensible_kw:g} kW" if isinstance(part, UnitPolicy) else str(part.id)


def _say(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
