"""The storm posture: watch more closely before anything is lost, and tell people while there is time.

Rules
  - Never a trigger: nothing here writes a route's state or issues a traffic effect, and no route's rule reads it.
  - A warning counts from an hour before its onset to its own end; where its feed fell silent, an hour longer.
  - A feed counts as answering for three of its intervals; after that it is unknown.
  - Power counts once battery or generator has fed the site for 15 s (a self-test is shorter), and a storm is held for
    15 minutes after its last reason, so that a flickering supply makes one page.

Theory of operation
  feeds and power points -> finite facts -> one row of ``STORM_RULES`` -> posture. While the posture is ``storm`` the
  judge's poll hints are lowered (``poll_s``), probe calls are asked for every 10 s, and with them every other proof of
  the backup (which the runtime spares: once a minute), and one page stands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from envmon.core.readiness import readiness
from envmon.core.say import until
from envmon.core.sky import SECOND, FeedView, Sky, Standing
from envmon.core.step import Step
from envmon.core.storm_rules import STORM_RULES, StormFacts, Weather
from envmon.core.table import answer, find, tell
from envmon.core.world import Seen, World, age_s
from envmon.model.effect import AskProbe, Decision, Page, Urgency
from envmon.model.event import Stamp
from envmon.model.policy import FeedPolicy, Policy
from envmon.model.reading import Role
from envmon.model.weather import Posture

AHEAD_S = 3_600.0
BLIND_STANDS_S = 3_600.0
ANSWERS = 3  # intervals a feed's answer counts for
POWER_S = 15.0
HOLD_S = 900.0
PROBE_S = 10.0
POLL_S = 5.0
UNKNOWN_PAGE_S = 1_800.0
POWER_ROLES: Mapping[Role | None, str] = {Role.ON_BATTERY: "on battery", Role.ON_GENERATOR: "on generator"}


def poll_s(world: World) -> float:
    """How often the devices of a zone that is well are wanted now, in seconds; 0: as configured."""
    return POLL_S if world.sky.posture is Posture.STORM else 0.0


def step_storm(world: World, policy: Policy) -> Step:
    """Look at the sky and the power once, and apply the one rule that matches, if any."""
    off_mains = _off_mains(world, policy)
    powered_by = [_say_power(seen) for seen in off_mains]
    sky = _heard(world.sky, max((seen.at_ns for seen in off_mains), default=0))
    facts = storm_facts(sky, policy, world.now)
    if facts.weather is Weather.WARNED or facts.power == answer(True):
        sky = replace(sky, reason_ns=world.now.mono_ns)
    found = find(STORM_RULES, facts)
    decisions: tuple[Decision, ...] = ()
    if found is not None:
        why = "; ".join(reasons(sky, policy, world.now, powered_by)) or "no reason is left"
        posture = Posture(found.action.value)
        sky = replace(sky, posture=posture, since_ns=world.now.mono_ns, rule=found.id, why=why)
        decisions = (Decision(found.id, "storm", found.sentence, why, tell(facts)),)
    probes: tuple[AskProbe, ...] = ()
    if sky.posture is Posture.STORM and age_s(world.now, sky.asked_ns) >= PROBE_S:
        sky = replace(sky, asked_ns=world.now.mono_ns)
        probes = tuple(AskProbe(route.id) for route in policy.routes)
    return Step(world if sky is world.sky or sky == world.sky else replace(world, sky=sky), probes, decisions)


def storm_facts(sky: Sky, policy: Policy, now: Stamp) -> StormFacts:
    """Everything the posture's rules look at, now."""
    power = sky.power_heard_ns - sky.power_ns >= POWER_S * SECOND
    recent = sky.reason_ns > 0 and age_s(now, sky.reason_ns) < HOLD_S
    weather = Weather.CLEAR
    if near(sky, policy, now):
        weather = Weather.WARNED
    elif not all(known(feed, sky.feeds[feed.id], now) for feed in policy.feeds):
        weather = Weather.UNKNOWN
    return StormFacts(sky.posture, weather, answer(power), answer(recent))


def known(feed: FeedPolicy, view: FeedView, now: Stamp) -> bool:
    """Whether a feed's last whole answer still counts."""
    return view.answered_ns > 0 and age_s(now, view.answered_ns) <= ANSWERS * feed.every_s


