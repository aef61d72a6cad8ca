"""What every mapping of the configuration file is made of, and the mappings used in more than one place.

Rules
  - Defaults come from the frozen settings and the policy; the file's models repeat none of their numbers.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from envmon.config.settings import MqttSettings
from envmon.config.values import AbsolutePath, Host, SecretRef, Text


def default(kind: type, field: str) -> Any:
    """Return the default a frozen dataclass gives to a field."""
    return next(each.default for each in fields(kind) if each.name == field)


class Entry(BaseModel):
    """A mapping of the file: every key is known, every value is of its own kind, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class TlsEntry(Entry):
    """TLS; {} trusts the system's authorities."""

    ca: AbsolutePath | None = None
    """PEM file of the authority that signed the server's certificate."""
    cert: AbsolutePath | None = None
    """PEM file of the client certificate."""
    key: AbsolutePath | None = None
    """PEM file of its key."""


class BrokerEntry(Entry):
    """An MQTT broker."""

    host: Host
    """Its address."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Default: 8883 with tls, 1883 without."""
    version: Literal["3.1.1", "5"] = default(MqttSettings, "version")
    """Protocol version, in quotes."""
    client_id: Text | None = None
    """Client identifier; made by envmon unless given."""
    username: Text | None = None
    """User name."""
    password: SecretRef | None = None
    """Password."""
    tls: TlsEntry | None = None
    """TLS; without this key the connection is in clear."""
