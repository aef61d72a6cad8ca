"""What every probe promises: one real call through one edge, ended properly, judged by who answered."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe call ended. ``answered_by`` is the Contact of the far end; ``detail`` is for people.

    ``call_id`` is the call's name at every element it passed, "" when no call was sent.
    """

    answered: bool
    answered_by: str
    detail: str
    millis: float
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """The answer to OPTIONS (RFC 3261 11): its ``status``, 0 without any; ``detail`` is for people."""

    status: int
    detail: str


class Probe(Protocol):
    """Places probe calls."""

    async def call(self, host: str, port: int, user: str) -> ProbeResult:
        """Call ``sip:user@host:port``, hang up, say how it went. Never raises for a network's fault."""
        ...

    async def options(self, host: str, port: int) -> Sign:
        """Ask ``sip:host:port`` for a sign of life. Never raises for a network's fault."""
        ...
