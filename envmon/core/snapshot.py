"""The world as text, and back: what survives a restart, and where a replay can start.

Rules
  - Everything but the policy is kept; the policy re-enters as an event.
  - After a reboot every ``*_ns`` field is carried over: shifted by the new clock's start and by the time the machine
    was away (by the wall clock, never backwards).
  - The text is canonical: one world, one text, so its SHA-256 names the state a decision was taken on.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from envmon.core.world import NEVER, SECOND, World
from envmon.model.event import Stamp

LEFT_OUT = frozenset({"policy"})


def dump(world: World) -> str:
    """The world as canonical JSON."""
    return json.dumps(_plain(world), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load(text: str, at: Stamp) -> World:
    """The world a snapshot holds, on the clock of ``at``. Raises ValueError when it is no snapshot of this engine."""
    try:
        plain = json.loads(text)
        then = _typed(Stamp, plain["now"])
        if then.boot_id != at.boot_id:
            away_ns = max(0, int((at.wall - then.wall) * SECOND))
            plain = _shift(plain, at.mono_ns - then.mono_ns - away_ns)
        plain["now"] = _plain(at if then != NEVER else NEVER)
        world = _typed(World, plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the snapshot cannot be read: {type(error).__name__}: {error}") from error
    assert isinstance(world, World)  # noqa: S101 - narrows for the type checker
    return world


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


def _typed(hint: Any, value: Any) -> Any:
    """Rebuild a value by its type hint."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value)
    if origin is tuple:
        item, *rest = get_args(hint)
        items = [item] * len(value) if rest == [Ellipsis] else [item, *rest]
        return tuple(_typed(kind, part) for kind, part in zip(items, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        key, item = get_args(hint)
        return {_typed(key, name): _typed(item, part) for name, part in value.items()}
    if is_dataclass(hint):
        hints = _hints(hint)  # type: ignore[arg-type]
        unknown = set(value) - set(hints)
        if unknown:
            raise ValueError(f"{hint} has no {sorted(unknown)}")
        return hint(**{name: _typed(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    return _scalar(hint, value)


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind in (str, int, float, bool) and not isinstance(value, kind):
            continue
        if kind is not type(None):
            return _typed(kind, value)
    raise ValueError(f"{value!r} is none of {kinds}")


def _scalar(kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value


def _shift(plain: Any, by_ns: int) -> Any:
    """Move every monotonic moment (a positive integer named ``*_ns``) to another clock."""
    if isinstance(plain, list):
        return [_shift(item, by_ns) for item in plain]
    if not isinstance(plain, dict):
        return plain
    return {name: _moved(name, item, by_ns) for name, item in plain.items()}


def _moved(name: str, item: Any, by_ns: int) -> Any:
    if not name.endswith("_ns"):
        return _shift(item, by_ns)
    if isinstance(item, dict):  # a mapping of moments, such as silent_ns
        return {key: moment + by_ns for key, moment in item.items()}
    return item + by_ns if isinstance(item, int) and item > 0 else item
