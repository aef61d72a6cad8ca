"""``envmon status`` and the orders: ask the running daemon over its socket or over HTTPS, and say what it answered.

Rules
  - Exit code 0: done; 2: refused, with the rule and the facts; 3: waits for a second person; 1: could not be asked.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from envmon.cli.desk import Desk
from envmon.runtime.ask import AskError

REFUSED = 2
WAITS = 3
FIELDS = ("command", "route", "reason", "request", "override", "break_glass", "target", "until")


def status(desk: Desk, *, as_json: bool) -> int:
    """Print the status of the daemon behind ``desk``."""
    try:
        told = desk.status()
    except AskError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told, indent=2, sort_keys=True) if as_json else "\n".join(lines(told)))
    return 0


def request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line asks, as the socket takes it."""
    return {field: asked[field] for field in FIELDS if asked.get(field)}


def order(desk: Desk, asked: Mapping[str, Any]) -> int:
    """Give an order and print how it was answered."""
    try:
        answer = desk.ask(asked)
    except AskError as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    for decision in answer.get("decisions", ()):
        print(f"{decision['rule']} {decision['subject']}: {decision['sentence']}")
        if decision["why"]:
            print(f"   {decision['why']}")
        if decision["refused"]:
            print("   facts: " + ", ".join(f"{name}={value}" for name, value in decision["facts"].items()))
    if answer.get("error"):
        print(f"envmon: {answer['error']}", file=sys.stderr)
        return 1
    if any(decision["waits"] for decision in answer["decisions"]):
        return WAITS
    return REFUSED if answer["refused"] else 0


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The status for people, most important first."""
    armed = told.get("armed", {"now": False, "why": "no policy in force"})
    yield f"{told['site']}: {told['mode']}, {'armed' if armed['now'] else 'not armed'} ({armed['why']})"
    if hold := told.get("hold"):
        yield f"held by {hold['who']} ({hold['reason']}), {hold['left_s'] // 60} min left; envmon hold again extends it"
    if standby := told.get("standby"):
        could = "and could go on for it" if standby["inherits"] else "but could NOT go on for it"
        yield f"stands by for {standby['for']}, {could}: {standby['why']}"
    for name, route in told["routes"].items():
        percent = "?" if route["percent"] is None else route["percent"]
        yield f"route {name}: {route['position']}, {percent} % to the backup, ready: {route['ready']}"
        if route["why"]:
            yield f"   {route['why']}"
        for item, check in route["readiness"].items():
            mark = {True: "pass", False: "FAIL", None: "unknown"}[check["pass"]]
            yield f"   {item}: {mark}, {check['why']}"
    if told.get("looser_policy"):
        yield f"a looser policy waits for two people (envmon accept): {'; '.join(told['looser_policy'])}"
    for name, asked in told.get("requests", {}).items():
        what = f"{asked['command']} {asked['route']}".rstrip() + (" against the rules" if asked["override"] else "")
        yield f"waits for a second person, {asked['left_s']} s: {asked['who']} orders {what} ({asked['reason']})"
        yield f"   envmon approve {name} --reason ...   (state {asked['state']})"
    for name, zone in told["zones"].items():
        yield f"zone {name}: {zone['verdict']} ({zone['basis']}), N+{zone['n_plus']}, {zone['why']}"
    yield from _storm(told.get("storm", {}))
    yield from _aside(told)
    for name, device in told["devices"].items():
        if not device["up"]:
            yield f"device {name}: {device['error']}"
    if told.get("daemon", {}).get("reload_error"):
        yield f"reload refused: {told['daemon']['reload_error']}"
    if told.get("daemon", {}).get("at_restart"):
        yield f"the configuration: {told['daemon']['at_restart']}"


def _storm(storm: Mapping[str, Any]) -> Iterator[str]:
    """The posture where it is not calm."""
    if storm.get("posture", "calm") != "calm":
        yield f"posture {storm['posture']}: {storm['why']}"


def _aside(told: Mapping[str, Any]) -> Iterator[str]:
    for name, each in told.get("maintenance", {}).items():
        yield f"maintenance {name}: {each['left_s'] // 60} min left, by {each['who']} ({each['reason']})"
    for key, each in told.get("shelved", {}).items():
        yield f"shelved {key}: {each['left_s'] // 60} min left, by {each['who']} ({each['reason']})"
        yield f"   {each['says'] or 'its condition is gone'}"
