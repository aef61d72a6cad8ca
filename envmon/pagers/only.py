"""A pager that is told of some kinds of pages only: "the last call has left, power may go", and nothing else.

Rules
  - The kind of a page is the last part of its key: the id of a rule (``T23``), or a word (``thermal``, ``not-ready``).
  - A page of another kind counts as delivered.
"""

from collections.abc import Collection
from typing import Self

from envmon.pagers.contract import Envelope, Pager


class Only:
    """``pager`` behind a sieve; see ``contract.Pager``."""

    def __init__(self, pager: Pager, kinds: Collection[str]) -> None:
        self._pager = pager
        self._kinds = frozenset(kinds)

    async def __aenter__(self) -> Self:
        await self._pager.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._pager.__aexit__(*exc)

    async def send(self, envelope: Envelope) -> None:
        """Deliver once, if it is ours. Raises PagerError."""
        if envelope.page.key.rpartition("/")[2] in self._kinds:
            await self._pager.send(envelope)
