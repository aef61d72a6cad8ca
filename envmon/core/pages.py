"""Which pages must be open now, compared with those that are.

Rules
  - Level-triggered: a page is raised when its condition appears or grows more urgent, resolved when it is gone.
  - Missing data resolves nothing: a blind zone keeps the thermal page it had.
  - The key is stable for one condition of one episode, so a pager updates instead of piling up.
"""

from dataclasses import replace

from envmon.core import consent, guard
from envmon.core.mode_rules import MODE_RULES
from envmon.core.power import held
from envmon.core.readiness import reachable, readiness, ready
from envmon.core.route_facts import power_may_go
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import Ready
from envmon.core.step import Step
from envmon.core.world import World, ZoneState, age_s
from envmon.model.effect import Page, Urgency
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Mode, Phase, Verdict

DRAINED = "T23"  # says that power may go: withdrawn the moment that is not so
SILENT_PAGE_S = 60.0
DOUBT_PAGE_S = 120.0
RANK = {Urgency.INFO: 0, Urgency.WARNING: 1, Urgency.ERROR: 2, Urgency.CRITICAL: 3}
SENTENCES = {entry.id: entry for entry in ROUTE_RULES}
MODE_SENTENCES = {entry.id: entry for entry in MODE_RULES}


def step_pages(world: World, policy: Policy) -> Step:
    """Raise what is missing, resolve what is gone."""
    wanted = {page.key: page for page in _wanted(world, policy)}
    keep = {key: value for key, value in world.raised.items() if key not in wanted and _blind_keeps(world, policy, key)}
    news = [
        page
        for key, page in wanted.items()
        if key not in world.raised or RANK[page.urgency] > RANK[Urgency(world.raised[key])]
    ]
    gone = [
        Page(key, raised=False, urgency=Urgency(urgency), summary=f"Resolved: {key}")
        for key, urgency in world.raised.items()
        if key not in wanted and key not in keep
    ]
    if not news and not gone:
        return Step(world)
    raised = {**keep, **{key: page.urgency.value for key, page in wanted.items()}}
    return Step(replace(world, raised=raised), (*news, *gone))


def _blind_keeps(world: World, policy: Policy, key: str) -> bool:
    """A thermal or redundancy page of a zone that is unknown now stays open."""
    return any(
        world.zones[zone.id].judgement.verdict is Verdict.UNKNOWN
        and key.startswith((_key(policy, zone.id, "thermal"), _key(policy, zone.id, "redundancy")))
        for zone in policy.zones
    )


def _key(policy: Policy, subject: str, kind: str) -> str:
    return f"envmon/{policy.site}/{subject}/{kind}"


def _wanted(world: World, policy: Policy) -> list[Page]:
    found: list[Page] = []
    for zone in policy.zones:
        found.extend(_zone(world, policy, zone, world.zones[zone.id]))
    for route in policy.routes:
        found.extend(_route(world, policy, route))
    found.extend(_devices(world, policy))
    found.extend(_mode(world, policy))
    found.extend(consent.pages(world, policy))
    found.extend(guard.pages(world, policy))
    return found


def _zone(world: World, policy: Policy, zone: ZonePolicy, state: ZoneState) -> list[Page]:
    judgement = state.judgement
    where = f"{policy.site} {zone.id}"
    found = _doubts(world, policy, zone, state)
    if judgement.power_says and held(state, world.now):
        text = f"{where}: {judgement.power_says}. {judgement.why}"
        found.append(Page(_key(policy, zone.id, "power"), True, Urgency.ERROR, text))
    if judgement.verdict is Verdict.UNKNOWN:
        if age_s(world.now, state.verdict_ns) >= policy.stale_s:
            text = f"{where}: envmon is blind. {judgement.why}"
            found.append(Page(_key(policy, zone.id, "telemetry"), True, Urgency.ERROR, text))
        return found
    if judgement.verdict is Verdict.CRITICAL:
        text = f"{where}: the cooling is being lost. {judgement.why}"
        found.append(Page(_key(policy, zone.id, "thermal"), True, Urgency.CRITICAL, text))
    elif state.phase is not Phase.NORMAL:
        text = f"{where}: warm. {judgement.why}"
        found.append(Page(_key(policy, zone.id, "thermal"), True, Urgency.WARNING, text))
    if judgement.lost_units and judgement.spare_units < 1:
        lost = ", ".join(judgement.lost_units)
        text = f"{where}: no spare cooling unit left, {lost} lost. One more failure is critical."
        found.append(Page(_key(policy, zone.id, "redundancy"), True, Urgency.ERROR, text, judgement.why))
    return found


