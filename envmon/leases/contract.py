"""What every lease promises: at most one holder, an epoch that only grows, no epoch without the lease."""

from typing import Protocol, Self


class LeaseError(Exception):
    """The lease cannot be taken or kept; the text says who holds it or what is broken."""


class Lease(Protocol):
    """The right to act. The epoch is an integer below 2**31 and is taken only at acquisition.

    ``former`` is the epoch of whoever held before the last ``acquire``, 0 where that is nobody, or nobody but us.
    """

    @property
    def former(self) -> int:
        """The epoch that the last ``acquire`` found."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def acquire(self, above: int) -> int:
        """Take the lease; the epoch is greater than ``above`` and than any given before. Raises LeaseError."""
        ...

    async def held(self) -> bool:
        """Whether it is still ours, by our own clock."""
        ...
