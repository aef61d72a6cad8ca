"""What every probe promises: one real call through one edge, ended properly, judged by who answered."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe call ended. ``answered_by`` is the Contact of the far end; ``detail`` is for people."""

    answered: bool
    answered_by: str
    detail: str
    millis: float


class Probe(Protocol):
    """Places probe calls."""

    async def call(self, host: str, port: int, user: str) -> ProbeResult:
        """Call ``sip:user@host:port``, hang up, say how it went. Never raises for a network's fault."""
        ...
