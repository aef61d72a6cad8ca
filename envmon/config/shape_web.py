"""The shape of what takes orders over HTTPS: where it listens, and whose certificate stands for whom.

Rules
  - The text under a key is its meaning, in the file's reference and in the JSON Schema; there is no second copy.
  - Nobody is known by a certificate alone: each is written here with the user they are on this host, so that a person
    with a certificate and a login is one person.
"""

from typing import Annotated, Literal

from pydantic import Field

from envmon.config.shape_parts import Entry
from envmon.config.values import AbsolutePath, Listen

CertName = Annotated[str, Field(pattern=r"^((cn|email|dns|uri):\S(.{0,252}\S)?|sha256:[0-9a-f]{64})$")]
User = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]


class CertifiedEntry(Entry):
    """Who a client certificate stands for."""

    user: User
    """Their user name on this host: whoever orders by certificate and by login is one person."""
    role: Literal["viewer", "operator", "approver"]
    """What they may do over HTTPS."""


class OrdersEntry(Entry):
    """Orders over HTTPS, for those who have a client certificate of yours."""

    listen: Listen
    """Address and port to listen on; on a management network."""
    cert: AbsolutePath
    """PEM file of the server's certificate, with its chain; read again at a reload."""
    key: AbsolutePath
    """PEM file of its key; read again at a reload."""
    client_ca: AbsolutePath
    """PEM file of the authority that signs your people's certificates, and nobody else's; read again at a reload."""
    people: Annotated[dict[CertName, CertifiedEntry], Field(min_length=1)]
    """By what the certificate says, as email:ann@example.com, cn:Ann, dns:, uri: or sha256: and its fingerprint."""


class WebEntry(Entry):
    """What is served beside metrics and status."""

    orders: OrdersEntry | None = None
    """Orders over HTTPS; without this key they arrive on the socket only."""
