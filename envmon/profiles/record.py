"""The record of commissioning: what a device's readings were beside what its panel showed, signed by who compared.

Rules
  - A record stands for one device and one revision of its profile (``digest``); a changed profile is compared anew.
  - Only a point that was confirmed may vote because of it; one that differed never does.
  - It is written by ``envmon commission``. Its ``seal`` shows a hand that changed it since.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from envmon.profiles.tree import read_tree

AS_WRITTEN = "as written"
_LARGEST = 4 << 20  # bytes
_HEAD = """# Written by envmon commission. The device's entry in the configuration names this file: commissioned: {path}
# A change by hand breaks the seal: run envmon commission again instead.
"""


class Verdict(StrEnum):
    """What came of comparing one point."""

    CONFIRMED = "confirmed"  # the reading is what the panel shows
    DIFFERS = "differs"  # it is not; ``hypothesis`` may say why
    ABSENT = "absent"  # the panel shows no value, and so does the reading
    SENTINEL = "sentinel"  # the panel shows no value, the device a number: now known to mean none


@dataclass(frozen=True, slots=True)
class Comparison:
    """One point: its reading and unit, what the panel showed, and what explains the two.

    ``hypothesis`` is how the profile would have to read the point; ``also`` are others that fit as well, which this
    comparison could not rule out. ``sentinels`` are raw numbers that were seen to mean "no value".
    """

    verdict: Verdict
    reading: float | str | None
    quality: str
    unit: str
    panel: str
    by: str
    at: str
    hypothesis: str = AS_WRITTEN
    also: tuple[str, ...] = ()
    sentinels: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The comparisons of one device, by point id; ``by`` and ``at`` (UTC) are of the last sign-off."""

    device: str
    profile: str
    digest: str
    address: str
    by: str
    at: str
    points: Mapping[str, Comparison] = field(default_factory=dict)

    def having(self, verdict: Verdict) -> frozenset[str]:
        """Return the ids of the points with this verdict."""
        return frozenset(point for point, told in self.points.items() if told.verdict is verdict)

    @property
    def sentinels(self) -> Mapping[str, tuple[float, ...]]:
        """What is known to mean "no value", by point id."""
        return {point: told.sentinels for point, told in self.points.items() if told.sentinels}


class RecordError(Exception):
    """A record cannot be used; the text says why and what to do."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Text = Annotated[StrictStr, Field(max_length=256)]
_Number = StrictInt | StrictFloat


class _ComparisonShape(_Shape):
    verdict: Verdict
    reading: _Number | _Text | None
    quality: _Text
    unit: _Text
    panel: _Text
    by: Annotated[_Text, Field(min_length=1)]
    at: _Text
    hypothesis: _Text = AS_WRITTEN
    also: list[_Text] = []
    sentinels: list[_Number] = []


class _RecordShape(_Shape):
    record: Literal[1]
    device: _Text
    profile: _Text
    digest: _Text
    address: _Text
    by: Annotated[_Text, Field(min_length=1)]
    at: _Text
    points: dict[_Text, _ComparisonShape]
    seal: _Text


def load_record(path: Path) -> Record:
    """Read a record. Raises RecordError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}; envmon commission writes it") from None
    if len(raw) > _LARGEST:
        raise RecordError(f"{path}: is too large for a record of commissioning")
    tree = read_tree(raw.decode("utf-8", errors="replace"))
    if tree.faults:
        fault = tree.faults[0]
        raise RecordError(f"{path}:{fault.line}:{fault.column}: {fault.text}")
    try:
        shape = _RecordShape.model_validate(tree.data)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        text = f"{path}: no record of commissioning: {where} is not as envmon commission writes it"
        raise RecordError(text) from None
    if _seal(tree.data) != shape.seal:
        raise RecordError(f"{path}: was changed since it was signed by {shape.by}; run envmon commission again")
    points = {point: _comparison(told) for point, told in shape.points.items()}
    return Record(shape.device, shape.profile, shape.digest, shape.address, shape.by, shape.at, points)


def text_of(record: Record, path: Path) -> str:
    """Write a record the way ``load_record`` reads it at ``path``."""
    data = plain(record)
    return _HEAD.format(path=path) + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def plain(record: Record) -> dict[str, Any]:
    """Return a record as plain data, sealed."""
    data: dict[str, Any] = {
        "record": 1,
        "device": record.device,
        "profile": record.profile,
        "digest": record.digest,
        "address": record.address,
        "by": record.by,
        "at": record.at,
        "points": {point: _plain(told) for point, told in record.points.items()},
    }
    return {**data, "seal": _seal(data)}


def _plain(told: Comparison) -> dict[str, Any]:
    data: dict[str, Any] = {
        "verdict": told.verdict.value,
        "reading": told.reading,
        "quality": told.quality,
        "unit": told.unit,
        "panel": told.panel,
        "by": told.by,
        "at": told.at,
        "hypothesis": told.hypothesis,
    }
    more = {"also": list(told.also), "sentinels": list(told.sentinels)}
    return data | {key: value for key, value in more.items() if value}


def _comparison(shape: _ComparisonShape) -> Comparison:
    told = shape.model_dump()
    return Comparison(**told | {"also": tuple(told["also"]), "sentinels": tuple(told["sentinels"])})


def _seal(data: Mapping[str, Any]) -> str:
    told = {key: value for key, value in data.items() if key != "seal"}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
