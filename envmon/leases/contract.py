"""What every lease promises: at most one holder, an epoch that only grows, no epoch without the lease.

Rules
  - Beside the lease lies what its holder leaves to whoever follows (``keep``); only who holds the lease can write it.
"""

from dataclasses import dataclass
from typing import Protocol, Self


class LeaseError(Exception):
    """The lease cannot be taken or kept; the text says who holds it or what is broken."""


class TakenError(LeaseError):
    """Another ``holder`` has the lease."""

    def __init__(self, text: str, holder: str) -> None:
        super().__init__(text)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies under the lease, "" where nothing does, and the ``epoch`` of the holder it is of.

    ``latest`` is the newest epoch there was when it was read. ``age_s`` is how old it was then at most, by our own
    clock; None where we had not looked a moment before it was kept.
    """

    text: str = ""
    epoch: int = 0
    latest: int = 0
    age_s: float | None = None


class Lease(Protocol):
    """The right to act. The epoch is an integer below 2**31 and is taken only at acquisition.

    ``former`` is the epoch of whoever held before the last ``acquire``, 0 where that is nobody, or nobody but us.
    ``kept`` is what the last ``acquire`` found, whether it was refused or not. ``ttl_s`` is how long a holder that died
    keeps others out, 0 where nobody can follow: then nothing need be kept.
    """

    ttl_s: float

    @property
    def former(self) -> int:
        """The epoch that the last ``acquire`` found."""
        ...

    @property
    def kept(self) -> Kept:
        """What the last ``acquire`` found under the lease."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def acquire(self, above: int) -> int:
        """Take the lease; the epoch is greater than ``above`` and than any given before.

        Raises TakenError, and LeaseError where it cannot be had for another reason.
        """
        ...

    async def held(self) -> bool:
        """Whether it is still ours, by our own clock."""
        ...

    async def keep(self, epoch: int, text: str) -> None:
        """Replace what lies under the lease, while it is ours under ``epoch``. Raises LeaseError: it may not be."""
        ...
