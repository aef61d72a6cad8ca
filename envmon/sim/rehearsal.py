"""A rehearsal: a failure of one's own site through the real engine, in virtual time.

Rules
  - ``core.advance`` decides, told the events a daemon would tell it; edges obey, probe calls are answered while the
    backup's rooms stand, the lease is held. Nothing leaves this process.
  - The site is armed once it is ready, as an operator would. Devices are polled every ``poll`` seconds, or as
    configured where that is slower; a room in trouble is not polled faster here, so a rehearsal errs late.

Theory of operation
  A tick every second decides the same as a tick at each poll while nothing is pending: judgements change with readings.
  So ticks come at polls, and every second where seconds count: while an acute threat waits for its move, and while a
  move is being proven.
"""

from collections.abc import Iterator, Sequence

from envmon.core.advance import advance
from envmon.core.step import Step
from envmon.core.world import SECOND, RouteState, World, initial
from envmon.model.effect import AskProbe, SetPercent, StampEpoch
from envmon.model.event import (
    Command,
    EdgeReport,
    EdgeStatus,
    Event,
    LeaseReport,
    Order,
    OrderReceived,
    PolicyLoaded,
    ProbeReport,
    Stamp,
    Target,
    Tick,
)
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Mode, Position
from envmon.sim.obedience import ObedientEdges
from envmon.sim.own_site import Instrument, OwnSite
from envmon.sim.scenario import Scenario, Scene

BEGINS = 1_000_000_000.0  # Unix seconds; any will do
ARM_AT_S = 30.0
PROBE_S = 20.0
CALLS_S = 1.0  # new calls a second on every edge of a route
ACUTE_S = 120.0  # a move that has not come by then waits for something else than seconds
NO_LIMIT_S = 24 * 3600.0


class Rehearsal:
    """One run; ``play`` yields every event with what it led to. Raises ScenarioError."""

    def __init__(
        self, policy: Policy, digest: str, scenario: Scenario, instruments: Sequence[Instrument], seed: int = 1
    ) -> None:
        self.world: World = initial()
        self.site = OwnSite(policy, instruments, heat_capacity=scenario.heat_capacity_kj_per_k_kw, seed=seed)
        self.readings = 0
        self.t = 0.0
        self.hottest: list[tuple[float, float]] = []  # the air at the hottest rack here, as it is, degC
        self.policy, self.scenario = policy, scenario
        self._digest, self._instruments = digest, instruments
        self._edges = ObedientEdges(max((route.max_call_s for route in policy.routes), default=300.0))
        self._scenes = sorted(_spread(scenario.scenes, self.site), key=lambda scene: scene.at)
        self._due = {each.device: 0.0 for each in instruments}
        self._probed = -PROBE_S

    def play(self) -> Iterator[tuple[Event, Step]]:
        """Live through the scenario."""
        yield from self._tell(PolicyLoaded(self._at, self.policy, self._digest, "envmon rehearse"))
        yield from self._tell(LeaseReport(self._at, held=True, epoch=1, detail="rehearsed"))
        while self.t <= self.scenario.duration:
            self.site.live(self.t)
            while self._scenes and self._scenes[0].at <= self.t:
                self.site.happen(self._scenes.pop(0))
            yield from self._moment()
            self.t = self._next()

    def limit_without_us(self, zone: str) -> float | None:
        """When the zone reached its limit, or would have had the scenario gone on; None: not within a day."""
        while zone not in self.site.limit_at and self.site.second < NO_LIMIT_S:
            self.site.live(self.site.second + 60.0)
        return self.site.limit_at.get(zone)

    @property
    def _at(self) -> Stamp:
        return Stamp(int((1000 + self.t) * SECOND), BEGINS + self.t, "rehearsal")

    def _moment(self) -> Iterator[tuple[Event, Step]]:
        for each in self._instruments:
            if self._due[each.device] <= self.t:
                self._due[each.device] = self.t + max(each.interval_s, self.scenario.poll)
                batch = self.site.poll(each, self._at)
                self.readings += len(batch.readings)
                yield from self._tell(batch)
        yield from self._report_edges()
        if self.t - self._probed >= PROBE_S:
            for route in self.policy.routes:
                yield from self._probe(route)
            self._probed = self.t
        if self.t >= ARM_AT_S and self.world.mode is Mode.OBSERVE:
            order = Order("rehearsal", Command.ARM, "", "rehearsal", "a rehearsal begins")
            yield from self._tell(OrderReceived(self._at, order))
        here = [zone.id for zone in self.policy.zones if zone.here]
        self.hottest.append((self.t, max((self.site.hottest(zone) for zone in here), default=0.0)))
        yield from self._tell(Tick(self._at))

    def _tell(self, event: Event) -> Iterator[tuple[Event, Step]]:
        waiting = [event]
        while waiting:
            event = waiting.pop(0)
            step = advance(self.world, event)
            self.world = step.world
            yield event, step
            for effect in step.effects:
                match effect:
                    case SetPercent() | StampEpoch():
                        waiting += self._edges.obey(effect, self._at)
                    case AskProbe(route=name):
                        waiting += [
                            report for route in self.policy.routes if route.id == name for report in self._probes(route)
                        ]
                    case _:
                        pass

    def _report_edges(self) -> Iterator[tuple[Event, Step]]:
        offered = int(self.t * CALLS_S)
        for edge in dict.fromkeys(edge for route in self.policy.routes for edge in route.edges):
            statuses = tuple(
                EdgeStatus(edge, route.id, 0, 0, 0, 1, offered, 0, round(route.max_call_s * CALLS_S / 2), 0)
                for route in self.policy.routes
                if edge in route.edges
            )
            yield from self._tell(self._edges.seen(EdgeReport(self._at, edge, statuses)))

    def _probe(self, route: RoutePolicy) -> Iterator[tuple[Event, Step]]:
        for report in self._probes(route):
            yield from self._tell(report)

    def _probes(self, route: RoutePolicy) -> Iterator[ProbeReport]:
        for edge in route.edges:
            for target in Target:
                zones = route.zones if target is Target.PRIMARY else route.backup_zones
                dead = [zone for zone in zones if zone in self.site.limit_at]
                detail = f"{', '.join(dead)} shut down" if dead else ""
                yield ProbeReport(self._at, route.id, edge, target, not dead, target.value, detail, 20.0)

    def _next(self) -> float:
        """The next moment at which anything can change."""
        moments = [*self._due.values(), *(scene.at for scene in self._scenes[:1])]
        if any(_pending(route, self._at.mono_ns) for route in self.world.routes.values()):
            moments.append(self.t + 1.0)
        return max(min(moments), self.t + 0.1)


def _pending(route: RouteState, now_ns: int) -> bool:
    """Whether seconds count on this route."""
    acute = route.act_ns is not None and now_ns - route.act_ns < ACUTE_S * SECOND
    waits = acute and route.position is Position.PRIMARY and not route.latched
    return waits or route.position in (Position.SHIFTING, Position.RESTORING)


def _spread(scenes: Sequence[Scene], site: OwnSite) -> Iterator[Scene]:
    """Scenes whose units fall one after the other, one scene a unit. Raises ScenarioError."""
    for scene in scenes:
        if not scene.apart:
            yield scene
            continue
        for number, (zone, unit) in enumerate(site.units(scene)):
            alone = {"at": scene.at + number * scene.apart, "zone": zone, "units": [unit], "apart": 0.0}
            yield scene.model_copy(update=alone)
