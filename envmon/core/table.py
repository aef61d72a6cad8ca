"""Rule tables: rows that match facts, and the one reader of them.

Rules
  - A row matches when every fact it names has one of the values it lists; a fact it does not name may be anything.
  - At most one row matches any combination of facts, and every row is reachable: the sweep in the tests proves both,
    so the order of rows means nothing.
  - Ids are never reused. The sentence is what people read in the journal, on the page and in the status.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from envmon.model.effect import Urgency

A = TypeVar("A", bound=StrEnum)


class Answer(StrEnum):
    """A yes-or-no fact."""

    YES = "yes"
    NO = "no"


def answer(value: bool) -> Answer:
    """A boolean as a fact."""
    return Answer.YES if value else Answer.NO


@dataclass(frozen=True, slots=True, eq=False)
class Row(Generic[A]):
    """One rule. ``standing`` rows describe a condition: they are told once while they stand."""

    id: str
    sentence: str
    when: Mapping[str, frozenset[StrEnum]]
    action: A
    standing: bool = False
    refuses: bool = False
    page: Urgency | None = None


def row(
    name: str,
    sentence: str,
    action: A,
    *,
    standing: bool = False,
    refuses: bool = False,
    page: Urgency | None = None,
    **when: StrEnum | Sequence[StrEnum],
) -> Row[A]:
    """Write a row: ``fact=value`` or ``fact=(value, value)``."""
    named = {fact: frozenset([v] if isinstance(v, StrEnum) else v) for fact, v in when.items()}
    return Row(name, sentence, named, action, standing, refuses, page)


def matches(entry: Row[A], facts: object) -> bool:
    """Whether a row matches a facts dataclass."""
    return all(getattr(facts, name) in values for name, values in entry.when.items())


def find(rows: tuple[Row[A], ...], facts: Hashable) -> Row[A] | None:
    """The row that matches, or None when nothing is to be said."""
    return cast("Row[A] | None", _found(rows, facts))


@lru_cache(maxsize=4096)  # a site has few facts at a time, and is asked for them every second
def _found(rows: tuple[Row[Any], ...], facts: Hashable) -> Row[Any] | None:
    return next((entry for entry in rows if matches(entry, facts)), None)


def tell(facts: object) -> tuple[tuple[str, str], ...]:
    """Facts as name and value, for the journal."""
    return tuple((f.name, str(getattr(facts, f.name))) for f in fields(facts))  # type: ignore[arg-type]
