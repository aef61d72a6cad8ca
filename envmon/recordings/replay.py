"""Re-running a recording through the mind: to the identical decisions, or to the first difference.

Rules
  - Every file is entered by its first world; the worlds recorded after it must be those the replay arrives at.
  - The digest is SHA-256 over one line a decision and one an effect: event number, rule, subject, facts, effects.
  - A replay under the recorded policy tells no event but the recorded ones.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envmon.core.advance import advance
from envmon.core.snapshot import dump
from envmon.core.step import Step
from envmon.core.world import World, initial
from envmon.model.event import DeviceBatch, Event
from envmon.recordings.decode import Header, Start, Told, read
from envmon.recordings.encode import decided

_LONGEST = 500  # characters of a value that is shown


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that was not as recorded. ``wall`` is Unix seconds."""

    number: int
    wall: float
    what: str
    recorded: str
    replayed: str


class Digest:
    """A running SHA-256 over decisions and effects."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, number: int, decisions: Iterable[Any], effects: Iterable[Any]) -> None:
        """Take in what event ``number`` led to, as plain JSON values."""
        for line in lines(number, decisions, effects):
            self._sum.update(f"{line}\n".encode())

    def __str__(self) -> str:
        return self._sum.hexdigest()


def lines(number: int, decisions: Iterable[Any], effects: Iterable[Any]) -> Iterator[str]:
    """What the digest is made of."""
    for decision in decisions:
        told = [number, decision["rule"], decision["subject"], decision["facts"], decision["effects"]]
        yield json.dumps(told, separators=(",", ":"))
    for kind, effect in effects:
        yield json.dumps([number, kind, effect], separators=(",", ":"), sort_keys=True)


@dataclass(slots=True)
class Replay:
    """What a replay found so far."""

    headers: list[Header] = field(default_factory=list)
    events: int = 0
    readings: int = 0
    decisions: int = 0
    worlds: int = 0  # recorded worlds that were compared
    recorded: Digest = field(default_factory=Digest)
    replayed: Digest = field(default_factory=Digest)
    difference: Difference | None = None

    @property
    def identical(self) -> bool:
        """Whether everything was as recorded."""
        return self.difference is None


Seen = tuple[Told, Step]


def replay(files: Iterable[Path], found: Replay, since: int = 0) -> Iterator[Seen]:
    """Re-run the files in order, yielding every event with what it leads to now. Raises RecordingError.

    ``since`` starts at the first recorded world after that event; what comes before is read, not run.
    """
    world = initial()
    reached: tuple[str, int] | None = None  # run and number of the event ``world`` stands after
    for file in files:
        for item in read(file):
            if isinstance(item, Start):
                here = (item.header.run, item.number)
                if item.first:
                    found.headers.append(item.header)
                    reached = reached if reached == here else None  # a gap, or another life of the daemon
                if reached is not None:
                    _compare_worlds(found, item, world)
                elif item.number >= since:
                    world, reached = item.world, here
                continue
            if reached is None:
                continue
            step = advance(world, item.event)
            world, reached = step.world, (reached[0], item.number)
            _count(found, item.event)
            if step.decisions or step.effects or item.decisions or item.effects:
                _compare(found, item, step)
            yield item, step


def _count(found: Replay, event: Event) -> None:
    found.events += 1
    if isinstance(event, DeviceBatch):
        found.readings += len(event.readings)


def _compare(found: Replay, told: Told, step: Step) -> None:
    _, decisions, effects = json.loads(decided(step.decisions, step.effects))
    found.decisions += len(decisions)
    found.recorded.add(told.number, told.decisions, told.effects)
    found.replayed.add(told.number, decisions, effects)
    if found.difference is None and (decisions, effects) != (told.decisions, told.effects):
        then, now = _first_unlike(
            [*map(_say, told.decisions), *map(json.dumps, told.effects)],
            [*map(_say, decisions), *map(json.dumps, effects)],
        )
        found.difference = Difference(told.number, told.event.at.wall, "decided otherwise", then, now)


def _compare_worlds(found: Replay, item: Start, world: World) -> None:
    found.worlds += 1
    if found.difference is None and (there := dump(item.world)) != (here := dump(world)):
        then, now = _unlike(json.loads(there), json.loads(here), "") or ("", "")
        what = f"the world after event {item.number} is another ({item.file.name})"
        found.difference = Difference(item.number, world.now.wall, what, then, now)


def _say(decision: Any) -> str:
    return f"{decision['rule']} {decision['subject']}: {decision['sentence']} {decision['why']} {decision['facts']}"


def _first_unlike(then: list[str], now: list[str]) -> tuple[str, str]:
    longest = max(len(then), len(now))
    padded = zip(
        [*then, *["nothing"] * (longest - len(then))], [*now, *["nothing"] * (longest - len(now))], strict=True
    )
    return next((pair for pair in padded if pair[0] != pair[1]), ("", ""))


def _unlike(then: Any, now: Any, path: str) -> tuple[str, str] | None:
    """The first place where two plain values differ, with what stands there; None where they do not."""
    match then, now:
        case (dict(), dict()):
            parts = [(f"{path}.{key}".lstrip("."), then.get(key), now.get(key)) for key in sorted({*then, *now})]
        case (list(), list()) if len(then) == len(now):
            parts = [(f"{path}[{at}]", *pair) for at, pair in enumerate(zip(then, now, strict=True))]
        case _:
            told = [f"{path}: {json.dumps(value)[:_LONGEST]}" for value in (then, now)]
            return None if then == now else (told[0], told[1])
    return next((found for name, a, b in parts if (found := _unlike(a, b, name))), None)
