"""A site's own failures, rehearsed: the physics follows the configuration, scenarios fit any site or say why not."""

from dataclasses import replace

import pytest

from envmon.model.event import DeviceBatch, Stamp
from envmon.model.policy import Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Point, Quality, Reading, Reason, Role, UnitState
from envmon.model.verdict import Verdict
from envmon.sim.own_site import Gauge, Instrument, OwnSite
from envmon.sim.rehearsal import Rehearsal
from envmon.sim.scenario import Lie, ScenarioError, Scene, built_in, load, parse

AT = Stamp(1, 1.0, "b")
UNIT_ROLES = {
    "state": Role.UNIT_RUNNING, "inlet": Role.RACK_INLET_TEMP, "supply": Role.SUPPLY_TEMP, "back": Role.RETURN_TEMP,
    "water": Role.CHILLED_WATER_SUPPLY_TEMP, "output": Role.COOLING_OUTPUT,
}  # fmt: skip
NAMES = {"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")}


def site(*, heat_capacity: float = 30.0) -> Policy:
    def zone(name: str, *, here: bool) -> ZonePolicy:
        units = tuple(UnitPolicy(unit, 30.0) for unit in NAMES[name])
        return ZonePolicy(name, here, 55.0, Limits(), units, 2, heat_capacity)

    route = RoutePolicy("voice", ("edge",), ("a",), ("b",), max_call_s=120.0)
    devices = tuple(unit for units in NAMES.values() for unit in units)
    return Policy("here", (zone("a", here=True), zone("b", here=False)), (route,), devices, stale_s=60.0)


def instruments(without: frozenset[str] = frozenset()) -> tuple[Instrument, ...]:
    def gauges(zone: str, unit: str) -> tuple[Gauge, ...]:
        return tuple(
            Gauge(Point(f"here.{zone}.{unit}.{name}", name, unit, f"path_{unit}", zone, unit, role, ""))
            for name, role in UNIT_ROLES.items()
            if name not in without
        )

    return tuple(
        Instrument(unit, f"path_{unit}", 5.0, gauges(zone, unit)) for zone, units in NAMES.items() for unit in units
    )


def rehearsed(name: str, policy: Policy | None = None) -> tuple[Rehearsal, list[str]]:
    run = Rehearsal(policy or site(), "digest", load(name), instruments())
    return run, [decision.rule for _, step in run.play() for decision in step.decisions]


def read(own: OwnSite, device: str) -> dict[str, Reading]:
    (found,) = [each for each in instruments() if each.device == device]
    return {reading.point.name: reading for reading in own.poll(found, AT).readings}


def own(seed: int = 1) -> OwnSite:
    return OwnSite(site(), instruments(), seed=seed)


def scene(do: str, **more: object) -> Scene:
    return parse(f"{{rehearsal: x, title: x, duration: 1h, scenes: [{dict(at='0s', do=do, **more)}]}}").scenes[0]


def test_a_site_that_nothing_befalls_stays_as_it_is():
    quiet = own()
    before = quiet.hottest("a")
    quiet.live(6 * 3600)
    assert quiet.hottest("a") == pytest.approx(before, abs=0.5)
    assert quiet.limit_at == {}


def test_a_room_without_cooling_warms_as_fast_as_its_heat_capacity_says():
    reached = []
    for heat_capacity in (20.0, 60.0):
        room = OwnSite(site(heat_capacity=heat_capacity), instruments())
        room.happen(scene("unit_failed"))
        room.live(3 * 3600)
        reached.append(room.limit_at["a"])
    assert 240 < reached[0] < reached[1] < 3000
    assert "b" not in room.limit_at


def test_units_say_what_they_do():
    room = own()
    room.happen(scene("unit_failed", units=1))
    room.happen(scene("unit_cut", units=["a2"]))
    room.live(60)
    assert read(room, "a1")["state"].value == UnitState.FAILED
    assert read(room, "a2")["state"].value == UnitState.OFF
    assert read(room, "a3")["state"].value == UnitState.RUNNING
    room.happen(scene("unit_powered", units=["a2"]))
    room.happen(scene("unit_repaired", units=1))
    assert read(room, "a2")["state"].value == UnitState.STARTING
    assert read(room, "a1")["state"].value == UnitState.STARTING, "the first that stands still"
    room.live(600)
    assert {read(room, unit)["state"].value for unit in NAMES["a"]} == {UnitState.RUNNING}


def test_without_chilled_water_the_fans_go_on_and_the_room_warms():
    room = own()
    cold = read(room, "a1")["water"].value
    room.happen(scene("water_lost"))
    room.live(300)
    assert read(room, "a1")["state"].value == UnitState.RUNNING
    assert read(room, "a1")["water"].value > cold + 3
    assert room.hottest("a") > 26
    backup = OwnSite(site(), instruments())
    backup.happen(scene("water_lost"))
    backup.live(300)
    assert read(backup, "b1")["water"].value < cold + 1, "the backup has water of its own"
    dry = OwnSite(site(), instruments(frozenset({"water"})))
    with pytest.raises(ScenarioError, match="no unit of this site shows chilled water"):
        dry.happen(scene("water_lost"))


