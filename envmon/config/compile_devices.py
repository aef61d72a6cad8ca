"""What is polled, and who notifies, from the file's entries to the frozen settings."""

from pathlib import Path

from envmon.config.settings import DeviceSettings, SerialSettings, SnmpSettings, TrapSettings
from envmon.config.shape_devices import DeviceEntry, SerialEntry, SnmpEntry, TrapsEntry
from envmon.model.reading import Role


def device(name: str, entry: DeviceEntry) -> DeviceSettings:
    """Compile what one device is, where it stands and how it is asked."""
    zone, _, unit = (entry.serves or "").partition(".")
    fronts = entry.fronts or {}
    return DeviceSettings(
        id=name,
        profile=entry.profile,
        host=entry.address.host,
        port=entry.address.port,
        zone=zone or entry.zone or "",
        serves=unit,
        path=entry.path or entry.address.host,
        interval_s=entry.every,
        deadline_s=entry.deadline,
        unit_id=entry.unit_id,
        transport=entry.transport,
        serial=_serial(entry.serial) if entry.serial else SerialSettings(),
        snmp=_snmp(entry.snmp) if entry.snmp else SnmpSettings(),
        fronts=tuple((number, *_zone_unit(served)) for number, served in fronts.items()),
        roles=tuple((point, Role(word)) for point, word in (entry.roles or {}).items()),
        commissioned=entry.commissioned is True,
        record=Path(entry.commissioned) if isinstance(entry.commissioned, str) else None,
    )


def _zone_unit(served: str) -> tuple[str, str]:
    zone, _, unit = served.partition(".")
    return zone, unit


def _serial(entry: SerialEntry) -> SerialSettings:
    return SerialSettings(entry.baud, entry.parity, entry.stop_bits)


def _snmp(entry: SnmpEntry) -> SnmpSettings:
    return SnmpSettings(
        version=entry.version,
        community=entry.community,
        user=entry.user or "",
        auth_protocol=entry.auth,
        auth_password=entry.auth_password,
        privacy_protocol=entry.privacy,
        privacy_password=entry.privacy_password,
        context=entry.context or "",
    )


def traps(entry: TrapsEntry) -> TrapSettings:
    """Compile where notifications arrive."""
    return TrapSettings(entry.listen.host, entry.listen.port, entry.community)
