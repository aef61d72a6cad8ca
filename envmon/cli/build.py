"""Builds a daemon from settings: the only place where adapters, loops and the mind meet.

Rules
  - Nothing here decides; every choice is a key of the configuration looked up in a registry.
  - What outlives a reload (counters, metrics page, journal) is held here; the rest is built anew from new settings.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envmon import __version__
from envmon.actuators import ACTUATORS
from envmon.cli.configured import configured, place_of
from envmon.cli.door import OrderDoor
from envmon.cli.fixed import at_restart
from envmon.cli.health import faults
from envmon.cli.logs import Narrator, both
from envmon.cli.probe_targets import probe_targets
from envmon.cli.remembered import guarded, remembered
from envmon.cli.site_journal import journal_fault
from envmon.config import ConfigError
from envmon.config.settings import DeviceSettings, Settings
from envmon.core import snapshot
from envmon.core.advance import advance
from envmon.core.explain import explain_now, plain
from envmon.core.guard import objections
from envmon.core.memory import will
from envmon.core.status import status
from envmon.drivers import longest_poll_s, open_driver
from envmon.drivers.modbus_line import Lines
from envmon.host.threads import spread_names
from envmon.journal.store import Journal
from envmon.leases import LEASES
from envmon.model.effect import Page
from envmon.model.event import Event
from envmon.model.points import points_of
from envmon.pagers import open_pager
from envmon.pagers.queue import PageQueue
from envmon.probes.evidence import Evidence
from envmon.probes.sip import SipProbe
from envmon.profiles.bind import bind_at
from envmon.profiles.schema import Profile
from envmon.publishers.daemon_metrics import PAGES as PAGE_NUMBERS
from envmon.publishers.daemon_metrics import DaemonMetrics
from envmon.publishers.metrics import MetricsPublisher
from envmon.publishers.mqtt import MqttPublisher
from envmon.recordings.recorder import Recorder
from envmon.runtime.clock import Clock
from envmon.runtime.counters import Counters
from envmon.runtime.daemon import Daemon
from envmon.runtime.engine import Mind
from envmon.runtime.notify import Notifier
from envmon.runtime.parts import Frame, Parts, ReloadError
from envmon.runtime.poller import PolledDevice
from envmon.runtime.sky_watch import WeatherWatch
from envmon.weather import FEEDS
from envmon.web.certificates import CertificateError
from envmon.web.server import WebServer

if TYPE_CHECKING:
    from envmon.drivers.traps import TrapListener

log = logging.getLogger(__name__)

PAGES = "pages.db"
RECORDINGS = "recordings"
MB = 1_000_000


class Assembly:
    """One daemon and what serves it. ``config`` is read again at a reload."""

    def __init__(
        self,
        config: Path,
        settings: Settings,
        clock: Clock,
        journal: Journal,
        profiles: Mapping[str, Profile],
    ) -> None:
        world = remembered(journal, clock.stamp())
        self._asked = settings
        self.settings = settings = guarded(settings, world, clock.stamp())
        self.counters = Counters()
        self.recorder = self._new_recorder(settings, clock)
        self._config = config
        self._journal = journal
        self._clock = clock
        self._mqtt: MqttPublisher | None = None
        self._pages: PageQueue | None = None
        self._traps: TrapListener | None = None
        self._own = self._daemon_metrics()
        self._metrics = MetricsPublisher(settings.policy.site, self._own, _stale_s(settings))
        self._door = OrderDoor()
        parts = self.parts(settings, profiles)
        parts.in_force()
        self.daemon = Daemon(
            mind=Mind(advance, snapshot.dump, status, objections, lambda world: plain(explain_now(world)), will),
            world=world,
            frame=self._frame(),
            parts=parts,
            reload=self._reload,
            clock=clock,
            notifier=Notifier.from_environment(os.environ, os.getpid()),
            counters=self.counters,
        )

    def web(self) -> WebServer | None:
        """The HTTP server, where one is configured."""
        if self.settings.http is None:
            return None
        return WebServer(self.settings.http, self._metrics.scrape, self.daemon.told, self._health)

    def door(self) -> AbstractAsyncContextManager[object]:
        """Orders over HTTPS, where they are configured. Raises CertificateError."""
        return self._door.open(self.settings.orders, self.daemon, self.counters)

    def parts(self, settings: Settings, profiles: Mapping[str, Profile]) -> Parts:
        """What a reload replaces. Nothing of ours changes before it takes force."""
        site = settings.policy.site
        lines = Lines()
        mqtt = MqttPublisher(settings.mqtt, site, self._own.publish_lag("mqtt")) if settings.mqtt else None
        pagers = {pager.id: open_pager(pager) for pager in settings.pagers}
        traps = self._trap_listener(settings)
        only = {pager.id: pager.only for pager in settings.pagers}
        pages = PageQueue(settings.daemon.state_dir / PAGES, site, pagers, only=only)
        door_in_force = self._door.prepare(settings.orders)

        def in_force() -> None:
            door_in_force()
            self._mqtt, self._pages, self._traps = mqtt, pages, traps
            self._metrics.keep_only(settings.policy.devices)

        return Parts(
            policy=settings.policy,
            digest=settings.digest,
            text=settings.text,
            devices=tuple(_device(settings, device, profiles[device.profile], lines) for device in settings.devices),
            publishers=(self._metrics, mqtt) if mqtt else (self._metrics,),
            pages=pages,
            in_force=in_force,
            services={**({"traps": traps.run} if traps else {}), **self._weather(settings)},
        )

    def _new_recorder(self, settings: Settings, clock: Clock) -> Recorder:
        def page(page: Page) -> None:
            if self._pages is not None:
                self._pages.offer(page, clock.stamp().wall)

        folder = settings.daemon.state_dir / RECORDINGS
        return Recorder(folder, settings.daemon.recordings_mb * MB, __version__, settings.policy.site, page)

    def _weather(self, settings: Settings) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            f"weather:{each.id}": WeatherWatch(
                each.id,
                FEEDS[each.kind](each, __version__),
                self._clock,
                self._post,
                each.every_s,
            ).run
            for each in settings.weather
        }

    def _trap_listener(self, settings: Settings) -> "TrapListener | None":
        if settings.traps is None:
            return None
        from envmon.drivers.traps import TrapListener  # noqa: PLC0415 - 16 MB that only who wants traps pays for

        return TrapListener(settings.traps, settings.policy.site, settings.devices, self._look)

    def _post(self, event: Event) -> None:
        self.daemon.post(event)

    def _look(self, device: str) -> None:
        self.daemon.look(device)

    def _frame(self) -> Frame:
        edges = {edge.id: edge for edge in self.settings.edges}
        return Frame(
            actuators={name: ACTUATORS[edge.kind](edge) for name, edge in edges.items()},
            targets=probe_targets(self.settings),
            probes={name: SipProbe(way=edge.way) for name, edge in edges.items()},
            proofs=tuple(((each.route, each.item), Evidence(each), each.every_s) for each in self.settings.proofs),
            lease=LEASES[self.settings.lease.kind](self.settings),
            journal=self._journal,
            socket=self.settings.daemon.socket,
            version=__version__,
            people=self.settings.people,
            verify=lambda: journal_fault(self._journal.path),
            recorded=both(self.recorder.record, Narrator(self._clock).tell),
            probe_s=self.settings.probe_every_s,
        )

    def _reload(self) -> Parts:
        try:
            new = configured(self._config)
        except ConfigError as error:
            raise ReloadError("; ".join(str(fault) for fault in error.faults)) from None
        waits = at_restart(new.settings, self.settings, self._asked)
        for note in new.notes:
            log.warning("%s", note)
        try:
            return replace(self.parts(new.settings, new.profiles), at_restart=waits)
        except CertificateError as error:
            raise ReloadError(str(error)) from None

    def _daemon_metrics(self) -> DaemonMetrics:
        metrics = DaemonMetrics(__version__, lambda: self._clock.stamp().mono_ns)
        metrics.watch_runtime(lambda: {name: getattr(self.counters, name) for name in Counters.__slots__})
        metrics.watch_mqtt(lambda: self._mqtt.counts if self._mqtt else None)
        metrics.watch_pages(lambda: {key: getattr(self._pages, key) for key in PAGE_NUMBERS} if self._pages else {})
        metrics.watch_traps(self._trap_numbers)
        metrics.watch_journal(self._journal_numbers)
        metrics.watch_recorder(lambda: {**asdict(self.recorder.counts), "failing": bool(self.recorder.failure)})
        return metrics

    def _journal_numbers(self) -> Mapping[str, Any]:
        head = self._journal.head
        return {"seq": head.seq, "head": {head.hash: head.seq}, "room": self._journal.has_room}

    def _trap_numbers(self) -> Mapping[str, Any]:
        if self._traps is None:
            return {}
        counts = {str(outcome): number for outcome, number in self._traps.gate.counts.items()}
        return {"counts": counts, "listening": not self._traps.failure}

    def _health(self) -> Mapping[str, str]:
        """What is wrong, by part; empty when healthy."""
        traps = self._traps.failure if self._traps else ""
        return faults(self.daemon.status()["daemon"], self._pages, traps, self.recorder.failure)


def _device(settings: Settings, device: DeviceSettings, profile: Profile, lines: Lines) -> PolledDevice:
    at = place_of(settings, device, profile)
    points = bind_at(profile, at)
    return PolledDevice(
        id=device.id,
        zone=device.zone,
        interval_s=device.interval_s,
        deadline_s=longest_poll_s(device, profile),
        points=points_of([bound.point for bound in points]),
        driver=open_driver(device, profile, points, at=at, lines=lines),
    )


def _stale_s(settings: Settings) -> float:
    """Seconds after which a device that says nothing has no values on ``/metrics``."""
    return max(settings.policy.stale_s, *(3 * device.interval_s for device in settings.devices), 1.0)


async def serve(assembly: Assembly) -> None:
    """Run a daemon with its HTTP server until it is told to stop."""
    spread_names()
    async with assembly.web() or nullcontext(), assembly.door():
        with assembly.recorder:
            await assembly.daemon.run()


def run_forever(assembly: Assembly) -> None:
    """Run on an event loop of its own."""
    asyncio.run(serve(assembly))
