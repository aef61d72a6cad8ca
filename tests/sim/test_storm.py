"""Storm scripts: what a seed may do, what a script may say, and how fast the rooms are lost."""

import pytest

from envmon.sim.rooms import Rooms
from envmon.sim.site_map import HALL, LIMITS, ZONES, sensors
from envmon.sim.storm import Do, StormError, draw, load, parse

UNITS = [unit.id for unit in ZONES[0].units]
JUNE = load("june-2015")
STRUCK = tuple(sensor for sensor in sensors() if sensor.zone == HALL)


HOTTEST = (max((sensor for sensor in STRUCK if sensor.at_rack), key=lambda sensor: sensor.share),)


def rooms(seed: int, sensors=STRUCK) -> Rooms:
    return Rooms(ZONES[:1], sensors, draw(JUNE, seed, UNITS), zone=HALL, limit_c=LIMITS["service_c"])


def test_every_seed_stays_in_the_stated_ranges():
    loads, masses, noises, cuts, retried = set(), set(), set(), set(), 0
    for seed in range(201):
        storm = draw(JUNE, seed, UNITS)
        assert 0.85 <= storm.it_load <= 1.15
        assert 0.70 <= storm.thermal_mass <= 1.30
        assert 0.50 <= storm.sensor_noise <= 1.50
        mains = next(h.at for h in storm.happenings if h.do is Do.MAINS_LOST)
        assert 240 <= mains <= 360
        for unit in UNITS:
            own = [h for h in storm.happenings if h.unit == unit]
            assert own[0].do is Do.UNIT_CUT
            assert mains <= own[0].at <= mains + 90
            assert own[-1].do is Do.UNIT_CUT  # whatever it tried, it is down in the end
            retried += len(own) > 1
        assert list(storm.happenings) == sorted(storm.happenings, key=lambda h: h.at)
        loads.add(storm.it_load), masses.add(storm.thermal_mass), noises.add(storm.sensor_noise), cuts.add(mains)
    assert all(len(drawn) == 201 for drawn in (loads, masses, noises, cuts))
    assert 0.4 < retried / (201 * 4) < 0.6
    assert max(loads) - min(loads) > 0.25 and max(masses) - min(masses) > 0.5


def test_every_seed_reaches_the_limit_nine_to_forty_minutes_after_the_cut():
    spans = []
    for seed in range(201):
        struck = rooms(seed, HOTTEST)
        limit = struck.advance_to_limit(HALL, 6000)
        assert limit is not None and limit <= JUNE.duration_s
        spans.append((limit - draw(JUNE, seed, UNITS).cut_at) / 60)
    assert min(spans) >= 9 and max(spans) <= 40
    assert min(spans) >= 8 + 1  # a drain, its proof and its margin are 8 minutes
    assert 12 <= sorted(spans)[100] <= 25


def test_the_same_seed_is_the_same_storm_to_the_last_digit():
    def past(seed: int) -> list[float]:
        struck, seen = rooms(seed), []
        for second in range(900):
            struck.advance(second)
            seen += [struck.shown(sensor.id) for sensor in STRUCK]
        return seen

    assert past(4) == past(4)
    assert past(4) != past(5)
    assert draw(JUNE, 4, UNITS) == draw(JUNE, 4, UNITS)


def test_advancing_late_is_the_same_as_advancing_in_time():
    late, steady = rooms(9), rooms(9)
    for second in range(601):
        steady.advance(second)
    late.advance(600.7)
    assert late.second == steady.second == 600
    assert late.now(HALL) == steady.now(HALL)
    assert [late.shown(s.id) for s in STRUCK] == [steady.shown(s.id) for s in STRUCK]


def test_a_quiet_room_reads_its_set_point_with_noise_and_lags_behind_a_loss():
    struck = rooms(2)
    probe = "rack_probes.inlet"
    quiet = []
    for second in range(200):
        struck.advance(second)
        quiet.append(struck.shown(probe))
    assert 22 < sum(quiet) / len(quiet) < 23.5
    assert len(set(quiet)) > 3  # no sensor stands still
    cut = int(struck_cut := draw(JUNE, 2, UNITS).cut_at) + 150
    struck.advance(cut)
    assert struck_cut < cut
    assert struck.shown(probe) < struck.hottest(HALL) - 0.3
    assert struck.hottest(HALL) > 28


def test_the_ups_carries_the_servers_until_the_generator_does():
    struck = rooms(3)
    seen = []
    for second in range(500):
        struck.advance(second)
        seen.append(struck.on_battery)
    assert 10 <= sum(seen) <= 21
    assert not seen[0] and not seen[-1]


def test_equipment_shuts_down_at_the_limit_for_good():
    struck = rooms(1)
    before = struck.zones[HALL].load_kw
    limit = struck.advance_to_limit(HALL, 6000)
    assert limit == struck.second
    assert struck.hottest(HALL) >= 40
    assert struck.zones[HALL].load_kw < 0.1 * before
    struck.advance(limit + 3600)
    assert struck.limit_reached_at == {HALL: limit}
    assert struck.hottest(HALL) < 40


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("storm: june-2015", "strom: june-2015", "unknown strom"),
        ("duration_s: 3600", "duration_s: 7200", "duration_s is a number, at least 0 and at most 3600"),
        ("duration_s: 3600", "duration_s: soon", "duration_s is a number"),
        ("it_load: 0.15", "it_load: 0.9", "it_load is a number, at least 0 and at most 0.5"),
        ("do: mains_lost", "do: tornado", "scene 1: do is one of mains_lost"),
        ("after: storm, at: 15", "after: strom, at: 15", "scene 2: no earlier scene is named 'strom'"),
        ("spread: 90, units: all", "spread: 90, units: some", "scene 3: units is all or a list"),
        ("hold: [30, 150]", "hold: [150, 30]", "scene 4: hold is a pair"),
        ("chance: 0.5", "chance: 2", "scene 4: chance is a number, at least 0 and at most 1"),
        ("at: 120", "at: true", "scene 4: at is a number"),
        ("scenes:", "vary2: [", "not YAML"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(old, new, says):
    from importlib.resources import files

    text = (files("envmon.sim") / "storms" / "june-2015.yaml").read_text()
    assert old in text
    with pytest.raises(StormError, match=r"(?s)^mine: ") as caught:
        parse(text.replace(old, new), "mine")
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a", "7", "storm: x"])
def test_what_is_no_script_is_refused(text):
    with pytest.raises(StormError):
        parse(text)


def test_an_unknown_storm_names_the_known_ones(tmp_path):
    with pytest.raises(StormError, match="june-2015"):
        load("july-2015")
    binary = tmp_path / "storm.yaml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(StormError, match="cannot be read"):
        load(str(binary))


def test_a_script_of_your_own_may_name_units_and_only_real_ones(tmp_path):
    text = (
        "{storm: mine, title: t, begins: now, duration_s: 600, zone: hall_a,"
        " vary: {it_load: 0, thermal_mass: 0, sensor_noise: 0},"
        " scenes: [{do: unit_failed, at: 10, units: [crac_2]}, {do: mains_back, at: 5}]}"
    )
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    storm = load(str(own))
    drawn = draw(storm, 0, UNITS)
    assert [(h.do, h.unit) for h in drawn.happenings] == [(Do.MAINS_BACK, ""), (Do.UNIT_FAILED, "crac_2")]
    assert (drawn.it_load, drawn.thermal_mass, drawn.sensor_noise) == (1, 1, 1)
    assert drawn.cut_at == float("inf")
    with pytest.raises(StormError, match="no unit crac_2"):
        draw(storm, 0, ["bcrac_1"])
