"""Why: what is true, which rule fired or is next and what it waits for, and which sensors lost their vote.

Rules
  - One text for people and, part by part, for machines: the command, the status page and a report show the same.
  - A decision is explained from its own line alone, the rule and the facts it was taken on: not from what is known now.
  - Nothing is decided here, and nothing is left out to look better: an unknown item is called unknown.

Theory of operation
  A row of a table names the facts it needs. What it still waits for are those it names that have other values now. The
  row that is next is the one that would change where calls go from the position they are in, and wants the fewest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from envmon.core.bar import bars
from envmon.core.heir import as_heir, lacking_of
from envmon.core.judge import minutes, quorum_stands, say_limit
from envmon.core.memory import standing_by
from envmon.core.proof import calls_left
from envmon.core.readiness import readiness
from envmon.core.route_facts import route_facts
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import Act, Ask, RouteFacts, Threat
from envmon.core.say import moment, until
from envmon.core.storm import power, reasons
from envmon.core.table import Row, find
from envmon.core.words import phrase, rule_of
from envmon.core.world import SECOND, World, ZoneState, age_s
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Position
from envmon.model.weather import Posture

BY_RULE = frozenset({Act.SHIFT_BY_RULE, Act.STAGE_BY_RULE})
HOME = frozenset({Act.RESTORE, Act.STAGE_HOME})
MOVES = BY_RULE | HOME | {Act.NEXT_STAGE, Act.THE_REST, Act.ARRIVE, Act.DRAINED, Act.CLOSE}
ACTS = BY_RULE | HOME | {Act.SHIFT_BY_ORDER, Act.STAGE_BY_ORDER, Act.ARRIVE}
NEXT = 3  # rules told of a route


@dataclass(frozen=True, slots=True)
class Part:
    """A title and its lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Next:
    """A rule that would move calls, and what it still waits for."""

    rule: str
    sentence: str
    waits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as its journal line tells it; ``wall`` is Unix seconds."""

    rule: str
    subject: str
    sentence: str
    why: str
    facts: tuple[tuple[str, str], ...]
    wall: float
    refused: bool = False
    who: str = ""
    effect: str = ""


def text(parts: Sequence[Part]) -> str:
    """Parts as people read them."""
    return "\n".join(line for part in parts for line in (part.title, *(f"  {each}" for each in part.lines)))


def plain(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Parts as machines read them."""
    return [{"title": part.title, "lines": list(part.lines)} for part in parts]


# --- now --------------------------------------------------------------------------------------------------------


def explain_now(world: World) -> tuple[Part, ...]:
    """Everything that bears on the next decision, at this moment; of a standby, what it would decide from."""
    world = as_heir(world)
    policy = world.policy
    if policy is None:
        return (Part("No policy is in force: nothing is judged and nothing is decided.", ()),)
    rule = f" ({world.mode_rule})" if world.mode_rule else ""
    head = f"{policy.site} at {moment(world.now.wall)}, mode {world.mode}{rule}"
    parts = [Part(head, (world.mode_why,) if world.mode_why else ())]
    if standing_by(world):
        lacking = lacking_of(world, policy) or "nothing, it could go on from there"
        parts.append(Part(f"Stands by for {world.lease.holder}", (f"what it lacks to follow: {lacking}",)))
    parts.extend(_route(world, policy, route) for route in policy.routes)
    parts.extend(_zone(world, policy, zone) for zone in policy.zones)
    parts.append(Part("Sensors without a vote", tuple(_votes_lost(world, policy)) or ("none",)))
    if world.aside.maintenance or world.aside.shelved:
        parts.append(Part("Set aside", tuple(_aside(world))))
    if world.sky.posture is not Posture.CALM:
        why = tuple(reasons(world.sky, policy, world.now, power(world, policy)))
        parts.append(Part(f"Posture {world.sky.posture}", why or (world.sky.why or "nobody has been heard yet",)))
    return tuple(parts)


def _route(world: World, policy: Policy, route: RoutePolicy) -> Part:
    facts = route_facts(world, policy, route, Ask.NONE)
    told = {name: str(getattr(facts, name)) for name in ("position", "threat", "edges", "proof", "episode", "ready")}
    lines = [phrase(name, value) for name, value in told.items() if value != "idle"]
    for item in readiness(world, policy, route):
        mark = {True: "pass", False: "FAIL", None: "unknown"}[item.passed]
        lines.append(f"{item.name}: {mark}, {item.why}")
    found = find(ROUTE_RULES, facts)
    lines.append(f"rule {found.id} stands: {found.sentence}" if found else "no rule fires now")
    for step in waits(world, policy, route):
        lines.append(f"next, {step.rule}: {step.sentence}")
        lines.extend(f"  waits: {each}" for each in step.waits)
    return Part(f"Route {route.id}", tuple(lines))


