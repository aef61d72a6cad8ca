"""What every mapping of a configuration file has in common.

Rules
  - Every key is known, every value is of its own kind, nothing is converted.
  - Defaults come from the frozen settings and the policy; the shapes repeat none of their numbers.
"""

from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict


def default(kind: type, field: str) -> Any:
    """Return the default a frozen dataclass gives to a field."""
    return next(each.default for each in fields(kind) if each.name == field)


class Entry(BaseModel):
    """A mapping of the file: every key is known, every value is of its own kind, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )
