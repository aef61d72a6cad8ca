"""What ``envmon edge check`` finds at an edge of any kind: does it answer, does it refuse an old epoch.

Rules
  - Nothing here moves a call: an old epoch is only stamped, and the edge must refuse it.
  - What cannot be tried says unknown and what would answer it; unknown is never a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from envmon.actuators.contract import Actuator, EdgeError, Fenced
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

FENCE_KEPT = {
    "kamailio": "in the edge's own memory and SQLite file",
    "dispatcher": "in a file of this host, for Kamailio's dispatcher keeps no epoch",
    "dns": "in the zone, beside the records, and changed with them",
    "webhook": "by the receiver",
    "rest": "in a file of this host, for a carrier keeps no epoch",
    "command": "by the program, on this host",
    "simulated": "by the simulation",
}
WARNINGS = {
    "dispatcher": "no daemon on another host is fenced: no standby; a reload of its list or a restart undoes the state",
    "dns": "callers follow when their TTL has passed; probe calls are the only proof",
    "rest": "no daemon on another host is fenced: no standby; the carrier's own reading and probe calls are the proof",
    "command": "a daemon on another host is not fenced: no standby",
    "simulated": "it moves no call",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``passed`` None is unknown; ``do`` is what to do about it, "" when nothing is to be done."""

    name: str
    passed: bool | None
    why: str
    do: str = ""


async def check_any(actuator: Actuator, settings: EdgeSettings, routes: Sequence[str]) -> list[Check]:
    """Check an edge through its own actuator. Never raises for an edge's fault."""
    try:
        found = await actuator.status()
    except EdgeError as error:
        return [Check("read-back", False, str(error), "nothing else can be checked until it answers")]
    checks = [read_back(found, routes), await _old_epoch(actuator, found)]
    kept = FENCE_KEPT[settings.kind]
    if warning := WARNINGS.get(settings.kind):
        checks.append(Check("fence-kept", None, f"its fence is kept {kept}; {warning}", "know it before you arm"))
    else:
        checks.append(Check("fence-kept", True, f"its fence is kept {kept}"))
    return checks


def read_back(found: Sequence[EdgeStatus], routes: Sequence[str]) -> Check:
    """Whether the edge reports every route it carries."""
    shown = {status.route: status for status in found}
    if missing := [route for route in routes if route not in shown]:
        text = f"it reports {', '.join(shown)}, and not {', '.join(missing)}"
        return Check("read-back", False, text, "name the same routes at the edge and in envmon's configuration")
    told = (f"{name} {each.percent} % under epoch {each.set_epoch}" for name, each in shown.items())
    return Check("read-back", True, f"it reports {'; '.join(told)}, fence {found[0].fence}")


async def _old_epoch(actuator: Actuator, found: Sequence[EdgeStatus]) -> Check:
    fence = found[0].fence
    if fence == 0:
        return unseen()
    try:
        await actuator.stamp(fence - 1)
    except Fenced:
        return Check("old-epoch", True, f"it refused epoch {fence - 1}: it has seen {fence}")
    except EdgeError as error:
        return Check("old-epoch", None, f"epoch {fence - 1} was not taken, nor refused as old: {error}", "see its log")
    text = f"it took epoch {fence - 1} after it had seen {fence}: an envmon that has lost the lease could command it"
    return Check("old-epoch", False, text, "it must compare the epoch with the newest it has seen, and keep that")


def unseen() -> Check:
    """No epoch to be older than."""
    text = "it has seen no epoch yet, so there is none to refuse"
    return Check("old-epoch", None, text, "check again once a daemon in automatic or held has stamped its epoch there")