def near(sky: Sky, policy: Policy, now: Stamp) -> list[Standing]:
    """The warnings that count now, the one that ends last first."""
    found = [
        each
        for feed in policy.feeds
        for each in sky.feeds[feed.id].standing
        if _counts(each, now, blind=not known(feed, sky.feeds[feed.id], now))
    ]
    return sorted(found, key=lambda each: (-each.until_ns, each.warning.event, each.warning.id))


def _counts(each: Standing, now: Stamp, *, blind: bool) -> bool:
    begun = each.onset_ns - now.mono_ns <= AHEAD_S * SECOND
    return begun and age_s(now, each.until_ns) < (BLIND_STANDS_S if blind else 0.0)


def _heard(sky: Sky, heard_ns: int) -> Sky:
    """Follow how long the mains have been away: from the first reading that says so to the last."""
    since_ns = (sky.power_ns or heard_ns) if heard_ns else 0
    if (since_ns, heard_ns) == (sky.power_ns, sky.power_heard_ns):
        return sky
    return replace(sky, power_ns=since_ns, power_heard_ns=heard_ns)


def power(world: World, policy: Policy) -> list[str]:
    """What says that the mains do not feed the site, in words."""
    return [_say_power(seen) for seen in _off_mains(world, policy)]


def _say_power(seen: Seen) -> str:
    return f"{seen.reading.point.id}: {POWER_ROLES[seen.reading.point.role]}"


def _off_mains(world: World, policy: Policy) -> list[Seen]:
    """The points here that say freshly that the mains do not feed the site."""
    found = [
        seen
        for zone in policy.zones
        if zone.here
        for seen in world.zones[zone.id].seen.values()
        if seen.reading.point.role in POWER_ROLES
        and seen.reading.value == "yes"
        and seen.reading.good
        and age_s(world.now, seen.at_ns) <= policy.stale_s
    ]
    return sorted(found, key=lambda seen: seen.reading.point.id)


def reasons(sky: Sky, policy: Policy, now: Stamp, powered_by: list[str]) -> Iterator[str]:
    """What the posture rests on, in words."""
    told: dict[str, float] = {}
    for each in near(sky, policy, now):
        told.setdefault(each.warning.event, each.warning.until)
    yield from (f"{event} until {until(wall, now.wall)}" for event, wall in told.items())
    yield from powered_by
    for feed in policy.feeds:
        if not known(feed, sky.feeds[feed.id], now):
            yield f"weather {feed.id} unknown: {sky.feeds[feed.id].error or 'its last answer is old'}"


def storm_pages(world: World, policy: Policy) -> list[Page]:
    """The page of the posture, and that of a weather service nobody hears."""
    sky = world.sky
    key = f"envmon/{policy.site}/storm"
    if sky.posture is Posture.STORM:
        proofs, proven = _proofs(world, policy)
        said = "; ".join((*(list(reasons(sky, policy, world.now, power(world, policy))) or [sky.why]), *proofs))
        headlines = "; ".join(filter(None, (each.warning.headline for each in near(sky, policy, world.now))))
        urgency = Urgency.WARNING if proven else Urgency.ERROR
        return [Page(f"{key}/posture", True, urgency, f"{policy.site}: storm posture: {said}", headlines)]
    if sky.posture is Posture.UNKNOWN and sky.since_ns and age_s(world.now, sky.since_ns) >= UNKNOWN_PAGE_S:
        said = "; ".join(reasons(sky, policy, world.now, [])) or sky.why
        return [Page(f"{key}/unknown", True, Urgency.WARNING, f"{policy.site}: {said}. Unknown is not clear.")]
    return []


def _proofs(world: World, policy: Policy) -> tuple[list[str], bool]:
    """What stands between the storm and the calls: the backup of every route, and the spare units of every zone."""
    said: list[str] = []
    proven = True
    for route in policy.routes:
        failing = [item for item in readiness(world, policy, route) if item.passed is not True]
        proven = proven and not failing
        missing = ", ".join(f"{item.name}: {item.why}" for item in failing)
        said.append(f"{route.id}: backup NOT proven ({missing})" if failing else f"{route.id}: backup proven")
    for zone in policy.zones:
        judgement = world.zones[zone.id].judgement
        lost = f", {', '.join(judgement.lost_units)} lost" if judgement.lost_units else ""
        of = f"{zone.needed} of {len(zone.units)} units needed"
        said.append(f"{zone.id}: {judgement.verdict}, {of}, N{judgement.spare_units:+d}{lost}")
    return said, proven
