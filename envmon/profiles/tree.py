"""YAML text to plain data that remembers where each part stands, so that every fault can point at its line.

Rules
  - One document, no aliases, no duplicate keys (two spellings of one key are one key).
  - ``yes``, ``no``, ``on`` and ``off`` are words; only ``true`` and ``false`` are booleans.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str, ...]
"""The way to a part of the document: keys and list positions, as text."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, where (line and column count from 1), and the way to it (``points[3].scale``)."""

    line: int
    column: int
    path: str
    text: str


@dataclass(slots=True)
class Tree:
    """A document: its data, the faults found while reading it, and the place of every part."""

    data: Any = None
    faults: list[Fault] = field(default_factory=list)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def fault(self, path: Path, text: str) -> Fault:
        """Name a fault at ``path``, or at the nearest part around it that exists."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        line, column = self.places.get(known, (1, 1))
        return Fault(line, column, _show(path), text)


def read_tree(text: str) -> Tree:
    """Read one YAML document. Never raises for what the text says: see ``faults``."""
    tree = Tree()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            tree.data = _build(tree, loader, node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        tree.faults.append(Fault(line, column, "", f"not YAML: {error.problem or error.context}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        tree.faults.append(Fault(line, column, "", f"not YAML: a control character (U+{error.character:04X})"))
    except ValueError as error:
        tree.faults.append(Fault(1, 1, "", f"not YAML: {error}"))
    except RecursionError:
        tree.faults.append(Fault(1, 1, "", "not a profile: nested too deeply"))
    return tree


class _Loader(yaml.SafeLoader):
    """Stops at an alias: a profile has no use for one, and a chain of them can be made to fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def _build(tree: Tree, loader: _Loader, node: yaml.Node, path: Path) -> Any:
    tree.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    match node:
        case yaml.MappingNode():
            return dict(_pairs(tree, loader, node, path))
        case yaml.SequenceNode():
            return [_build(tree, loader, item, (*path, str(index))) for index, item in enumerate(node.value)]
        case _:
            return _scalar(loader, node)


def _pairs(tree: Tree, loader: _Loader, node: yaml.MappingNode, path: Path) -> Iterator[tuple[Any, Any]]:
    seen: set[Any] = set()
    for key_node, value_node in node.value:
        here = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            tree.faults.append(Fault(*here, _show(path), "a key must be a word or a number"))
            continue
        key = _scalar(loader, key_node)
        if key in seen:
            tree.faults.append(Fault(*here, _show((*path, str(key))), "this key is given twice"))
            continue
        seen.add(key)
        value = _build(tree, loader, value_node, (*path, str(key)))
        tree.places[*path, str(key)] = here
        yield key, value


def _scalar(loader: _Loader, node: yaml.Node) -> Any:
    if node.tag.endswith(":bool") and node.value.lower() not in {"true", "false"}:
        return node.value
    if node.tag.endswith(":timestamp"):
        return node.value
    return loader.construct_object(node)


def _show(path: Path) -> str:
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).removeprefix(".")
