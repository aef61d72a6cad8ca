"""What a daemon is made of: parts a reload replaces, and the frame that stays for the life of the process.

Rules
  - ``cli`` builds both; nothing here reads configuration or opens a connection.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from envmon.actuators.contract import Actuator
from envmon.config.settings import PeopleSettings
from envmon.leases.contract import Lease
from envmon.model.effect import Page
from envmon.model.event import Event
from envmon.model.policy import Policy
from envmon.probes.contract import Probe
from envmon.probes.evidence import Evidence
from envmon.publishers.contract import Publisher
from envmon.runtime.engine import Stepped
from envmon.runtime.ledger import Journal
from envmon.runtime.poller import PolledDevice
from envmon.runtime.watch import ProbeTarget


class ReloadError(Exception):
    """The new configuration cannot take force; the text says where and why. The old one stays."""


class PageQueue(Protocol):
    """The queue above the pagers. ``offer`` returns at once and never raises."""

    def offer(self, page: Page, wall: float) -> None:
        """Take a page, raised at ``wall`` (Unix seconds), for delivery."""
        ...

    async def run(self) -> None:
        """Deliver until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reload replaces. ``digest`` is the SHA-256 of the configuration's text.

    ``at_restart`` says what of it was accepted, but takes force at a restart only. Building parts changes nothing
    outside them: what must change when they take force waits for ``in_force``, called then, on the event loop.
    """

    policy: Policy
    digest: str
    devices: tuple[PolledDevice, ...]
    publishers: tuple[Publisher, ...]
    pages: PageQueue
    at_restart: str = ""
    text: str = ""  # the configuration as read
    services: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)  # tasks beside the poller
    in_force: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stays. ``services`` are further tasks by name (the web server); ``recorded`` gets every event with what
    it led to, and must return at once.
    """

    actuators: Mapping[str, Actuator]
    targets: tuple[ProbeTarget, ...]
    probes: Mapping[str, Probe]  # by edge
    lease: Lease
    journal: Journal
    socket: Path
    version: str
    people: PeopleSettings = PeopleSettings()
    verify: Callable[[], str] = field(default=lambda: "")  # follows the journal's chain: its first fault
    services: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    recorded: Callable[[Event, Stepped[Any]], None] = field(default=lambda _event, _step: None)
    probe_s: float = 20.0
    proofs: tuple[tuple[tuple[str, str], Evidence, float], ...] = ()  # (route, item), who is asked, seconds between
