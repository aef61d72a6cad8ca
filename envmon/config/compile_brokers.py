"""MQTT brokers, one's own and a peer's, and the files of TLS, from the file's entries to the frozen settings."""

from dataclasses import replace
from pathlib import Path

from envmon.config.settings import MqttSettings
from envmon.config.shape import MqttEntry
from envmon.config.shape_parts import BrokerEntry, TlsEntry


def mqtt(entry: MqttEntry) -> MqttSettings:
    """Compile the broker readings are published to."""
    return replace(broker(entry), zone=entry.zone, prefix=entry.prefix, qos=entry.qos, queue=entry.queue)


def broker(entry: BrokerEntry) -> MqttSettings:
    """Compile how a broker is reached."""
    ca, cert, key = tls_files(entry.tls)
    return MqttSettings(
        host=entry.host,
        port=entry.port or (8883 if entry.tls else 1883),
        zone="",
        version=entry.version,
        client_id=entry.client_id or "",
        username=entry.username or "",
        password=entry.password,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
        tls=entry.tls is not None,
    )


def tls_files(entry: TlsEntry | None) -> tuple[Path | None, Path | None, Path | None]:
    """Name the files of a TLS entry: authority, certificate and key."""
    if entry is None:
        return None, None, None
    ca, cert, key = (Path(name) if name else None for name in (entry.ca, entry.cert, entry.key))
    return ca, cert, key
