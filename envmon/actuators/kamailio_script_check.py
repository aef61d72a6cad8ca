"""What a Kamailio script must have for envmon's include to work in it: the site is asked, and a retry is left open.

Rules
  - A call of a route that is in the script is found; whether a condition ever lets it happen is for the operator.
"""

from collections.abc import Iterator
from pathlib import Path

from envmon.actuators.checks import Check
from envmon.actuators.kamailio_script import Script, ScriptError, read

_OPEN_TRANSPORTS = ("tcp", "udp", "udp4", "udp6")
_PASSING = ("/run/", "/var/run/", "/dev/shm/")  # noqa: S108 - named as what must not be used


def check_script(path: Path) -> list[Check]:
    """Every finding about a script."""
    try:
        script = read(path)
    except ScriptError as error:
        return [Check("script", None, str(error), "give the script that Kamailio runs, where it can be read")]
    if "route[ENVMON_HTTP]" not in script.blocks:
        text = f"{path} does not include envmon.cfg"
        return [Check("script", False, text, "include it after the loadmodule lines, or name the script that does")]
    return [_pick(script), _retry(script), _doors(script), *_disk(script)]


def _pick(script: Script) -> Check:
    if "route[ENVMON_PICK]" in script.reached("request_route"):
        return Check("pick", True, "request_route leads to ENVMON_PICK")
    text = "nothing that request_route leads to calls route(ENVMON_PICK): no new call is ever sent to the backup"
    return Check("pick", False, text, "call it for a new INVITE, after t_newtran() and record_route()")


def _retry(script: Script) -> Check:
    armed = sorted({name for block in script.reached("request_route").values() for name in block.arms})
    trying = [name for name in armed if "route[ENVMON_RETRY]" in script.reached(f"failure_route[{name}]")]
    if trying:
        return Check("retry", True, f"failure_route {', '.join(trying)} is armed and asks ENVMON_RETRY")
    if armed:
        text = f"failure_route {', '.join(armed)} is armed, and never asks ENVMON_RETRY"
    else:
        text = "no t_on_failure() is called where new calls are sent on"
    do = "retry at the backup in it, as deploy/kamailio/README.md shows: a server that dies is faster than envmon"
    return Check("retry", False, text, do)


def _doors(script: Script) -> Check:
    """Ways to command this Kamailio from elsewhere that do not ask the include."""
    found = list(_open_doors(script))
    if found:
        return Check("doors", False, "; ".join(found), "close them, or bind them to a Unix socket of this host")
    return Check("doors", True, "the script opens no RPC to the network")


def _open_doors(script: Script) -> Iterator[str]:
    for name in sorted(script.blocks):
        if not name.startswith("event_route[xhttp"):
            continue
        for inner, block in script.reached(name).items():
            if door := block.functions & {"jsonrpc_dispatch", "dispatch_rpc", "xhttp_rpc_dispatch"}:
                yield f"{name} leads to {', '.join(sorted(door))}() in {inner}"
    if "xmlrpc" in script.modules:
        yield "module xmlrpc answers on every TCP port"
    for module, name, value in script.params:
        if module == "ctl" and name == "binrpc" and value.partition(":")[0] in _OPEN_TRANSPORTS:
            yield f"ctl binrpc listens on {value}"
        if module == "jsonrpcs" and name in ("tcp_socket", "dgram_socket") and _is_network(value):
            yield f"jsonrpcs {name} listens on {value}"


def _is_network(value: str) -> bool:
    return value.partition(":")[0] in _OPEN_TRANSPORTS or (":" in value and not value.startswith("/"))


def _disk(script: Script) -> Iterator[Check]:
    """Where the position is kept, when that is told outright and is no place to keep anything."""
    for module, name, value in script.params:
        path = f"/{value.partition('sqlite://')[2].lstrip('/')}"
        if (module, name) == ("sqlops", "sqlcon") and path.startswith(_PASSING):
            text = f"the position is kept in {path}, which does not outlive the machine"
            yield Check("disk", False, text, "name a file below /var/lib in ENVMON_DB")
