"""What every pager promises: one page in, delivered or not; the queue above it does the rest."""

from dataclasses import dataclass
from typing import Protocol, Self

from envmon.model.effect import Page


class PagerError(Exception):
    """The page was not accepted. ``retry`` says whether trying again makes sense (a 400 does not)."""

    def __init__(self, text: str, *, retry: bool) -> None:
        super().__init__(text)
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page ready to leave: the queue's number (stable over retries), the Unix time it was raised, the site."""

    number: int
    wall: float
    site: str
    page: Page


class Pager(Protocol):
    """An async context manager around one way to reach people."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, envelope: Envelope) -> None:
        """Deliver once. Raises PagerError."""
        ...
