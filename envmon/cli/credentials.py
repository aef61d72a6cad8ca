"""Which credentials of a configuration cannot be read: told at the start, not when the first page is lost for it.

Rules
  - A credential that cannot be read stops nothing: what needs it fails alone, says so, and takes it once it is there.
  - What is told names the reference and who needs it, never a value.
"""

from collections.abc import Iterator

from envmon.config.secret import Secret, SecretError
from envmon.config.settings import Settings

_NAMED = 3  # owners of one credential that are named; the others are counted


def unreadable(settings: Settings) -> Iterator[str]:
    """One sentence for each credential that cannot be read now."""
    owners: dict[Secret, list[str]] = {}
    for owner, secret in _needed(settings):
        if secret is not None:
            owners.setdefault(secret, []).append(owner)
    for secret, names in owners.items():
        try:
            secret.reveal()
        except SecretError as error:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{', '.join(names[:_NAMED])}{more}: {error}"


def _needed(settings: Settings) -> Iterator[tuple[str, Secret | None]]:
    yield from ((f"pager {pager.id}", pager.token) for pager in settings.pagers)
    yield from ((f"edge {edge.id}", edge.token) for edge in settings.edges)
    yield "lease", settings.lease.password
    if settings.mqtt:
        yield "mqtt", settings.mqtt.password
    for device in settings.devices:
        snmp = device.snmp
        for secret in (snmp.community, snmp.auth_password, snmp.privacy_password):
            yield f"device {device.id}", secret
