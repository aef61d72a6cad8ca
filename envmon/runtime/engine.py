"""The one task that turns events into a new world, journal lines, effects and answers.

Rules
  - Events are taken one at a time, in order of arrival; nothing else changes the world.
  - A traffic effect leaves here only after its line is on disk. Pages and poll hints leave before the disk is asked.
  - After that line, and before a call is moved, what an heir must know is kept under the lease (``heritage``). An
    epoch is stamped without waiting for that: it moves nothing, and fences who held before.
  - When the journal cannot be written no call is moved: its traffic effects are reported failed, the page
    ``journal/failed`` is raised, and everything else goes on.
  - An order is answered from the decision that names it, after its line is on disk or known not to be. One that nobody
    waits for any more when its turn comes is refused.

Theory of operation
  Level-triggered, so nothing withheld needs a memory: the core sees that the edges do not show what it commanded
  and decides again, under the facts of that moment.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from envmon.model.effect import (
    AskProbe,
    Decision,
    Effect,
    Page,
    PollFaster,
    SetPercent,
    StampEpoch,
    TrafficEffect,
)
from envmon.model.event import DeviceBatch, EffectReport, Event, Order, OrderReceived, Outcome, PolicyLoaded, Tick
from envmon.runtime import scribe
from envmon.runtime.clock import Beat, Clock
from envmon.runtime.conditions import Conditions
from envmon.runtime.counters import Counters
from envmon.runtime.heard import heard
from envmon.runtime.heritage import Heritage, Will
from envmon.runtime.inbox import Inbox
from envmon.runtime.ledger import Ledger

log = logging.getLogger(__name__)

TICK_S = 1.0
SNAPSHOT_S = 10.0
ANSWER_S = 15.0  # real seconds an operator waits for an answer
UNKNOWN = "whoever takes the lease from here would not know of it; give the order there, too"
BREATH = 50  # events between two yields to the other tasks

W = TypeVar("W")
W_co = TypeVar("W_co", covariant=True)


class Stepped(Protocol[W_co]):
    """What ``core.advance`` returns."""

    @property
    def world(self) -> W_co: ...  # noqa: D102 - see core.step.Step

    @property
    def effects(self) -> tuple[Effect, ...]: ...  # noqa: D102 - see core.step.Step

    @property
    def decisions(self) -> tuple[Decision, ...]: ...  # noqa: D102 - see core.step.Step


@dataclass(frozen=True, slots=True)
class Mind(Generic[W]):
    """The pure functions of the core: advance, snapshot.dump, status.status, guard.objections, explain.explain_now,
    memory.will.
    """

    advance: Callable[[W, Event], Stepped[W]]
    dump: Callable[[W], str]
    status: Callable[[W], dict[str, Any]]
    objections: Callable[[W, PolicyLoaded], tuple[str, ...]] = field(default=lambda *_: ())
    explain: Callable[[W], list[dict[str, Any]]] = field(default=lambda _: [])
    will: Callable[[W], Will | None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where what was decided goes. Every one of them returns at once and never raises."""

    traffic: Callable[[Sequence[TrafficEffect]], None]
    page: Callable[[Page], None]
    hint: Callable[[PollFaster | AskProbe], None]
    turned: Callable[[], None]  # the status may have changed
    recorded: Callable[[Event, Stepped[Any]], None] = field(default=lambda _event, _step: None)  # every event


