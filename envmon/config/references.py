"""Every name in the file that stands for something described elsewhere in it.

Rules
  - References are read from the plain document, so that they are checked even beside entries that have other faults.
  - A name that resolves to nothing is told with the nearest name there is.
  - One unit has one device and one address has one device: points and connections would collide.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from pydantic_core import PydanticCustomError

from envmon.config.document import Data, Document
from envmon.config.fault import Fault, Path, as_name, did_you_mean, nearest, shown
from envmon.config.profiles_known import Known
from envmon.config.settings import SerialSettings
from envmon.config.values import endpoint

UNFENCED = frozenset({"dispatcher", "rest", "command"})
"""Kinds of edge that keep no epoch of their own where two daemons would meet it."""
TOPICS = frozenset({"state", "status"})
"""Levels below the site's that are envmon's own; see publishers.documents."""
SEEN_BY_ITSELF = frozenset({"edges", "every_edge", "probe_call", "dwell", "lease"})
"""Readiness items that are nobody else's word."""
PORTS = {"snmp": 161, "modbus": 502}
"""The ports the protocols use unless told otherwise (RFC 3417; Modbus Messaging on TCP/IP V1.0b)."""


def reference_faults(document: Document, profiles: Mapping[str, Known]) -> list[Fault]:
    """Every reference that does not hold."""
    return [
        *_standing(document),
        *_places(document),
        *_topics(document),
        *_served(document),
        *_units(document),
        *_protocols(document, profiles),
        *_addresses(document, profiles),
        *_traps(document),
        *_urls(document),
        *_routes(document),
        *_items(document),
        *_carried(document),
        *_fenced(document),
    ]


def _standing(document: Document) -> Iterator[Fault]:
    """Check everything that names the zone or place it stands in."""
    rooms = [*document.names("zones"), *(place for _, place in document.words("places"))]
    stand: list[tuple[str, ...]] = [("daemon",), ("publish", "mqtt")]
    stand += [(section, name) for section in ("devices", "edges", "pagers") for name in document.names(section)]
    stand += [("lease", "endpoints", name) for name in document.names("lease", "endpoints")]
    for path in stand:
        zone = document.word(*path, "zone")
        if zone and zone not in _named(rooms):
            yield document.fault(
                (*path, "zone"), f"no zone or place is called {shown(zone)}{did_you_mean(zone, rooms)}"
            )


def _places(document: Document) -> Iterator[Fault]:
    seen = set(document.names("zones"))
    for at, place in document.words("places"):
        if place in seen:
            what = "is a zone already" if place in document.names("zones") else "stands twice"
            yield document.fault(("places", at), f"{shown(place)} {what}; keep one")
        seen.add(place)
    for zone in document.names("zones"):
        if document.word("zones", zone, "at") == "backup" and "backup" not in document.data:
            yield document.fault(("zones", zone, "at"), "there is no backup site; add backup: {site: NAME}")


def _topics(document: Document) -> Iterator[Fault]:
    """Check that nothing has the name of a topic of ours, beside which its readings would be published."""
    names: list[tuple[tuple[str | int, ...], str]] = [
        ((section, name), name) for section in ("zones", "devices") for name in document.names(section)
    ]
    names += [(("places", at), place) for at, place in document.words("places")]
    for path, name in names:
        if name in TOPICS:
            yield document.fault(
                path, f"{name} is a topic of envmon's own (PREFIX/SITE/{name}); name it otherwise", key=True
            )


def _served(document: Document) -> Iterator[Fault]:
    """Check what devices serve: the unit exists, and has no other device."""
    first: dict[str, str] = {}
    zones = document.names("zones")
    for device, path, serves in _serving(document):
        zone, dot, unit = serves.partition(".")
        if not (zone and dot and unit):
            continue
        if zone not in _named(zones):
            yield document.fault(path, f"no zone is called {shown(zone)}{did_you_mean(zone, zones)}")
        elif unit not in (units := document.names("zones", zone, "units")):
            if units:
                yield document.fault(path, f"zone {shown(zone)} has no unit {shown(unit)}{did_you_mean(unit, units)}")
        elif serves in first:
            already = f"{shown(serves)} is served by {shown(first[serves])} already"
            yield document.fault(path, f"{already}; a unit has one device, give this one a zone instead")
        first.setdefault(serves, device)


