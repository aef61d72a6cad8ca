"""What every pager promises: one page in, delivered or not; the queue above it does the rest."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from envmon.model.effect import Page


class Again(StrEnum):
    """Whether a page that was not accepted is tried again."""

    SOON = "soon"  # nobody took it: for ever, at most a minute apart
    SLOWLY = "slowly"  # refused, by what somebody may mend (a token, an address, a script): minutes apart, for a day
    NEVER = "never"  # the receiver says in so many words that it is not to be sent again


class PagerError(Exception):
    """The page was not accepted."""

    def __init__(self, text: str, again: Again = Again.SOON) -> None:
        super().__init__(text)
        self.again = again


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