@pytest.mark.parametrize("lie", Lie)
def test_a_sensor_lies_alone(lie):
    honest, lying = own(), own()
    lying.happen(scene("sensors_lie", lie=lie.value))
    honest.happen(scene("unit_failed"))
    lying.happen(scene("unit_failed"))
    values: list[tuple[float | str | None, ...]] = []
    for minute in range(60):
        for each in (honest, lying):
            each.live(60.0 * minute)
        values.append(tuple(read(each, unit)["inlet"].value for each in (honest, lying) for unit in ("a1", "a2")))
    assert all(row[1] == row[3] for row in values), "only the one"
    apart = [row[2] is None or abs(float(row[2]) - float(row[0])) > 0.9 for row in values]
    assert any(apart)
    if lie is Lie.SPIKE:
        assert apart.count(True) == 3
    lying.happen(scene("sensors_good"))
    assert read(lying, "a1")["inlet"].value == read(honest, "a1")["inlet"].value


def test_paths_freeze_and_fall_silent():
    room = own()
    before = read(room, "a2")
    room.happen(scene("path_frozen", path="path_a2"))
    room.happen(scene("unit_failed"))
    room.live(300)
    assert read(room, "a2") == before
    assert read(room, "a1")["inlet"].value > before["inlet"].value
    room.happen(scene("path_silent", path="path_a2"))
    silent = read(room, "a2")["inlet"]
    assert (silent.value, silent.quality, silent.reason) == (None, Quality.MISSING, Reason.TIMEOUT)
    room.happen(scene("path_good", path="path_a2"))
    assert read(room, "a2")["state"].value == UnitState.FAILED


def test_what_is_not_commissioned_does_not_vote():
    gauges = tuple(replace(gauge, votes=False) for gauge in instruments()[0].gauges)
    batch = own().poll(replace(instruments()[0], gauges=gauges), AT)
    assert {reading.quality for reading in batch.readings} == {Quality.UNCERTAIN}


def test_a_failure_of_all_units_moves_the_calls_in_time():
    run, rules = rehearsed("utility-cut-no-restart")
    assert [rule for rule in rules if rule in {"T10", "T20", "T23"}] == ["T10", "T20", "T23"]
    assert run.site.limit_at["a"] > 1200


def test_lying_sensors_move_nothing():
    run, rules = rehearsed("sensor-faults")
    assert "T10" not in rules
    assert run.site.limit_at == {}
    assert run.readings > 50_000


def test_a_hot_backup_stops_the_move_and_says_so():
    run, rules = rehearsed("backup-hot")
    assert "T10" not in rules
    assert "T13" in rules
    assert run.world.zones["b"].judgement.verdict is Verdict.CRITICAL


@pytest.mark.parametrize("name", built_in())
def test_every_scenario_that_ships_fits_a_site_and_repeats(name):
    scenario = load(name)
    short = scenario.model_copy(update={"duration": min(scenario.duration, 1800.0)})
    runs = []
    for _ in range(2):
        run = Rehearsal(site(), "digest", short, instruments(), seed=7)
        runs.append([(event, step.decisions) for event, step in run.play()])
    assert runs[0] == runs[1]
    assert any(isinstance(event, DeviceBatch) for event, _ in runs[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a scenario is a mapping"),
        ("a: [", "not YAML"),
        ("{rehearsal: x, title: x, duration: 1h, scenes: [{at: 5, do: unit_failed}]}", "scene 1, at: .*needs its unit"),
        ("{rehearsal: x, title: x, duration: 1h, scenes: [{at: 5s, do: fire}]}", "scene 1, do: Input should be"),
        ("{rehearsal: x, title: x, duration: 1h, scenes: [{at: 5s, do: unit_cut, unit: a}]}", "scene 1, unit: Extra"),
        ("{rehearsal: x, title: x, duration: 90h, scenes: []}", "duration: must be from 1min to 24h"),
        ("{title: x, duration: 1h, scenes: []}", "rehearsal: Field required"),
    ],
)
def test_a_scenario_that_cannot_be_understood_says_where(text, says):
    with pytest.raises(ScenarioError, match=f"my.yaml: {says}"):
        parse(text, "my.yaml")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (scene("unit_failed", units=["x9"]), "there is no unit x9; known: a1, a2, a3"),
        (scene("unit_failed", zone="attic"), "there is no zone attic; known: a, b"),
        (scene("path_frozen", path="loft"), "there is no path loft; known: path_a1"),
        (scene("sensors_lie", points=["nose"]), "no temperature is called nose in a"),
    ],
)
def test_what_this_site_has_not_is_told(wrong, says):
    with pytest.raises(ScenarioError, match=says):
        own().happen(wrong)


def test_a_name_that_is_none_lists_those_there_are():
    with pytest.raises(ScenarioError, match=r"doom: cannot be read .*built in: backup-hot, .*utility-cut"):
        load("doom")
