"""Reads a Kamailio script as far as it must be known whether envmon's routes are called from where they have to be.

Rules
  - Read, never run: includes are followed and ``#!ifdef`` is obeyed as Kamailio 5.6 does; names are put in only where
    a module's parameters name them.
  - What a block calls is told by name; whether the call is reached at run time is not known, and not claimed.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TOKEN = re.compile(
    r"""(?P<directive>\#!(?:define|trydef|redefine|substdef|substdefs|ifdef|ifndef|ifexp|else|endif)\b[^\n]*)
      | (?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<word>[A-Za-z0-9_][\w:.-]*)
      | (?P<mark>[{}()\[\],=])
      | (?P<other>\S)""",
    re.VERBOSE | re.DOTALL,
)
_DEFINED = re.compile(r'#!\w+\s+"?([!:;|/])?(\w+)')
_BLOCKS = frozenset({"request_route", "route", "failure_route", "onreply_route", "branch_route", "event_route"})
_DEEPEST = 16  # includes within includes


class ScriptError(Exception):
    """The script cannot be read; the text says which file and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A route block: the routes it calls, the functions it calls, and the failure routes it arms."""

    calls: frozenset[str]
    functions: frozenset[str]
    arms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Script:
    """``blocks`` by name ("request_route", "route[X]", "failure_route[X]"), ``params`` as (module, name, value)."""

    blocks: Mapping[str, Block]
    modules: frozenset[str]
    params: tuple[tuple[str, str, str], ...]

    def reached(self, start: str) -> dict[str, Block]:
        """The blocks reached from ``start`` by calls of routes, itself included; empty when there is no such block."""
        found: dict[str, Block] = {}
        ahead = deque([start])
        while ahead:
            name = ahead.popleft()
            if name in self.blocks and name not in found:
                found[name] = self.blocks[name]
                ahead.extend(f"route[{each}]" for each in self.blocks[name].calls)
        return found


@dataclass(slots=True)
class _Reader:
    """What has been defined so far, and which side of an ``#!ifdef`` we are on."""

    defined: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)  # what a substdef puts in the place of a name
    sides: list[bool] = field(default_factory=list)

    def directive(self, text: str) -> None:
        word = text[2:].split(None, 1)[0]
        named = _DEFINED.match(text)
        match word:
            case "ifdef" | "ifndef":
                self.sides.append((named is not None and named[2] in self.defined) is (word == "ifdef"))
            case "ifexp":
                self.sides.append(True)
            case "else" if self.sides:
                self.sides[-1] = not self.sides[-1]
            case "endif" if self.sides:
                self.sides.pop()
            case "define" | "trydef" | "redefine" | "substdef" | "substdefs" if named and all(self.sides):
                self.defined.add(named[2])
                if named[1]:
                    self.texts[named[2]] = text[named.end() :].partition(named[1])[2].partition(named[1])[0]

    def tokens(self, path: Path, deep: int = 0) -> Iterator[str]:
        """The words, texts and marks of a file and all it includes. Raises ScriptError."""
        if deep > _DEEPEST:
            raise ScriptError(f"{path}: includes itself")
        last = ""
        for found in _TOKEN.finditer(_text(path)):
            token = found[0]
            if found.lastgroup == "directive":
                self.directive(token)
            elif found.lastgroup == "comment" or not all(self.sides):
                continue
            elif last in ("include_file", "import_file"):
                inner = path.parent / token[1:-1]
                if last == "include_file" or inner.exists():
                    yield from self.tokens(inner, deep + 1)
                last = token
            else:
                last = token
                if token not in ("include_file", "import_file"):
                    yield token


def read(path: Path) -> Script:
    """Read a script with all it includes. Raises ScriptError."""
    reader = _Reader()
    tokens = list(reader.tokens(path))
    blocks: dict[str, Block] = {}
    modules: set[str] = set()
    params: list[tuple[str, str, str]] = []
    place = 0
    while place < len(tokens):
        word = tokens[place]
        if word == "loadmodule" and place + 1 < len(tokens):
            modules.add(Path(tokens[place + 1].strip("\"'")).stem)
        elif word == "modparam":
            params.append(_param(tokens[place : place + 8], reader.texts))
        elif word in _BLOCKS and (opened := _opening(tokens, place)):
            name, begin = opened
            end = _closing(path, tokens, begin)
            blocks[name] = _block(tokens[begin:end])
            place = end
        place += 1
    return Script(blocks, frozenset(modules), tuple(params))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read: {error.strerror}") from None


def _param(tokens: list[str], texts: Mapping[str, str]) -> tuple[str, str, str]:
    """``modparam("module", "name", value)``, with what substdefs put into the value."""
    values = [each.strip("\"'") for each in tokens[1:] if each not in "(),"]
    module, name, value = (*values, "", "", "")[:3]
    for word, text in texts.items():
        value = value.replace(word, text)
    return module, name, value


def _opening(tokens: list[str], place: int) -> tuple[str, int] | None:
    """The block that begins here, and where its brace is; None for a call such as ``route(X)``."""
    kind, rest = tokens[place], tokens[place + 1 : place + 5]
    if rest[:1] == ["{"]:
        return ("request_route" if kind == "route" else kind), place + 1
    if rest[:1] == ["["] and rest[2:4] == ["]", "{"]:
        return f"{kind}[{rest[1].strip(chr(34))}]", place + 4
    return None


def _closing(path: Path, tokens: list[str], begin: int) -> int:
    depth = 0
    for place in range(begin, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[place], 0)
        if depth == 0:
            return place
    raise ScriptError(f"{path}: a block is never closed")


def _block(tokens: list[str]) -> Block:
    calls, functions, arms = set(), set(), set()
    for place, token in enumerate(tokens[:-2]):
        if tokens[place + 1] != "(" or not token[:1].isalpha():
            continue
        argument = tokens[place + 2].strip("\"'")
        match token:
            case "route":
                calls.add(argument)
            case "t_on_failure":
                arms.add(argument)
            case _:
                functions.add(token)
    return Block(frozenset(calls), frozenset(functions), frozenset(arms))
