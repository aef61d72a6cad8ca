"""Reading a recording: files to events, each with what was decided on it when it was recorded.

Rules
  - A file that was cut short (the daemon was killed, the disk was full) is read up to its last whole line.
  - A line that is damaged, and a file that is no recording, is one ``RecordingError`` that says where.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from envmon.core.snapshot import load, typed
from envmon.core.world import LeaseState, World
from envmon.model import event as events
from envmon.model.event import DeviceBatch, Event, Stamp, Tick
from envmon.model.reading import Point, Quality, Reading, Reason, Severity
from envmon.model.readings import Readings, arrange, columns
from envmon.recordings.encode import FORMAT, PLAIN

SUFFIX = ".jsonl.gz"
_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
_KINDS = {kind.__name__: kind for kind in events.Event.__args__}
_NOTHING: tuple[list[Any], list[Any]] = ([], [])
_parse = json.JSONDecoder().raw_decode


class RecordingError(Exception):
    """A recording cannot be read; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; ``number`` is the last event before it."""

    engine: str
    site: str
    run: str
    boot_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Start:
    """The world after event ``number``, as it was recorded; the first one of a file is where a replay starts."""

    header: Header
    number: int
    world: World
    first: bool
    file: Path


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and what it led to: decisions and effects as plain JSON values."""

    number: int
    event: Event
    decisions: list[Any]
    effects: list[Any]


def files(path: Path) -> list[Path]:
    """The files of a recording, oldest first: itself, or those of a folder. Raises RecordingError."""
    if path.is_dir():
        found = sorted(path.glob(f"*{SUFFIX}"))
        if not found:
            raise RecordingError(f"{path}: there is no recording in this folder")
        return found
    if not path.exists():
        raise RecordingError(f"{path}: there is no such recording")
    return [path]


def read(path: Path) -> Iterator[Start | Told]:
    """Yield what one file holds, in order. Raises RecordingError."""
    lines = _lines(path)
    number, first = 0, ""
    for number, first in lines:  # noqa: B007 - the first line, if there is one
        break
    if not first:
        return  # cut before its first line: it holds nothing
    header = _header(path, first)
    decoder = _Decoder(header, path)
    for number, line in lines:
        try:
            found = decoder.take(_array(line))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise RecordingError(f"{path}: line {number}: cannot be read: {type(error).__name__}: {error}") from error
        if found is not None:
            yield found


def _array(line: str) -> list[Any]:
    """What a line holds."""
    found, end = _parse(line)
    if end != len(line) or not isinstance(found, list):
        raise ValueError("not one array")
    return found


def _header(path: Path, line: str) -> Header:
    try:
        told, _ = _parse(line)
        ours, version = told["envmon"] == "recording", told["format"]
        header = typed(Header, {name: told[name] for name in Header.__slots__}) if version == FORMAT else None
    except (ValueError, KeyError, TypeError):
        ours, version, header = False, None, None
    if not ours:
        raise RecordingError(f"{path}: line 1: this is not an envmon recording")
    if not isinstance(header, Header):
        raise RecordingError(
            f"{path}: line 1: recording format {version!r}, this envmon reads {FORMAT}; "
            f"use the envmon that wrote it ({told.get('engine', 'unknown')})"
        )
    return header


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the whole lines with their number, their checksum checked and taken off. Raises RecordingError."""
    number, rest = 0, b""
    for chunk in _inflated(path):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            text = line[9:]
            try:
                intact = int(line[:8], 16) == zlib.crc32(text)
                decoded = text.decode("ascii")
            except ValueError:
                intact, decoded = False, ""
            if not intact:
                what = "this is not an envmon recording" if number == 1 else "it was damaged (its checksum is wrong)"
                raise RecordingError(f"{path}: line {number}: {what}")
            yield number, decoded


def _inflated(path: Path) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    taken = 0
    try:
        with path.open("rb") as file:
            while packed := file.read(_CHUNK):
                if not taken and not packed.startswith(_GZIP[: len(packed)]):
                    raise RecordingError(f"{path}: byte 0: this is not an envmon recording")
                plain = inflate.decompress(packed)
                taken += len(packed)
                yield plain
    except zlib.error as error:
        raise RecordingError(f"{path}: after byte {taken}: it was damaged ({error})") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None


class _Decoder:
    """What the lines of one file mean, in order."""

    def __init__(self, header: Header, file: Path) -> None:
        self._header, self._file = header, file
        self._number = header.number
        self._ns = 0
        self._started = False
        self._devices: list[str] = []
        self._last: list[Readings] = []
        self._grades: list[tuple[Quality, Reason, Severity]] = []
        self._plain: int | None = None  # the grade of a good reading that says no more
        self._decided = _NOTHING

    def take(self, line: list[Any]) -> Start | Told | None:
        match line[0]:
            case "b":
                return self._told(self._batch(*line[1:]))
            case "t":
                return self._told(Tick(self._stamp(line[1], line[2])))
            case "e":
                return self._told(self._event(line[1], line[2]))
            case "d":
                self._decided = (line[1], line[2])
            case "g":
                if line[1:] == [*PLAIN]:
                    self._plain = len(self._grades)
                self._grades.append((Quality(line[1]), Reason(line[2]), Severity(line[3])))
            case "D":
                self._shape(line[1], typed(tuple[Point, ...], line[2]))
            case "c":
                pass
            case "s":
                return self._world(line[1], line[2], line[3], line[4])
            case _:
                raise ValueError(f"a line of the kind {line[0]!r}")
        return None

    def _told(self, event: Event) -> Told:
        if not self._started:
            raise ValueError("an event before the world it happened to")
        self._number += 1
        (decisions, effects), self._decided = self._decided, _NOTHING
        return Told(self._number, event, decisions, effects)

    def _stamp(self, since: int, wall: float) -> Stamp:
        self._ns += since
        return Stamp(self._ns, wall, self._header.boot_id)

    def _shape(self, device: str, points: tuple[Point, ...]) -> None:
        self._devices.append(device)
        self._last.append(columns([Reading(point, None) for point in points]))

    def _batch(self, since: int, wall: float, device: int, error: str, changes: list[Any]) -> DeviceBatch:
        last = self._last[device]
        if changes:
            sheet, numbers, others = last.sheet, list(last.numbers), dict(last.others)
            for index, grade, value in zip(changes[::3], changes[1::3], changes[2::3], strict=True):
                if grade == self._plain and value.__class__ is float and isfinite(value):
                    numbers[index] = value
                else:
                    numbers[index] = None
                    others[index] = Reading(sheet.points[index], value, *self._grades[grade])
            self._last[device] = last = arrange(sheet, numbers, others.__getitem__)
        return DeviceBatch(self._stamp(since, wall), self._devices[device], last, error)

    def _event(self, kind: str, plain: Mapping[str, Any]) -> Event:
        event: Event = typed(_KINDS[kind], plain)
        self._ns = event.at.mono_ns
        return event

    def _world(self, number: int, plain: Mapping[str, Any], lease: Any, faster: Mapping[str, float]) -> Start:
        if self._started and number != self._number:
            raise ValueError(f"the world after event {number} stands after event {self._number}")
        now = typed(Stamp, plain["now"])
        world = replace(
            load(json.dumps(plain), now),
            lease=typed(LeaseState, lease),
            faster=dict(faster),
        )
        first, self._started = not self._started, True
        if first:
            self._ns = now.mono_ns
        return Start(self._header, number, world, first, self._file)
