"""Placement: losing a zone must not also lose the lever that leaves it.

Rules
  - The lever of a route is this daemon, at least one of its edges, and at least one way to reach people.
  - Each must have a part that stands outside every single zone the route depends on.
  - A route without edges, without backup zones, and a site without a pager have no lever at all.
  - A broker is no lever: nothing waits for it.
  - A lease in etcd is part of the lever: more than half of its members must stand outside every such zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envmon.config.fault import Path
from envmon.config.shape import RouteEntry, SiteFile


@dataclass(frozen=True, slots=True)
class Misplaced:
    """One reason why ``automatic`` is refused: where in the file, and the sentence."""

    path: Path
    text: str


def placement(site: SiteFile) -> tuple[Misplaced, ...]:
    """Every reason why this site may not move calls by itself."""
    found: list[Misplaced] = []
    if not site.routes:
        found.append(Misplaced(("mode",), "there is no route: nothing could be moved"))
    if not site.pagers:
        found.append(Misplaced(("mode",), "there is no pager: nobody would be told of a move"))
    for name, route in site.routes.items():
        found += _lacks(name, route)
        for zone in route.depends_on:
            found += _lost_with(site, name, route, zone)
    return tuple(dict.fromkeys(found))


def _lacks(name: str, route: RouteEntry) -> Iterator[Misplaced]:
    if not route.edges:
        yield Misplaced(("routes", name), f"route {name} has no edges: nothing could be commanded")
    if not route.backup:
        yield Misplaced(("routes", name), f"route {name} has no backup zones: there is nowhere to go")


def _lost_with(site: SiteFile, name: str, route: RouteEntry, zone: str) -> Iterator[Misplaced]:
    leaving = f"the zone route {name} must be able to leave"
    if site.daemon.zone == zone:
        yield Misplaced(("daemon", "zone"), f"the daemon stands in {zone}, {leaving}")
    if route.edges and all(site.edges[edge].zone == zone for edge in route.edges):
        edges = ", ".join(route.edges)
        yield Misplaced(("routes", name, "edges"), f"every edge of route {name} ({edges}) stands in {zone}, {leaving}")
    members = site.lease.endpoints
    lost = [member for member, endpoint in members.items() if endpoint.zone == zone]
    if 2 * (len(members) - len(lost)) <= len(members) and lost:
        there = f"{len(lost)} of {len(members)} members of the lease ({', '.join(lost)}) stand in {zone}, {leaving}"
        yield Misplaced(("lease", "endpoints"), f"{there}: no majority would be left, and nobody could act")
    if site.pagers and all(pager.zone == zone for pager in site.pagers.values()):
        yield Misplaced(("pagers",), f"every pager ({', '.join(site.pagers)}) starts in {zone}, {leaving}")
