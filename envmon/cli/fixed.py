"""What only a restart can change: a reload that would is refused."""

from envmon.config.settings import Settings

FIXED = (
    "site, lease, people, edges, routes, their edges, proofs, judgement.probe_every, publish.http, web.orders.listen, "
    "daemon.state_dir, socket, recordings_mb"
)


def fixed(settings: Settings) -> object:
    """What only a restart can change."""
    daemon = settings.daemon
    routes = [(route.id, route.edges) for route in settings.policy.routes]
    return (
        settings.policy.site,
        settings.lease,
        settings.people,
        settings.edges,
        settings.proofs,
        settings.probe_every_s,
        settings.http,
        (settings.orders.host, settings.orders.port) if settings.orders else None,
        (daemon.state_dir, daemon.socket, daemon.recordings_mb),
        routes,
    )
