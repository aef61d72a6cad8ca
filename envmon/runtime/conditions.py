"""Pages about the daemon itself: raised once when a condition begins, resolved once when it is over.

Rules
  - What the core can know, the core pages; here is only what it cannot: the journal under it.
"""

from collections.abc import Callable

from envmon.model.effect import Page, Urgency


class Conditions:
    """``page`` takes every page; ``site`` names it in the keys."""

    def __init__(self, page: Callable[[Page], None], site: Callable[[], str]) -> None:
        self._page = page
        self._site = site
        self._raised: set[str] = set()

    def tell(self, key: str, fault: str, over: str, urgency: Urgency = Urgency.ERROR) -> None:
        """Say how a condition stands: ``fault`` is "" while there is none, ``over`` is told when it has ended."""
        if bool(fault) == (key in self._raised):
            return
        self._raised ^= {key}
        site = self._site()
        self._page(Page(f"envmon/{site}/{key}", bool(fault), urgency, f"{site}: {fault or over}"))
