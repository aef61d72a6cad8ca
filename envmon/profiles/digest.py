"""What a profile reads and how it is understood, as one number: a record of commissioning stands for exactly this.

Rules
  - Comments, sources, identification, limits and intervals leave the digest as it is: the readings do not change.
  - The digest comes from the text, not from our own data structures, so that a new version of envmon keeps it.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

_MATTERS = ("profile", "protocol", "points", "tables", "conditions", "repeat")
_ORDERS = ("word_order", "byte_order")
_IDLE = "interval"


def digest(data: Mapping[str, Any], included: Iterable[str]) -> str:
    """Return the SHA-256 of what matters in a profile's ``data``; ``included`` are the digests of what it includes."""
    told = {key: data[key] for key in _MATTERS if key in data}
    modbus, snmp = data.get("modbus") or {}, data.get("snmp") or {}
    told["orders"] = {key: modbus[key] for key in _ORDERS if key in modbus}
    told["base"] = snmp.get("base", "")
    return sha256(json.dumps([_plain(told), list(included)]).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return ``value`` in one order, whatever the order and the types of its keys."""
    if isinstance(value, Mapping):
        return sorted([repr(key), _plain(inner)] for key, inner in value.items() if key != _IDLE)
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
