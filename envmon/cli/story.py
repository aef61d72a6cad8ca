"""What happened in a replay or a rehearsal, as people and machines read it: a timeline of decisions with their numbers.

Rules
  - Nothing here decides or judges: it tells what the mind said of itself at each step, in the words of ``explain``.
  - Times are seconds since the story's first event; ``wall`` is Unix seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from envmon.core import explain
from envmon.core.explain import explain_decision, grounds, plain, text
from envmon.core.judge import minutes
from envmon.core.step import Step
from envmon.core.world import SECOND, Judgement, World
from envmon.model.effect import AskProbe, Effect, Page, PollFaster, SetPercent, StampEpoch
from envmon.model.event import Event, Tick
from envmon.model.verdict import Sight

SAMPLES = 1500  # a zone's curve holds no more; it is thinned when it would


@dataclass(frozen=True, slots=True)
class Sample:
    """A zone at a moment. Temperature degC, bounds in seconds; None where not known."""

    t: float
    temperature: float | None
    lower: float | None
    median: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Told:
    """One decision: when, what, and the zones as they stood then."""

    t: float
    wall: float
    rule: str
    subject: str
    sentence: str
    why: str
    facts: tuple[tuple[str, str], ...]
    effects: tuple[str, ...]
    zones: tuple[tuple[str, Judgement], ...]


@dataclass(slots=True)
class Story:
    """Take in every event with what it led to, then read ``told``, ``curves`` and ``pages``."""

    told: list[Told] = field(default_factory=list)
    curves: dict[str, list[Sample]] = field(default_factory=dict)
    pages: list[tuple[float, Page]] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)  # zone -> service limit, degC
    evacuate_s: dict[str, float] = field(default_factory=dict)  # route -> time to evacuate
    began_ns: int | None = None
    began_wall: float = 0.0
    ends: float = 0.0
    _every: float = 0.0
    _next: float = 0.0

    def take(self, event: Event, step: Step) -> None:
        """One event and what it led to."""
        if self.began_ns is None:
            self.began_ns, self.began_wall = event.at.mono_ns, event.at.wall
        t = max(self.ends, (event.at.mono_ns - self.began_ns) / SECOND)
        self.ends = t
        if step.effects or step.decisions:
            self._tell(t, event.at.wall, step)
        if isinstance(event, Tick) and (t >= self._next or step.decisions):
            self._sample(t, step.world)

    def _tell(self, t: float, wall: float, step: Step) -> None:
        self.pages += [(t, effect) for effect in step.effects if isinstance(effect, Page)]
        policy = step.world.policy
        zones = tuple((zone.id, step.world.zones[zone.id].judgement) for zone in policy.zones) if policy else ()
        for decision in step.decisions:
            done = tuple(say for each in step.effects if (say := say_effect(each, decision.effects)))
            self.told.append(
                Told(
                    t,
                    wall,
                    decision.rule,
                    decision.subject,
                    decision.sentence,
                    decision.why,
                    decision.facts,
                    done,
                    zones,
                )
            )

    def _sample(self, t: float, world: World) -> None:
        for zone in world.policy.zones if world.policy else ():
            judged = world.zones[zone.id].judgement
            limit = judged.time_to_limit
            sample = Sample(t, judged.temperature, limit.lower, limit.median, judged.verdict.value)
            self.curves.setdefault(zone.id, []).append(sample)
            self.limits[zone.id] = zone.limits.service
        for route in world.policy.routes if world.policy else ():
            self.evacuate_s[route.id] = route.evacuate_s
        longest = max(map(len, self.curves.values()), default=0)
        if longest > SAMPLES:
            self._every = max(1.0, 2 * t / SAMPLES)
            self.curves = {zone: curve[::2] for zone, curve in self.curves.items()}
        self._next = t + self._every


def say_effect(effect: Effect, named: tuple[str, ...]) -> str:
    """An effect of a decision in words; "" for what concerns nobody, or belongs to another decision."""
    match effect:
        case SetPercent(id=name, percent=percent, edges=edges) if name in named:
            return f"{percent} % of new calls to the backup at {', '.join(edges)}"
        case StampEpoch(id=name, epoch=epoch, edges=edges) if name in named:
            return f"epoch {epoch} is shown to {', '.join(edges)}"
        case SetPercent() | StampEpoch() | Page() | PollFaster() | AskProbe():
            return ""


def timeline(story: Story, *, wall: bool) -> Iterator[str]:
    """For people: at each moment the zones, then what was decided and done; pages where they went out."""
    rows: list[tuple[float, int, str]] = []
    for number, told in enumerate(story.told):
        rows.append((told.t, 2 * number, _decision(told)))
    for t, page in story.pages:
        if page.raised:
            rows.append((t, 1_000_000, f"          page {page.urgency}: {page.summary}"))
    shown, zones = -1.0, {told.t: told.zones for told in story.told}
    for t, _, row in sorted(rows, key=lambda each: each[:2]):
        if t != shown:
            shown = t
            yield f"{clock(story, t, wall=wall)}  {'   '.join(_zone(*each) for each in zones.get(t, ()))}".rstrip()
        yield row


def clock(story: Story, t: float, *, wall: bool) -> str:
    """A moment: UTC where ``wall``, else the time since the beginning."""
    if wall:
        return f"{datetime.fromtimestamp(story.began_wall + t, tz=UTC):%Y-%m-%d %H:%M:%SZ}"
    return f"{int(t) // 3600:02d}:{int(t) // 60 % 60:02d}:{int(t) % 60:02d}"


def _decision(told: Told) -> str:
    lines = [f"          {told.rule} {told.subject}: {told.sentence}"]
    lines.extend(f"              -> {effect}" for effect in told.effects)
    lines.extend(f"              {line}" for line in text(grounds(explained(told))).splitlines())
    return "\n".join(lines)


def explained(told: Told) -> explain.Told:
    """A decision as its line in the journal would tell it."""
    effect = "; ".join(told.effects)
    return explain.Told(told.rule, told.subject, told.sentence, told.why, told.facts, told.wall, effect=effect)


def _zone(name: str, judged: Judgement) -> str:
    celsius = "not known" if judged.temperature is None else f"{judged.temperature:.1f} °C"
    return f"{name} {celsius} {judged.verdict}, {until(judged)}"


def until(judged: Judgement) -> str:
    """The time to limit in a few words."""
    limit = judged.time_to_limit
    if limit.sight is Sight.FORECAST and limit.lower is not None:
        return f"limit in {minutes(limit.lower)}"
    return limit.sight.value.replace("_", " ")


def as_json(story: Story) -> dict[str, Any]:
    """For machines."""
    return {
        "seconds": round(story.ends, 3),
        "decisions": [
            {
                "t": round(told.t, 3),
                "wall": told.wall,
                "rule": told.rule,
                "subject": told.subject,
                "sentence": told.sentence,
                "why": told.why,
                "facts": dict(told.facts),
                "effects": list(told.effects),
                "explained": plain(explain_decision(explained(told))),
            }
            for told in story.told
        ],
        "pages": [
            {"t": round(t, 3), "key": page.key, "raised": page.raised, "urgency": page.urgency, "summary": page.summary}
            for t, page in story.pages
        ],
        "zones": {
            zone: [
                {"t": round(s.t, 1), "c": s.temperature, "lower_s": s.lower, "median_s": s.median, "verdict": s.verdict}
                for s in curve
            ]
            for zone, curve in story.curves.items()
        },
    }
