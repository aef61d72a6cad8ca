"""What is wrong with a configuration, and exactly where.

Rules
  - A fault never repeats a value that could be a secret; it names the key and the position instead.
  - Names that are repeated (keys, references) are shown without control characters.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]
"""Where a value stands in the document: mapping keys and list positions from the top."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A character of a file. ``line`` and ``col`` count from 1."""

    file: str
    line: int = 1
    col: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong. ``path`` is dotted, "" where the text is not even YAML."""

    file: str
    line: int
    col: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.col}: "
        return f"{where}{self.path}: {self.text}" if self.path else f"{where}{self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. ``faults`` holds every one that was found, by file and line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def fault_at(place: Place, path: Path, text: str) -> Fault:
    """Build the fault of one place."""
    return Fault(place.file, place.line, place.col, dotted(path), text)


def dotted(path: Path) -> str:
    """Return ``devices.crac_1.address`` for a path."""
    return ".".join(shown(str(part)) for part in path)


def shown(name: str) -> str:
    """Return a name fit for one line of a terminal: printable, at most 60 characters."""
    plain = name if name.isprintable() else ascii(name)[1:-1]
    return plain if len(plain) <= 60 else plain[:59] + "…"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the nearest known name, or the few names there are, or nothing."""
    names = sorted(known)
    near = nearest(given, names)
    if near:
        return f"; did you mean {shown(near)}?"
    if not names:
        return ""
    if len(names) <= 8:
        return f"; known: {', '.join(map(shown, names))}"
    return ""


def as_name(given: str) -> str:
    """Return the nearest well-formed name: lower case, digits and _; "" where there is none."""
    return re.sub(r"[^a-z0-9]+", "_", given[:48].lower()).lstrip("_0123456789").rstrip("_")


def nearest(given: str, known: Iterable[str]) -> str:
    """Return the known name most like ``given``, or ""."""
    near = get_close_matches(given[:80].lower(), list(known), n=1, cutoff=0.6)
    return near[0] if near else ""
