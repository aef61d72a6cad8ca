"""Storm scripts: what happens to a site and when, as data, with one storm per seed.

Rules
  - A script states its ranges; a seed picks inside them and the same seed always picks the same storm.
  - A script that cannot be understood is one ``StormError`` that says where; nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import yaml

from envmon.sim.chance import chance


class StormError(Exception):
    """The script cannot be read or understood; the text says where and why."""


class Do(StrEnum):
    """What a scene does."""

    MAINS_LOST = "mains_lost"
    MAINS_BACK = "mains_back"
    GENERATOR_ON = "generator_on"
    UNIT_CUT = "unit_cut"  # a cooling unit loses its power
    UNIT_POWERED = "unit_powered"  # it gets it back, and restarts if it does so by itself
    UNIT_RETRY = "unit_retry"  # back, and cut again after ``hold``
    UNIT_FAILED = "unit_failed"  # stops on its own fault, its controller still answers


_OF_UNITS = (Do.UNIT_CUT, Do.UNIT_POWERED, Do.UNIT_RETRY, Do.UNIT_FAILED)


@dataclass(frozen=True, slots=True)
class Scene:
    """One line of a script; times in seconds. ``units`` empty means all of the zone."""

    do: Do
    at: float
    name: str = ""
    after: str = ""
    plus_minus: float = 0.0
    spread: float = 0.0
    chance: float = 1.0
    hold: tuple[float, float] = (0.0, 0.0)
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Storm:
    """A whole script. ``it_load``, ``thermal_mass`` and ``sensor_noise`` are ranges: shares, plus or minus."""

    name: str
    title: str
    begins: str
    duration_s: float
    zone: str
    it_load: float
    thermal_mass: float
    sensor_noise: float
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens, at a virtual second; ``unit`` is "" where it concerns the site's power."""

    at: float
    do: Do
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Draw:
    """The storm one seed picked: factors on the site's own figures, and what happens in order."""

    seed: int
    it_load: float
    thermal_mass: float
    sensor_noise: float
    happenings: tuple[Happening, ...]

    @property
    def cut_at(self) -> float:
        """When the first cooling unit lost its power; the end of the script where none does."""
        return next((h.at for h in self.happenings if h.do is Do.UNIT_CUT), float("inf"))


def load(name: str) -> Storm:
    """A storm that comes with envmon, by name, or a script of your own, by path. Raises StormError."""
    inside = files("envmon.sim") / "storms" / f"{name}.yaml"
    try:
        text = inside.read_text() if "/" not in name and inside.is_file() else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(entry.name[:-5] for entry in (files("envmon.sim") / "storms").iterdir()))
        raise StormError(f"storm {name}: cannot be read ({error}); the storms that come with envmon: {known}") from None
    return parse(text, name)


