"""What every driver promises: one device, one request in flight, no way to write.

Rules
  - ``poll`` returns one reading per point of the device, in profile order, whatever happened to single points.
  - ``poll`` raises ``DeviceError`` when the device as a whole did not answer; the poller marks every point missing.
  - ``poll`` ends within the device's own deadline and leaves the driver ready for the next poll. The deadline does
    not run while other devices of a shared line have their turn (``modbus_line``).
"""

from collections.abc import Sequence
from typing import Protocol, Self

from envmon.model.reading import Reading, Reason


class DeviceError(Exception):
    """The device's fault or its network's: ``reason`` for the readings, the text for people."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason

    def anew(self) -> "DeviceError":
        """Return the same fault without the frames that this one has passed through, and keeps.

        Whoever raises a fault that a variable of its own names raises it anew: the two would keep each other, and all
        that the poll has held, until the garbage collector looks; a fleet with dead devices makes megabytes of that.
        """
        return DeviceError(self.reason, str(self))


class Driver(Protocol):
    """An async context manager around one device; entering opens nothing that can fail, polling connects."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def poll(self) -> Sequence[Reading]:
        """Read every point once. Raises DeviceError."""
        ...
