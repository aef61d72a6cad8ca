"""What ``/healthz`` and the status page say is wrong with the daemon itself, by part; nothing when it is well."""

from collections.abc import Mapping
from typing import Any

from envmon.pagers.queue import PageQueue

SLOW_TICK_S = 10.0  # without a tick: the engine is stuck


def faults(daemon: Mapping[str, Any], pages: PageQueue | None, traps: str, recorder: str) -> Mapping[str, str]:
    """Return the faults: ``daemon`` is the runtime's own part of the status, the texts are what the others suffer."""
    found: dict[str, str] = {}
    if daemon["engine_silence_s"] > SLOW_TICK_S:
        found["engine"] = f"it has taken no tick for {daemon['engine_silence_s']:.0f} s"
    if daemon["journal"]["failure"]:
        found["journal"] = daemon["journal"]["failure"]
    elif not daemon["journal"]["has_room"]:
        found["journal"] = "the disk has no room for the lines of one whole episode"
    if pages is not None and not pages.durable:
        found["pages"] = "undelivered pages are kept in memory only"
    if pages is not None:
        found |= {f"pager {name}": trouble for name, trouble in pages.troubles.items()}
    if traps:
        found["traps"] = f"no notifications are received, polling goes on: {traps}"
    if recorder:
        found["recorder"] = f"nothing is recorded, all else goes on: {recorder}"
    if daemon["reload_error"]:
        found["reload"] = daemon["reload_error"]
    return found
