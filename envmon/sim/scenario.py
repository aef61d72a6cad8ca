"""Rehearsal scenarios: what fails at a site and when, as small YAML files that fit any site.

Rules
  - A scenario names zones, units, paths and points only where it must: ``here`` is every zone of this site, a number
    takes the first so many that still run (or, of what starts, that stand still), ``all`` takes all.
  - A scenario that cannot be understood is one ``ScenarioError`` that says where; nothing is guessed.
"""

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from envmon.config.shape_parts import Entry
from envmon.config.values import Between, Duration

FOLDER = "rehearsals"
LONGEST_S = 24 * 3600.0


class ScenarioError(Exception):
    """The scenario cannot be read, understood or played at this site; the text says where and why."""


class Do(StrEnum):
    """What a scene does."""

    UTILITY_LOST = "utility_lost"  # the UPS carries the IT load; cooling units stop
    GENERATOR_ON = "generator_on"  # the UPS is fed again; units that have no power stay so
    UNIT_CUT = "unit_cut"  # a unit loses its power
    UNIT_POWERED = "unit_powered"  # it gets it back and restarts by itself
    UNIT_FAILED = "unit_failed"  # it stops on a fault of its own and says so
    UNIT_REPAIRED = "unit_repaired"
    WATER_LOST = "water_lost"  # chilled water warms; the fans of its units go on
    WATER_BACK = "water_back"
    SENSORS_LIE = "sensors_lie"
    SENSORS_GOOD = "sensors_good"
    PATH_FROZEN = "path_frozen"  # a gateway repeats what it last read
    PATH_SILENT = "path_silent"
    PATH_GOOD = "path_good"


class Lie(StrEnum):
    """How a sensor lies."""

    STUCK = "stuck"
    SPIKE = "spike"  # +25 K in one reading out of twenty
    DRIFT = "drift"  # 3 K an hour
    X10 = "x10"


class Scene(Entry):
    """One thing that happens."""

    at: Annotated[Duration, AfterValidator(Between(0, LONGEST_S))]
    do: Do
    zone: str = "here"
    units: Literal["all"] | Annotated[int, Field(ge=1)] | list[str] = "all"
    apart: Annotated[Duration, AfterValidator(Between(0, LONGEST_S))] = 0.0
    lie: Lie = Lie.STUCK
    points: Annotated[int, Field(ge=1)] | list[str] = 1
    path: str = ""


class Scenario(Entry):
    """A whole scenario."""

    rehearsal: str
    title: str
    duration: Annotated[Duration, AfterValidator(Between(60, LONGEST_S))]
    poll: Annotated[Duration, AfterValidator(Between(1, 300))] = 15.0
    heat_capacity_kj_per_k_kw: Annotated[float, Field(ge=5, le=1000)] | None = None
    scenes: list[Scene]


def built_in() -> list[str]:
    """The scenarios that come with envmon."""
    return sorted(entry.name[:-5] for entry in (files("envmon.sim") / FOLDER).iterdir() if entry.name.endswith(".yaml"))


def load(name: str) -> Scenario:
    """A scenario that comes with envmon, by name, or one of your own, by path. Raises ScenarioError."""
    inside = files("envmon.sim") / FOLDER / f"{name}.yaml"
    try:
        if "/" not in name and inside.is_file():
            text = inside.read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ScenarioError(f"{name}: cannot be read ({why}); built in: {', '.join(built_in())}") from None
    return parse(text, name)


def parse(text: str, where: str = "scenario") -> Scenario:
    """Read a scenario. Raises ScenarioError with every fault."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{where}: a scenario is a mapping with rehearsal, title, duration and scenes")
    try:
        return Scenario.model_validate(data, strict=False)
    except ValidationError as error:
        faults = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in error.errors())
        raise ScenarioError(f"{where}: {faults}") from None


def _place(path: tuple[int | str, ...]) -> str:
    names = [f"scene {part + 1}" if isinstance(part, int) else part for part in path if part != "scenes"]
    return ", ".join(names) or "the file"
