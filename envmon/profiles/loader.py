"""Profiles from YAML: the ones that ship with envmon, and the operator's own.

Rules
  - A profile is wholly right or refused; ``ProfileError`` carries every fault, as ``file:line:col: path: what``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from envmon.profiles import document
from envmon.profiles.build_tables import build_all
from envmon.profiles.check_profile import check
from envmon.profiles.digest import digest
from envmon.profiles.document import ModbusProfileShape, ProfileShape, SnmpProfileShape
from envmon.profiles.schema import Profile
from envmon.profiles.tree import Fault, Tree, read_tree

_SHAPES: Mapping[str, type[SnmpProfileShape] | type[ModbusProfileShape]] = {
    "snmp": SnmpProfileShape,
    "modbus": ModbusProfileShape,
}


class ProfileError(Exception):
    """A profile is refused. ``faults`` has one line per fault; the text is all of them."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class _Shipped(Mapping[str, Profile]):
    """The profiles that ship with envmon, each read when it is first asked for."""

    def __init__(self) -> None:
        entries = sorted(files("envmon.profiles").iterdir(), key=lambda entry: entry.name.removesuffix(".yaml"))
        self._files = {e.name.removesuffix(".yaml"): e for e in entries if e.name.endswith(".yaml")}
        self._read: dict[str, Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        if name not in self._read:
            entry = self._files[name]
            self._read[name] = load_text(entry.read_text(encoding="utf-8"), entry.name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@cache
def load_builtin() -> Mapping[str, Profile]:
    """Return the profiles that ship with envmon, by file name. A broken one raises ProfileError when it is read."""
    return _Shipped()


def load_file(path: Path) -> Profile:
    """Read the operator's own profile. Raises ProfileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ProfileError((f"{path}:1:1: the file is not UTF-8 text",)) from None
    except OSError as error:
        raise ProfileError((f"{path}: cannot be read: {error.strerror}",)) from None
    return load_text(text, str(path))


def load_directory(directory: Path) -> tuple[Mapping[str, Profile], tuple[str, ...]]:
    """Read every ``*.yaml`` of an operator's directory: the profiles by name, and every fault, a line each."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".yaml")
    except OSError as error:
        return {}, (f"{directory}: cannot be read: {error.strerror}",)
    profiles: dict[str, Profile] = {}
    faults: list[str] = []
    for path in paths:
        try:
            profile = load_file(path)
        except ProfileError as error:
            faults += error.faults
            continue
        if profile.name in profiles:
            faults.append(f"{path}: another file of this directory has a profile {profile.name}; rename one")
        profiles[profile.name] = profile
    return profiles, tuple(faults)


def load_text(text: str, name: str) -> Profile:
    """Read a profile from text; ``name`` stands for the file in faults. Raises ProfileError."""
    tree = read_tree(text)
    shape, faults = _shape(tree)
    faults += tree.faults
    if shape is not None:
        faults += [tree.fault(way, what) for way, what in check(shape)]
    if shape is None or faults:
        ordered = sorted(faults, key=lambda fault: (fault.line, fault.column))
        raise ProfileError(tuple(_line(name, fault) for fault in ordered))
    return _with_included(build_all(shape), shape, tree, name)


def _with_included(profile: Profile, shape: ProfileShape, tree: Tree, name: str) -> Profile:
    """Add the points of the profiles that ship with envmon and are named under ``include``."""
    taken = {point.name for point in profile.points}
    digests: list[str] = []
    for index, wanted in enumerate(shape.include):
        here = ("include", str(index))
        file = files("envmon.profiles") / f"{wanted}.yaml"
        if wanted == profile.name or not file.is_file():
            raise ProfileError((_line(name, tree.fault(here, f"no shipped profile is called {wanted}")),))
        other = load_text(file.read_text(encoding="utf-8"), file.name)
        twice = sorted(taken & {point.name for point in other.points})
        if other.protocol is not profile.protocol or twice:
            text = f"{wanted} has a point named {twice[0]}, too" if twice else f"{wanted} speaks {other.protocol}"
            raise ProfileError((_line(name, tree.fault(here, text)),))
        taken |= {point.name for point in other.points}
        digests.append(other.digest)
        profile = replace(
            profile,
            sources=(*profile.sources, *other.sources),
            points=(*profile.points, *other.points),
            tables=(*profile.tables, *other.tables),
            conditions=(*profile.conditions, *other.conditions),
            repeats=(*profile.repeats, *other.repeats),
        )
    return replace(profile, digest=digest(tree.data, digests))


def known_keys() -> list[str]:
    """Return every key a profile may use, whatever its level."""
    shapes = [value for value in vars(document).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    return sorted({key for shape in shapes for key in shape.model_fields})


def _shape(tree: Tree) -> tuple[ProfileShape | None, list[Fault]]:
    if tree.data is None and tree.faults:
        return None, []
    if not isinstance(tree.data, dict):
        return None, [tree.fault((), "a profile is a mapping that starts with 'profile: NAME'")]
    protocol = tree.data.get("protocol")
    if not isinstance(protocol, str) or protocol not in _SHAPES:
        return None, [tree.fault(("protocol",), "give the protocol: snmp or modbus")]
    try:
        return _SHAPES[protocol].model_validate(tree.data), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return None, [tree.fault(tuple(map(str, item["loc"])), _say(dict(item))) for item in found]


def _say(item: dict[str, Any]) -> str:
    given = repr(item.get("input"))
    short = given if len(given) <= 40 else f"{given[:37]}..."
    match item["type"]:
        case "extra_forbidden":
            close = get_close_matches(str(item["loc"][-1]), known_keys(), n=1)
            return "unknown key" + (f"; did you mean {close[0]}?" if close else "")
        case "missing":
            return "this key is required"
        case "string_type":
            return f"a text belongs here, not {short}; put it in quotes"
        case _:
            return f"{item['msg']}, not {short}"


def _line(name: str, fault: Fault) -> str:
    where = f"{name}:{fault.line}:{fault.column}:"
    return f"{where} {fault.path}: {fault.text}" if fault.path else f"{where} {fault.text}"
