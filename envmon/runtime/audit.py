"""The journal's chain is followed at the start and once a day, beside everything else.

Rules
  - A fault is told and counted; nothing is repaired, and nothing stops: where the calls are, the edges know.
"""

import asyncio
import logging
from collections.abc import Callable

from envmon.host.threads import aside

log = logging.getLogger(__name__)

EVERY_S = 86_400.0


class Audit:
    """``verify`` follows the whole chain and returns the first fault, "" when there is none; it may take a while."""

    def __init__(self, verify: Callable[[], str], tell: Callable[[str], None], every_s: float = EVERY_S) -> None:
        self._verify = verify
        self._tell = tell
        self._every_s = every_s

    async def run(self) -> None:
        """Verify until cancelled."""
        while True:
            fault = await aside(self._verify)
            if fault:
                log.error("the journal is not what was written: %s", fault)
            self._tell(fault)
            await asyncio.sleep(self._every_s)
