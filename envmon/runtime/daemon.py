"""The daemon: every loop of one site, from start to SIGTERM, with reload on SIGHUP.

Rules
  - SIGTERM and SIGINT end it and leave traffic where it is; nothing is written to an edge on the way out.
  - SIGHUP reloads; a configuration that cannot take force changes nothing, and the status says why. One that is looser
    is read again when two people have accepted its policy; what of it takes a restart is said, and is no fault.
  - The watchdog is fed only when the engine has taken a tick since the last feed.
  - Publishers start first and end last, so that they can tell how it ended; the poller ends before the engine.
"""

import asyncio
import logging
import signal
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Generic

from envmon.host.threads import aside
from envmon.model.effect import AskProbe, Page, PollFaster, Urgency
from envmon.model.event import Command, DeviceBatch, EffectReport, Event, Order, PolicyLoaded, Target
from envmon.runtime.audit import Audit
from envmon.runtime.clock import Clock
from envmon.runtime.conditions import Conditions
from envmon.runtime.counters import Counters
from envmon.runtime.dispatcher import Dispatcher
from envmon.runtime.engine import Answer, Engine, Mind, Outlets, W
from envmon.runtime.heritage import Heritage
from envmon.runtime.ledger import Ledger
from envmon.runtime.notify import Notifier
from envmon.runtime.orders import OrderDesk
from envmon.runtime.parts import Frame, Parts, ReloadError
from envmon.runtime.poller import Poller
from envmon.runtime.supervisor import Supervisor
from envmon.runtime.watch import EdgeWatch, LeaseKeeper, ProbeWatch, ProofWatch, sign_of_life

log = logging.getLogger(__name__)

PROVE_S = 10.0  # real seconds an order waits for its probe calls
RELOAD = "envmon (reload)"
FEEDS = 4  # looks at the engine within one watchdog interval


