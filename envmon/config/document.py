"""A configuration as read: plain values, and where each of them stands.

Rules
  - A node knows the place of its value; a mapping also knows the place of every key.
  - ``Document`` is what the later stages read: plain data beside the places, so that any path can be pointed at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envmon.config.fault import Fault, Path, Place, fault_at

Scalar = str | int | float | bool | None
Data = Scalar | list["Data"] | dict[str, "Data"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar."""

    place: Place
    value: Scalar


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping: key -> (place of the key, value)."""

    place: Place
    keys: dict[str, tuple[Place, "Node"]]


Node = Leaf | Items | Branch


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and the (key, value) places of every path. ``text`` is what was read."""

    data: dict[str, Data]
    places: dict[Path, tuple[Place, Place]]
    text: str

    def at(self, path: Path) -> Data:
        """Return the value at ``path``; None where there is none."""
        value: Data = self.data
        for part in path:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def names(self, *path: str) -> tuple[str, ...]:
        """Return the keys of the mapping at ``path``; none where there is no mapping."""
        value = self.at(path)
        return tuple(value) if isinstance(value, dict) else ()

    def word(self, *path: str) -> str:
        """Return the text at ``path``; "" where there is none."""
        value = self.at(path)
        return value if isinstance(value, str) else ""

    def words(self, *path: str) -> Iterator[tuple[int, str]]:
        """Yield position and text of the texts in the list at ``path``."""
        value = self.at(path)
        for position, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str):
                yield position, item

    def fault(self, path: Path, text: str, *, key: bool = False) -> Fault:
        """Build a fault at the value (or the key) of ``path``; a missing one is shown at its parent's key."""
        there = path
        while there not in self.places:
            there, key = there[:-1], True
        return fault_at(self.places[there][0 if key or self.at(there) is None else 1], path, text)


def document(root: Branch, text: str) -> Document:
    """Lay a tree out as plain data and places."""
    places: dict[Path, tuple[Place, Place]] = {(): (root.place, root.place)}
    return Document({key: _plain(node, (key,), at, places) for key, (at, node) in root.keys.items()}, places, text)


def _plain(node: Node, path: Path, key: Place, places: dict[Path, tuple[Place, Place]]) -> Data:
    places[path] = (key, node.place)
    match node:
        case Leaf():
            return node.value
        case Items():
            return [_plain(item, (*path, at), item.place, places) for at, item in enumerate(node.items)]
        case Branch():
            return {name: _plain(value, (*path, name), at, places) for name, (at, value) in node.keys.items()}
