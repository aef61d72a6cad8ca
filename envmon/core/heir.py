"""Following another envmon: once, when the lease was just taken, before anything else is decided.

Rules
  - What is inherited replaces what this daemon had thought while it stood by; what it measured is its own.
  - A looser policy that waits here and was in force there has been accepted by two people: it takes force.
  - A stage on the way has its time to be proven again: that nobody watched it meanwhile is no sign against it. The last
    stage keeps its own, for how long calls take to drain is learnt from it. No other clock is set back.
  - A threat that was acute is acute anew: the calls to the backup that were asked for were another's, and the answer
    went with him. The heir calls before it moves anything.
  - Open pages are inherited as told once, and told again where they are urgent: who died may not have delivered them.
  - Who cannot inherit starts held at the position the edges show, and says what is wanting.
"""

from dataclasses import replace
from hashlib import sha256

from envmon.core.fold import fold
from envmon.core.heir_rules import HEIR_RULES, HeirAct, HeirFacts, Legacy
from envmon.core.holds import begun
from envmon.core.memory import Memory, policy_hash, proposed, read, standing_by, wanting
from envmon.core.proof import stage
from envmon.core.route_words import Stage
from envmon.core.step import Step
from envmon.core.table import find, tell
from envmon.core.traffic import adopt
from envmon.core.world import SECOND, Notice, RouteState, World, ZoneState, age_s
from envmon.model.effect import Decision, Page, Urgency
from envmon.model.event import Bequest, PolicyLoaded
from envmon.model.policy import Policy
from envmon.model.verdict import Mode, Verdict

NOTICE_S = 3600.0


def step_heir(world: World, policy: Policy) -> Step:
    """Apply the one rule of succession that matches, if any."""
    bequest = world.bequest
    if bequest is None or not world.lease.held:
        return Step(world)
    lacks = wanting(world, policy, world.followed)
    facts = HeirFacts(Legacy.LOST if lacks else Legacy.WHOLE)
    found = find(HEIR_RULES, facts)
    if found is None:
        return Step(world)
    if found.action is HeirAct.INHERIT:
        why = _says(world, bequest)
        world = _noticed(inherited(world, policy), found.id, f"{found.sentence} {why}")
    else:
        why = f"epoch {world.followed} was not ours; {lacks}"
        world = replace(_bereft(world, policy), mode_rule=found.id, mode_why=why)
    seen = (*tell(facts), ("kept_sha256", sha256(bequest.text.encode()).hexdigest()))
    return Step(world, (), (Decision(found.id, "mode", found.sentence, why, seen),))


def inherited(world: World, policy: Policy) -> World:
    """The world of an heir. Raises ValueError when what is kept cannot be read: ask ``wanting`` first."""
    memory = read(world.bequest or Bequest(world.now, 0, 0))
    if memory.policy != policy_hash(policy) and world.proposal is not None and memory.policy == proposed(world):
        looser = world.proposal
        world = fold(world, PolicyLoaded(world.now, looser.policy, looser.digest, looser.who, "", ("inherited",)))
    return replace(
        world,
        mode=memory.mode,
        mode_rule=memory.mode_rule,
        mode_why=memory.mode_why,
        hold=memory.hold,
        followed=memory.followed,
        routes={name: _taken_over(world, world.routes[name], kept) for name, kept in memory.routes.items()},
        raised={**dict.fromkeys(memory.raised, Urgency.INFO.value), **world.raised},
        aside=memory.aside,
        requests=memory.requests,
        notices=memory.notices,
        bequest=None,
    )


def as_heir(world: World) -> World:
    """The world a standby would go on in, where it could: what people see of it while it stands by."""
    policy = world.policy
    if policy is None or not standing_by(world) or lacking_of(world, policy):
        return world
    return replace(inherited(world, policy), raised=world.raised, bequest=world.bequest)


def lacking_of(world: World, policy: Policy) -> str:
    """Why a standby could not go on for who holds the lease; "" when it could."""
    return wanting(world, policy, world.bequest.latest if world.bequest is not None else 0)


def pages(world: World, policy: Policy) -> list[Page]:
    """The page of a standby that would be none."""
    blind = [zone.id for zone in policy.zones if _blind(world, policy, world.zones[zone.id])]
    parts = [lacking_of(world, policy), f"it is blind in {', '.join(blind)}" if blind else ""]
    if not (told := "; ".join(filter(None, parts))):
        return []
    text = f"{policy.site}: the standby of {world.lease.holder} could not go on for it: {told}"
    return [Page(f"envmon/{policy.site}/standby", True, Urgency.WARNING, text)]


def _blind(world: World, policy: Policy, zone: ZoneState) -> bool:
    return zone.judgement.verdict is Verdict.UNKNOWN and age_s(world.now, zone.verdict_ns) >= policy.stale_s


def _taken_over(world: World, own: RouteState, kept: RouteState) -> RouteState:
    """A route as it was left, seen with our own eyes. Calls of ours prove nothing of a command that was not ours."""
    act_ns = None if kept.act_ns is None else world.now.mono_ns
    probes = {name: replace(view, in_a_row=0) for name, view in own.probes.items()}
    command_ns = world.now.mono_ns if stage(kept) is Stage.PART else kept.command_ns
    return replace(
        kept, edges=own.edges, probes=probes, reports=own.reports, command_ns=command_ns, act_ns=act_ns, asked_ns=0
    )


def _bereft(world: World, policy: Policy) -> World:
    """Held where the edges are, and nothing is repeated that was commanded in another life."""
    routes = {route.id: replace(adopt(world, policy, route), frozen=True) for route in policy.routes}
    return replace(world, mode=Mode.HELD, hold=begun(world, policy, None), routes=routes, bequest=None)


def _noticed(world: World, rule: str, text: str) -> World:
    until_ns = world.now.mono_ns + int(NOTICE_S * SECOND)
    return replace(
        world, notices={**world.notices, f"{rule}-{world.lease.epoch}": Notice(text, Urgency.WARNING, until_ns)}
    )


def _says(world: World, bequest: Bequest) -> str:
    memory: Memory = read(bequest)
    positions = [f"{name} {state.position}, {state.commanded} %" for name, state in memory.routes.items()]
    return f"epoch {world.followed}, {memory.mode}; {'; '.join(positions)}"
