"""What every weather service's adapter promises: one bounded look, and never silence taken for a clear sky."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from envmon.model.weather import WeatherWarning


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. With an ``error`` the warnings are those that could be read, not all there are.

    ``again_s`` is how long the service asked to be left alone, 0 when it did not.
    """

    warnings: tuple[WeatherWarning, ...]
    error: str = ""
    again_s: float = 0.0


class Feed(Protocol):
    """Asks one weather service. An async context manager."""

    async def __aenter__(self) -> Self:
        """Be ready to ask; connects nowhere."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        ...

    async def look(self, now: float) -> Look:
        """Ask once, at ``now`` in Unix seconds. Never raises for what the service or the network does."""
        ...