def _doubts(world: World, policy: Policy, zone: ZonePolicy, state: ZoneState) -> list[Page]:
    """One page a network path: several sensors that lose their vote together are one fault."""
    by_path: dict[str, list[str]] = {}
    for name, doubt in state.doubts.items():
        if age_s(world.now, doubt.since_ns) >= DOUBT_PAGE_S:
            by_path.setdefault(state.seen[name].reading.point.path, []).append(f"{name}: {doubt.why}")
    return [
        Page(
            _key(policy, f"{zone.id}/{path}", "trust"), True, Urgency.WARNING,
            f"{policy.site} {zone.id}: {path} has {len(said)} without a vote. {said[0]}",
            "; ".join(said),
        )
        for path, said in by_path.items()
    ]  # fmt: skip


def _route(world: World, policy: Policy, route: RoutePolicy) -> list[Page]:
    state = world.routes[route.id]
    where = f"{policy.site} {route.id}"
    subject = f"{route.id}/{state.episode or 'quiet'}"
    told = dict(state.announced)
    if state.standing:
        told[state.standing] = "; ".join(world.zones[zone].judgement.why for zone in route.zones)
    found = [
        Page(_key(policy, subject, rule), True, entry.page, f"{where}: {entry.sentence}", why)
        for rule, why in told.items()
        if rule != DRAINED or power_may_go(world, policy, route)
        if (entry := SENTENCES.get(rule)) is not None and entry.page is not None
    ]
    for edge in route.edges:
        view = state.edges.get(edge)
        if edge not in reachable(world, policy, route) and view is not None and view.at_ns > 0:
            text = f"{where}: edge {edge} does not answer: {view.error or 'its last answer is old'}"
            found.append(Page(_key(policy, f"{route.id}/{edge}", "silent"), True, Urgency.ERROR, text))
    items = readiness(world, policy, route)
    failing = [item for item in items if item.wanting]
    if waived := [item for item in items if item.waived]:
        text = f"{where}: no time is left to wait for {'; '.join(f'{i.name}: {i.why}' for i in waived)}"
        found.append(Page(_key(policy, route.id, "waived"), True, Urgency.WARNING, text))
    asked = world.lease.held and ready(world, items, state.act_ns) is Ready.ASKED  # the answer is a second away
    if failing and world.mode is Mode.AUTOMATIC and not asked:
        text = f"{where}: automatic failover cannot act now: {'; '.join(f'{i.name}: {i.why}' for i in failing)}"
        found.append(Page(_key(policy, route.id, "not-ready"), True, Urgency.ERROR, text))
    return found


def _devices(world: World, policy: Policy) -> list[Page]:
    return [
        Page(
            _key(policy, device, "device"), True, Urgency.WARNING,
            f"{policy.site} {device}: does not answer: {world.devices[device]}",
        )
        for device, since_ns in sorted(world.silent_ns.items())
        if age_s(world.now, since_ns) >= SILENT_PAGE_S
    ]  # fmt: skip


def _mode(world: World, policy: Policy) -> list[Page]:
    entry = MODE_SENTENCES.get(world.mode_rule)
    if world.mode is Mode.HELD and entry is not None:
        text = f"{policy.site}: {entry.sentence} {world.mode_why}"
        return [Page(_key(policy, "mode", "held"), True, entry.page or Urgency.ERROR, text)]
    if world.mode is Mode.OBSERVE and policy.start_automatic:
        text = (
            f"{policy.site}: configured to be automatic, but observing. {entry.sentence if entry else 'Not armed yet.'}"
        )
        return [Page(_key(policy, "mode", "disarmed"), True, Urgency.ERROR, text)]
    return []