def _serving(document: Document) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield the device, the place in the file and the word of everything that names a unit it serves."""
    for device in document.names("devices"):
        paths: list[tuple[str, ...]] = [("devices", device, "serves")]
        paths += [("devices", device, "fronts", number) for number in document.names("devices", device, "fronts")]
        for path in paths:
            yield device, path, document.word(*path)


def _units(document: Document) -> Iterator[Fault]:
    """Check that every unit is served, and that no other device of its zone has its name."""
    served = {word for _, _, word in _serving(document)}
    resolved = {f"{zone}.{unit}" for zone in document.names("zones") for unit in document.names("zones", zone, "units")}
    misspelt = [serves.rpartition(".")[2] for serves in served - resolved]
    for zone in document.names("zones"):
        units = document.names("zones", zone, "units")
        meant = {nearest(word, units) for word in misspelt}
        for unit in units:
            if f"{zone}.{unit}" not in served and unit not in meant:
                text = f"no device serves this unit; add serves: {shown(zone)}.{shown(unit)} to its device"
                yield document.fault(("zones", zone, "units", unit), text, key=True)
        for device in document.names("devices"):
            path = ("devices", device)
            if device in units and document.word(*path, "zone") == zone and "serves" not in document.names(*path):
                text = f"zone {shown(zone)} has a unit of this name; points would collide, name the device otherwise"
                yield document.fault(path, text, key=True)


def _protocols(document: Document, profiles: Mapping[str, Known]) -> Iterator[Fault]:
    """Check that the profile exists, and that the log-in is the one its protocol needs."""
    for device in document.names("devices"):
        path = ("devices", device)
        name = document.word(*path, "profile")
        keys = document.names(*path)
        if name and name not in profiles:
            yield document.fault(
                (*path, "profile"), f"no profile is called {shown(name)}{did_you_mean(name, profiles)}"
            )
            continue
        match profiles.get(name, Known()).protocol:
            case "snmp" if "snmp" not in keys:
                text = f'is missing: {name} speaks SNMP; add snmp: {{version: "2c", community: credential:NAME}}'
                yield document.fault((*path, "snmp"), text)
            case "snmp" if "unit_id" in keys:
                yield document.fault((*path, "unit_id"), f"{name} speaks SNMP, which has no unit identifier", key=True)
            case "snmp" if document.word(*path, "address").startswith("/"):
                yield document.fault((*path, "address"), f"{name} speaks SNMP, which needs a host")
            case "snmp" if "transport" in keys:
                yield document.fault((*path, "transport"), f"{name} speaks SNMP; leave the transport out", key=True)
            case "modbus" if "snmp" in keys:
                yield document.fault((*path, "snmp"), f"{name} speaks Modbus; leave the SNMP log-in out", key=True)


def _addresses(document: Document, profiles: Mapping[str, Known]) -> Iterator[Fault]:
    """Check that no two devices are one: the same address and unit identifier, or the same SNMP agent and profile.

    And that those who share an address mean the same line.
    """
    first: dict[tuple[object, ...], str] = {}
    lines: dict[tuple[str, int], str] = {}
    for device in document.names("devices"):
        path: Path = ("devices", device, "address")
        try:
            there = endpoint(document.at(path))
        except PydanticCustomError:
            continue
        profile = document.word("devices", device, "profile")
        protocol = profiles.get(profile, Known()).protocol
        unit = profile if protocol == "snmp" else (document.at(("devices", device, "unit_id")) or 1)
        host = there.host if there.host.startswith("/") else there.host.lower()
        key = (host, there.port or PORTS.get(protocol, 0), protocol, unit)
        if key in first:
            hint = "" if protocol == "snmp" else "; devices behind one gateway differ in unit_id"
            yield document.fault(path, f"{shown(first[key])} is polled there already{hint}")
        elif protocol == "modbus":
            yield from _same_line(document, device, lines.setdefault(key[:2], device))
        first.setdefault(key, device)


def _same_line(document: Document, device: str, other: str) -> Iterator[Fault]:
    """Check that a device drives the line it shares with ``other`` as that one does."""
    for name in ("transport", "serial"):
        own, theirs = (_or_usual(name, document.at(("devices", each, name))) for each in (device, other))
        if own != theirs:
            text = f"{shown(other)} is on the same line with another {name}; devices of one line say the same"
            yield document.fault(("devices", device, name), text)


def _or_usual(name: str, given: Data) -> object:
    if name == "transport":
        return given or "tcp"
    return {**asdict(SerialSettings()), **(given if isinstance(given, dict) else {})}


def _traps(document: Document) -> Iterator[Fault]:
    """Check that there is somebody whose notifications would be accepted."""
    logins = any("snmp" in document.names("devices", device) for device in document.names("devices"))
    if document.names("traps") and not logins and document.at(("traps", "community")) is None:
        text = "no device has an SNMP log-in: every notification would be refused; add community: credential:NAME"
        yield document.fault(("traps",), text, key=True)


def _urls(document: Document) -> Iterator[Fault]:
    """Check that no two edges are one: it would count as two levers."""
    first: dict[str, str] = {}
    for edge in document.names("edges"):
        url = document.word("edges", edge, "url").rstrip("/").lower()
        if url and url in first:
            yield document.fault(("edges", edge, "url"), f"{shown(first[url])} is commanded there already")
        first.setdefault(url, edge)


def _routes(document: Document) -> Iterator[Fault]:
    zones = document.names("zones")
    away = [zone for zone in zones if document.word("zones", zone, "at") == "backup"]
    here = [zone for zone in zones if zone not in away]
    edges = document.names("edges")
    for route in document.names("routes"):
        yield from _list(document, (route, "edges"), "edge", edges)
        yield from _list(document, (route, "depends_on"), "zone", here, dict.fromkeys(away, "is at the backup site"))
        yield from _list(document, (route, "backup"), "zone", away, dict.fromkeys(here, "is here, not at the backup"))


def _items(document: Document) -> Iterator[Fault]:
    """Check that nobody else is asked about what envmon sees for itself."""
    for route in document.names("routes"):
        for item in document.names("routes", route, "proofs"):
            if item in SEEN_BY_ITSELF:
                text = f"envmon checks {item} by itself and asks nobody; leave it out, or choose another name"
                yield document.fault(("routes", route, "proofs", item), text, key=True)


def _carried(document: Document) -> Iterator[Fault]:
    """Check that an edge which must be told what carries a route is told so for exactly its routes."""
    routes = document.names("routes")
    for edge in document.names("edges"):
        for where in (("dns", "records"), ("dispatcher", "routes"), ("rest", "routes")):
            path = ("edges", edge, *where)
            told = document.names(*path)
            carried = [route for route in routes if edge in dict(document.words("routes", route, "edges")).values()]
            for route in told:
                if route not in routes:
                    text = f"no route is called {shown(route)}{did_you_mean(route, routes)}"
                    yield document.fault((*path, route), text, key=True)
                elif route not in carried:
                    text = f"route {shown(route)} does not name this edge; add it to routes.{shown(route)}.edges"
                    yield document.fault((*path, route), text, key=True)
            for route in carried:
                if told and route not in told:
                    yield document.fault(path, f"route {shown(route)} names this edge; say here what carries it")


def _fenced(document: Document) -> Iterator[Fault]:
    """Check that beside a standby every edge refuses an old epoch by itself."""
    if document.word("lease", "kind") != "etcd":
        return
    for edge in document.names("edges"):
        kind = document.word("edges", edge, "kind")
        if kind in UNFENCED:
            text = (
                f"{kind} cannot refuse the orders of a daemon that has lost the lease: "
                "it is for sites without a standby; use lease: {kind: local}, or another kind of edge"
            )
            yield document.fault(("edges", edge, "kind"), text)


def _list(
    document: Document,
    where: tuple[str, str],
    what: str,
    known: list[str] | tuple[str, ...],
    other: Mapping[str, str] = {},
) -> Iterator[Fault]:
    """Check one list of names of a route; ``other`` says why a known name does not belong in it."""
    seen: set[str] = set()
    for at, name in document.words("routes", *where):
        path = ("routes", *where, at)
        if name in other:
            yield document.fault(path, f"zone {shown(name)} {other[name]}; name another, or change its at:")
        elif name not in _named(known):
            yield document.fault(path, f"no {what} is called {shown(name)}{did_you_mean(name, known)}")
        elif name in seen:
            yield document.fault(path, f"{shown(name)} stands twice; keep one")
        seen.add(name)


def _named(names: Iterable[str]) -> set[str]:
    """Return the names as they are, and as they must become: a malformed name is told once, where it is given."""
    return {form for name in names for form in (name, as_name(name))}
