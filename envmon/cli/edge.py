"""``envmon edge check NAME``: whether an edge would do what a failover needs of it, told finding by finding.

Rules
  - Exit code 0: all pass; 2: something fails; 3: nothing fails, but something is unknown; 1: it could not be asked.
  - Nothing here moves a call; it runs beside the daemon, with the edge's own credential.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from envmon.actuators import ACTUATORS
from envmon.actuators.checks import Check, check_any
from envmon.actuators.kamailio_check import KamailioCheck, Wish
from envmon.cli.configured import configured
from envmon.config import ConfigError
from envmon.config.edge_settings import EdgeSettings
from envmon.config.settings import Settings

FAILS, UNKNOWN = 2, 3
RESTART_S = 300.0  # to restart a proxy by hand


def check_edge(config: Path, name: str, script: Path | None, restart: bool, *, as_json: bool) -> int:
    """Check one configured edge and print what was found."""
    try:
        settings = configured(config).settings
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 1
    edge = next((each for each in settings.edges if each.id == name), None)
    if edge is None:
        known = ", ".join(each.id for each in settings.edges) or "none"
        print(f"envmon: no edge is called {name!r} in {config}; edges: {known}", file=sys.stderr)
        return 1

    def waiting() -> None:
        print(f"restart {name} now; waiting {RESTART_S / 60:.0f} min for it", file=sys.stderr, flush=True)

    wish = Wish(_routes(settings, name), script, RESTART_S if restart else 0.0, waiting)
    checks = asyncio.run(_check(edge, wish))
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        print(f"edge {name}, kind {edge.kind}, {edge.url or edge.sip_host}")
        for check in checks:
            print(_line(check))
    if any(check.passed is False for check in checks):
        return FAILS
    return UNKNOWN if any(check.passed is None for check in checks) else 0


async def _check(edge: EdgeSettings, wish: Wish) -> list[Check]:
    if edge.kind == "kamailio":
        return await KamailioCheck(edge).run(wish)
    async with ACTUATORS[edge.kind](edge) as actuator:
        return await check_any(actuator, edge, wish.routes)


def _routes(settings: Settings, edge: str) -> tuple[str, ...]:
    return tuple(route.id for route in settings.policy.routes if edge in route.edges)


def _line(check: Check) -> str:
    mark = {True: "pass   ", False: "FAIL   ", None: "unknown"}[check.passed]
    do = f"\n        do: {check.do}" if check.do and check.passed is not True else ""
    return f"{mark} {check.name}: {check.why}{do}"
