"""``dataclasses.replace`` for fields that change at every poll: which they are is worked out once."""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import TypeVar

T = TypeVar("T")


def replacing(kind: type[T], *names: str) -> Callable[..., T]:
    """Make the function that takes a value and its new parts, in the order of ``names``."""
    order = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind here is a dataclass
    parts_of, places = attrgetter(*order), [order.index(name) for name in names]

    def replaced(value: T, *new: object) -> T:
        parts = list(parts_of(value))
        for place, part in zip(places, new, strict=True):
            parts[place] = part
        return kind(*parts)

    return replaced
