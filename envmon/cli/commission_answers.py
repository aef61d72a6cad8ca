"""What the panel shows: asked at the console, or read from a file of answers.

Rules
  - An answer that cannot be understood is asked for again at the console, and ends a script with one line.
  - No answer is no comparison: the point is skipped.
"""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envmon.profiles.tree import Tree, read_tree

STOP = "q"


class AnswerError(Exception):
    """An answer cannot be used; the text says which, where and why."""


class Answers(Protocol):
    """Where the answers come from."""

    @property
    def signed_by(self) -> str:
        """Who vouches for them; "" where it was not said."""
        ...

    def about(self, point: str, name: str, prompt: str) -> str | None:
        """Return what the panel shows, None to skip the point, STOP to stop."""
        ...

    def wrong(self, point: str, why: str) -> None:
        """Take notice that the last answer cannot be used. Raises AnswerError where nobody can be asked again."""
        ...


class Console:
    """A person at a terminal, beside the panel or on the phone with somebody who is."""

    signed_by = ""

    def about(self, point: str, name: str, prompt: str) -> str | None:  # noqa: ARG002 - the prompt says both
        """Ask; the end of the input stops."""
        print(prompt, file=sys.stderr)
        typed = _typed("  the panel shows: ")
        return None if typed == "" else typed

    def wrong(self, point: str, why: str) -> None:  # noqa: ARG002 - the point stands above
        """Say why; the question comes again."""
        print(f"  {why}", file=sys.stderr)


def sign() -> str:
    """Ask who signs; "" where nobody does."""
    name = _typed("Your name signs the record: ")
    return "" if name == STOP else name


@dataclass(frozen=True, slots=True)
class Prepared:
    """Answers from a file: ``by``, and ``points`` by name or id, each with what the panel shows."""

    file: Path
    signed_by: str
    points: Mapping[str, str]
    tree: Tree

    def about(self, point: str, name: str, prompt: str) -> str | None:  # noqa: ARG002 - nobody reads it
        """Look the point up, by its id first."""
        return self.points.get(point, self.points.get(name))

    def wrong(self, point: str, why: str) -> None:
        """Nobody can be asked again."""
        key = point if point in self.points else point.rpartition(".")[2]
        raise AnswerError(self._at(key, why))

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Refuse answers about points the device does not have. Raises AnswerError."""
        for key in self.points:
            if key not in known:
                names = ", ".join(sorted({each.rpartition(".")[2] for each in known}))
                raise AnswerError(self._at(key, f"this device has no such point; it has {names}"))

    def _at(self, key: str, text: str) -> str:
        fault = self.tree.fault(("points", key), text)
        return f"{self.file}:{fault.line}:{fault.column}: points.{key}: {text}"


def prepared(file: Path) -> Prepared:
    """Read a file of answers. Raises AnswerError."""
    try:
        tree = read_tree(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise AnswerError(f"{file}:1:1: the file is not UTF-8 text") from None
    except OSError as error:
        raise AnswerError(f"{file}: cannot be read: {error.strerror}") from None
    if tree.faults:
        fault = tree.faults[0]
        raise AnswerError(f"{file}:{fault.line}:{fault.column}: {fault.text}")
    points = tree.data.get("points") if isinstance(tree.data, dict) else None
    by = tree.data.get("by", "") if isinstance(tree.data, dict) else ""
    if not isinstance(points, dict) or not isinstance(by, str) or set(tree.data) - {"by", "points"}:
        raise AnswerError(f"{file}:1:1: answers are a mapping of by (a name) and points (name: what the panel shows)")
    told = {str(key): _text(value) for key, value in points.items() if value is not None}
    return Prepared(file, by, told, tree)


def _text(value: object) -> str:
    return {True: "y", False: "n"}[value] if isinstance(value, bool) else str(value)


def _typed(prompt: str) -> str:
    """Ask for one line, on the error output so that the answer on standard output stays clean."""
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.strip() if line else STOP
