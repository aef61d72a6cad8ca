"""What every mapping of the configuration file is made of, and the mappings used in more than one place.

Rules
  - Defaults come from the frozen settings and the policy; the file's models repeat none of their numbers.
"""

from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict

from envmon.config.values import AbsolutePath


def default(kind: type, field: str) -> Any:
    """Return the default a frozen dataclass gives to a field."""
    return next(each.default for each in fields(kind) if each.name == field)


class Entry(BaseModel):
    """A mapping of the file: every key is known, every value is of its own kind, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class TlsEntry(Entry):
    """TLS; {} trusts the system's authorities."""

    ca: AbsolutePath | None = None
    """PEM file of the authority that signed the server's certificate."""
    cert: AbsolutePath | None = None
    """PEM file of the client certificate."""
    key: AbsolutePath | None = None
    """PEM file of its key."""