def waits(world: World, policy: Policy, route: RoutePolicy) -> list[Next]:
    """The rules that would move calls from here, nearest first, each with what it still waits for."""
    facts = route_facts(world, policy, route, Ask.NONE)
    drained = world.routes[route.id].drain_said
    rows = [row for row in ROUTE_RULES if row.action in MOVES and _could(row, facts)]
    rows = [row for row in rows if not (drained and row.action is Act.DRAINED)]
    lacking = sorted(((_lacks(row, facts), row) for row in rows), key=lambda pair: (len(pair[0]), pair[1].id))
    told: list[Next] = []
    actions: list[Act] = []
    for lacks, row in lacking:
        if row.action in actions or not lacks:
            continue
        actions.append(row.action)
        words = (_want(world, policy, route, fact, wanted, facts) for fact, wanted in lacks.items())
        told.append(Next(row.id, row.sentence, tuple(words)))
    return told[:NEXT]


def _could(row: Row[Act], facts: RouteFacts) -> bool:
    """Whether a row speaks of calls where they are now, on the clock or on an order to come home."""
    if facts.position not in row.when.get("position", {facts.position}):
        return False
    if row.action in HOME:
        return facts.position in (Position.BACKUP, Position.SHIFTING)
    if row.action is Act.CLOSE and facts.episode == "none":
        return False
    return Ask.NONE in row.when.get("order", {Ask.NONE})


def _lacks(row: Row[Act], facts: RouteFacts) -> dict[str, frozenset[StrEnum]]:
    """The facts a row names that have another value now."""
    return {name: wanted for name, wanted in row.when.items() if getattr(facts, name) not in wanted}


def _want(
    world: World, policy: Policy, route: RoutePolicy, fact: str, wanted: frozenset[StrEnum], facts: RouteFacts
) -> str:
    """What one fact is, what it has to become, and the numbers behind it."""
    now = phrase(fact, str(getattr(facts, fact)))
    match fact:
        case "order":
            return f"an order ({' or '.join(sorted(wanted))})"
        case "threat" if Threat.NONE not in wanted:
            return f"{now} ({'; '.join(_time_left(world, policy, route))})"
        case "left":
            left = calls_left(world, policy, route, world.routes[route.id])
            return "an edge cannot say how many calls are left" if left is None else f"{left} calls are still there"
        case "ready":
            failing = [item for item in readiness(world, policy, route) if item.passed is not True]
            return f"{now}: {', '.join(f'{item.name} ({item.why})' for item in failing)}"
        case "lease":
            return f"{now}: {world.lease.detail}"
        case "soaked":
            return f"{now}: {'; '.join(_soak(world, route))}"
        case _:
            needed = " or ".join(phrase(fact, str(each)) for each in sorted(wanted))
            return f"{now}; needed: {needed}"


def _time_left(world: World, policy: Policy, route: RoutePolicy) -> Iterator[str]:
    """Time to limit against time to evacuate, a zone each."""
    for zone in route.zones:
        state = world.zones[zone]
        stands = quorum_stands(policy, state, world.now)
        agreed = "" if stands else f", {len(state.judgement.votes)} of {policy.quorum_kinds} kinds of evidence"
        yield f"{zone}: {say_limit(state.judgement.time_to_limit)}{agreed}"
    yield from bars(world, policy, route)


def _soak(world: World, route: RoutePolicy) -> Iterator[str]:
    for zone in route.zones:
        since = world.zones[zone].good_since_ns
        so_far = "is not good" if since is None else f"has been good for {minutes(age_s(world.now, since))}"
        yield f"{zone} {so_far}, it must be for {minutes(route.soak_s)}"


def _zone(world: World, policy: Policy, zone: ZonePolicy) -> Part:
    state = world.zones[zone.id]
    judgement = state.judgement
    where = "" if zone.here else " (backup site)"
    lines = [judgement.why.partition("; no vote: ")[0] if state.doubts else judgement.why]
    lines.append(
        f"{judgement.margin_kw:+g} kW of margin over {zone.it_load_kw:g} kW, N{judgement.spare_units:+d}, "
        f"{zone.needed} of {len(zone.units)} units needed"
    )
    lines.extend(f"evidence, {vote.kind}: {vote.says} (over {', '.join(vote.paths)})" for vote in judgement.votes)
    lines.append(_quorum(policy, state, world))
    lines.extend(
        f"{unit} {doubt.why}, for {minutes(age_s(world.now, doubt.since_ns))}" for unit, doubt in state.idlers.items()
    )
    return Part(f"Zone {zone.id}{where}: {judgement.verdict}, {judgement.basis}", tuple(filter(None, lines)))


