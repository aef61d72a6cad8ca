"""What only a restart can change: a reload that would is refused.

Rules
  - A daemon that started beside a looser file (``remembered``) goes on without that file's people and its door. Once
    two people have accepted the file, all else of it takes force, and those two at a restart: that is no fault.
"""

from envmon.config.settings import Settings
from envmon.runtime.parts import ReloadError

FIXED = (
    "site, lease, people, edges, routes, their edges, proofs, judgement.probe_every, publish.http, web.orders.listen, "
    "daemon.state_dir, socket, recordings_mb"
)
AT_RESTART = "accepted; people and web.orders follow at a restart"


def at_restart(new: Settings, ours: Settings, asked: Settings) -> str:
    """What of a new configuration waits for a restart, "" for nothing.

    ``ours`` is what the daemon started with, ``asked`` what its file said then. Raises ReloadError where something
    else that is fixed would change.
    """
    if fixed(new) == fixed(ours):
        return ""
    if fixed(new) == fixed(asked):
        return AT_RESTART
    raise ReloadError(f"{FIXED}: only a restart can change these")


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
