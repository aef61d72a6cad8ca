"""What every publisher promises: it listens to the loop and can never slow or stop it.

Rules
  - ``offer_*`` never blocks and never raises; what does not fit is dropped, oldest first, and counted.
  - ``run`` lives as long as the daemon and heals by itself.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from envmon.model.event import DeviceBatch


class Publisher(Protocol):
    """A listener to the loop."""

    def offer_batch(self, batch: DeviceBatch) -> None:
        """A device was polled."""
        ...

    def offer_status(self, status: Mapping[str, Any]) -> None:
        """The status changed (or a second passed): see ``core.status``."""
        ...

    async def run(self) -> None:
        """Deliver until cancelled."""
        ...
