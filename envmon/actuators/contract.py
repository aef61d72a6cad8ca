"""What every actuator promises: one edge, read back, fenced, idempotent.

Rules
  - A write carries its epoch; an edge that has seen a newer one refuses and the adapter raises ``Fenced``.
  - A write returns only when the edge has stored what must survive its own restart, and read it back.
  - ``status`` reports what the edge says, never what we sent.
"""

from typing import Protocol, Self

from envmon.model.event import EdgeStatus


class EdgeError(Exception):
    """The edge did not do it: silent, refused, or answered something else. The text says which."""


class Fenced(EdgeError):  # noqa: N818 - it says what happened; the base says it is an error
    """The edge has seen a newer epoch than ours: somebody else holds the right to act."""

    def __init__(self, text: str, fence: int) -> None:
        super().__init__(text)
        self.fence = fence


class Actuator(Protocol):
    """An async context manager around one edge. Every call ends within the edge's own deadline."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def status(self) -> tuple[EdgeStatus, ...]:
        """What the edge reports now, one status per route it knows. Raises EdgeError."""
        ...

    async def stamp(self, epoch: int) -> None:
        """Show the edge our epoch; moves no traffic. Raises Fenced, EdgeError."""
        ...

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        ...
