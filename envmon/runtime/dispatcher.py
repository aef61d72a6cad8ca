"""The only caller of an actuator's writes, and only with an effect already written to the journal.

Rules
  - Each edge is a lane of its own: one write in flight, edges side by side.
  - Of the ``SetPercent`` of one route that wait at an edge only the newest is executed.
  - Every effect gets one report per edge: done, fenced or failed, and why.
  - Nothing is tried again here: the core compares what the edges show with what it wants, and decides again.
  - An effect not started within ``EXECUTE_WITHIN_S`` is reported failed, never executed late.
  - A new epoch comes first: no call is moved anywhere while an edge is being shown it, so that whoever held before is
    fenced on every edge that answers. An edge that hangs is waited for ``STAMP_S`` at most, from the moment its
    stamp was ordered: not anew by each route.
  - Nothing is written without the lease: it is asked right before each write, after all waiting.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from envmon.actuators.contract import Actuator, EdgeError, Fenced
from envmon.leases.contract import Lease, LeaseError
from envmon.model.effect import SetPercent, StampEpoch, TrafficEffect
from envmon.model.event import EffectReport, Outcome
from envmon.runtime.clock import Clock
from envmon.runtime.counters import Counters
from envmon.runtime.scribe import EXECUTE_WITHIN_S

log = logging.getLogger(__name__)

PATIENCE_S = 15.0  # real seconds; an edge's own deadline is far below
STAMP_S = 3.0  # real seconds


@dataclass(frozen=True, slots=True)
class _Job:
    effect: TrafficEffect
    until: float


@dataclass(slots=True)
class _Lane:
    actuator: Actuator
    waiting: deque[_Job] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatcher:
    """Executes effects until cancelled. ``report`` takes every result; it returns at once."""

    def __init__(
        self,
        actuators: Mapping[str, Actuator],
        lease: Lease,
        clock: Clock,
        counters: Counters,
        report: Callable[[EffectReport], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._lanes = {edge: _Lane(actuator) for edge, actuator in actuators.items()}
        self._lease = lease
        self._clock = clock
        self._counters = counters
        self._report = report
        self._patience_s = patience_s
        self._stamping: set[tuple[str, str]] = set()
        self._stamped = asyncio.Event()
        self._stamped.set()
        self._stamp_until = 0.0  # of the loop's clock

    def execute(self, effects: Sequence[TrafficEffect]) -> None:
        """Take journalled effects; returns at once."""
        for effect in effects:
            for edge in effect.edges:
                lane = self._lanes.get(edge)
                if lane is None:
                    self._tell(effect, edge, Outcome.FAILED, "no such edge is configured here")
                else:
                    self._queue(edge, lane, effect)

    async def run(self) -> None:
        """Work the lanes. A write in flight when cancelled may or may not have happened; the edge knows."""
        async with asyncio.TaskGroup() as lanes:
            for edge, lane in self._lanes.items():
                lanes.create_task(self._work(edge, lane), name=f"lane:{edge}")

    def _queue(self, edge: str, lane: _Lane, effect: TrafficEffect) -> None:
        if isinstance(effect, SetPercent):
            for job in [job for job in lane.waiting if _same_route(job.effect, effect)]:
                lane.waiting.remove(job)
                self._counters.superseded_writes += 1
                self._tell(job.effect, edge, Outcome.FAILED, f"not started: superseded by {effect.id}")
        else:
            self._stamping.add((effect.id, edge))
            self._stamped.clear()
            self._stamp_until = asyncio.get_running_loop().time() + STAMP_S
        lane.waiting.append(_Job(effect, self._clock.now() + EXECUTE_WITHIN_S))
        lane.filled.set()

    async def _work(self, edge: str, lane: _Lane) -> None:
        while True:
            lane.filled.clear()
            while lane.waiting:
                job = lane.waiting.popleft()
                try:
                    outcome, detail = await self._execute(edge, lane.actuator, job)
                except asyncio.CancelledError:
                    self._tell(job.effect, edge, Outcome.FAILED, "envmon stops; it may have happened")
                    for left in lane.waiting:
                        self._tell(left.effect, edge, Outcome.FAILED, "not started: envmon stops")
                    raise
                self._tell(job.effect, edge, outcome, detail)
            await lane.filled.wait()

    async def _execute(self, edge: str, actuator: Actuator, job: _Job) -> tuple[Outcome, str]:
        if isinstance(job.effect, SetPercent):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._stamp_until):
                    await self._stamped.wait()
        if self._clock.now() > job.until:
            return Outcome.FAILED, f"not started within {EXECUTE_WITHIN_S:g} s: the edge was busy"
        try:
            async with asyncio.timeout(self._patience_s):
                if not await self._lease.held():
                    return Outcome.FAILED, "not started: the lease, the right to act, is not held any more"
                match job.effect:
                    case SetPercent(route=route, percent=percent, epoch=epoch):
                        await actuator.set_percent(route, percent, epoch)
                    case StampEpoch(epoch=epoch):
                        await actuator.stamp(epoch)
        except Fenced as fenced:
            return Outcome.FENCED, f"{fenced} (the edge has seen epoch {fenced.fence})"
        except (EdgeError, LeaseError) as error:
            return Outcome.FAILED, str(error)
        except TimeoutError:
            return Outcome.FAILED, f"no end within {self._patience_s:g} s; it may have happened"
        except Exception as bug:
            log.exception("edge %s: the actuator failed on %s", edge, job.effect)
            return Outcome.FAILED, f"the actuator failed: {type(bug).__name__}: {bug}"
        return Outcome.DONE, ""

    def _tell(self, effect: TrafficEffect, edge: str, outcome: Outcome, detail: str) -> None:
        self._counters.writes[outcome] += 1
        self._stamping.discard((effect.id, edge))
        if not self._stamping:
            self._stamped.set()
        self._report(EffectReport(self._clock.stamp(), effect.id, edge, outcome, detail))


def _same_route(waiting: TrafficEffect, newer: SetPercent) -> bool:
    return isinstance(waiting, SetPercent) and waiting.route == newer.route
