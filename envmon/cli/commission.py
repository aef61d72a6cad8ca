"""``envmon commission DEVICE``: every reading beside what the device's panel shows, and a signed record of it.

Rules
  - Reads only. What is not compared is skipped, and keeps what an earlier record of the same profile says of it.
  - A number is confirmed by a number, never by a yes: who types what the panel shows has looked at it.
  - Exit code 0 when a record was written and nothing in it differs.

Theory of operation
  One poll finds the points. After each answer the point is read again together with every other way to read it
  (``profiles.hypotheses``), so that reading and panel are of one moment, and the ways that show what the panel shows
  are known: they explain a point that differs, and are told beside one that is confirmed.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from envmon.cli.commission_answers import STOP, AnswerError, Answers, Console, Prepared, prepared, sign
from envmon.cli.configured import Configured, configured, place_of
from envmon.cli.devices import named, read, shown_as
from envmon.config import ConfigError
from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError
from envmon.model.reading import Reading
from envmon.profiles.bind import BoundPoint, Compared, Place
from envmon.profiles.hypotheses import Shown, alternatives, explanation, fits, shown
from envmon.profiles.record import AS_WRITTEN, Comparison, Record, RecordError, Verdict, load_record, plain, text_of
from envmon.profiles.schema import Profile

_PATIENCE_S = 30.0  # for one look: every way to read a point is tried
_SAME = {"y", "yes", "same"}
_NONE = {"none", "--", "-", "nothing"}
_NOT_FOUND = "none found"
_HELP = (
    "Type what the panel shows: a number (18.5, 65.3F), y or n for a state, none where it shows no value; "
    "Enter skips, q stops."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    config: Path
    device: str
    record: Path | None = None
    answers: Path | None = None
    by: str = ""
    points: tuple[str, ...] = ()
    roles_only: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Bench:
    """The device that is compared, and how it is read."""

    device: DeviceSettings
    profile: Profile
    place: Place

    def look(self) -> tuple[Sequence[Reading], Mapping[str, BoundPoint]]:
        """Read every point. Raises DeviceError."""
        readings, bounds = asyncio.run(read(self.device, self.profile, self.place))
        return readings, {bound.point.id: bound for bound in bounds}

    def look_closely(self, bound: BoundPoint) -> tuple[Reading, Mapping[str, Reading]]:
        """Read one point now, and in every other way, by name. Raises DeviceError."""
        ways = alternatives(bound.spec)
        others = [
            BoundPoint(replace(bound.point, id=f"{bound.point.id} {number}"), spec)
            for number, spec in enumerate(ways.values())
        ]
        alone = replace(self.profile, tables=(), conditions=())
        readings, _ = asyncio.run(read(self.device, alone, self.place, (bound, *others)))
        return readings[0], dict(zip(ways, readings[1:], strict=True))


def commission(wish: Wish) -> int:
    """Compare a device with its panel and write the record."""
    try:
        site = configured(wish.config)
        bench = _bench(site, wish)
        path = wish.record or bench.device.record or wish.config.absolute().parent / f"commissioned/{wish.device}.yaml"
        record = _compared(bench, wish, _earlier(path, bench))
        _write(path, record)
    except (ConfigError, DeviceError, RecordError, AnswerError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; no record is written", file=sys.stderr)
        return 1
    print("\n".join(_summary(record)), file=sys.stderr)
    where = f"written to {path}" + ("" if bench.device.record == path else f"; in its entry: commissioned: {path}")
    print(where, file=sys.stderr)
    if wish.as_json:
        print(json.dumps({**plain(record), "path": str(path)}, indent=1))
    return 1 if record.having(Verdict.DIFFERS) else 0


def _bench(site: Configured, wish: Wish) -> Bench:
    device = named(site.settings, wish.config, wish.device)
    patient = replace(device, deadline_s=max(device.deadline_s, _PATIENCE_S))
    profile = site.profiles[device.profile]
    known = Compared(sentinels=dict(device.sentinels))
    return Bench(patient, profile, replace(place_of(site.settings, device, profile), votes=True, compared=known))


def _earlier(path: Path, bench: Bench) -> Mapping[str, Comparison]:
    """Return what an earlier record says, if it is of this device and this revision of its profile."""
    if not path.exists():
        return {}
    record = load_record(path)
    if record.device != bench.device.id:
        raise RecordError(f"{path}: is the record of device {record.device}; name another file with --record")
    return record.points if (record.profile, record.digest) == (bench.profile.name, bench.profile.digest) else {}


def _compared(bench: Bench, wish: Wish, earlier: Mapping[str, Comparison]) -> Record:
    answers: Answers = prepared(wish.answers) if wish.answers else Console()
    readings, bounds = bench.look()
    known = {key for reading in readings for key in (reading.point.id, reading.point.name)}
    if isinstance(answers, Prepared):
        answers.refuse_unknown(known)
    unknown = next((name for name in wish.points if name not in known), "")
    if unknown:
        raise AnswerError(f"device {bench.device.id} has no point {unknown}")
    print(f"{bench.device.id}: profile {bench.profile.name} ({bench.profile.evidence}). {_HELP}", file=sys.stderr)
    by = wish.by or answers.signed_by
    found: dict[str, Comparison] = {}
    for reading in readings:
        if not _is_wanted(reading, wish):
            continue
        told = _ask(bench, answers, reading, bounds.get(reading.point.id))
        if told == STOP:
            break
        if isinstance(told, Comparison):
            found[reading.point.id] = told
            print(f"  {_outcome(told)}", file=sys.stderr)
    if not found:
        raise AnswerError(f"device {bench.device.id}: nothing was compared, so no record is written")
    by = by or (sign() if isinstance(answers, Console) else "")
    if not by:
        raise AnswerError("a record is signed: give --by NAME, or by: in the answers")
    return _record(bench, by, found, earlier)


def _is_wanted(reading: Reading, wish: Wish) -> bool:
    if wish.points:
        return reading.point.id in wish.points or reading.point.name in wish.points
    return reading.point.role is not None or not wish.roles_only


def _ask(bench: Bench, answers: Answers, reading: Reading, bound: BoundPoint | None) -> Comparison | str | None:
    """Ask about one point until the answer can be used; None skips it, STOP stops."""
    prompt = shown_as(reading)
    while True:
        answer = answers.about(reading.point.id, reading.point.name, prompt)
        if answer is None or answer.casefold() == STOP:
            return None if answer is None else STOP
        if bound is None or not bound.spec.is_number:
            return _state(reading, answer)
        try:
            if answer.casefold() in _NONE:
                return _no_value(*bench.look_closely(bound), bound)
            panel = shown(answer, bound.spec.scaling)
            return _number(*bench.look_closely(bound), bound, panel, answer)
        except (DeviceError, ValueError) as error:
            answers.wrong(reading.point.id, str(error))


def _state(reading: Reading, answer: str) -> Comparison:
    """Compare a state, a text or a count of conditions: yes, or the word the reading shows."""
    if answer.casefold() in _NONE:
        return _comparison(reading, Verdict.ABSENT if reading.value is None else Verdict.DIFFERS, answer)
    word = f"{reading.value:g}" if isinstance(reading.value, float) else str(reading.value)
    same = reading.value is not None and (answer.casefold() in _SAME or answer.casefold() == word.casefold())
    verdict = Verdict.CONFIRMED if same and reading.good else Verdict.DIFFERS
    return _comparison(reading, verdict, answer, AS_WRITTEN if same else _NOT_FOUND)


def _no_value(reading: Reading, ways: Mapping[str, Reading], bound: BoundPoint) -> Comparison:
    """Take a number that stands where the panel shows none for what this device shows for "no value"."""
    bare = ways[AS_WRITTEN].value
    if reading.value is None:
        return _comparison(reading, Verdict.ABSENT, "none")
    if not isinstance(bare, float) or bound.spec.unit_from is not None:
        return _comparison(reading, Verdict.DIFFERS, "none", _NOT_FOUND)
    raw = bound.spec.scaling.raw(bare)
    whole = float(round(raw)) if abs(raw - round(raw)) < 1e-6 else round(raw, 6)
    return replace(_comparison(reading, Verdict.SENTINEL, "none"), sentinels=(whole,))


def _number(reading: Reading, ways: Mapping[str, Reading], bound: BoundPoint, panel: Shown, answer: str) -> Comparison:
    fitting = [
        name for name, way in ways.items() if isinstance(way.value, float) and fits(bound.spec, way.value, panel)
    ]
    if reading.good and AS_WRITTEN in fitting:
        also = tuple(name for name in fitting if name != AS_WRITTEN)
        return _comparison(reading, Verdict.CONFIRMED, answer, also=also)
    best, *rest = fitting or [_NOT_FOUND]
    return _comparison(reading, Verdict.DIFFERS, answer, best, tuple(rest))


def _comparison(
    reading: Reading, verdict: Verdict, panel: str, hypothesis: str = AS_WRITTEN, also: tuple[str, ...] = ()
) -> Comparison:
    quality = reading.quality.value if reading.good else f"{reading.quality}: {reading.reason}"
    return Comparison(verdict, reading.value, quality, reading.point.measure, panel, "", "", hypothesis, also)


def _record(bench: Bench, by: str, found: Mapping[str, Comparison], earlier: Mapping[str, Comparison]) -> Record:
    """Sign what was found and add it to what an earlier record says."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    points = dict(earlier)
    for point, told in found.items():
        before = earlier.get(point)
        learned = tuple(dict.fromkeys((*(before.sentinels if before else ()), *told.sentinels)))
        keeps = before is not None and told.verdict in {Verdict.SENTINEL, Verdict.ABSENT}
        kept = before if before is not None and keeps and before.verdict is Verdict.CONFIRMED else None
        points[point] = replace(kept or replace(told, by=by, at=at), sentinels=learned)
    address = f"{bench.device.host}:{bench.device.port}" if bench.device.port else bench.device.host
    return Record(bench.device.id, bench.profile.name, bench.profile.digest, address, by, at, points)


