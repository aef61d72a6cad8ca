"""Edges that keep no epoch themselves, from the file's shape to frozen settings: dispatcher, and a carrier's API."""

from pathlib import Path

from envmon.config.edge_settings import DispatcherSettings, DispatcherTargets, RestRoute, RestSettings
from envmon.config.shape_levers import DispatcherEntry
from envmon.config.shape_rest import RestEntry


def dispatcher_of(entry: DispatcherEntry, memory: Path) -> DispatcherSettings:
    """Settings of a sound entry; the epochs are kept in the file ``memory``."""
    targets = (DispatcherTargets(route, each.set, tuple(each.uris)) for route, each in entry.routes.items())
    return DispatcherSettings(tuple(targets), memory)


def rest_of(entry: RestEntry, memory: Path) -> RestSettings:
    """Settings of a sound entry; the epochs are kept in the file ``memory``."""
    routes = (
        RestRoute(
            route=route,
            url=each.url,
            method=each.method,
            form=each.body == "form",
            fields=tuple(each.fields.items()),
            read=each.read,
            read_url=each.read_url or "",
            primary=each.primary,
            backup=each.backup,
            expect=tuple(each.expect.items()),
        )
        for route, each in entry.routes.items()
    )
    return RestSettings(tuple(routes), memory, entry.username or "", entry.header or "")
