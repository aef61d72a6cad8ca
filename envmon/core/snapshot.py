"""The world as text, and back: what survives a restart, and where a replay can start.

Rules
  - Everything is kept but the policy, which re-enters as an event, the lease, which is never remembered but taken,
    and the poll hints, which whoever polls must be told again.
  - After a reboot every ``*_ns`` field is carried over: shifted by the new clock's start and by the time the machine
    was away (by the wall clock, never backwards). 0 means never, and stays.
  - The text is canonical: one world, one text, so its SHA-256 names the state a decision was taken on.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from envmon.core.world import NEVER, SECOND, World, initial
from envmon.model.event import Stamp

LEFT_OUT = frozenset({"policy", "lease", "faster"})


def dump(world: World) -> str:
    """The world as canonical JSON."""
    return json.dumps(_plain(world), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load(text: str, at: Stamp) -> World:
    """The world a snapshot holds, on the clock of ``at``. Raises ValueError when it is no snapshot of this engine."""
    try:
        plain = json.loads(text)
        then = _typed(Stamp, plain["now"], 0)
        away_ns = max(0, int((at.wall - then.wall) * SECOND))
        by_ns = 0 if then.boot_id == at.boot_id else at.mono_ns - then.mono_ns - away_ns
        world = _typed(World, plain, by_ns)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the snapshot cannot be read: {type(error).__name__}: {error}") from error
    return replace(world, now=at) if then != NEVER else initial()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum) or value is None or isinstance(value, str | int | float | bool):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name not in LEFT_OUT}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if name not in LEFT_OUT}


def _typed(hint: Any, value: Any, by_ns: int) -> Any:
    """Rebuild a value by its type hint, its moments later by ``by_ns``."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, by_ns)
    if origin is tuple:
        item, *rest = get_args(hint)
        items = [item] * len(value) if rest == [Ellipsis] else [item, *rest]
        return tuple(_typed(kind, part, by_ns) for kind, part in zip(items, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        key, item = get_args(hint)
        return {_typed(key, name, 0): _typed(item, part, by_ns) for name, part in value.items()}
    if is_dataclass(hint):
        return _dataclass(hint, value, by_ns)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    return _scalar(hint, value)


def _dataclass(kind: Any, value: Any, by_ns: int) -> Any:
    hints = _hints(kind)
    unknown = set(value) - set(hints)
    if unknown:
        raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
    built = {name: _typed(hints[name], part, by_ns) for name, part in value.items()}
    return kind(**{name: _later(part, by_ns) if name.endswith("_ns") else part for name, part in built.items()})


def _later(moment: Any, by_ns: int) -> Any:
    """A moment, or a mapping of moments, on another clock."""
    if isinstance(moment, Mapping):
        return {name: _later(each, by_ns) for name, each in moment.items()}
    return moment + by_ns if moment else moment


def _one_of(kinds: tuple[Any, ...], value: Any, by_ns: int) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind in (str, int, float, bool) and not isinstance(value, kind):
            continue
        if kind is not type(None):
            return _typed(kind, value, by_ns)
    raise ValueError(f"{value!r} is none of {kinds}")


def _scalar(kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