def parse(text: str, where: str = "storm") -> Storm:
    """Read a script. Raises StormError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StormError(f"{where}: not YAML: {error}") from None
    if not isinstance(data, dict):
        raise StormError(f"{where}: a storm is a mapping with storm, duration_s, zone, vary and scenes")
    top = _Fields(where, data, {"storm", "title", "begins", "duration_s", "zone", "vary", "scenes"})
    vary = _Fields(f"{where}: vary", top.mapping("vary"), {"it_load", "thermal_mass", "sensor_noise"})
    scenes: list[Scene] = []
    for number, entry in enumerate(top.list("scenes"), 1):
        scenes.append(_scene(f"{where}: scene {number}", entry, {scene.name for scene in scenes if scene.name}))
    return Storm(
        name=top.text("storm"),
        title=top.text("title"),
        begins=top.text("begins"),
        duration_s=top.number("duration_s", most=3600.0),
        zone=top.text("zone"),
        it_load=vary.number("it_load", most=0.5),
        thermal_mass=vary.number("thermal_mass", most=0.5),
        sensor_noise=vary.number("sensor_noise", most=1.0),
        scenes=tuple(scenes),
    )


def draw(storm: Storm, seed: int, units: Sequence[str]) -> Draw:
    """The storm this seed picks, for a zone with these units. Raises StormError for a unit the zone has not."""
    dice = chance(f"storm/{storm.name}", seed)
    it_load, mass, noise = (1 + dice.uniform(-r, r) for r in (storm.it_load, storm.thermal_mass, storm.sensor_noise))
    starts: dict[str, float] = {}
    happenings: list[Happening] = []
    for scene in storm.scenes:
        start = starts.get(scene.after, 0.0) + scene.at + dice.uniform(-scene.plus_minus, scene.plus_minus)
        if scene.name:
            starts[scene.name] = start
        happenings += _play(storm, scene, max(0.0, start), units, dice)
    happenings.sort(key=lambda h: (h.at, h.do, h.unit))
    return Draw(seed, it_load, mass, noise, tuple(happenings))


def _play(storm: Storm, scene: Scene, start: float, units: Sequence[str], dice: Random) -> list[Happening]:
    if scene.do not in _OF_UNITS:
        return [Happening(start, scene.do)]
    if strange := sorted(set(scene.units) - set(units)):
        raise StormError(f"{storm.name}: {storm.zone} has no unit {', '.join(strange)}; it has {', '.join(units)}")
    played = []
    for unit in scene.units or units:
        at, meant, hold = start + dice.uniform(0, scene.spread), dice.random(), dice.uniform(*scene.hold)
        if meant >= scene.chance:
            continue
        if scene.do is Do.UNIT_RETRY:
            played += [Happening(at, Do.UNIT_POWERED, unit), Happening(at + hold, Do.UNIT_CUT, unit)]
        else:
            played.append(Happening(at, scene.do, unit))
    return played


def _scene(where: str, entry: object, before: set[str]) -> Scene:
    if not isinstance(entry, dict):
        raise StormError(f"{where}: a scene is a mapping with do and at")
    known = {"do", "at", "name", "after", "plus_minus", "spread", "chance", "hold", "units"}
    fields = _Fields(where, entry, known)
    try:
        do = Do(fields.text("do"))
    except ValueError:
        raise StormError(f"{where}: do is one of {', '.join(Do)}, not {entry['do']!r}") from None
    after = fields.text("after", "")
    if after and after not in before:
        raise StormError(f"{where}: no earlier scene is named {after!r}")
    return Scene(
        do=do,
        at=fields.number("at", most=3600.0),
        name=fields.text("name", ""),
        after=after,
        plus_minus=fields.number("plus_minus", 0.0),
        spread=fields.number("spread", 0.0),
        chance=fields.number("chance", 1.0, most=1.0),
        hold=fields.range("hold"),
        units=fields.units("units"),
    )


class _Fields:
    """The fields of one mapping of a script, read with their faults named."""

    def __init__(self, where: str, data: Mapping[str, Any], known: set[str]) -> None:
        self._where, self._data = where, data
        if strange := sorted(str(key) for key in data if key not in known):
            raise StormError(f"{where}: unknown {', '.join(strange)}; known: {', '.join(sorted(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self._data.get(name, default)
        if not isinstance(value, str):
            raise StormError(f"{self._where}: {name} is a text, not {value!r}")
        return value

    def number(self, name: str, default: float | None = None, most: float = float("inf")) -> float:
        value = self._data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            limit = "" if most == float("inf") else f" and at most {most:g}"
            raise StormError(f"{self._where}: {name} is a number, at least 0{limit}, not {value!r}")
        return float(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._data.get(name)
        if not isinstance(value, dict):
            raise StormError(f"{self._where}: {name} is a mapping, not {value!r}")
        return value

    def list(self, name: str) -> Sequence[object]:
        value = self._data.get(name)
        if not isinstance(value, list):
            raise StormError(f"{self._where}: {name} is a list, not {value!r}")
        return value

    def range(self, name: str) -> tuple[float, float]:
        match self._data.get(name, [0, 0]):
            case [int() | float() as low, int() | float() as high] if 0 <= low <= high:
                return float(low), float(high)
            case value:
                raise StormError(f"{self._where}: {name} is a pair [shortest, longest] of seconds, not {value!r}")

    def units(self, name: str) -> tuple[str, ...]:
        match self._data.get(name, "all"):
            case "all":
                return ()
            case [*ids] if ids and all(isinstance(unit, str) for unit in ids):
                return tuple(ids)
            case value:
                raise StormError(f"{self._where}: {name} is all or a list of unit ids, not {value!r}")
