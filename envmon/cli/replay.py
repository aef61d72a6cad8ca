"""``envmon replay``: re-run a recording to the identical decisions, or see what another policy would have done.

Rules
  - Exit code 0: identical (or compared with another policy); 2: it differs, with the first difference; 1: unreadable.
  - Under another policy the edges obey and the calls follow; readings, orders and probe calls stay as recorded.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envmon.cli.plot import draw, save
from envmon.cli.story import Story, Told, as_json, clock, timeline
from envmon.core.advance import advance
from envmon.core.fold import fold
from envmon.core.step import Step
from envmon.core.world import World
from envmon.model.effect import SetPercent, StampEpoch
from envmon.model.event import EdgeReport, EffectReport, Event, PolicyLoaded
from envmon.recordings.decode import RecordingError, Start, files, read
from envmon.recordings.replay import Replay, replay
from envmon.sim.obedience import ObedientEdges

if TYPE_CHECKING:
    from envmon.config.settings import Settings

DIFFERS = 2
COLUMN = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    recording: Path
    policy: Path | None = None
    since: int = 0
    as_json: bool = False
    plot: Path | None = None


def run(asked: Asked) -> int:
    """Replay and print; returns the exit code."""
    story, found = Story(), Replay()
    try:
        paths = files(asked.recording)
        for told, step in replay(paths, found, asked.since):
            story.take(told.event, step)
        other = _under(asked, asked.policy, paths) if asked.policy else None
    except RecordingError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    except _PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    if not found.events:
        print(f"envmon: {asked.recording}: it holds no event to replay", file=sys.stderr)
        return 1
    if asked.as_json:
        print(json.dumps(_machine(found, story, other)))
    else:
        print("\n".join(_people(asked, found, story, other)))
    if asked.plot:
        title = f"{found.headers[0].site}: {asked.recording.name}" + (f" under {asked.policy}" if other else "")
        if wrong := save(asked.plot, draw(other or story, title, wall=True)):
            print(f"envmon: {wrong}", file=sys.stderr)
            return 1
    return 0 if found.identical else DIFFERS


def _people(asked: Asked, found: Replay, story: Story, other: Story | None) -> Iterator[str]:
    if other is None:
        yield from timeline(story, wall=True)
    else:
        yield from side_by_side(story, other, f"WITH {asked.policy}")
    head = found.headers[0]
    engines = ", ".join(dict.fromkeys(header.engine for header in found.headers))
    yield (
        f"{head.site}: {found.events} events, {found.readings} readings, {found.decisions} decisions in "
        f"{story.ends / 3600:.2f} h; recorded by envmon {engines}"
    )
    yield f"recorded sha256:{found.recorded}"
    yield f"replayed sha256:{found.replayed}"
    if found.difference is None:
        yield f"identical, and so are {found.worlds} recorded worlds"
        return
    first = found.difference
    at = clock(story, first.wall - story.began_wall, wall=True)
    yield f"DIFFERENT: first at event {first.number}, {at}: {first.what}"
    yield f"   recorded: {first.recorded}"
    yield f"   replayed: {first.replayed}"


def _machine(found: Replay, story: Story, other: Story | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "site": found.headers[0].site,
        "engines": list(dict.fromkeys(header.engine for header in found.headers)),
        "events": found.events,
        "readings": found.readings,
        "worlds_compared": found.worlds,
        "digest": {"recorded": str(found.recorded), "replayed": str(found.replayed)},
        "identical": found.identical,
        "difference": asdict(found.difference) if found.difference else None,
        "replayed": as_json(story),
    }
    return told if other is None else {**told, "other": as_json(other)}


class _PolicyError(Exception):
    """The other policy's configuration is refused; the text is every fault of it, a line each."""


def _under(asked: Asked, policy: Path, paths: Sequence[Path]) -> Story:
    """The same inputs under the policy of a configuration. Raises _PolicyError, RecordingError."""
    from envmon.cli.configured import configured  # noqa: PLC0415 - the configuration's libraries, for this alone
    from envmon.config import ConfigError  # noqa: PLC0415

    try:
        settings = configured(policy).settings
    except ConfigError as error:
        raise _PolicyError("\n".join(str(fault) for fault in error.faults)) from None
    story = Story()
    for event, step in under(paths, settings, asked.since):
        story.take(event, step)
    return story


def under(paths: Iterable[Path], settings: "Settings", since: int = 0) -> Iterator[tuple[Event, Step]]:
    """Re-run the files with another policy, its edges obedient. Raises RecordingError."""
    edges = ObedientEdges(max((route.max_call_s for route in settings.policy.routes), default=300.0))
    world: World | None = None
    for path in paths:
        for item in read(path):
            if isinstance(item, Start):
                if item.header.site != settings.policy.site:
                    raise RecordingError(
                        f"{path}: it was recorded at {item.header.site!r}, the policy is for {settings.policy.site!r}"
                    )
                if world is None and item.number >= since:
                    loaded = PolicyLoaded(item.world.now, settings.policy, settings.digest, "envmon replay")
                    world = fold(item.world, loaded)  # in force without being asked for: nothing moves here
                continue
            if world is None or isinstance(item.event, EffectReport | PolicyLoaded):
                continue
            waiting: list[Event] = [edges.seen(item.event) if isinstance(item.event, EdgeReport) else item.event]
            while waiting:
                event: Event = waiting.pop(0)
                step = advance(world, event)
                world = step.world
                for effect in step.effects:
                    if isinstance(effect, SetPercent | StampEpoch):
                        waiting += edges.obey(effect, event.at)
                yield event, step


def side_by_side(story: Story, other: Story, title: str) -> Iterator[str]:
    """Two timelines in columns, a row for every moment in which either decided."""
    yield f"{'UTC':22}{'AS RECORDED':{COLUMN}}  {title}"
    rows: dict[int, tuple[list[Told], list[Told]]] = {}
    for index, each in enumerate((story, other)):
        for told in each.told:
            rows.setdefault(int(told.wall), ([], []))[index].append(told)
    for second in sorted(rows):
        left, right = ([_short(told) for told in column] for column in rows[second])
        if left == right:
            right = ["same"] * len(left)
        stamp = clock(story, second - story.began_wall, wall=True)
        for number in range(max(len(left), len(right))):
            a, b = (column[number] if number < len(column) else "" for column in (left, right))
            yield f"{stamp if not number else '':22}{a:{COLUMN}}  {b}".rstrip()
    pages = [sum(page.raised for _, page in each.pages) for each in (story, other)]
    yield f"{'':22}{f'{pages[0]} pages':{COLUMN}}  {pages[1]} pages"


def _short(told: Told) -> str:
    subject, says = told.subject.partition(":")[2] or told.subject, (*told.effects, told.sentence)[0]
    text = f"{told.rule} {subject}: {says}"
    return text if len(text) <= COLUMN else f"{text[: COLUMN - 1]}…"
