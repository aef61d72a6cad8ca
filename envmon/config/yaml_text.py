"""YAML text to a tree of nodes with places, and every fault of the text itself.

Rules
  - The tree is built from PyYAML's events: a fast scanner, no recursion in C, and no object but text and numbers.
  - Aliases (``*name``) are allowed, merge keys (``<<``) and tags (``!x``) are not: a page must read as it stands.
  - A key may stand once in a mapping; the second is a fault that names the line of the first.
  - The words of a syntax fault are PyYAML's, without the text they quote: it may be a secret.

Theory of operation
  libyaml scans first because it is seven times faster. When it objects, the pure Python scanner reads the text again
  for its words, which say more. A syntax fault ends the file; everything else is collected and reading goes on.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.reader import Reader

from envmon.config.document import Branch, Items, Leaf, Node, Scalar
from envmon.config.fault import Fault, Path, Place, fault_at
from envmon.config.scalar import Surprise, plain

_DEEPEST = 16
_MOST_NODES = 200_000
_QUOTED = re.compile(r"\s*('[^']*'|\"[^\"]*\")")
_WORDS = {
    "found character '\\t' that cannot start any token": "a tab; YAML indents with spaces only",
    "found undefined alias": "this alias (*) names no anchor (&) above it; write the value in quotes if it is text",
    "mapping values are not allowed here": "a second ': ' where one value belongs; quote the value or start a line",
    "could not find expected ':'": "this line is neither 'key: value' nor a list item",
}


class _Broken(Exception):  # noqa: N818  # private control flow: the text ends here, with one fault
    """The rest of the text cannot be read."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place


def read_yaml(text: str, file: str) -> tuple[Node | None, list[Fault]]:
    """Parse ``text``; returns its tree (None when it is empty or cannot be read) and the faults found on the way."""
    control = Reader.NON_PRINTABLE.search(text)
    if control:
        return None, [
            fault_at(place_of(text, control.start(), file), (), "a control character; YAML is printable text")
        ]
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(text, file, fast)
    try:
        return composer.root(), composer.faults
    except yaml.YAMLError as error:
        return None, [*composer.faults, _syntax(text, file, error)]
    except _Broken as broken:
        return None, [*composer.faults, fault_at(broken.place, (), str(broken))]


def place_of(text: str, offset: int, file: str) -> Place:
    """Return the place of a character of ``text``."""
    before = text[:offset]
    return Place(file, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


class _Composer:
    """Turns one stream of events into one tree, collecting faults."""

    def __init__(self, text: str, file: str, loader: Any) -> None:
        self.faults: list[Fault] = []
        self._file = file
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._anchors: dict[str, tuple[Node, int]] = {}  # node, how many nodes it stands for
        self._nodes = 0

    def root(self) -> Node | None:
        """Return the only document of the stream; None when there is none."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        node = self._node(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Broken(self._place(after), "a second document starts here; one file holds one document")
        return node

    def _node(self, event: Any, path: Path) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._nodes
        self._count(1, event)
        if len(path) > _DEEPEST:
            raise _Broken(self._place(event), f"nested deeper than {_DEEPEST} levels; no part of a configuration is")
        node: Node
        match event:
            case yaml.ScalarEvent():
                node = Leaf(self._place(event), self._scalar(event, path))
            case yaml.SequenceStartEvent():
                node = self._list(event, path)
            case _:
                node = self._mapping(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise _Broken(self._place(event), _WORDS["found undefined alias"])
        node, size = self._anchors[event.anchor]
        self._count(size, event)
        return node

    def _list(self, event: Any, path: Path) -> Node:
        self._untagged(event, path, "seq")
        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(inner, (*path, len(items))))
        return Items(self._place(event), tuple(items))

    def _mapping(self, event: Any, path: Path) -> Node:
        self._untagged(event, path, "map")
        keys: dict[str, tuple[Place, Node]] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            name, place = self._key(inner, path), self._place(inner)
            value = self._node(next(self._events), (*path, name))
            if not name:
                continue
            if name in keys:
                self._say(inner, (*path, name), f"this key already stands at line {keys[name][0].line}; keep one")
            else:
                keys[name] = (place, value)
        return Branch(self._place(event), keys)

    def _key(self, event: Any, path: Path) -> str:
        """Return a key, "" for what cannot be one."""
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, path)
            self._say(event, path, "a key is one word")
            return ""
        if not event.style and event.value == "<<":
            self._say(event, path, "merge keys (<<) are not used; write the keys out, or alias the whole value")
            return ""
        if self._scalar(event, (*path, event.value)) is None:
            self._say(event, path, "a key is missing before the ':'")
            return ""
        return str(event.value)

    def _scalar(self, event: Any, path: Path) -> Scalar:
        self._untagged(event, path, "str")
        if event.style or event.tag:
            return str(event.value)
        try:
            return plain(event.value)
        except Surprise as surprise:
            self._say(event, path, str(surprise))
            return str(event.value)

    def _untagged(self, event: Any, path: Path, usual: str) -> None:
        if event.tag not in {None, "!", f"tag:yaml.org,2002:{usual}"}:
            self._say(event, path, "tags (!) are not used; write the value in quotes if it is text")

    def _say(self, event: Any, path: Path, text: str) -> None:
        self.faults.append(fault_at(self._place(event), path, text))

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise _Broken(self._place(event), f"more than {_MOST_NODES} values, aliases followed; no configuration has")

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax(text: str, file: str, fast: yaml.YAMLError) -> Fault:
    """Say where and why the text is not YAML, in the words of the pure Python scanner where it objects too."""
    error = fast
    try:
        for _event in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as slow:
        error = slow
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    problem = str(getattr(error, "problem", None) or "cannot be read")
    began = getattr(error, "context_mark", None)
    since = f" (in what begins at line {began.line + 1})" if began and began.line + 1 < place.line else ""
    return fault_at(place, (), f"not YAML: {_WORDS.get(problem) or _QUOTED.sub(_harmless, problem)}{since}")


def _harmless(quoted: re.Match[str]) -> str:
    """Keep a quoted character or the name of a token, drop what may be the operator's own text."""
    inner = quoted[1][1:-1]
    return quoted[0] if len(inner) <= 1 or inner.startswith("<") else ""
