"""Which pages must be open now, compared with those that are.

Rules
  - Level-triggered: a page is raised when its condition appears or grows more urgent, resolved when it is gone.
  - Missing data resolves nothing: a blind zone keeps the thermal page it had.
  - A shelved page is not raised, nor is a chore about what is in maintenance: a device that does not answer, a sensor
    without a vote. Whatever tells of heat, of redundancy, of blindness or of calls is no chore.
  - What went silent together is one page that names it all: one fault, one call at night.
  - The key is stable for one condition of one episode, so a pager updates instead of piling up.
  - The envmons of a site share the keys. Who comes to stand by resolves no page of a route or the mode at first: what
    it raised while it was cut off the holder may have raised since, and what lies under the lease names that later.
"""

from dataclasses import replace
from typing import Any

from envmon.core import consent, guard, heir, memory
from envmon.core.aside import edge_out, place_out, units_out
from envmon.core.explain import explain_now, text
from envmon.core.heir_rules import HEIR_RULES
from envmon.core.idlers import IDLE_S
from envmon.core.mode_rules import MODE_RULES
from envmon.core.power import held
from envmon.core.readiness import reachable, readiness, ready
from envmon.core.route_facts import power_may_go
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import Ready
from envmon.core.step import Step
from envmon.core.storm import storm_pages
from envmon.core.table import Row
from envmon.core.world import World, ZoneState, age_s
from envmon.model.effect import Page, Urgency
from envmon.model.policy import Policy, RoutePolicy, ZonePolicy
from envmon.model.verdict import Mode, Phase, Verdict

DRAINED = "T23"  # says that power may go: withdrawn the moment that is not so
SILENT_PAGE_S = 60.0
SETTLES_S = 10.0  # a holder's memory is stored within a second of a tick, and read again every second
DETAIL = 8_000  # characters
RANK = {Urgency.INFO: 0, Urgency.WARNING: 1, Urgency.ERROR: 2, Urgency.CRITICAL: 3}
SENTENCES = {entry.id: entry for entry in ROUTE_RULES}
MODE_SENTENCES: dict[str, Row[Any]] = {
    **{entry.id: entry for entry in MODE_RULES},
    **{entry.id: entry for entry in HEIR_RULES},
}


def step_pages(world: World, policy: Policy) -> Step:
    """Raise what is missing, resolve what is gone."""
    asked = {page.key: page for page in wanted(world, policy)}
    told = {key: page for key, page in asked.items() if not _shelved(world, page)}
    theirs = _of_the_holder(world)
    keep = {
        key: value
        for key, value in world.raised.items()
        if key not in asked
        and (_blind_keeps(world, policy, key) or (key not in theirs and _settles(world, policy, key)))
    }
    news = [
        _explained(world, page)
        for key, page in told.items()
        if key not in world.raised or RANK[page.urgency] > RANK[Urgency(world.raised[key])]
    ]
    gone = [
        Page(key, False, Urgency(urgency), f"{'Shelved' if key in asked else 'Resolved'}: {key}")
        for key, urgency in world.raised.items()
        if key not in told and key not in keep and key not in theirs
    ]
    if not news and not gone and not theirs & world.raised.keys() - told.keys():
        return Step(world)
    raised = {**keep, **{key: page.urgency.value for key, page in told.items()}}
    return Step(replace(world, raised=raised), (*news, *gone))


def _of_the_holder(world: World) -> frozenset[str]:
    """The pages that are open at the envmon this one stands by for: that one resolves them."""
    kept = memory.found(world) if memory.standing_by(world) else None
    return frozenset(kept.raised if kept is not None else ())


def _settles(world: World, policy: Policy, key: str) -> bool:
    """Whether the holder decides on a page, and may have raised it without our knowing it yet."""
    decided = tuple(_key(policy, subject, "") for subject in ("mode", *(route.id for route in policy.routes)))
    beside_s = age_s(world.now, world.lease.beside_ns)
    return memory.standing_by(world) and beside_s < SETTLES_S and key.startswith(decided)


def _explained(world: World, page: Page) -> Page:
    """A critical page carries the whole explanation: who is woken by it needs no second look to know why."""
    if page.urgency is not Urgency.CRITICAL:
        return page
    return replace(page, detail=f"{page.detail}\n{text(explain_now(world))}".strip()[:DETAIL])


def _shelved(world: World, page: Page) -> bool:
    """Whether somebody has shelved a page, at this urgency or a higher one."""
    shelf = world.aside.shelved.get(page.key)
    return shelf is not None and RANK[page.urgency] <= RANK[shelf.urgency]


def _blind_keeps(world: World, policy: Policy, key: str) -> bool:
    """A thermal or redundancy page of a zone that is unknown now stays open."""
    return key not in world.aside.shelved and any(
        world.zones[zone.id].judgement.verdict is Verdict.UNKNOWN
        and key.startswith((_key(policy, zone.id, "thermal"), _key(policy, zone.id, "redundancy")))
        for zone in policy.zones
    )


def _key(policy: Policy, subject: str, kind: str) -> str:
    return f"envmon/{policy.site}/{subject}/{kind}"


def wanted(world: World, policy: Policy) -> list[Page]:
    """Every page whose condition is true now, shelved or not."""
    found: list[Page] = []
    for zone in policy.zones:
        found.extend(_zone(world, policy, zone, world.zones[zone.id]))
    found.extend(_devices(world, policy))
    if memory.standing_by(world):
        found.extend(heir.pages(world, policy))
    else:
        for route in policy.routes:
            found.extend(_route(world, policy, route))
        found.extend(_mode(world, policy))
    found.extend(storm_pages(world, policy))
    found.extend(consent.pages(world, policy))
    found.extend(guard.pages(world, policy))
    return found


