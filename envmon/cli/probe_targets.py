"""Whom probe calls dial: every edge of every route, for each of the two sites."""

from envmon.config.edge_settings import EdgeSettings
from envmon.config.settings import Settings
from envmon.model.event import Target
from envmon.runtime.watch import ProbeTarget

PRIMARY_PROBE = "envmon-probe-primary"


def probe_targets(settings: Settings) -> tuple[ProbeTarget, ...]:
    """Return what is called, in the order of the configuration."""
    edges = {edge.id: edge for edge in settings.edges}
    return tuple(
        _probe_target(route.id, edges[edge], target)
        for route in settings.policy.routes
        for edge in route.edges
        for target in Target
    )


def _probe_target(route: str, edge: EdgeSettings, target: Target) -> ProbeTarget:
    if target is Target.PRIMARY:
        return ProbeTarget(route, edge.id, target, edge.sip_host, edge.sip_port, PRIMARY_PROBE)
    there = (edge.sip_backup_host, edge.sip_backup_port) if edge.sip_backup_host else (edge.sip_host, edge.sip_port)
    return ProbeTarget(route, edge.id, target, *there, edge.probe_user)