class Daemon(Generic[W]):
    """One site's daemon. ``reload`` builds new parts in a thread of its own; it raises ReloadError."""

    def __init__(
        self,
        mind: Mind[W],
        world: W,
        frame: Frame,
        parts: Parts,
        reload: Callable[[], Parts],
        clock: Clock,
        notifier: Notifier,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters or Counters()
        self._boot = uuid.uuid4().hex
        self._frame = frame
        self._parts = parts
        self._reload_parts = reload
        self._clock = clock
        self._notifier = notifier
        self._reload_error = self._told_manager = self._wanted = ""
        self._alive = asyncio.Event()  # the engine has turned
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._tasks = Supervisor(self.counters)
        self._dispatcher = Dispatcher(frame.actuators, frame.lease, clock, self.counters, self._reported)
        outlets = Outlets(self._dispatcher.execute, self._page, self._hint, self._turned, frame.recorded)
        self._ledger = Ledger(frame.journal, self.counters)
        heritage = Heritage(frame.lease, mind.will)
        self._engine = Engine(mind, world, self._ledger, outlets, clock, self.counters, heritage)
        self._edges = [
            EdgeWatch(name, edge, clock, self._engine.post, speaks=sign_of_life(name, frame.targets, frame.probes))
            for name, edge in frame.actuators.items()
        ]
        self._probes = [
            ProbeWatch(to, frame.probes[to.edge], clock, self._engine.post, frame.probe_s) for to in frame.targets
        ]
        self._proofs = [ProofWatch(of, source, clock, self._engine.post, every) for of, source, every in frame.proofs]
        self._desk = OrderDesk(frame.socket, self.order, self.told, self.counters, frame.people)
        self._conditions = Conditions(self._page, lambda: str(self._engine.status().get("site", "")))
        self._audit = Audit(frame.verify, self._audited)
        self._poller = self._new_poller({})

    def stop(self) -> None:
        """End the daemon, as SIGTERM does."""
        self._stop.set()

    def reload(self) -> None:
        """Reload the configuration, as SIGHUP does."""
        self._reload.set()

    def post(self, event: Event) -> None:
        """Leave an event for the engine; returns at once."""
        self._engine.post(event)

    def look(self, device: str) -> None:
        """Poll a device out of turn, as soon as its limits allow."""
        self._poller.look(device)

    def status(self) -> dict[str, Any]:
        """Return the core's status, and under ``daemon`` the runtime's own."""
        head = self._ledger.head
        daemon = {
            "version": self._frame.version,
            "boot": self._boot,
            "seq": self.counters.ticks,
            "counters": self.counters.view(),
            "engine_silence_s": round(self._engine.silence_s(), 3),
            "journal": {
                "seq": head.seq,
                "head": str(head),
                "failure": self._ledger.failure,
                "has_room": self._frame.journal.has_room,
            },
            "reload_error": self._reload_error,
            "at_restart": self._parts.at_restart,
        }
        return {**self._engine.status(), "daemon": daemon}

    def told(self) -> dict[str, Any]:
        """Return the status with its explanation, for whoever asks: too much to make every second."""
        return {**self.status(), "explain": self._engine.explain()}

    async def run(self) -> None:
        """Run until told to stop. Raises DeskError at the start, VitalTaskError when the engine crashes."""
        self._desk.open()
        loop = asyncio.get_running_loop()
        for number, call in ((signal.SIGTERM, self.stop), (signal.SIGINT, self.stop), (signal.SIGHUP, self.reload)):
            loop.add_signal_handler(number, call)
        try:
            async with AsyncExitStack() as adapters:
                await adapters.enter_async_context(self._frame.lease)
                for edge in self._frame.actuators.values():
                    await adapters.enter_async_context(edge)
                await self._live()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
            self._desk.close()

    async def _live(self) -> None:
        why = "cancelled"
        try:
            await self._engine.begin(self._frame.version)
            policy = self._policy_of(self._parts, "envmon")
            self._wanted = policy.digest if self._engine.objections(policy) else ""
            self._engine.post(policy)
            self._start()
            await self._serve()
            why = "told to"
        except Exception as error:
            why = str(error)
            raise
        finally:
            self._notifier.stopping()
            listeners = self._listener_names()
            for name in reversed([name for name in self._tasks.names() if name not in listeners]):
                await self._tasks.stop(name)
            await self._engine.end(why)
            await self._tasks.close()

    def _start(self) -> None:
        self._start_listeners()
        self._tasks.start("engine", self._engine.run, vital=True)
        if self._edges:
            self._tasks.start("dispatcher", self._dispatcher.run)
        for edge in self._edges:
            self._tasks.start(f"edge:{edge.edge}", edge.run)
        self._tasks.start("lease", LeaseKeeper(self._frame.lease, self._edges, self._clock, self._engine.post).run)
        for probe in self._probes:
            to = probe.target
            self._tasks.start(f"probe:{to.route}:{to.edge}:{to.target}", probe.run)
        for proof in self._proofs:
            self._tasks.start(f"proof:{proof.route}:{proof.item}", proof.run)
        self._start_polling()
        for name, run in self._frame.services.items():
            self._tasks.start(name, run)
        self._tasks.start("orders", self._desk.run)
        self._tasks.start("audit", self._audit.run)
        self._tasks.start("reload", self._reload_when_asked)
        if self._notifier.watchdog_s > 0:
            self._tasks.start("watchdog", self._feed_watchdog)

    async def _serve(self) -> None:
        """Wait until told to stop. Raises VitalTaskError when the engine crashes."""
        alive = asyncio.create_task(self._alive.wait())
        failure = asyncio.create_task(self._tasks.failure())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((alive, failure, stop), return_when=asyncio.FIRST_COMPLETED)
            self._notifier.ready("watching")
            await asyncio.wait((failure, stop), return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                failure.result()
        finally:
            for task in (alive, failure, stop):
                task.cancel()

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._notifier.reloading()
            try:
                parts = await aside(self._reload_parts)
            except Exception as error:  # noqa: BLE001 - whatever it was, the old configuration stays
                self._refuse_reload(error)
                continue
            if looser := self._engine.objections(self._policy_of(parts, RELOAD)):
                self._engine.post(self._policy_of(parts, RELOAD))  # refused in the journal, and paged
                self._wanted = parts.digest
                self._refuse_reload(ReloadError(f"looser, and nobody has approved it: {'; '.join(looser)}"))
                continue
            await self._replace(parts)
            parts.in_force()
            self._reload_error = ""
            self.counters.reloads += 1
            log.info("reloaded, policy %s", parts.digest)
            if parts.at_restart:
                log.warning("%s", parts.at_restart)
            self._notifier.ready(parts.at_restart or "watching")

    def _refuse_reload(self, error: Exception) -> None:
        self._reload_error = str(error) or type(error).__name__
        self.counters.failed_reloads += 1
        bug = None if isinstance(error, ReloadError) else error
        log.error("reload refused, the old configuration stays: %s", self._reload_error, exc_info=bug)
        self._notifier.ready(f"reload refused, the old configuration stays: {self._reload_error}")

    async def _replace(self, parts: Parts) -> None:
        """Swap devices, pagers and publishers; a device may allow one connection, so the old one goes first."""
        await self._tasks.stop("poller")
        for name in self._parts.services:
            await self._tasks.stop(name)
        old = self._listener_names()
        self._parts = parts  # what is paged or published from here on waits in the new queues
        for name in old:
            await self._tasks.stop(name)
        self._poller = self._new_poller(self._poller.hints)
        self._start_listeners()
        self._engine.post(self._policy_of(parts, RELOAD))
        self._start_polling()

    def _start_polling(self) -> None:
        self._tasks.start("poller", self._poller.run)
        for name, run in self._parts.services.items():
            self._tasks.start(name, run)

    def _start_listeners(self) -> None:
        for name, publisher in zip(self._listener_names()[1:], self._parts.publishers, strict=True):
            self._tasks.start(name, publisher.run)
        self._tasks.start("pages", self._parts.pages.run)

    def _listener_names(self) -> list[str]:
        return ["pages", *(f"publisher:{number}" for number in range(len(self._parts.publishers)))]

    def _policy_of(self, parts: Parts, who: str) -> PolicyLoaded:
        return PolicyLoaded(self._clock.stamp(), parts.policy, parts.digest, who, parts.text)

    def _new_poller(self, hints: Mapping[str, float]) -> Poller:
        sinks = (self._engine.post, self._publish)
        return Poller(self._parts.devices, self._clock, self.counters, sinks, hints)

    def _publish(self, batch: DeviceBatch) -> None:
        for publisher in self._parts.publishers:
            publisher.offer_batch(batch)

    def _turned(self) -> None:
        self._alive.set()
        status = self.status()
        self._tell_manager(status)
        room = "" if self._frame.journal.has_room else "the disk has no room for the journal of one episode: free some"
        self._conditions.tell("journal/room", room, "the journal has its room again", Urgency.WARNING)
        if self._wanted and status.get("policy") == self._wanted:
            self._wanted = ""
            self.reload()  # two people have accepted the policy: the rest of its file may follow
        for publisher in self._parts.publishers:
            publisher.offer_status(status)

    def _tell_manager(self, status: Mapping[str, Any]) -> None:
        """Keep the one line of ``systemctl status`` true."""
        text = f"{status['mode']}: {status.get('armed', {}).get('why', 'starting')}"
        if self._reload_error:
            text = f"reload refused, the old configuration stays: {self._reload_error}"
        elif self._parts.at_restart:
            text = f"{text}; {self._parts.at_restart}"
        if text != self._told_manager:
            self._told_manager = text
            self._notifier.status(text)

    def _page(self, page: Page) -> None:
        """Page, with the journal's head: who keeps the page can prove later what the journal held."""
        detail = f"{page.detail}\njournal {self._ledger.head}".lstrip()
        self._parts.pages.offer(replace(page, detail=detail), self._clock.stamp().wall)

    def _audited(self, fault: str) -> None:
        self.counters.journal_broken = bool(fault)
        text = f"the journal is not what was written, keep it as evidence: {fault}" if fault else ""
        self._conditions.tell("journal/broken", text, "the journal's chain is whole", Urgency.CRITICAL)

    async def order(self, order: Order, wanted: Callable[[], bool]) -> Answer:
        """Give an order; one that moves calls to the backup is judged on probe calls placed after it was given."""
        shift = self._engine.status().get("requests", {}).get(order.request, {"command": order.command})
        if shift["command"] in (Command.SHIFT, Command.DRILL):
            route = shift.get("route", order.route)
            asked = [p for p in self._probes if p.target.target is Target.BACKUP and route in ("", p.target.route)]
            with suppress(TimeoutError):
                async with asyncio.timeout(PROVE_S):
                    await asyncio.gather(*(probe.fresh() for probe in asked))
        return await self._engine.order(order, wanted)

    def _hint(self, effect: PollFaster | AskProbe) -> None:
        match effect:
            case PollFaster():
                self._poller.faster(effect)
            case AskProbe(route=route):
                for probe in self._probes:
                    if probe.target.route == route:
                        probe.look()
                for proof in self._proofs:
                    if proof.route == route:
                        proof.look()

    def _reported(self, report: EffectReport) -> None:
        """Post a write's result, and look at the edge now: the proof of a move should not wait for the next beat."""
        self._engine.post(report)
        for edge in self._edges:
            if edge.edge == report.edge:
                edge.look()

    async def _feed_watchdog(self) -> None:
        seen = self.counters.ticks
        while True:
            if self.counters.ticks != seen:
                seen = self.counters.ticks
                self._notifier.watchdog()
            await asyncio.sleep(self._notifier.watchdog_s / FEEDS)
