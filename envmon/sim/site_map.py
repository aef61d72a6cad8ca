"""What the simulated site is: its halls, its cooling plant, its devices, and the configuration that describes it.

Rules
  - Figures are nameplates, as an operator knows them; what a seed makes of load and mass is not told here.
  - Every device has a network path of its own: the site is wired as it should be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from envmon.sim.plant import UnitParams, ZoneParams
from envmon.sim.rooms import AirSensor

HALL: Final = "hall_a"
BACKUP_HALL: Final = "hall_b"
ROUTE: Final = "outbound"
LIMITS: Final = {"recommended_c": 27, "allowable_c": 32, "service_c": 40}


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """One polled device; ``unit`` is the plant unit it serves, "" for none, ``share`` its inlet's hot air."""

    id: str
    profile: str
    zone: str
    unit: str = ""
    share: float = 0.05


ZONES: Final = (
    ZoneParams(HALL, 60.0, tuple(UnitParams(f"crac_{n}", 24.0, restart_s=5.0 + 10 * n) for n in range(1, 5))),
    ZoneParams(
        BACKUP_HALL,
        30.0,
        tuple(UnitParams(f"bcrac_{n}", 18.0, restart_s=5.0 + 10 * n) for n in range(1, 4)),
        cold_air=150.0,
        hot_air=150.0,
        it_mass=1800.0,
        structure=1350.0,
        structure_ua=1.2,
    ),
)
NEEDED: Final = {HALL: 3, BACKUP_HALL: 2}

DEVICES: Final = (
    SiteDevice("crac_1", "apc-inrow-rc", HALL, "crac_1", share=0.04),
    SiteDevice("crac_2", "apc-inrow-sc-modbus", HALL, "crac_2", share=0.06),
    SiteDevice("crac_3", "liebert-icom-modbus", HALL, "crac_3"),
    SiteDevice("crac_4", "rittal-lcp-dx", HALL, "crac_4"),
    SiteDevice("rack_probes", "comet-t-modbus", HALL, share=0.08),
    SiteDevice("ups_1", "rfc1628-ups", HALL),
    SiteDevice("bcrac_1", "apc-inrow-rc", BACKUP_HALL, "bcrac_1", share=0.04),
    SiteDevice("bcrac_2", "apc-inrow-sc-modbus", BACKUP_HALL, "bcrac_2", share=0.06),
    SiteDevice("bcrac_3", "liebert-icom-modbus", BACKUP_HALL, "bcrac_3"),
    SiteDevice("back_probes", "comet-t-modbus", BACKUP_HALL, share=0.08),
)


def sensors() -> Iterator[AirSensor]:
    """Yield the air temperature sensors of the devices: ``DEVICE.inlet``, ``DEVICE.supply``, ``DEVICE.back``."""
    for number, device in enumerate(DEVICES):
        offset = (-0.3, 0.2, 0.1, -0.1, 0.3)[number % 5]
        yield AirSensor(f"{device.id}.inlet", device.zone, device.share, offset_k=offset)
        if device.unit:
            yield AirSensor(f"{device.id}.supply", device.zone, unit=device.unit, offset_k=offset, lag_s=20.0)
            yield AirSensor(f"{device.id}.back", device.zone, share=1.0, offset_k=-offset, lag_s=20.0)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the simulated site listens: host:port by device, (url, host:port) by edge."""

    devices: Mapping[str, str]
    edges: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the site and is not part of it; "" leaves it out of the configuration."""

    mode: str = "automatic"
    http: str = ""  # where the daemon listens, host:port
    mqtt: str = ""  # a broker, host:port
    pager: str = ""  # a webhook's URL


def config_yaml(
    at: Addresses, state_dir: Path, around: Around, secrets: Mapping[str, Path], snmp: frozenset[str]
) -> str:
    """Write the configuration of a daemon that watches this site.

    ``secrets`` are the files of ``edge_token`` and ``snmp_community``, ``snmp`` the profiles that need a community.
    """
    publish: dict[str, Any] = {}
    if around.mqtt:
        host, _, port = around.mqtt.rpartition(":")
        publish["mqtt"] = {"host": host, "port": int(port), "zone": "noc_room", "version": "5"}
    if around.http:
        publish["http"] = {"listen": around.http}
    config: dict[str, Any] = {
        "site": "dallas",
        "mode": around.mode,
        "daemon": {"zone": "noc_room", "state_dir": str(state_dir), "socket": str(state_dir / "envmon.sock")},
        "places": ["noc_room", "meet_me_room", "outside"],
        "zones": {zone.id: _zone(zone) for zone in ZONES},
        "backup": {"site": "houston"},
        "devices": {device.id: _device(device, at, secrets, snmp) for device in DEVICES},
        "edges": {id_: _edge(url, sip, secrets) for id_, (url, sip) in at.edges.items()},
        "routes": {
            ROUTE: {"edges": list(at.edges), "depends_on": [HALL], "backup": [BACKUP_HALL], "max_call": "5min"},
        },
    }
    if publish:
        config["publish"] = publish
    if around.pager:
        config["pagers"] = {"oncall": {"kind": "webhook", "zone": "outside", "url": around.pager}}
    return yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=120)


def _zone(zone: ZoneParams) -> dict[str, Any]:
    where = {"at": "backup"} if zone.id == BACKUP_HALL else {}
    return {
        **where,
        "it_load_kw": zone.load_kw,
        "limits": dict(LIMITS),
        "units": {unit.id: {"sensible_kw": unit.sensible_kw} for unit in zone.units},
        "units_needed": NEEDED[zone.id],
    }


def _device(device: SiteDevice, at: Addresses, secrets: Mapping[str, Path], snmp: frozenset[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"profile": device.profile, "address": at.devices[device.id], "every": "5s"}
    entry |= {"serves": f"{device.zone}.{device.unit}"} if device.unit else {"zone": device.zone}
    entry["path"] = f"path_{device.id}"
    entry["commissioned"] = True  # what a simulated device shows is known
    if device.profile in snmp:
        entry["snmp"] = {"version": "2c", "community": f"file:{secrets['snmp_community']}"}
    return entry


def _edge(url: str, sip: str, secrets: Mapping[str, Path]) -> dict[str, Any]:
    token = f"file:{secrets['edge_token']}"
    return {"kind": "kamailio", "zone": "meet_me_room", "url": url, "sip": sip, "token": token}
