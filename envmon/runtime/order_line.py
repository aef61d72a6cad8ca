"""The order protocol of the Unix socket: one JSON object a line, one line back.

Rules
  - A request is ``{"command": ..., "route": ..., "reason": ...}``; ``route`` is "" for orders of the mode. ``override``
    and ``break_glass`` are true or false; ``request`` is what an ``approve`` is for.
    ``target`` is what maintenance and the shelf are about, ``until`` their end in Unix seconds; a hold may have one.
    ``deadline`` is until when the client waits for the answer, in seconds of CLOCK_BOOTTIME (clock_gettime(2)), which
    both share.
  - An answer has ``ok``; ``error`` says what is wrong with a request, ``refused`` and ``decisions`` how an order ended.
  - Unknown keys and commands are refused by name: an order is never guessed.
  - Texts are one printable line, a reason of at most ``REASON`` characters: whatever is asked, refused requests too, is
    remembered for a while, kept for a standby and shown to people.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from envmon.model.event import Command
from envmon.model.texts import line as printable
from envmon.runtime.engine import Answer

LINE = 4096  # bytes; a longer request is refused
STATUS = "status"
REASON = 400  # characters
NAME = 200  # characters of any other text
LATEST = 253_402_300_800  # the year 10000: a calendar ends there

_TEXTS = {"command", "route", "reason", "request", "target"}
_SWITCHES = {"override", "break_glass"}
_KEYS = _TEXTS | _SWITCHES | {"until", "deadline"}
_ASIDE = {Command.MAINTENANCE, Command.MAINTENANCE_END, Command.SHELVE, Command.UNSHELVE}
_LASTING = {Command.MAINTENANCE, Command.SHELVE}
_MAY_LAST = _LASTING | {Command.HOLD}
_COMMANDS = ", ".join([STATUS, *Command])


class RequestError(Exception):
    """The request cannot be understood; the text says why and what was expected."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. ``command`` None asks for the status."""

    command: Command | None
    route: str = ""
    reason: str = ""
    request: str = ""
    override: bool = False
    break_glass: bool = False
    target: str = ""
    until: float = 0.0
    deadline: float = 0.0


def parse(line: bytes) -> Request:
    """Read one request. Raises RequestError."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError('expected one JSON object a line, such as {"command": "status"}') from None
    return understood(fields)


def understood(fields: object) -> Request:
    """Understand the JSON of one request. Raises RequestError."""
    if not isinstance(fields, dict):
        raise RequestError('expected a JSON object, such as {"command": "status"}')
    if unknown := sorted(str(key) for key in fields.keys() - _KEYS):
        raise RequestError(f"unknown key {unknown[0][:40]!r}; known: {', '.join(sorted(_KEYS))}")
    texts = {key: _text(fields, key) for key in _TEXTS}
    if texts["command"] == STATUS:
        return Request(None)
    if texts["command"] not in set(Command):
        raise RequestError(f"unknown command {texts['command'][:40]!r}; known: {_COMMANDS}")
    if not texts["reason"]:
        raise RequestError(f"{texts['command']}: a reason is required; it goes into the journal")
    command = Command(texts["command"])
    if (command is Command.APPROVE) is not bool(texts["request"]):
        raise RequestError("request names what is approved: it belongs to approve, and to nothing else")
    override, break_glass = _switch(fields, "override"), _switch(fields, "break_glass")
    if override and command not in (Command.SHIFT, Command.RESTORE):
        raise RequestError(f"override is for shift and restore, not for {command}")
    until = _moment(fields, "until", "Unix seconds")
    if (command in _ASIDE) is not bool(texts["target"]) or (command in _LASTING and not until):
        raise RequestError("target belongs to maintenance and the shelf, and needs it; until ends what begins there")
    if until and command not in _MAY_LAST:
        raise RequestError(f"until is the end of a hold, of maintenance or of a shelved page, not of {command}")
    request = Request(command, texts["route"], texts["reason"], texts["request"], override, break_glass)
    deadline = _moment(fields, "deadline", "seconds of CLOCK_BOOTTIME")
    return replace(request, target=texts["target"], until=until, deadline=deadline)


def _moment(fields: Mapping[str, Any], key: str, what: str) -> float:
    value = fields.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise RequestError(f"{key} must be {what}")
    return float(value)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise RequestError(f"{key} must be a text, not {type(value).__name__}")
    most = REASON if key == "reason" else NAME
    if len(text := printable(value, LINE)) > most:
        raise RequestError(f"{key} is {len(text)} characters long, at most {most} are taken")
    return text


def _switch(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise RequestError(f"{key} must be true or false, not {type(value).__name__}")
    return value


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
            "waits": decision.waits,
        }
        for decision in given.decisions
    ]
    fields = {"ok": given.done, "order": order, "refused": given.refused, "decisions": told}
    return fields | ({"error": given.error} if given.error else {})


def encode(fields: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n"