def _quorum(policy: Policy, state: ZoneState, world: World) -> str:
    judgement = state.judgement
    needs = f"{policy.quorum_kinds} kinds over {policy.quorum_paths} paths are needed"
    if judgement.quorum:
        return f"the evidence agrees: {needs}"
    if quorum_stands(policy, state, world.now):
        return f"the quorum of {minutes(age_s(world.now, state.quorum_ns or 0))} ago stands: its witnesses fell silent"
    return f"no quorum: {needs}" if judgement.votes else ""


def _votes_lost(world: World, policy: Policy) -> Iterator[str]:
    """Points without a vote: doubted ones with the reason, and those whose last reading is not good or not fresh."""
    for zone in policy.zones:
        state = world.zones[zone.id]
        for name, doubt in sorted(state.doubts.items()):
            yield f"{name}: {doubt.why}, for {minutes(age_s(world.now, doubt.since_ns))}"
        silent: dict[str, list[str]] = {}
        for name, seen in sorted(state.seen.items()):
            if name in state.doubts or (seen.reading.good and age_s(world.now, seen.at_ns) <= policy.stale_s):
                continue
            why = (
                f"{seen.reading.quality}, {seen.reading.reason}" if not seen.reading.good else "its last value is stale"
            )
            silent.setdefault(f"{seen.reading.point.device}: {why}", []).append(seen.reading.point.name)
        for said, names in silent.items():
            error = world.devices.get(said.partition(":")[0], "")
            yield f"{said} ({', '.join(names)})" + (f"; {error}" if error else "")


def _aside(world: World) -> Iterator[str]:
    for name, each in world.aside.maintenance.items():
        left = minutes((each.until_ns - world.now.mono_ns) / SECOND)
        yield f"{name}: in maintenance for {left} more, by {each.who} ({each.reason})"
    for key, each in world.aside.shelved.items():
        yield f"{key}: shelved until {until(each.until, world.now.wall)}, by {each.who} ({each.reason})"


# --- a decision of the past --------------------------------------------------------------------------------------


def explain_decision(told: Told) -> tuple[Part, ...]:
    """A decision from its journal line: the rule, the facts it named, and what the others would have needed."""
    head = f"{told.rule or 'no rule'} on {told.subject}, {moment(told.wall)}"
    said = tuple(filter(None, (told.sentence, f"by {told.who}" if told.who else "", told.effect)))
    return (Part(head, said), *grounds(told), *_numbers(told))


def grounds(told: Told) -> tuple[Part, ...]:
    """Why a decision was taken, and what would have moved calls where it moved none."""
    facts = dict(told.facts)
    parts: list[Part] = []
    if known := rule_of(told.rule):
        named = (phrase(name, facts[name]) for name in known[0].when if facts.get(name, "none") != "none")
        parts.append(Part("The rule fired because", tuple(named) or ("the rule is not one of this version's tables",)))
    if told.why:
        parts.append(Part("What was true", tuple(told.why.split("; "))))
    if known and (instead := tuple(_instead(*known, facts))):
        parts.append(Part("What would have moved calls instead", instead))
    return tuple(parts)


def _numbers(told: Told) -> Iterator[Part]:
    """The facts the rule does not name, and the numbers behind those it does."""
    known = rule_of(told.rule)
    named = known[0].when if known else {}
    rest = {name: value for name, value in told.facts if name not in named}
    idle = [f"{name}={value}" for name, value in rest.items() if not {"_", "."} & {*name} and not value.isdigit()]
    if not known or not idle:
        idle = []
    else:
        yield Part("What did not matter to it", (", ".join(idle),))
    if numbers := tuple(f"{name} = {value}" for name, value in rest.items() if f"{name}={value}" not in idle):
        yield Part("Measured", numbers)


def _instead(row: Row[StrEnum], table: Sequence[Row[StrEnum]], facts: Mapping[str, str]) -> Iterator[str]:
    """For a refusal or a rule that only tells: the row that acts, and the facts it did not have."""
    if row.action != "say":
        return
    acting = [each for each in table if each.action != "say" and _same_question(each, facts)]
    ranked = sorted(((_differs(each, facts), each) for each in acting), key=lambda pair: (len(pair[0]), pair[1].id))
    for lacks, each in ranked[:1]:
        if lacks:
            yield f"{each.id} ({_sentence(each)}) with:"
            yield from lacks


def _same_question(row: Row[StrEnum], facts: Mapping[str, str]) -> bool:
    """Whether a row answers the same order, of calls in the same place, and moves something."""
    if "position" in facts and row.action not in ACTS:
        return False
    return all(facts.get(name, "") in row.when.get(name, {facts.get(name, "")}) for name in ("order", "position"))


def _differs(row: Row[StrEnum], facts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name} {' or '.join(sorted(wanted))}, not {facts[name]}: {phrase(name, facts[name])}"
        for name, wanted in row.when.items()
        if name in facts and facts[name] not in wanted
    )


def _sentence(row: Row[Act] | Row[StrEnum]) -> str:
    return row.sentence.rstrip(".")
