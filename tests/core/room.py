"""A small world for the core's tests: one room, its units and probes, two edges, told second by second."""

from dataclasses import dataclass, field, replace

from envmon.core.advance import advance
from envmon.core.world import SECOND, World, initial
from envmon.model.effect import Decision, Effect, SetPercent, StampEpoch
from envmon.model.event import (
    Command,
    DeviceBatch,
    EdgeReport,
    EdgeStatus,
    EffectReport,
    LeaseReport,
    Order,
    OrderReceived,
    Outcome,
    PolicyLoaded,
    ProbeReport,
    Stamp,
    Target,
    Tick,
)
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity

START_NS = 1_000 * SECOND
START_WALL = 1_432_870_200.0  # 29 May 2015, 03:30 UTC


def zone(name: str, *, here: bool = True, load: float = 60.0) -> ZonePolicy:
    units = tuple(UnitPolicy(f"{name}_crac_{n}", 36.0) for n in (1, 2, 3))
    return ZonePolicy(name, here, load, Limits(), units, 2)


def policy(**changes: object) -> Policy:
    route = RoutePolicy("outbound", ("edge_1", "edge_2"), ("hall_a",), ("hall_b",), soak_s=60.0, stages=(100,))
    devices = tuple(f"{z}_{d}" for z in ("hall_a", "hall_b") for d in ("crac_1", "crac_2", "crac_3", "probes"))
    base = Policy("dallas", (zone("hall_a"), zone("hall_b", here=False, load=30.0)), (route,), devices)
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class Edge:
    """An edge as it would answer: it obeys writes unless told otherwise; ``truly`` is what it does when it lies."""

    percent: int = 0
    set_epoch: int = 0
    fence: int = 0
    up_since: int = 1_000
    silent: bool = False
    speaks: bool = False  # though silent to commands, it answers OPTIONS
    deaf: bool = False
    calls_primary: int = 0
    calls_backup: int = 0
    active_primary: int = 0
    active_backup: int = 0
    answered_backup: int = 0
    failed_backup: int = 0
    truly: int | None = None
    share: int = 0

    def carry(self, calls: int, *, answered: bool) -> None:
        """New calls of one second, split by the percent as evenly as whole calls can be."""
        percent = self.percent if self.truly is None else self.truly
        self.share += calls * percent
        backup, self.share = divmod(self.share, 100)
        self.calls_backup += backup
        self.calls_primary += calls - backup
        self.answered_backup += backup if answered else 0
        self.failed_backup += 0 if answered else backup
        self.active_primary = max(0, self.active_primary - 1) if percent == 100 else 30
        self.active_backup = max(0, self.active_backup - 1) if percent == 0 else 30


