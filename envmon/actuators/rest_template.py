"""What a carrier's own API is asked, and how its answer is read: a template filled in, nothing that is executed.

Rules
  - A field is a name, or a JSON Pointer (RFC 6901) into nested objects; a text that is one placeholder alone keeps the
    placeholder's own kind, a number, in JSON.
  - What is read back must be exactly a position the template names: a share that is no whole percentage, or a value
    that is neither the primary's nor the backup's, is an error and never a guess.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from envmon.config.edge_settings import RestRoute
from envmon.config.values import shown

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


def body_of(route: RestRoute, percent: int, epoch: int) -> tuple[str, bytes]:
    """The content type and the body that send ``percent`` of new calls to the backup."""
    known: dict[str, str | int | bool] = {
        "value": value_of(route, percent),
        "percent": percent,
        "remainder": 100 - percent,
        "epoch": epoch,
        "route": route.route,
    }
    fields = {name: _filled(field, known) for name, field in route.fields}
    if route.form:
        return "application/x-www-form-urlencoded", urlencode({name: shown(f) for name, f in fields.items()}).encode()
    told: dict[str, Any] = {}
    for name, field in fields.items():
        *above, last = _steps(name) if name.startswith("/") else (name,)
        inner = told
        for step in above:
            inner = inner.setdefault(step, {})
        inner[last] = field
    return "application/json", json.dumps(told).encode()


def value_of(route: RestRoute, percent: int) -> str | int | bool:
    """What the API holds for ``percent``. Raises ValueError for a share that it cannot hold."""
    if not route.all_or_nothing:
        return percent
    if percent not in (0, 100):
        raise ValueError(f"the percent must be 0 or 100, not {percent}: its template names nothing between")
    value = route.backup if percent else route.primary
    assert value is not None  # noqa: S101 - all or nothing: both are given
    return value


def percent_of(route: RestRoute, answer: Any) -> int:
    """The share of new calls that goes to the backup, as the API tells it. Raises ValueError."""
    for pointer, wanted in route.expect:
        if shown(found := at(answer, pointer)) != shown(wanted):
            raise ValueError(f"it shows {_quoted(found)} at {pointer}, not {shown(wanted)}: the position means nothing")
    found = at(answer, route.read)
    if route.all_or_nothing:
        for percent, value in ((0, route.primary), (100, route.backup)):
            if value is not None and shown(found) == shown(value):
                return percent
        both = f"neither {shown(route.primary)} (primary) nor {shown(route.backup)} (backup)"
        raise ValueError(f"it shows {_quoted(found)} at {route.read}, {both}")
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= 100:
        raise ValueError(f"it shows {_quoted(found)} at {route.read}, no whole percentage")
    return found


def at(answer: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer; whole numbers are steps into lists. Raises ValueError."""
    found = answer
    for step in _steps(pointer):
        match found:
            case dict() if step in found:
                found = found[step]
            case list() if step.isascii() and step.isdigit() and len(step) < 9 and int(step) < len(found):
                found = found[int(step)]
            case _:
                raise ValueError(f"its answer has no {pointer}")
    return found


def _filled(field: str | int | bool, known: Mapping[str, str | int | bool]) -> str | int | bool:
    if not isinstance(field, str):
        return field
    alone = _PLACEHOLDER.fullmatch(field)
    return known[alone[1]] if alone else _PLACEHOLDER.sub(lambda found: shown(known[found[1]]), field)


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _quoted(found: object) -> str:
    return repr(found)[:60]
