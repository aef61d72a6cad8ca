"""The world as text, and back: what survives a restart, and where a replay can start.

Rules
  - Everything is kept but the lease, which is never remembered but taken, and the poll hints, which whoever polls
    must be told again. The policy is kept so that a looser one is seen as such after a restart.
  - After a reboot every ``*_ns`` field is carried over: shifted by the new clock's start and by the time the machine
    was away (by the wall clock, never backwards). 0 means never, and stays.
  - The text is canonical: one world, one text, so its SHA-256 names the state a decision was taken on. It can be
    encoded whatever strings are in it: half a surrogate pair is written as JSON's escape.
  - A point whose latest reading is its latest good one, as nearly all are, has that reading once: what is left out
    of a ``Seen`` is ``good`` and ``good_ns``.
  - Events, policies and decisions have the same canonical text (``canonical``, ``typed``): recordings are made of it.

Theory of operation
  A snapshot is taken at every decision and every ten seconds, of a world that holds thousands of readings, so the
  text is written straight from the fields, in the order of their names, without a tree of plain values in between.
"""

import json
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from json.encoder import encode_basestring as quote
from math import isfinite
from operator import attrgetter
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

from envmon.core.world import NEVER, SECOND, Seen, World, initial
from envmon.model.event import Stamp

LEFT_OUT = frozenset({"lease", "faster"})


def dump(world: World) -> str:
    """The world as canonical JSON. Raises ValueError for a number that is not finite."""
    return canonical(world)


def load(text: str, at: Stamp) -> World:
    """The world a snapshot holds, on the clock of ``at``. Raises ValueError when it is no snapshot of this engine."""
    try:
        plain = json.loads(text)
        then = typed(Stamp, plain["now"], 0)
        away_ns = max(0, int((at.wall - then.wall) * SECOND))
        by_ns = 0 if then.boot_id == at.boot_id else at.mono_ns - then.mono_ns - away_ns
        world = typed(World, plain, by_ns)
        canonical(world)  # every number is finite
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the snapshot cannot be read: {type(error).__name__}: {error}"[:300]) from None
    return replace(world, now=at) if then != NEVER else initial()


def canonical(value: Any) -> str:
    """The canonical JSON of a frozen value. Raises ValueError for a number that is not finite."""
    text = _written(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _written(value: Any) -> str:
    return _writer(value.__class__)(value)


@cache
def _writer(kind: type) -> Callable[[Any], str]:
    """How the values of one class are written; worked out once."""
    if issubclass(kind, Enum):
        return {member: _written(member.value) for member in kind}.__getitem__
    if issubclass(kind, str):
        return quote
    if kind is NoneType or issubclass(kind, bool):
        return {None: "null", True: "true", False: "false"}.__getitem__
    if issubclass(kind, int):
        return str
    if issubclass(kind, float):
        return _number
    if issubclass(kind, tuple):
        return lambda value: f"[{','.join(map(_written, value))}]"
    if issubclass(kind, Mapping):
        return _mapping
    if kind is Seen:
        return _seen
    return _record(kind)


def _number(value: float) -> str:
    if not isfinite(value):
        raise ValueError(f"{value} cannot be kept")
    return repr(value)


def _mapping(value: Mapping[Any, Any]) -> str:
    members = sorted((str(key.value if isinstance(key, Enum) else key), item) for key, item in value.items())
    return f"{{{','.join([f'{quote(key)}:{_written(item)}' for key, item in members])}}}"


def _seen(value: Seen) -> str:
    return (_SEEN_ONCE if value.good is value.reading and value.good_ns == value.at_ns else _SEEN)(value)


def _record(kind: type, without: Collection[str] = ()) -> Callable[[Any], str]:
    """How a dataclass is written: field by field, in the order of their names."""
    without = LEFT_OUT if kind is World else without
    names = sorted(f.name for f in fields(kind) if f.name not in without)
    keys = [f"{quote(name)}:" for name in names]
    parts = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return lambda value: f"{{{','.join([key + _written(part) for key, part in zip(keys, parts(value), strict=True)])}}}"


_SEEN = _record(Seen)
_SEEN_ONCE = _record(Seen, without=("good", "good_ns"))


def typed(hint: Any, value: Any, by_ns: int = 0) -> Any:
    """Rebuild a value by its type hint, its moments later by ``by_ns``. Raises ValueError, TypeError, KeyError."""
    return _reader(hint)(value, by_ns)


@cache
def _reader(hint: Any) -> Callable[[Any, int], Any]:
    """How the values of one type hint are read; worked out once."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint))
    if origin is tuple:
        return _tuple(get_args(hint))
    if origin is Sequence:
        return _tuple((*get_args(hint), Ellipsis))
    if origin is not None and issubclass(origin, Mapping):
        keys, items = map(_reader, get_args(hint))
        return lambda value, by_ns: {keys(name, 0): items(part, by_ns) for name, part in value.items()}
    if is_dataclass(hint):
        return _dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, _: hint(value)
    return _scalar(hint)


def _tuple(kinds: tuple[Any, ...]) -> Callable[[Any, int], Any]:
    if kinds[-1] is Ellipsis:
        item = _reader(kinds[0])
        return lambda value, by_ns: tuple([item(part, by_ns) for part in value])
    items = [_reader(kind) for kind in kinds]
    return lambda value, by_ns: tuple([read(part, by_ns) for read, part in zip(items, value, strict=True)])


def _dataclass(kind: Any) -> Callable[[Any, int], Any]:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if kind is not World or name not in LEFT_OUT}
    readers: dict[str, Callable[[Any, int], Any]] = {}  # made at the first value: a hint may lead back here

    def read(value: Any, by_ns: int) -> Any:
        if not readers:
            readers.update(
                {name: _later(hint) if name.endswith("_ns") else _reader(hint) for name, hint in hints.items()}
            )
        if not value.keys() <= readers.keys():
            raise ValueError(f"{kind.__name__} has no {sorted(value.keys() - readers.keys())}")
        built = {name: readers[name](part, by_ns) for name, part in value.items()}
        if kind is Seen and "good" not in built:
            built |= {"good": built["reading"], "good_ns": built["at_ns"]}
        return kind(**built)

    return read


def _later(hint: Any) -> Callable[[Any, int], Any]:
    """How a moment, or a mapping of moments, is read: it is on another clock. 0 and None stay."""
    read = _reader(hint)

    def moved(value: Any, by_ns: int) -> Any:
        found = read(value, by_ns)
        if isinstance(found, dict):
            return {name: each + by_ns if each else each for name, each in found.items()}
        return found + by_ns if found else found

    return moved


def _one_of(kinds: tuple[Any, ...]) -> Callable[[Any, int], Any]:
    """How one of several types is read: the first that fits."""
    plain = (str, int, float, bool)
    some = [(kind if kind in plain else None, _reader(kind)) for kind in kinds if kind is not NoneType]
    optional = NoneType in kinds

    def read(value: Any, by_ns: int) -> Any:
        if value is None and optional:
            return None
        for kind, reader in some:
            if kind is None or isinstance(value, kind):
                return reader(value, by_ns)
        raise ValueError(f"{value!r} is none of {kinds}")

    return read


def _scalar(kind: Any) -> Callable[[Any, int], Any]:
    def read(value: Any, _: int) -> Any:
        if value.__class__ is kind:
            return value
        if kind is float and value.__class__ is int:
            return float(value)
        raise TypeError(f"{value!r} is not {kind.__name__}")

    return read