@dataclass(frozen=True, slots=True)
class Answer:
    """How an order was answered. ``done`` False with ``refused`` False: decided, but ``error`` says what is missing."""

    done: bool
    refused: bool
    decisions: tuple[Decision, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who waits for an order's answer, and whether still."""

    future: asyncio.Future[Answer]
    wanted: Callable[[], bool]


class Engine(Generic[W]):
    """The world and its one writer."""

    def __init__(
        self,
        mind: Mind[W],
        world: W,
        ledger: Ledger,
        outlets: Outlets,
        clock: Clock,
        counters: Counters,
        heritage: Heritage[W] | None = None,
    ) -> None:
        self._mind = mind
        self._world = world
        self._ledger = ledger
        self._outlets = outlets
        self._heritage = heritage
        self._clock = clock
        self._counters = counters
        self._inbox = Inbox(counters)
        self._asked: dict[str, _Asked] = {}
        self._withheld: list[EffectReport] = []
        self._conditions = Conditions(outlets.page, lambda: str(self.status().get("site", "")))
        self._saved_at = self._ticked_at = clock.now()

    def post(self, event: Event) -> None:
        """Leave an event for the next turn; returns at once. What others said in it is made fit to be read."""
        self._inbox.post(heard(event))

    def status(self) -> dict[str, Any]:
        """Return the core's status of the world as it is now."""
        return self._mind.status(self._world)

    def explain(self) -> list[dict[str, Any]]:
        """Return why the world is judged and decided as it is now, part by part."""
        return self._mind.explain(self._world)

    def objections(self, event: PolicyLoaded) -> tuple[str, ...]:
        """Return why a policy would be refused now, as the core sees it."""
        return self._mind.objections(self._world, event)

    def silence_s(self) -> float:
        """Return the seconds since the last tick was taken: small while the engine turns, growing while it hangs."""
        return self._clock.now() - self._ticked_at

    async def order(self, order: Order, wanted: Callable[[], bool] = lambda: True) -> Answer:
        """Give an order and wait for its answer; ``wanted`` tells, when its turn comes, whether anybody still waits."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[order.id] = _Asked(future, wanted)
        self._counters.orders += 1
        self.post(OrderReceived(self._clock.stamp(), order))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            return Answer(False, False, error=f"no answer within {ANSWER_S:g} s; it may still be carried out")
        finally:
            del self._asked[order.id]

    async def run(self) -> None:
        """Turn until cancelled; an exception here is a fault of ours and ends the process, calls stay put."""
        ticker = asyncio.create_task(self._tick(), name="ticks")
        try:
            while True:
                for number, event in enumerate(await self._inbox.take(), start=1):
                    await self._turn(event)
                    if number % BREATH == 0:
                        await asyncio.sleep(0)
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            if self._heritage is not None:
                await self._heritage.close()

    async def begin(self, version: str) -> None:
        """Write the first line of this life."""
        await self._ledger.write([scribe.start(self._clock.stamp(), version)], self._snapshot())
        self._tell_journal()

    async def end(self, why: str) -> None:
        """Write the results that are still here, the last line and the last snapshot."""
        results = [event for event in self._inbox.rest() if isinstance(event, EffectReport)]
        records = [record for event in results for record in scribe.lines(event, (), ())]
        await self._ledger.close([*records, scribe.stop(self._clock.stamp(), why)], self._snapshot())

    async def _tick(self) -> None:
        beat = Beat(self._clock, TICK_S)
        while True:
            await beat.wait()
            self._inbox.post(Tick(self._clock.stamp()))

    async def _turn(self, event: Event) -> None:
        if isinstance(event, Tick):
            self._look_after_journal(event)
        if isinstance(event, OrderReceived):
            event = self._taken(event)
        step = self._mind.advance(self._world, event)
        self._world = step.world
        self._outlets.recorded(event, step)
        self._counters.events += 1
        if isinstance(event, DeviceBatch) and not step.decisions and not step.effects:
            return  # nearly every event: nothing to journal, to hand out or to answer
        self._counters.decisions.update(decision.rule for decision in step.decisions)
        traffic = self._hand_out_hints(step.effects)
        written = await self._write(event, traffic, step.decisions)
        if written:
            await self._let_go(traffic)
        else:
            self._withhold(traffic, f"the journal cannot be written: {self._ledger.failure}")
        if self._heritage is not None and (step.decisions or isinstance(event, Tick)):
            self._heritage.look(self._world)
        if isinstance(event, OrderReceived):
            carried = not all(decision.refused for decision in step.decisions)
            self._answer(event.order, step.decisions, await self._wanting(traffic, written, carried))
        if step.decisions or isinstance(event, Tick):
            self._outlets.turned()

    def _hand_out_hints(self, effects: Sequence[Effect]) -> tuple[TrafficEffect, ...]:
        """Give pages and hints away now; return the effects that must wait for the disk."""
        traffic: list[TrafficEffect] = []
        for effect in effects:
            match effect:
                case SetPercent() | StampEpoch():
                    traffic.append(effect)
                case Page():
                    self._outlets.page(effect)
                case PollFaster() | AskProbe():
                    self._outlets.hint(effect)
        return tuple(traffic)

    async def _write(self, event: Event, traffic: Sequence[TrafficEffect], decisions: Sequence[Decision]) -> bool:
        """Journal this step; True when nothing of it waits for the disk."""
        records = scribe.lines(event, traffic, decisions)
        if not records:
            return True
        self._saved_at = self._clock.now()
        written = await self._ledger.write(records, self._snapshot())
        self._tell_journal()
        return written

    async def _let_go(self, traffic: Sequence[TrafficEffect]) -> None:
        """Hand journalled effects over: stamps now, moves when an heir would know of them."""
        moves = [effect for effect in traffic if isinstance(effect, SetPercent)]
        self._outlets.traffic([effect for effect in traffic if not isinstance(effect, SetPercent)])
        if not moves:
            return
        why = ""
        if self._heritage is not None:
            self._heritage.look(self._world)
            why = await self._heritage.settled()
        if why:
            self._withhold(moves, why)
        else:
            self._outlets.traffic(moves)

    def _withhold(self, traffic: Sequence[TrafficEffect], why: str) -> None:
        """Report what was not executed, at the next tick: a core that answers at once must not spin."""
        for effect in traffic:
            for edge in effect.edges:
                self._withheld.append(
                    EffectReport(self._clock.stamp(), effect.id, edge, Outcome.FAILED, f"not executed: {why}")
                )

    def _taken(self, event: OrderReceived) -> OrderReceived:
        """An order's turn has come: it is judged by who waits for it now, not by when it came in."""
        asked = self._asked.get(event.order.id)
        late = asked is None or not asked.wanted()
        return replace(event, at=self._clock.stamp(), order=replace(event.order, late=late))

    async def _wanting(self, traffic: Sequence[TrafficEffect], written: bool, carried: bool) -> str:
        """What an order lacks to outlive this process and this host, "" for nothing."""
        if not written:
            moved = "no call was moved" if traffic else "it is lost at a restart"
            return f"the journal cannot be written ({self._ledger.failure}): {moved}"
        if self._ledger.unkept and carried:
            return f"in force, but lost at a restart: {self._ledger.unkept}"
        unknown = await self._heritage.known() if self._heritage is not None and carried else ""
        return f"in force here, but {UNKNOWN}: {unknown}" if unknown else ""

    def _answer(self, order: Order, decisions: Sequence[Decision], error: str) -> None:
        asked = self._asked.get(order.id)
        if asked is None or (future := asked.future).done():
            return
        mine = tuple(decision for decision in decisions if decision.order == order.id)
        if not mine:
            future.set_result(Answer(False, False, error="no rule answers this order; that is a fault of envmon"))
            return
        refused = all(decision.refused for decision in mine)
        future.set_result(Answer(not refused and not error, refused, mine, error))

    def _look_after_journal(self, tick: Tick) -> None:
        """Once a second: see to the disk, save a snapshot when one is due, report what was withheld."""
        self._counters.ticks += 1
        self._ticked_at = self._clock.now()
        self._counters.engine_lag_s = (self._clock.stamp().mono_ns - tick.at.mono_ns) / 1e9
        self._ledger.look(self._snapshot())
        self._tell_journal()
        if self._clock.now() - self._saved_at >= SNAPSHOT_S:
            self._saved_at = self._clock.now()
            self._ledger.save(self._snapshot())
        for report in self._withheld:
            self.post(report)
        self._withheld.clear()

    def _snapshot(self) -> Callable[[], str]:
        world, dump = self._world, self._mind.dump
        return lambda: dump(world)

    def _tell_journal(self) -> None:
        failure = self._ledger.failure
        fault = f"envmon cannot write its journal and will move no call: {failure}" if failure else ""
        self._conditions.tell("journal/failed", fault, "envmon can write its journal again")
        unkept = self._ledger.unkept and f"envmon cannot keep its state for a restart: {self._ledger.unkept}"
        self._conditions.tell("journal/state", unkept, "envmon keeps its state again")
        if self._heritage is not None:
            unknown = self._heritage.trouble and f"a standby could not go on from here: {self._heritage.trouble}"
            self._conditions.tell("lease/memory", unknown, "what a standby must know is kept under the lease again")
