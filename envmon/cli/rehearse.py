"""``envmon rehearse``: play a failure of your own site through the real engine, in virtual time.

Rules
  - The site, its limits, units, devices and routes are those of the configuration; nothing is polled or commanded.
  - Exit code 0: no call had to move, or all had left in time; 2: they had not; 1: it could not be rehearsed.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from envmon.cli.configured import Configured, configured, place_of
from envmon.cli.plot import draw, save
from envmon.cli.story import Story, as_json, clock, timeline
from envmon.config import ConfigError
from envmon.config.settings import DeviceSettings, Settings
from envmon.core.judge import minutes
from envmon.model.effect import SetPercent, Urgency
from envmon.model.policy import Policy
from envmon.model.reading import Point, Role
from envmon.profiles.bind import bind_at
from envmon.profiles.roles import MEASURES
from envmon.profiles.schema import Profile
from envmon.sim.own_site import Gauge, Instrument
from envmon.sim.rehearsal import Rehearsal
from envmon.sim.scenario import ScenarioError, built_in, load

NOT_SURVIVED = 2
LAST_CALL = "T23"
LOUD = (Urgency.CRITICAL, Urgency.ERROR)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for; ``scenario`` "" lists those that come with envmon."""

    scenario: str
    config: Path
    seed: int = 1
    as_json: bool = False
    plot: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended, in seconds since the beginning; None: did not happen."""

    good: bool
    says: str
    limit_at: float | None
    moved_at: float | None
    left_at: float | None


def run(asked: Asked) -> int:
    """Rehearse and print; returns the exit code."""
    if not asked.scenario:
        print("\n".join(f"{name:26}{load(name).title}" for name in built_in()))
        return 0
    try:
        scenario = load(asked.scenario)
        site = configured(asked.config)
        rehearsal = Rehearsal(site.settings.policy, site.settings.digest, scenario, instruments(site), asked.seed)
        story, moved_at = Story(), None
        for event, step in rehearsal.play():
            story.take(event, step)
            if moved_at is None and any(isinstance(e, SetPercent) and e.percent == 100 for e in step.effects):
                moved_at = rehearsal.t
    except ScenarioError as error:
        print(f"envmon: {asked.scenario}: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 1
    verdict = judge(rehearsal, story, moved_at)
    if asked.as_json:
        print(json.dumps({**asdict(verdict), "scenario": scenario.rehearsal, "seed": asked.seed, **as_json(story)}))
    else:
        print("\n".join(_people(rehearsal, story, verdict)))
    if asked.plot:
        air = [("hottest rack, as it is", rehearsal.hottest[:: max(1, len(rehearsal.hottest) // 1500)])]
        title = f"{site.settings.policy.site}: {scenario.title}"
        if wrong := save(asked.plot, draw(story, title, wall=False, extra=air)):
            print(f"envmon: {wrong}", file=sys.stderr)
            return 1
    return 0 if verdict.good else NOT_SURVIVED


def judge(rehearsal: Rehearsal, story: Story, moved_at: float | None) -> Verdict:
    """Whether the calls were safe: the first zone of a route to reach its limit against the last call to leave."""
    zones = dict.fromkeys(zone for route in rehearsal.policy.routes for zone in route.zones)
    played = rehearsal.site.second
    left_at = next((told.t for told in story.told if told.rule == LAST_CALL), None)
    reached = [at for zone in zones if (at := rehearsal.site.limit_at.get(zone)) is not None]
    if not reached and moved_at is not None:
        reached = [at for zone in zones if (at := rehearsal.limit_without_us(zone)) is not None]
    limit_at = min(reached, default=None)
    if moved_at is None and limit_at is None:
        return Verdict(True, "no call had to move, and none was moved", None, None, None)
    if moved_at is None:
        why = f"{_why_not(rehearsal.policy, story)} {_paged(story)}"
        return Verdict(
            False,
            f"LOST: the limit was reached at {_hms(limit_at)}, and no call was moved. {why}",
            limit_at,
            None,
            None,
        )
    if limit_at is None:
        says = f"moved at {_hms(moved_at)}; the rooms would have stayed below their limit for a day"
        return Verdict(True, says, None, moved_at, left_at)
    when = f"the limit {'was' if limit_at <= played else 'would have been'} reached at {_hms(limit_at)}"
    if left_at is not None and left_at <= limit_at:
        says = f"SAFE: moved at {_hms(moved_at)}, the last call had left {minutes(limit_at - left_at)} before {when}"
        return Verdict(True, says, limit_at, moved_at, left_at)
    if left_at is None and limit_at > played:
        return Verdict(
            True, f"moved at {_hms(moved_at)}, calls still draining at the end; {when}", limit_at, moved_at, None
        )
    late = "calls were still there" if left_at is None else f"the last call left {minutes(left_at - limit_at)} after it"
    return Verdict(False, f"LATE: moved at {_hms(moved_at)}; {when}, {late}", limit_at, moved_at, left_at)


def instruments(site: Configured) -> tuple[Instrument, ...]:
    """The devices of a configuration with the points that have a role."""
    return tuple(
        Instrument(
            device.id,
            device.path,
            device.interval_s,
            tuple(_gauges(site.settings, device, site.profiles[device.profile])),
        )
        for device in site.settings.devices
    )


def _gauges(settings: Settings, device: DeviceSettings, profile: Profile) -> Iterator[Gauge]:
    """What has a fixed address, and one row of what a device tells in tables."""
    at = place_of(settings, device, profile)
    fixed = bind_at(profile, at)
    seen: set[tuple[str | None, Role]] = set()
    for bound in fixed:
        role, unit = bound.point.role, bound.point.unit
        if role is None or (role is Role.ALARM and (unit, role) in seen):
            continue  # one alarm a unit: which of its alarms a failure would raise is not known
        seen.add((unit, role))
        yield Gauge(bound.point, bound.votes, frozenset(state.label for state in bound.spec.states))
    named = {bound.point.name for bound in fixed}
    roles: Mapping[str, Role] = {name: role for name, role in device.roles if name not in named}
    for zone, unit in [front[1:] for front in device.fronts] or [(device.zone, device.serves)]:
        tables = {role.value: role for role in profile.witnesses if (unit or None, role) not in seen}
        for name, role in {**tables, **roles}.items():
            identity = ".".join(part for part in (settings.policy.site, zone, unit or device.id, name) if part)
            point = Point(
                identity, name, device.id, device.path, zone or None, unit or None, role, MEASURES.get(role, "")
            )
            yield Gauge(point, at.votes)


def _people(rehearsal: Rehearsal, story: Story, verdict: Verdict) -> Iterator[str]:
    scenario = rehearsal.scenario
    yield f"{scenario.title}"
    yield f"{'':10}" + ", ".join(
        f"{zone.id}: {zone.it_load_kw:g} kW, limit {zone.limits.service:g} °C" for zone in rehearsal.policy.zones
    )
    yield from timeline(story, wall=False)
    yield f"{clock(story, story.ends, wall=False)}  the end; {rehearsal.readings} readings"
    yield verdict.says


def _why_not(policy: Policy, story: Story) -> str:
    """What held envmon back: that it could not be armed, or the last it said of a route."""
    if policy.placement_faults:
        return f"envmon cannot be armed: {'; '.join(policy.placement_faults)}."
    last = next(
        (told for told in reversed(story.told) if told.subject.startswith("route:") and told.rule != "T01"), None
    )
    return f"{last.rule}: {last.sentence}" if last else "No rule saw a reason to."


def _paged(story: Story) -> str:
    """When people first heard of it."""
    first = next((t for t, page in story.pages if page.raised and page.urgency in LOUD), None)
    return "Nobody was paged." if first is None else f"People were paged at {_hms(first)}."


def _hms(seconds: float | None) -> str:
    return clock(Story(), seconds or 0.0, wall=False)
