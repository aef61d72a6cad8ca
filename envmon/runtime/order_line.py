"""The order protocol of the Unix socket: one JSON object a line, one line back.

Rules
  - A request is ``{"command": ..., "route": ..., "reason": ...}``; ``route`` is "" for orders of the mode. An answer
    has ``ok``; ``error`` says what is wrong with a request, ``refused`` and ``decisions`` tell how an order ended.
  - Unknown keys and commands are refused by name: an order is never guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envmon.model.event import Command
from envmon.runtime.engine import Answer

LINE = 4096  # bytes; a longer request is refused
STATUS = "status"

_KEYS = {"command", "route", "reason"}
_COMMANDS = ", ".join([STATUS, *Command])


class RequestError(Exception):
    """The request cannot be understood; the text says why and what was expected."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. ``command`` None asks for the status."""

    command: Command | None
    route: str = ""
    reason: str = ""


def parse(line: bytes) -> Request:
    """Read one request. Raises RequestError."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError('expected one JSON object a line, such as {"command": "status"}') from None
    if not isinstance(fields, dict):
        raise RequestError('expected a JSON object, such as {"command": "status"}')
    if unknown := sorted(str(key) for key in fields.keys() - _KEYS):
        raise RequestError(f"unknown key {unknown[0][:40]!r}; known: {', '.join(sorted(_KEYS))}")
    texts = {key: _text(fields, key) for key in _KEYS}
    if texts["command"] == STATUS:
        return Request(None)
    if texts["command"] not in set(Command):
        raise RequestError(f"unknown command {texts['command'][:40]!r}; known: {_COMMANDS}")
    if not texts["reason"]:
        raise RequestError(f"{texts['command']}: a reason is required; it goes into the journal")
    return Request(Command(texts["command"]), texts["route"], texts["reason"])


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise RequestError(f"{key} must be a text, not {type(value).__name__}")
    return " ".join(value.split())


def error(text: str) -> dict[str, Any]:
    """Answer a request that was not understood or could not be carried out."""
    return {"ok": False, "error": text}


def answer(given: Answer, order: str) -> dict[str, Any]:
    """Answer an order: whether it was done, and every decision with its rule, sentence and facts."""
    told = [
        {
            "rule": decision.rule,
            "subject": decision.subject,
            "sentence": decision.sentence,
            "why": decision.why,
            "facts": dict(decision.facts),
            "refused": decision.refused,
        }
        for decision in given.decisions
    ]
    fields = {"ok": given.done, "order": order, "refused": given.refused, "decisions": told}
    return fields | ({"error": given.error} if given.error else {})


def encode(fields: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n"