@dataclass
class Room:
    """Feeds the core what a site would, and keeps what the core answered."""

    policy: Policy = field(default_factory=policy)
    world: World = field(default_factory=initial)
    now_ns: int = START_NS
    boot: str = "boot-1"
    inlets: dict[str, float] = field(default_factory=lambda: {"hall_a": 22.0, "hall_b": 22.0})
    returns: dict[str, float] = field(default_factory=lambda: {"hall_a": 33.0, "hall_b": 33.0})
    states: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    edges: dict[str, Edge] = field(default_factory=lambda: {"edge_1": Edge(), "edge_2": Edge()})
    backup_answers: bool = True
    backup_takes_calls: bool = True
    calls_per_s: int = 2
    lease: LeaseReport | None = None
    effects: list[Effect] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tell(PolicyLoaded(self.at, self.policy, "digest", "test"))
        self.take_lease(7)

    @property
    def at(self) -> Stamp:
        return Stamp(self.now_ns, START_WALL + (self.now_ns - START_NS) / SECOND, self.boot)

    def take_lease(self, epoch: int) -> None:
        self.tell(LeaseReport(self.at, held=True, epoch=epoch, detail="local"))

    def tell(self, event: object) -> tuple[Decision, ...]:
        step = advance(self.world, event)  # type: ignore[arg-type]
        self.world = step.world
        self.effects.extend(step.effects)
        self.decisions.extend(step.decisions)
        self._carry_out(step.effects)
        return step.decisions

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if not isinstance(effect, SetPercent | StampEpoch):
                continue
            for name in effect.edges:
                edge = self.edges[name]
                outcome = Outcome.FAILED if edge.silent or edge.deaf else Outcome.DONE
                if effect.epoch < edge.fence:
                    outcome = Outcome.FENCED
                if outcome is Outcome.DONE:
                    edge.fence = effect.epoch
                    if isinstance(effect, SetPercent):
                        edge.percent, edge.set_epoch = effect.percent, effect.epoch
                self.tell(EffectReport(self.at, effect.id, name, outcome, ""))

    def order(self, command: Command, route: str = "", who: str = "alice") -> Decision:
        number = f"order-{len(self.decisions)}"
        decisions = self.tell(OrderReceived(self.at, Order(number, command, route, who, "because")))
        (answer,) = [decision for decision in decisions if decision.order == number]
        return answer

    def readings(self, device: str, zone_name: str) -> tuple[Reading, ...]:
        def point(name: str, role: Role, unit: str | None, measure: str) -> Point:
            owner = unit or device
            return Point(f"dallas.{zone_name}.{owner}.{name}", name, device, device, zone_name, unit, role, measure)

        if device.endswith("probes"):
            inlet = self.inlets[zone_name]
            return tuple(
                Reading(point(f"inlet_{n}", Role.RACK_INLET_TEMP, None, "degC"), inlet + 0.1 * n) for n in range(3)
            )
        state = self.states.get(device, "running")
        severity = Severity.OK if state == "running" else Severity.CRITICAL
        return (
            Reading(point("mode", Role.UNIT_RUNNING, device, ""), state, severity=severity),
            Reading(point("return_temp", Role.RETURN_TEMP, device, "degC"), self.returns[zone_name]),
            Reading(point("inlet_temp", Role.RACK_INLET_TEMP, device, "degC"), self.inlets[zone_name]),
        )

    def poll(self) -> None:
        for device in self.policy.devices:
            zone_name = device[:6]
            readings = self.readings(device, zone_name)
            error = ""
            if device in self.silent:
                error = "no answer in 2 s"
                readings = tuple(Reading(r.point, None, Quality.MISSING, Reason.TIMEOUT) for r in readings)
            self.tell(DeviceBatch(self.at, device, readings, error))

    def ask_edges(self) -> None:
        for name, edge in self.edges.items():
            if edge.silent:
                self.tell(EdgeReport(self.at, name, (), "no answer", edge.speaks))
                continue
            status = EdgeStatus(
                name, "outbound", edge.percent, edge.set_epoch, edge.fence, edge.up_since,
                edge.calls_primary, edge.calls_backup, edge.active_primary, edge.active_backup, ends=True,
                answered_primary=edge.calls_primary, answered_backup=edge.answered_backup,
                failed_backup=edge.failed_backup,
            )  # fmt: skip
            self.tell(EdgeReport(self.at, name, (status,)))

    def probe(self) -> None:
        for name, edge in self.edges.items():
            for target in Target:
                ok = not edge.silent and (self.backup_answers or target is Target.PRIMARY)
                detail = "" if ok else "no final answer in 2 s"
                self.tell(ProbeReport(self.at, "outbound", name, target, ok, "sip:b1@far", detail, 3.0))

    def second(self) -> None:
        """One second of the site: calls, polls every 5 s, edges every 2 s, probes every 5 s, a tick."""
        self.now_ns += SECOND
        elapsed = (self.now_ns - START_NS) // SECOND
        for edge in self.edges.values():
            edge.carry(self.calls_per_s, answered=self.backup_takes_calls)
        if elapsed % 5 == 1:
            self.poll()
            self.probe()
        if elapsed % 2 == 1:
            self.ask_edges()
        self.tell(Tick(self.at))

    def run(self, seconds: int, *, heat: float = 0.0, back: float | None = None) -> "Room":
        """Let ``seconds`` pass; hall_a warms by ``heat`` K a second, its return air by ``back`` or as much."""
        for _ in range(seconds):
            self.inlets["hall_a"] += heat
            self.returns["hall_a"] += heat if back is None else back
            self.second()
        return self

    def lose_units(self, *numbers: int) -> None:
        for number in numbers:
            self.states[f"hall_a_crac_{number}"] = "failed"

    def armed(self) -> "Room":
        """A quiet, armed site with everything proven."""
        self.run(12)
        assert self.order(Command.ARM).refused is False
        return self.run(3)

    @property
    def rules(self) -> list[str]:
        return [decision.rule for decision in self.decisions]

    @property
    def route(self):
        return self.world.routes["outbound"]
