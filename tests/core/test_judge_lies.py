"""No single sensor, device or network path can cause a shift, however it lies; none can prevent one.

A room with four inlets and a return probe behind two gateways, three units behind a panel and a UPS behind a fourth
path is told to the engine every 15 s. Its true course is one of a few stories; every target tells one lie of every
kind, from before the story's turn to its end.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from envmon.core.advance import advance
from envmon.core.world import SECOND, World, initial
from envmon.model.effect import AskProbe, SetPercent, StampEpoch
from envmon.model.event import (
    Command,
    DeviceBatch,
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
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity, UnitState

STEP = 15
TURN = 375  # the story turns here, seconds
LIE_FROM = 225
NOISE_K = 0.11  # of every sensor


@dataclass(frozen=True)
class Air:
    """The truth at one moment: degC, and what the units do."""

    inlet: float
    back: float
    supply: float
    units: tuple[str, str, str]
    battery: bool = False


RUN, FAILED, STARTING = UnitState.RUNNING.value, UnitState.FAILED.value, UnitState.STARTING.value
ALL = (RUN, RUN, RUN)


def quiet(_: float) -> Air:
    return Air(22.0, 30.0, 21.0, ALL)


def warmer_set_point(t: float) -> Air:
    rise = 4.0 * (1 - math.exp(-t / 400))
    return Air(22.0 + rise, 30.0 + rise, 21.0 + rise, ALL)


def one_unit_lost(t: float) -> Air:
    rise = 0.8 * (1 - math.exp(-t / 200))
    return Air(22.0 + rise, 30.0 + rise, 21.0 + rise, (FAILED, RUN, RUN))


def power_dip(t: float) -> Air:
    """All units stop and come back by themselves after three minutes."""
    off = t < 180
    rise = 6.0 * (1 - math.exp(-t / 120)) if off else 6.0 * (1 - math.exp(-180 / 120)) * math.exp(-(t - 180) / 120)
    return Air(22.0 + rise, 30.0 + 0.6 * rise, 21.0 + rise, (STARTING,) * 3 if off else ALL, battery=t < 15)


def lost(t: float) -> Air:
    """Every unit fails: the aisles mix, then racks and walls soak up the heat; 40 degC after about 18 minutes."""
    back = 30.0 + 2.6 * math.log1p(t / 30)
    inlet = back - 8.0 * math.exp(-t / 80)
    return Air(inlet, back, inlet, (FAILED,) * 3)


def silent_fans(t: float) -> Air:
    """The fans stand still and the units still say that they run."""
    truth = lost(t)
    return Air(truth.inlet, truth.back, truth.inlet, ALL)


HOLD = (quiet, warmer_set_point, one_unit_lost, power_dip)
LOSE = (lost, silent_fans)


@dataclass(frozen=True)
class Probe:
    """One point of the room and how it sees the truth."""

    point: Point
    sees: Callable[[Air], float | str]
    bias: float = 0.0


def point(name: str, device: str, path: str, role: Role, unit: str | None = None) -> Point:
    return Point(f"site.hall.{name}", name, device, path, "hall", unit, role, "degC")


def probes() -> tuple[Probe, ...]:
    found = [
        Probe(point("inlet_1", "gw_a", "gw_a", Role.RACK_INLET_TEMP), lambda air: air.inlet, 0.2),
        Probe(point("inlet_2", "gw_b", "gw_b", Role.RACK_INLET_TEMP), lambda air: air.inlet, -0.3),
        Probe(point("inlet_3", "gw_a", "gw_a", Role.RACK_INLET_TEMP), lambda air: air.inlet, 0.1),
        Probe(point("inlet_4", "gw_b", "gw_b", Role.RACK_INLET_TEMP), lambda air: air.inlet, 0.4),
        Probe(point("return_1", "gw_a", "gw_a", Role.RETURN_TEMP), lambda air: air.back),
        Probe(point("battery", "ups", "power", Role.ON_BATTERY), lambda air: "yes" if air.battery else "no"),
    ]
    water = point("chilled_water", "chw", "panel", Role.CHILLED_WATER_SUPPLY_TEMP)
    found.append(Probe(water, lambda air: air.supply - 14.0))
    for n in range(3):
        unit = f"crac_{n}"
        found += [
            Probe(point(f"{unit}.state", unit, "panel", Role.UNIT_RUNNING, unit), lambda air, n=n: air.units[n]),
            Probe(point(f"{unit}.supply", unit, "panel", Role.SUPPLY_TEMP, unit), lambda air: air.supply),
            Probe(point(f"{unit}.return", unit, "panel", Role.RETURN_TEMP, unit), lambda air: air.back),
        ]
    return tuple(found)


ROOM = probes()
BACKUP = tuple(Point(f"far.{n}", f"far_{n}", "far", "far", "far", None, Role.RACK_INLET_TEMP, "degC") for n in range(2))
POLICY = Policy(
    "site",
    (
        ZonePolicy("hall", True, 60.0, Limits(), tuple(UnitPolicy(f"crac_{n}", 36.0) for n in range(3)), 2),
        ZonePolicy("far", False, 30.0, Limits(), (UnitPolicy("far_1", 60.0),), 1),
    ),
    (RoutePolicy("voice", ("edge",), ("hall",), ("far",)),),
    ("gw_a", "gw_b", "ups", "crac_0", "crac_1", "crac_2", "chw", "far"),
    stale_s=40.0,
)

Lie = Callable[[Probe, float, float | str, Callable[[float], Air]], float | str | None]


def number(change: Callable[[Probe, float, float], float]) -> Lie:
    """A lie about numbers; states are told as they are."""
    return lambda probe, t, true, _: change(probe, t, true) if isinstance(true, float) else true


def word(value: str) -> Lie:
    """A lie about unit states; numbers are told as they are."""
    return lambda probe, _t, true, _s: value if probe.point.role is Role.UNIT_RUNNING else true


def as_in(story: Callable[[float], Air]) -> Lie:
    """Everything as another story would show it: a replay, a frozen gateway, a coherent liar."""
    return lambda probe, t, _true, _s: told(probe, story(t - LIE_FROM) if t >= LIE_FROM else quiet(t), t)


LIES: dict[str, Lie] = {
    "stuck high": number(lambda *_: 51.2),
    "stuck at the limit": number(lambda *_: 39.9),
    "stuck low": number(lambda *_: 18.0),
    "frozen": lambda probe, _t, true, _s: told(probe, quiet(0), LIE_FROM) if isinstance(true, float) else true,
    "drifts up": number(lambda _, t, true: true + 12.0 * (t - LIE_FROM) / 3600),
    "creeps up": number(lambda _, t, true: min(60.0, true + (t - LIE_FROM) / 15)),
    "creeps down": number(lambda _, t, true: max(5.0, true - (t - LIE_FROM) / 30)),
    "spikes": number(lambda _, t, true: true + (25.0 if int(t) % 60 == 0 else 0.0)),
    "times ten": number(lambda _, _t, true: true * 10 if true * 10 < 125 else 125.0),
    "a tenth": number(lambda _, _t, true: true / 10),
    "zero": number(lambda *_: 0.0),
    "power-on value": number(lambda *_: 85.0),
    "noise": number(lambda probe, t, true: true + 8.0 * rattle(probe, t)),
    "swapped": lambda *seen: swapped(*seen),  # noqa: PLW0108 - defined below
    "says failed": word(FAILED),
    "says starting": word(STARTING),
    "says running": word(RUN),
    "on battery": lambda probe, _t, true, _s: "yes" if probe.point.role is Role.ON_BATTERY else true,
    "silent": lambda *_: None,
    "replays a loss": as_in(lost),
    "replays a quiet room": as_in(quiet),
}


def swapped(probe: Probe, t: float, true: float | str, story: Callable[[float], Air]) -> float | str:
    """An inlet shows the return air and the other way round."""
    air = story(t - TURN) if t >= TURN else quiet(t)
    match probe.point.role:
        case Role.RACK_INLET_TEMP:
            return air.back
        case Role.RETURN_TEMP:
            return air.inlet
    return true


def rattle(probe: Probe, t: float) -> float:
    """Noise in -1..1 that is the same in every run."""
    return math.sin(12.9898 * t + 78.233 * sum(map(ord, probe.point.name)))


def told(probe: Probe, air: Air, t: float) -> float | str:
    true = probe.sees(air)
    return round(true + probe.bias + NOISE_K * rattle(probe, t), 1) if isinstance(true, float) else true


def targets(lie: Lie) -> Iterator[tuple[str, frozenset[str]]]:
    """One sensor of every role, one unit, every path; a lie that would change nothing is not told."""
    sensors = {p.point.role: p for p in ROOM}
    named = {f"sensor {p.point.name}": [p] for p in sensors.values()}
    named["unit crac_0"] = [p for p in ROOM if p.point.device == "crac_0"]
    for path in dict.fromkeys(p.point.path for p in ROOM):
        named[f"path {path}"] = [p for p in ROOM if p.point.path == path]
    for name, some in named.items():
        if any(lies(lie, probe, story) for probe in some for story in (quiet, lost)):
            yield name, frozenset(probe.point.id for probe in some)


def lies(lie: Lie, probe: Probe, story: Callable[[float], Air]) -> bool:
    return any(lie(probe, t, told(probe, story(t), t), story) != told(probe, story(t), t) for t in (450.0, 900.0))


def reading(probe: Probe, value: float | str | None) -> Reading:
    if value is None:
        return Reading(probe.point, None, Quality.MISSING, Reason.TIMEOUT)
    return Reading(probe.point, value, severity=Severity.OK)


class Telling:
    """One story told to the engine, with one liar."""

    def __init__(self, story: Callable[[float], Air], lie: Lie, liars: frozenset[str]) -> None:
        self.story, self.lie, self.liars = story, lie, liars
        self.world: World = initial()
        self.t = 0
        self.percent, self.fence = 0, 0
        self.moved_at: int | None = None

    @property
    def at(self) -> Stamp:
        return Stamp((1000 + self.t) * SECOND, 1e9 + self.t, "boot")

    def tell(self, event: Event) -> None:
        step = advance(self.world, event)
        self.world = step.world
        for effect in step.effects:
            match effect:
                case SetPercent():
                    self.percent, self.moved_at = effect.percent, self.t
                case StampEpoch():
                    self.fence = effect.epoch
                case AskProbe():
                    self.probe()

    def probe(self) -> None:
        for target in Target:
            self.tell(ProbeReport(self.at, "voice", "edge", target, True, target.value, "", 3.0))

    def poll(self) -> None:
        air = self.story(self.t - TURN) if self.t >= TURN else quiet(self.t)
        batches: dict[str, list[Reading]] = {}
        for probe in ROOM:
            value: float | str | None = told(probe, air, self.t)
            if self.t >= LIE_FROM and probe.point.id in self.liars:
                value = self.lie(probe, self.t, value, self.story)  # type: ignore[arg-type]
            batches.setdefault(probe.point.device, []).append(reading(probe, value))
        for device, readings in batches.items():
            self.tell(DeviceBatch(self.at, device, tuple(readings)))
        self.tell(DeviceBatch(self.at, "far", tuple(Reading(p, 22.0 + 0.1 * (self.t // STEP % 2)) for p in BACKUP)))

    def begin(self) -> None:
        """The policy takes force and the lease is held."""
        self.tell(PolicyLoaded(self.at, POLICY, "digest", "test"))
        self.tell(LeaseReport(self.at, held=True, epoch=7, detail="test"))
        self.live(0, LIE_FROM)

    def run(self, until: int) -> int | None:
        """Tell the story until ``until`` or the first move; when it moved. Until the first lie all are alike."""
        before = honest_beginning()
        self.world, self.percent, self.fence = before.world, before.percent, before.fence
        return self.live(LIE_FROM, until + 1)

    def live(self, since: int, until: int) -> int | None:
        for self.t in range(since, until, STEP):
            self.poll()
            status = EdgeStatus("edge", "voice", self.percent, self.fence, self.fence, 1, self.t, 0, 30, 0)
            self.tell(EdgeReport(self.at, "edge", (status,)))
            if self.t == STEP:
                self.tell(OrderReceived(self.at, Order("arm", Command.ARM, "", "alice", "test")))
            if self.t % 60 == 0:
                self.probe()
            self.tell(Tick(self.at))
            if self.moved_at is not None:
                break
        return self.moved_at


HONEST = frozenset[str]()


@cache
def honest_beginning() -> Telling:
    """The quiet room before anybody lies and before any story turns."""
    telling = Telling(quiet, LIES["silent"], HONEST)
    telling.begin()
    return telling


LIMIT_AT = next(t for t in range(3600) if lost(t).inlet >= 40.0)


@pytest.mark.parametrize("story", HOLD, ids=lambda story: story.__name__)
def test_an_honest_room_that_recovers_is_left_alone(story):
    assert Telling(story, LIES["silent"], HONEST).run(TURN + 1500) is None


@pytest.mark.parametrize("story", LOSE, ids=lambda story: story.__name__)
def test_an_honest_room_that_is_lost_is_left_in_time(story):
    moved = Telling(story, LIES["silent"], HONEST).run(TURN + LIMIT_AT)
    assert moved is not None
    assert TURN < moved <= TURN + LIMIT_AT - 300


@pytest.mark.parametrize("story", HOLD, ids=lambda story: story.__name__)
@pytest.mark.parametrize("lie", LIES)
def test_no_single_liar_causes_a_shift(story, lie):
    caused = {
        name: moved
        for name, liars in targets(LIES[lie])
        if (moved := Telling(story, LIES[lie], liars).run(TURN + 750)) is not None
    }
    assert caused == {}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("story", LOSE, ids=lambda story: story.__name__)
def test_no_single_liar_prevents_a_shift(story, lie):
    late = [name for name, liars in targets(LIES[lie]) if Telling(story, LIES[lie], liars).run(TURN + LIMIT_AT) is None]
    assert late == []
