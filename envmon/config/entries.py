"""What the keys of one entry say about each other.

Rules
  - An entry is looked at as soon as its own shape is sound, whatever is wrong elsewhere in the file.
  - A finding names the key to change.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from envmon.config.document import Document
from envmon.config.explain import is_mapping_of, models_in
from envmon.config.fault import Fault, Path
from envmon.config.lever_entries import lever_findings
from envmon.config.shape import (
    JudgementEntry,
    LimitsEntry,
    PagerEntry,
    SiteFile,
    ZoneEntry,
)
from envmon.config.shape_devices import DeviceEntry, SnmpEntry
from envmon.config.shape_levers import DnsEntry, EdgeEntry, LeaseEntry, ProbeEntry, ProofEntry
from envmon.config.shape_parts import BrokerEntry, TlsEntry
from envmon.config.shape_rest import RestEntry, RestRouteEntry, rest_findings
from envmon.config.shape_weather import WeatherEntry
from envmon.config.values import duration_text

_RTU_UNITS = range(1, 248)  # MODBUS over Serial Line V1.02, 2.2

Finding = tuple[str, str]
"""The key, "" for the entry itself, and what is wrong with it."""


def entry_faults(document: Document) -> list[Fault]:
    """Every contradiction within one entry."""
    return [
        document.fault((*path, key) if key else path, text, key=not key)
        for path, entry in _entries(SiteFile, document.data, ())
        for key, text in _findings(entry)
    ]


def _entries(model: type[BaseModel], data: Any, path: Path) -> Iterator[tuple[Path, BaseModel]]:
    """Yield every part of the document that is sound by itself."""
    if not isinstance(data, dict):
        return
    if path:
        with suppress(ValidationError):  # told by the shape
            yield path, model.model_validate(data)
    for key, field in model.model_fields.items():
        inner = models_in(field.annotation)
        if inner is None or not isinstance(data.get(key), dict):
            continue
        if is_mapping_of(field.annotation):
            for name, value in data[key].items():
                yield from _entries(inner, value, (*path, key, name))
        else:
            yield from _entries(inner, data[key], (*path, key))


def _findings(entry: BaseModel) -> Iterator[Finding]:
    match entry:
        case LimitsEntry():
            yield from _limits(entry)
        case ZoneEntry():
            yield from _zone(entry)
        case DeviceEntry():
            yield from _device(entry)
        case SnmpEntry(version=version):
            yield from _snmp_user(entry) if version == "3" else _snmp_community(entry)
        case BrokerEntry(username=None, password=value) if value is not None:
            yield "password", "a password needs a username"
        case TlsEntry(cert=cert, key=key) if (cert is None) != (key is None):
            yield ("cert" if key is None else "key"), "cert and key go together; add the other one"
        case JudgementEntry(quorum_kinds=kinds, quorum_paths=paths) if paths > kinds:
            yield "quorum_paths", f"{paths} paths can never be seen by {kinds} kinds of evidence; at most {kinds}"
        case JudgementEntry(probe_every=every, probe_stands=stands) if every >= stands:
            yield "probe_every", f"must be shorter than probe_stands, {duration_text(stands)}: each call would be old"
        case WeatherEntry():
            yield from _weather(entry)
        case EdgeEntry() | DnsEntry() | LeaseEntry() | PagerEntry() | ProbeEntry() | ProofEntry():
            yield from lever_findings(entry)
        case RestEntry() | RestRouteEntry():
            yield from rest_findings(entry)
        case _:
            return


def _weather(feed: WeatherEntry) -> Iterator[Finding]:
    if feed.point is None and not feed.areas:
        yield "", "does not say where the site is; add point: {lat: ..., lon: ...} or areas: [CODE]"
    if feed.events and "severity" in feed.model_fields_set:
        yield "severity", "is of no use beside events; keep one of the two keys"


def _limits(limits: LimitsEntry) -> Iterator[Finding]:
    ordered = (("recommended_c", "allowable_c"), ("allowable_c", "service_c"))
    for lower, upper in ordered:
        below, above = getattr(limits, lower), getattr(limits, upper)
        if above <= below:
            given = "" if upper in limits.model_fields_set else f"is {above:g} unless given; "
            yield upper, f"{given}must be more than {lower}, {below:g}"


def _zone(zone: ZoneEntry) -> Iterator[Finding]:
    if zone.units_needed > len(zone.units):
        yield "units_needed", f"{zone.units_needed} units cannot run where there are {len(zone.units)}"
        return
    smallest = sorted(unit.sensible_kw for unit in zone.units.values())[: zone.units_needed]
    if sum(smallest) < zone.it_load_kw:
        cooled = f"the {zone.units_needed} smallest units cool {sum(smallest):g} kW, the load is {zone.it_load_kw:g} kW"
        yield "units_needed", f"{cooled}; need more units, or check sensible_kw"


def _device(device: DeviceEntry) -> Iterator[Finding]:
    if device.serves is None and device.zone is None:
        yield "", "says neither what it serves (serves: zone.unit) nor where it stands (zone: ZONE); give one"
    if device.serves is not None and device.fronts is not None:
        yield "fronts", "serves names one unit already; keep one of the two keys"
    if device.serves is not None and device.zone is not None:
        yield "zone", "serves already names the zone; leave this key out"
    yield from _transport(device)
    if device.deadline >= device.every and "deadline" in device.model_fields_set:
        yield "deadline", f"must be shorter than every, {duration_text(device.every)}"
    elif device.deadline >= device.every:
        yield "every", f"must be longer than deadline, which is {duration_text(device.deadline)} unless given"


def _transport(device: DeviceEntry) -> Iterator[Finding]:
    path = device.address.host.startswith("/")
    if path and device.transport != "rtu":
        key = "transport" if "transport" in device.model_fields_set else "address"
        yield key, f"a serial line needs transport: rtu, {device.transport} reaches a host"
    if not path and device.transport == "rtu":
        yield "address", "must be a serial line such as /dev/ttyUSB0; for a gateway use transport: rtu_over_tcp"
    if device.serial is not None and device.transport != "rtu":
        yield "serial", "belongs to transport: rtu"
    if device.transport != "tcp" and device.unit_id not in _RTU_UNITS:
        yield "unit_id", f"must be from {_RTU_UNITS[0]} to {_RTU_UNITS[-1]} on an RTU line"


def _snmp_community(snmp: SnmpEntry) -> Iterator[Finding]:
    if snmp.community is None:
        yield "community", f"is missing: version {snmp.version} logs in with community: credential:NAME"
    for key in ("user", "auth", "auth_password", "privacy", "privacy_password", "context"):
        if key in snmp.model_fields_set:
            yield key, f'belongs to version "3", not to "{snmp.version}"'


def _snmp_user(snmp: SnmpEntry) -> Iterator[Finding]:
    given = snmp.model_fields_set
    if snmp.user is None:
        yield "user", "is missing: version 3 logs in with a user"
    if snmp.community is not None:
        yield "community", 'belongs to versions "1" and "2c", not to "3"'
    if snmp.auth_password is None and (given & {"auth", "privacy", "privacy_password"}):
        yield "auth_password", "is missing: authentication and privacy need auth_password: credential:NAME"
    if snmp.privacy_password is None and "privacy" in given:
        yield "privacy_password", "is missing: privacy needs privacy_password: credential:NAME"
