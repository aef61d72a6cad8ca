"""A pager that reaches nobody: it keeps what it was given, for demonstrations, rehearsals and tests."""

from collections import deque
from typing import Self

from envmon.config.settings import PagerSettings
from envmon.pagers.contract import Envelope, PagerError

KEPT = 1000  # pages; the oldest go first


class SimulatedPager:
    """``delivered`` holds the newest pages; while ``fault`` is set every page is refused with it."""

    def __init__(self, settings: PagerSettings) -> None:
        self.id = settings.id
        self.delivered: deque[Envelope] = deque(maxlen=KEPT)
        self.fault: PagerError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def send(self, envelope: Envelope) -> None:
        """Keep the page. Raises PagerError while ``fault`` says so."""
        if self.fault is not None:
            raise self.fault
        self.delivered.append(envelope)
