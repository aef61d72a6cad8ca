"""The recording format, and its writing: what the engine was told and what it answered, as lines of JSON.

Rules
  - A file is gzip; a line is 8 hexadecimal digits of CRC-32, a space, JSON, a newline. Without a whole line it ends.
  - Every file stands alone: it begins with the whole world, the policy in it, and can be replayed by itself.
  - A batch holds only the readings that changed since the device's batch before it in the same file.

Theory of operation
  Line 1 is ``{"envmon":"recording","format":1,"engine":VERSION,"site":S,"run":R,"boot_id":B,"number":N}``; ``run``
  names one life of a daemon, ``number`` the last event before the file. Then one array a line, its first item the kind:
    c DIGEST WHO TEXT              the configuration last loaded: its SHA-256, by whom, as read; for people
    s NUMBER WORLD LEASE FASTER    the world after that event; the first one is where a replay starts
    D DEVICE POINTS                a device's points from here on; devices are counted from 0
    g QUALITY REASON SEVERITY      a grade of readings; grades are counted from 0
    d DECISIONS EFFECTS            what the event on the next line led to, if anything
    t NS WALL                      a tick; NS is counted from the event before, WALL in Unix seconds
    b NS WALL DEVICE ERROR [POINT,GRADE,VALUE,...]   a batch: what changed
    e KIND EVENT                   any other event, whole
"""

import json
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from envmon.core.snapshot import canonical, dump
from envmon.core.world import World
from envmon.model.effect import Decision, Effect
from envmon.model.event import DeviceBatch, Event, PolicyLoaded, Tick
from envmon.model.reading import Point, Quality, Reading, Reason, Severity
from envmon.model.readings import Readings, columns

FORMAT = 1
_text = lru_cache(maxsize=1 << 14)(repr)  # a plant repeats its numbers; it would take -0.0 for 0.0
PLAIN = (Quality.GOOD.value, Reason.NONE.value, Severity.NONE.value)  # the grade of nearly every reading
_compact = json.JSONEncoder(separators=(",", ":")).encode


def sealed(text: str) -> bytes:
    """A line as it stands in the file."""
    plain = text.encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(plain), plain)


def header(engine: str, site: str, run: str, boot_id: str, number: int) -> str:
    """The first line of a file whose first event is the one after ``number``."""
    told: Mapping[str, Any] = {
        "envmon": "recording",
        "format": FORMAT,
        "engine": engine,
        "site": site,
        "run": run,
        "boot_id": boot_id,
        "number": number,
    }
    return _compact(told)


def decided(decisions: Iterable[Decision], effects: Iterable[Effect]) -> str:
    """What an event led to."""
    done = ",".join(f'["{type(effect).__name__}",{canonical(effect)}]' for effect in effects)
    return f'["d",{canonical(tuple(decisions))},[{done}]]'


class Encoder:
    """Writes the lines of one file, in order."""

    def __init__(self, boot_id: str, now_ns: int) -> None:
        self._boot_id = boot_id
        self._ns = now_ns
        self._devices: dict[str, int] = {}
        self._shapes = 0
        self._last: dict[str, Readings] = {}
        self._grades: dict[tuple[str, str, str], int] = {}

    def configuration(self, loaded: PolicyLoaded) -> str:
        """The configuration last loaded."""
        return _compact(["c", loaded.digest, loaded.who, loaded.text])

    def world(self, number: int, world: World) -> str:
        """The world after event ``number``. Raises ValueError for one that holds a number that is not finite."""
        return _ascii(f'["s",{number},{dump(world)},{canonical(world.lease)},{canonical(world.faster)}]')

    def event(self, event: Event, decisions: Sequence[Decision], effects: Sequence[Effect]) -> Iterator[str]:
        """One event and what it led to. Raises ValueError when it holds what cannot be kept."""
        answer = _ascii(decided(decisions, effects)) if decisions or effects else ""
        own_clock = event.at.boot_id == self._boot_id
        since = event.at.mono_ns - self._ns
        if isinstance(event, DeviceBatch) and own_clock:
            lines = [*self._batch(event, since)]
            yield from lines[:-1]
            tail = lines[-1]
        elif isinstance(event, Tick) and own_clock:
            tail = f'["t",{since},{event.at.wall!r}]'
        else:
            if isinstance(event, DeviceBatch):
                event = replace(event, readings=tuple(event.readings))
            tail = _ascii(f'["e","{type(event).__name__}",{canonical(event)}]')
        self._ns = event.at.mono_ns
        if answer:
            yield answer
        yield tail

    def _batch(self, event: DeviceBatch, since: int) -> Iterator[str]:
        before, now = self._last.get(event.device), columns(event.readings)
        if before is None or (before.sheet is not now.sheet and before.sheet.points != now.sheet.points):
            yield self._shape(event.device, now.sheet.points)
            before = None
        if before is None or before.others or now.others or PLAIN not in self._grades:
            changes = yield from self._changes(before, now)
        else:
            changes = _plain_changes(before.numbers, now.numbers, self._grades[PLAIN])
        self._last[event.device] = now
        error = _compact(event.error) if event.error else '""'
        yield f'["b",{since},{event.at.wall!r},{self._devices[event.device]},{error},[{",".join(changes)}]]'

    def _changes(self, before: Readings | None, now: Readings) -> Generator[str, None, list[str]]:
        """Return what changed, of readings of every kind; yield the grades nobody had before."""
        changes: list[str] = []
        for index in range(len(now)) if before is None else _changed(before, now):
            number, grade = now.numbers[index], PLAIN
            if number is None:
                reading = now.others[index]
                shown = _compact(reading.value)
                grade = (reading.quality.value, reading.reason.value, reading.severity.value)
            else:
                shown = _text(number) if number else repr(number)  # of a finite number: JSON, too
            if grade not in self._grades:
                self._grades[grade] = len(self._grades)
                yield _compact(["g", *grade])
            changes.append(f"{index},{self._grades[grade]},{shown}")
        return changes

    def _shape(self, device: str, points: Sequence[Point]) -> str:
        self._devices[device] = self._shapes
        self._shapes += 1
        return _ascii(f'["D",{_compact(device)},{canonical(tuple(points))}]')


def _plain_changes(before: Sequence[float | None], after: Sequence[float | None], grade: int) -> list[str]:
    """Return what changed where everything was and is a good number, nearly always; the same, quicker."""
    return [
        f"{index},{grade},{_text(now) if now else repr(now)}"
        for index, (then, now) in enumerate(zip(before, after, strict=True))
        if then is not now and (then != now or (not now and repr(then) != repr(now)))
    ]


def _changed(before: Readings, after: Readings) -> Iterator[int]:
    """The positions at which something changed."""
    for index, (then, now) in enumerate(zip(before.numbers, after.numbers, strict=True)):
        if then is None or now is None:
            if then is not now or not _same(before.others[index], after.others[index]):
                yield index
        elif then is not now and (then != now or (not now and repr(then) != repr(now))):
            yield index


def _same(before: Reading, after: Reading) -> bool:
    """Whether nothing changed; 0.0 is not -0.0, and 1 is not 1.0."""
    then, now = before.value, after.value
    if then is not now and (
        then != now or then.__class__ is not now.__class__ or (not now and repr(then) != repr(now))
    ):
        return False
    return before.quality is after.quality and before.reason is after.reason and before.severity is after.severity


def _ascii(text: str) -> str:
    """JSON in ASCII, whatever characters a device or an operator put into it."""
    return text if text.isascii() else _compact(json.loads(text))
