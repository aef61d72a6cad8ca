"""What people have set aside for a while: plant, edges and places in maintenance, and pages they have shelved.

Rules
  - Everything here ends by itself, on the monotonic clock.
  - Maintenance is named as people see it: ``unit:hall_a.crac_3``, ``zone:hall_a``, ``edge:edge_1``, ``site:dallas``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from envmon.model.effect import Urgency
from envmon.model.policy import Policy


class Sort(StrEnum):
    """What can be in maintenance."""

    UNIT = "unit"
    ZONE = "zone"
    EDGE = "edge"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Aside:
    """Who set something aside, why, since and until when; ``until`` is Unix seconds, for people.

    ``urgency`` is that of a shelved page when it was shelved.
    """

    who: str
    reason: str
    since_ns: int
    until_ns: int
    until: float
    urgency: Urgency = Urgency.WARNING


@dataclass(frozen=True, slots=True)
class SetAside:
    """All of it: maintenance by its name, shelved pages by their key."""

    maintenance: Mapping[str, Aside] = field(default_factory=dict)
    shelved: Mapping[str, Aside] = field(default_factory=dict)


def named(policy: Policy, target: str) -> tuple[str, ...]:
    """What a word can mean in this policy; several where it is not unique, none where nothing is called so."""
    found = [f"{Sort.SITE}:{policy.site}"] if target == policy.site else []
    found.extend(f"{Sort.ZONE}:{zone.id}" for zone in policy.zones if target == zone.id)
    found.extend(
        f"{Sort.UNIT}:{zone.id}.{unit.id}"
        for zone in policy.zones
        for unit in (*zone.units, *zone.plant)
        if target in (unit.id, f"{zone.id}.{unit.id}")
    )
    edges = dict.fromkeys(edge for route in policy.routes for edge in route.edges)
    found.extend(f"{Sort.EDGE}:{edge}" for edge in edges if target == edge)
    return tuple(found)


def units_out(aside: SetAside, zone: str) -> tuple[str, ...]:
    """The units of a zone that are in maintenance."""
    prefix = f"{Sort.UNIT}:{zone}."
    return tuple(name.removeprefix(prefix) for name in aside.maintenance if name.startswith(prefix))


def edge_out(aside: SetAside, edge: str) -> bool:
    """Whether an edge is in maintenance."""
    return f"{Sort.EDGE}:{edge}" in aside.maintenance


def place_out(aside: SetAside, policy: Policy, zone: str | None) -> bool:
    """Whether the site, or this zone of it, is in maintenance."""
    return f"{Sort.SITE}:{policy.site}" in aside.maintenance or f"{Sort.ZONE}:{zone}" in aside.maintenance
