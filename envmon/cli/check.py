"""``envmon check``: read a configuration, tell every fault, or say in a few lines what it describes.

Rules
  - Faults go to standard error, one a line, and the exit code is 1: fit for a hook and for an editor's error list.
  - A sound configuration is read back in words; what would refuse ``automatic`` is a note, not a fault.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from envmon.cli.configured import configured
from envmon.cli.open_files import shortage
from envmon.config import ConfigError
from envmon.config.schema import schema_text
from envmon.config.settings import MqttSettings, Settings
from envmon.config.values import duration_text
from envmon.host.files import most
from envmon.model.policy import RoutePolicy, ZonePolicy


def check(config: Path, schema: bool) -> int:
    """Check ``config`` (or print the JSON Schema) and return the exit code."""
    if schema:
        sys.stdout.write(schema_text())
        return 0
    try:
        site = configured(config)
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 1
    print(f"{config}: no fault found")
    for line in [*_site(site.settings), *(f"note: {note}" for note in [*_notes(site.settings), *site.notes])]:
        print(line)
    return 0


def _site(settings: Settings) -> Iterator[str]:
    policy = settings.policy
    backup = f", backup site {settings.backup_site}" if settings.backup_site else ""
    yield f"site {policy.site}{backup}"
    yield f"daemon in {settings.daemon.zone}; a first start goes to {settings.daemon.mode}"
    yield from (_zone(zone, settings) for zone in policy.zones)
    yield from (_route(route) for route in policy.routes)
    if settings.mqtt:
        yield f"publishes to mqtt {settings.mqtt.host}:{settings.mqtt.port}{' with TLS' if settings.mqtt.tls else ''}"
    if settings.http:
        yield f"listens on http {settings.http.host}:{settings.http.port}"
    if settings.pagers:
        yield f"pages {', '.join(pager.id for pager in settings.pagers)}"


def _zone(zone: ZonePolicy, settings: Settings) -> str:
    devices = [device for device in settings.devices if device.zone == zone.id]
    paths = {device.path for device in devices}
    return (
        f"zone {zone.id}{'' if zone.here else ' (backup)'}: {zone.it_load_kw:g} kW, "
        f"{zone.needed} of {len(zone.units)} units needed, {len(devices)} devices over {len(paths)} paths"
    )


def _route(route: RoutePolicy) -> str:
    return (
        f"route {route.id}: leaves {', '.join(route.zones)} for {', '.join(route.backup_zones) or 'nowhere'} "
        f"by {', '.join(route.edges) or 'no edge'}, in {duration_text(route.evacuate_s)}"
    )


def _notes(settings: Settings) -> Iterator[str]:
    yield from (f"automatic would be refused: {fault}" for fault in settings.policy.placement_faults)
    yield from (f"edge {edge.id} is simulated: it moves no call" for edge in settings.edges if edge.kind == "simulated")
    yield from (
        f"pager {pager.id} is simulated: it reaches nobody" for pager in settings.pagers if pager.kind == "simulated"
    )
    if settings.lease.password and any(member.url.startswith("http:") for member in settings.lease.members):
        yield "the password of the lease crosses the network in clear; write https: endpoints"
    zones = {zone.id: zone for zone in settings.policy.zones}
    for zone in zones.values():
        if zone.needed == len(zone.units):
            yield f"zone {zone.id} needs every unit it has: losing one is losing the room"
    yield from shortage(settings, most())
    for route in settings.policy.routes:
        yield from (_hurry(route, zones[zone]) for zone in route.zones if _warming_s(zones[zone]) < route.evacuate_s)
    if settings.mqtt and _in_clear(settings.mqtt):
        yield "the mqtt password crosses the network in clear; add tls"


def _warming_s(zone: ZonePolicy) -> float:
    """Seconds from recommended to service without any cooling, by the configured heat capacity."""
    return zone.heat_capacity * (zone.limits.service - zone.limits.recommended)


def _hurry(route: RoutePolicy, zone: ZonePolicy) -> str:
    limits = zone.limits
    return (
        f"without any cooling {zone.id} warms from {limits.recommended:g} to {limits.service:g} degC in about "
        f"{_warming_s(zone) / 60:.1f} min, route {route.id} takes {duration_text(route.evacuate_s)}: "
        "it will move at the first proof, and the longest calls may be cut"
    )


def _in_clear(mqtt: MqttSettings) -> bool:
    return mqtt.password is not None and not mqtt.tls
