"""The loops that look: what every edge reports, whether probe calls are answered, whether we hold the lease.

Rules
  - One loop per edge and per probe target, each a task of its own: a silent one delays nobody.
  - A report carries the moment of asking, so that it never judges a command given after it.
  - The lease is taken above every fence the edges have shown; an epoch is never raised to win against a fence.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from envmon.actuators.contract import Actuator, EdgeError
from envmon.leases.contract import Kept, Lease, LeaseError, TakenError
from envmon.model.event import Bequest, EdgeReport, EdgeStatus, LeaseReport, ProbeReport, ReadinessReport, Stamp, Target
from envmon.probes.contract import Probe
from envmon.probes.evidence import Evidence
from envmon.probes.evidence_sources import EvidenceError
from envmon.runtime.clock import Clock

log = logging.getLogger(__name__)

EDGE_S = 2.0
PROBE_S = 20.0
LEASE_S = 1.0
PROOF_GAP_S = 60.0  # a proof may be a call, or a program that places one: a storm asks for it no oftener
PATIENCE_S = 15.0  # real seconds; every adapter's own deadline is far below


class Nudged:
    """A steady beat that can be called early. Intervals are seconds of the clock."""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._called = asyncio.Event()

    def nudge(self) -> None:
        """Do not wait for the next beat."""
        self._called.set()

    async def wait(self) -> None:
        """Return after the interval, or at once when called meanwhile."""
        pause = asyncio.create_task(self._clock.sleep(self._interval_s))
        called = asyncio.create_task(self._called.wait())
        try:
            await asyncio.wait((pause, called), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            called.cancel()
        self._called.clear()


class EdgeWatch:
    """Asks one edge for its status every ``interval_s``. ``fence`` is the newest epoch it has shown.

    When it takes no commands, ``speaks`` asks by SIP whether calls still go through it.
    """

    def __init__(
        self,
        edge: str,
        actuator: Actuator,
        clock: Clock,
        post: Callable[[EdgeReport], None],
        interval_s: float = EDGE_S,
        speaks: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.edge = edge
        self._speaks = speaks
        self._actuator = actuator
        self._clock = clock
        self._post = post
        self._beat = Nudged(clock, interval_s)
        self._was_silent = False
        self.asked = asyncio.Event()
        self.fence = 0

    def look(self) -> None:
        """Ask now: something was written."""
        self._beat.nudge()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            at = self._clock.stamp()
            statuses, error = await self._ask()
            self._note(error)
            self.fence = max([self.fence, *(status.fence for status in statuses)])
            speaks = bool(error) and self._speaks is not None and await self._speaks()
            self._post(EdgeReport(at, self.edge, statuses, error, speaks))
            self.asked.set()
            await self._beat.wait()

    async def _ask(self) -> tuple[tuple[EdgeStatus, ...], str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._actuator.status(), ""
        except EdgeError as error:
            return (), str(error) or "it does not answer"
        except TimeoutError:
            return (), f"no end within {PATIENCE_S:g} s"

    def _note(self, error: str) -> None:
        if bool(error) != self._was_silent:
            self._was_silent = bool(error)
            if error:
                log.warning("edge %s does not answer: %s", self.edge, error)
            else:
                log.info("edge %s answers again", self.edge)


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One probe call: to ``sip:user@host:port`` of the edge, which sends it to the ``target`` site of the route."""

    route: str
    edge: str
    target: Target
    host: str
    port: int
    user: str


def sign_of_life(
    edge: str, targets: Iterable[ProbeTarget], probes: Mapping[str, Probe]
) -> Callable[[], Awaitable[bool]] | None:
    """What asks an edge by OPTIONS whether it speaks SIP at all; None where no call goes through it."""
    place = next((to for to in targets if to.edge == edge and to.target is Target.PRIMARY), None)
    if place is None:
        return None

    async def speaks() -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await probes[edge].options(place.host, place.port)).status > 0
        except TimeoutError:
            return False

    return speaks