def _write(path: Path, record: Record) -> None:
    """Write the record whole or not at all. Raises RecordError."""
    new, text = path.with_name(f".{path.name}.new"), text_of(record, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as fault:
        raise RecordError(f"{path}: cannot be written: {fault.strerror}; name another file with --record") from None


def _outcome(told: Comparison) -> str:
    match told.verdict:
        case Verdict.CONFIRMED:
            return "confirmed" + (f"; {', '.join(told.also)} would fit as well" if told.also else "")
        case Verdict.ABSENT:
            return "both show no value"
        case Verdict.SENTINEL:
            return f"raw {told.sentinels[0]:g} means no value from now on"
        case Verdict.DIFFERS if told.hypothesis == AS_WRITTEN:
            return f"differs: the profile refuses what the panel shows ({told.quality})"
        case Verdict.DIFFERS if told.hypothesis == _NOT_FOUND:
            return "differs, and no other way to read it shows what the panel shows"
    return f"differs; the panel's number is found at {explanation(told.hypothesis)}"


def _summary(record: Record) -> list[str]:
    counts = Counter(told.verdict for told in record.points.values())
    told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    lines = [f"{record.device}, signed by {record.by}: {told}"]
    differing = [record.points[point] for point in record.having(Verdict.DIFFERS)]
    for hypothesis, number in Counter(each.hypothesis for each in differing).most_common():
        if hypothesis not in {AS_WRITTEN, _NOT_FOUND}:
            lines.append(f"{number} of {len(differing)} that differ: {explanation(hypothesis)}")
    return lines
