"""``dataclasses.replace`` for frozen, slotted classes whose fields change at every poll, in a third of its time.

Rules
  - Which fields they are is worked out once, and a function written that copies a value field by field, as
    ``dataclasses`` itself writes ``__init__``. It puts the parts into the slots of a new value; no value ever changes.
  - A class that checks itself when it is made (``__post_init__``) cannot be copied so.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def replacing(kind: type[T], *names: str) -> Callable[..., T]:
    """Make the function that takes a value and its new parts, in the order of ``names``. Raises TypeError."""
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} checks itself when it is made")
    order = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind here is a dataclass
    if unknown := set(names) - set(order):
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    known: dict[str, Any] = {f"put_{name}": getattr(kind, name).__set__ for name in order}
    known |= {"kind": kind, "new": object.__new__}
    lines = [f"  put_{name}(made, {name if name in names else f'value.{name}'})" for name in order]
    text = "\n".join([f"def replaced(value, {', '.join(names)}):", "  made = new(kind)", *lines, "  return made"])
    exec(text, known)  # noqa: S102 - of the names of fields and nothing else
    replaced: Callable[..., T] = known["replaced"]
    return replaced