class ProbeWatch:
    """Places one target's probe call every ``interval_s``."""

    def __init__(
        self,
        target: ProbeTarget,
        probe: Probe,
        clock: Clock,
        post: Callable[[ProbeReport], None],
        interval_s: float = PROBE_S,
    ) -> None:
        self.target = target
        self._probe = probe
        self._clock = clock
        self._post = post
        self._beat = Nudged(clock, interval_s)
        self._placed = 0  # calls so far
        self._told = 0  # the last of them whose end was posted
        self._telling = asyncio.Condition()

    def look(self) -> None:
        """Call now: a decision waits for it."""
        self._beat.nudge()

    async def fresh(self) -> None:
        """Return when the end of a call placed after this moment has been posted."""
        wanted = self._placed + 1
        self.look()
        async with self._telling:
            await self._telling.wait_for(lambda: self._told >= wanted)

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            self._placed += 1
            await self._call()
            async with self._telling:
                self._told = self._placed
                self._telling.notify_all()
            await self._beat.wait()

    async def _call(self) -> None:
        to = self.target
        at = self._clock.stamp()
        try:
            async with asyncio.timeout(PATIENCE_S * 2):
                result = await self._probe.call(to.host, to.port, to.user)
        except TimeoutError:
            detail = f"no end within {PATIENCE_S * 2:g} s"
            self._post(ProbeReport(at, to.route, to.edge, to.target, False, "", detail, PATIENCE_S * 2e3))
        else:
            told = (result.answered, result.answered_by, result.detail, result.millis)
            self._post(ProbeReport(at, to.route, to.edge, to.target, *told))


class ProofWatch:
    """Asks about one readiness item every ``interval_s``; what is not new is not reported, and grows old."""

    def __init__(
        self,
        of: tuple[str, str],
        evidence: Evidence,
        clock: Clock,
        post: Callable[[ReadinessReport], None],
        interval_s: float,
    ) -> None:
        self.route, self.item = of
        self._evidence = evidence
        self._clock = clock
        self._post = post
        self._beat = Nudged(clock, interval_s)
        self._asked_s = clock.now()
        self._error = ""

    def look(self) -> None:
        """Ask now, unless it was asked within the last ``PROOF_GAP_S``: a decision or a storm wants to know."""
        if self._clock.now() - self._asked_s >= PROOF_GAP_S:
            self._beat.nudge()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            at = self._clock.stamp()
            self._asked_s = self._clock.now()
            error = ""
            try:
                found = await self._evidence.look()
            except EvidenceError as fault:
                error = str(fault)
                self._post(ReadinessReport(at, self.route, self.item, passed=False, why="", error=error))
            else:
                if found is not None:
                    self._post(ReadinessReport(at, self.route, self.item, found.passed, found.why, found.value))
            if error != self._error and error:
                log.warning("%s of route %s: %s", self.item, self.route, error)
            self._error = error
            await self._beat.wait()


class LeaseKeeper:
    """Takes the lease when it can, and reports every change of it, and of what others keep under it."""

    def __init__(
        self,
        lease: Lease,
        edges: Iterable[EdgeWatch],
        clock: Clock,
        post: Callable[[LeaseReport | Bequest], None],
        interval_s: float = LEASE_S,
    ) -> None:
        self._lease = lease
        self._edges = tuple(edges)
        self._clock = clock
        self._post = post
        self._interval_s = interval_s
        self._epoch = 0
        self._told: tuple[bool, int, str] | None = None
        self._kept = Kept()

    async def run(self) -> None:
        """Keep the lease until cancelled. The first attempt waits until every edge was asked once."""
        for edge in self._edges:
            await edge.asked.wait()
        while True:
            at = self._clock.stamp()
            had = self._epoch
            told = await self._look()
            if not had:
                self._tell_kept(at)
            self._tell(at, *told)
            await self._clock.sleep(self._interval_s)

    async def _look(self) -> tuple[bool, str, str]:
        """Whether it is ours now, taking it when it is free; why not, and whose it is."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._epoch and await self._lease.held():
                    return True, "", ""
                lost, self._epoch = self._epoch, 0
                if lost:
                    return False, f"epoch {lost} is lost", ""
                self._epoch = await self._lease.acquire(max((edge.fence for edge in self._edges), default=0))
        except LeaseError as error:
            self._epoch = 0
            return False, str(error), error.holder if isinstance(error, TakenError) else ""
        except TimeoutError:
            self._epoch = 0
            return False, f"the lease has not answered for {PATIENCE_S:g} s", ""
        return True, "", ""

    def _tell_kept(self, at: Stamp) -> None:
        """Report what the last look found under the lease, when that is news. It comes before the lease itself."""
        kept = self._lease.kept
        news = (kept.text, kept.epoch, kept.latest) != (self._kept.text, self._kept.epoch, self._kept.latest)
        self._kept = kept
        if news:
            self._post(Bequest(at, kept.epoch, kept.latest, kept.text, kept.age_s))

    def _tell(self, at: Stamp, held: bool, detail: str, holder: str) -> None:
        now = (held, self._epoch, detail)
        if now == self._told:
            return
        self._told = now
        if held:
            log.info("the lease is held, epoch %d", self._epoch)
        else:
            log.warning("the lease is not held: %s", detail)
        self._post(LeaseReport(at, held, self._epoch, detail, self._lease.former if held else 0, holder))
