"""Which pages a pager is told of, where it asked for some kinds: "the last call has left, power may go", nothing else.

Rules
  - The kind of a page is the last part of its key: the id of a rule (``T23``), or a word (``thermal``, ``not-ready``).
  - A page of another kind is never the pager's: it does not count as delivered, and says nothing of whether it lives.
"""

from collections.abc import Collection

from envmon.model.effect import Page


def concerns(page: Page, kinds: Collection[str]) -> bool:
    """Whether a pager that asked for ``kinds`` (none: all) is told of this page."""
    return not kinds or page.key.rpartition("/")[2] in kinds
