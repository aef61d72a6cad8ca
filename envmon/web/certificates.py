"""TLS for orders: the server's context, the names a client certificate carries, and a context that can be renewed.

Rules
  - TLS 1.2 or newer, a client certificate always, no session is resumed: who is let in is decided at each handshake.
  - A name is what the certificate says of its kind (cn:, email:, dns:, uri:), or its fingerprint (sha256:).
"""

import ssl
from hashlib import sha256
from typing import Any, Self

from envmon.config.settings import OrdersSettings

_KINDS = {"email": "email", "DNS": "dns", "URI": "uri"}


class CertificateError(Exception):
    """A certificate or key cannot be used; the text names the file and says why."""


class Renewable(ssl.SSLContext):
    """A context whose handshakes use ``current``, as it is when they begin."""

    current: ssl.SSLContext

    def __new__(cls, current: ssl.SSLContext) -> Self:
        """Make one; its own settings are never used."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.current = current
        return made

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        """Begin a handshake."""
        return self.current.wrap_bio(*given, **named)


def context(settings: OrdersSettings) -> ssl.SSLContext:
    """Return the server's context. Raises CertificateError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_REQUIRED
    made.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    made.num_tickets = 0
    for path in (settings.cert, settings.key, settings.client_ca):
        try:
            path.read_bytes()
        except OSError as fault:
            raise CertificateError(f"web.orders: {path}: cannot be read: {fault.strerror}") from None
    try:
        made.load_cert_chain(settings.cert, settings.key, password=_nobody_types)
    except (ssl.SSLError, ValueError) as fault:
        text = f"web.orders: {settings.cert} and {settings.key} are no certificate and its key"
        raise CertificateError(f"{text}: {_said(fault)}") from None
    try:
        made.load_verify_locations(settings.client_ca)
    except (ssl.SSLError, ValueError) as fault:
        raise CertificateError(f"web.orders: {settings.client_ca} is no certificate: {_said(fault)}") from None
    return made


def names(secure: ssl.SSLObject) -> tuple[str, ...]:
    """Everything the client's certificate says of whose it is; its most telling name first."""
    told: dict[str, Any] = secure.getpeercert() or {}
    raw = secure.getpeercert(binary_form=True)
    other = [f"{_KINDS[kind]}:{value}" for kind, value in told.get("subjectAltName", ()) if kind in _KINDS]
    common = [f"cn:{value}" for part in told.get("subject", ()) for kind, value in part if kind == "commonName"]
    return (*other, *common, *((f"sha256:{sha256(raw).hexdigest()}",) if raw else ()))


def _nobody_types() -> str:
    """A key that wants a password cannot be used by a daemon; without this OpenSSL would ask the terminal."""
    return ""


def _said(fault: Exception) -> str:
    return getattr(fault, "reason", None) or str(fault)