def _zone(world: World, policy: Policy, zone: ZonePolicy, state: ZoneState) -> list[Page]:
    judgement = state.judgement
    where = f"{policy.site} {zone.id}"
    found = (
        [] if place_out(world.aside, policy, zone.id) else [*_doubts(policy, zone, state), *_idle(world, policy, zone)]
    )
    if judgement.power_says and held(state, world.now):
        text = f"{where}: {judgement.power_says}. {judgement.why}"
        found.append(Page(_key(policy, zone.id, "power"), True, Urgency.ERROR, text))
    if judgement.verdict is Verdict.UNKNOWN:
        if age_s(world.now, state.verdict_ns) >= policy.stale_s:
            silent = "; ".join(f"{device}: {world.devices[device]}" for device in _silent_in(world, zone.id))
            text = f"{where}: envmon is blind. {judgement.why}"
            found.append(Page(_key(policy, zone.id, "telemetry"), True, Urgency.ERROR, text, silent))
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


def _doubts(policy: Policy, zone: ZonePolicy, state: ZoneState) -> list[Page]:
    """One page a network path: several sensors without a vote are one fault, and so is one that flaps."""
    by_path: dict[str, list[str]] = {}
    for name in state.suspects_ns:
        if name in state.seen:
            doubt = state.doubts.get(name)
            told = "has its vote back" if doubt is None else doubt.why
            by_path.setdefault(state.seen[name].reading.point.path, []).append(f"{name}: {told}")
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
    alive = reachable(world, policy, route)
    for edge in route.edges:
        view = state.edges.get(edge)
        if edge not in alive and not edge_out(world.aside, edge) and view is not None and view.at_ns > 0:
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


def _idle(world: World, policy: Policy, zone: ZonePolicy) -> list[Page]:
    """Units whose status says healthy while their air says otherwise."""
    out = units_out(world.aside, zone.id)
    return [
        Page(
            _key(policy, f"{zone.id}/{unit}", "idle"), True, Urgency.WARNING,
            f"{policy.site} {zone.id}: {unit} {doubt.why}",
        )
        for unit, doubt in world.zones[zone.id].idlers.items()
        if unit not in out and age_s(world.now, doubt.since_ns) >= IDLE_S
    ]  # fmt: skip


def _devices(world: World, policy: Policy) -> list[Page]:
    """Devices that do not answer. What went silent together is one page: a blind zone's, or that of a network path.

    A device that has a page of its own keeps it for as long as it is silent.
    """
    blind = {zone.id for zone in policy.zones if world.zones[zone.id].judgement.verdict is Verdict.UNKNOWN}
    by_path: dict[str, list[str]] = {}
    for device in sorted(world.silent_ns):
        if _device_out(world, policy, device):
            continue
        places = _places(world, device)
        own = _key(policy, device, "device") in world.raised
        if own or not any(zone in blind for zone, _ in places):
            by_path.setdefault("" if own or not places else places[0][1], []).append(device)
    found: list[Page] = []
    for path, devices in by_path.items():
        if not path or len(devices) == 1 or _path_answers(world, path):
            found.extend(_silent(world, policy, device) for device in devices if _long(world, device))
        elif any(_long(world, device) for device in devices):
            text = f"{policy.site}: nothing behind {path} answers: {', '.join(devices)}"
            said = "; ".join(f"{device}: {world.devices[device]}" for device in devices)
            found.append(Page(_key(policy, path, "path"), True, Urgency.WARNING, text, said))
    return found


def _silent(world: World, policy: Policy, device: str) -> Page:
    text = f"{policy.site} {device}: does not answer: {world.devices[device]}"
    return Page(_key(policy, device, "device"), True, Urgency.WARNING, text)


def _long(world: World, device: str) -> bool:
    return age_s(world.now, world.silent_ns[device]) >= SILENT_PAGE_S


def _places(world: World, device: str) -> list[tuple[str, str]]:
    """The zones a device tells of, each with the network path it is read over."""
    return list(dict.fromkeys(
        (zone, seen.reading.point.path)
        for zone, state in world.zones.items()
        for seen in state.seen.values()
        if seen.reading.point.device == device
    ))  # fmt: skip


def _silent_in(world: World, zone: str) -> list[str]:
    """The devices of a zone that do not answer."""
    return [device for device in sorted(world.silent_ns) if any(place == zone for place, _ in _places(world, device))]


def _path_answers(world: World, path: str) -> bool:
    """Whether any device behind a network path answers."""
    points = (seen.reading.point for state in world.zones.values() for seen in state.seen.values())
    return any(point.path == path and point.device not in world.silent_ns for point in points)


def _device_out(world: World, policy: Policy, device: str) -> bool:
    """Whether all a device tells of is in maintenance: its site, its zone, or every unit it has points of."""
    if not world.aside.maintenance:
        return False
    points = [
        (zone.id, seen.reading.point.unit)
        for zone in policy.zones
        for seen in world.zones[zone.id].seen.values()
        if seen.reading.point.device == device
    ]
    return place_out(world.aside, policy, None) or (
        bool(points)
        and all(place_out(world.aside, policy, zone) or unit in units_out(world.aside, zone) for zone, unit in points)
    )


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
