"""The clock every simulated thing lives by: virtual seconds since the start of the run.

Rules
  - Plants, storms and call lengths use this clock; the deadlines of sockets stay in real time.
"""

from typing import Protocol


class Clock(Protocol):
    """Virtual time. It may run faster than real time, never backwards."""

    def now(self) -> float:
        """Virtual seconds since the start of the run."""
        ...

    async def sleep(self, virtual_s: float) -> None:
        """Return after ``virtual_s`` virtual seconds."""
        ...
