"""The physics of a room: energy, closed forms, published rates, unit sequences."""

import math
from dataclasses import replace
from random import Random

import pytest

from envmon.model.reading import UnitState
from envmon.sim.plant import UnitParams, ZoneNow, ZoneParams, fail, fan, power, rated_stream, settled, step, supply

HALL = ZoneParams("hall", 60.0, tuple(UnitParams(f"crac_{n}", 24.0) for n in range(1, 5)))


def cut(zone: ZoneParams, now: ZoneNow, count: int, at: float = 0.0) -> ZoneNow:
    units = list(now.units)
    for index in range(count):
        units[index] = power(zone.units[index], units[index], False, at)
    return replace(now, units=tuple(units))


def live(zone: ZoneParams, now: ZoneNow, seconds: int, start: int = 0, dt: float = 1.0) -> list[ZoneNow]:
    past = [now]
    for tick in range(round(seconds / dt)):
        past.append(step(zone, past[-1], start + tick * dt, dt))
    return past


def heat(zone: ZoneParams, now: ZoneNow) -> float:
    air = zone.cold_air * now.cold + zone.hot_air * now.hot
    return air + zone.it_mass * now.it + zone.structure * now.structure


@pytest.mark.parametrize("load", [51.0, 60.0, 69.0])
def test_settled_is_a_steady_state(load):
    zone = replace(HALL, load_kw=load)
    first = settled(zone)
    last = live(zone, first, 3600)[-1]
    for name in ("cold", "hot", "it", "structure"):
        assert getattr(last, name) == pytest.approx(getattr(first, name), abs=1e-6)
    assert last.cold == zone.setpoint_c
    assert first.it > first.hot > first.cold
    for params, unit in zip(zone.units, last.units, strict=True):
        assert supply(params, unit, last) < last.cold < last.hot


def test_energy_is_conserved_through_any_sequence_of_cuts_and_restarts():
    dice = Random(7)
    now, gained = settled(HALL), 0.0
    start = heat(HALL, now)
    for second in range(4000):
        if dice.random() < 0.01:
            index = dice.randrange(4)
            units = list(now.units)
            units[index] = power(HALL.units[index], units[index], dice.random() < 0.5, second)
            now = replace(now, units=tuple(units))
        now = step(HALL, now, second, 1.0)
        gained += HALL.load_kw - sum(unit.output_kw for unit in now.units)
    assert heat(HALL, now) - start == pytest.approx(gained, abs=1e-3)
    assert abs(gained) > 1000  # it was not a quiet hour


def test_a_mixed_room_follows_the_two_node_closed_form():
    """C1 T1' = Q - k (T1 - T2), C2 T2' = k (T1 - T2): the rate goes from Q/C2 of the air to Q/(C1+C2)."""
    zone = replace(HALL, leak=40.0, structure_ua=0.0)  # the aisles are one body of air, the walls are out of it
    c1, c2, k, q = zone.it_mass, zone.cold_air + zone.hot_air, zone.grip * zone.stream, zone.load_kw
    begin = cut(zone, settled(zone), 4)
    air0 = (begin.cold + begin.hot) / 2
    gap0, end_gap = q / k, q * c2 / (k * (c1 + c2))
    tau = c1 * c2 / ((c1 + c2) * k)

    def air(t: float) -> float:
        flowed = end_gap * t + (gap0 - end_gap) * tau * (1 - math.exp(-t / tau))  # integral of T1 - T2
        return air0 + k / c2 * flowed

    past = live(zone, begin, 900, dt=0.1)
    for t in (30, 60, 120, 300, 600, 900):
        now = past[t * 10]
        assert (now.cold + now.hot) / 2 - air0 == pytest.approx(air(t) - air0, rel=0.02)


def test_the_warming_has_two_phases_at_published_rates():
    past = live(HALL, cut(HALL, settled(HALL), 4), 1200)
    assert 4.0 < past[60].cold - past[0].cold < 7.0  # +5 K within a minute
    assert 8.0 < past[180].cold - past[0].cold < 12.0  # +10 K within three
    rates = [(past[t + 60].cold - past[t].cold) for t in range(360, 1100, 60)]
    assert all(0.3 <= rate <= 1.1 for rate in rates)
    assert rates == sorted(rates, reverse=True)
    forever = live(HALL, past[-1], 20_000)
    masses = HALL.cold_air + HALL.hot_air + HALL.it_mass + HALL.structure
    assert forever[-1].it - forever[-61].it == pytest.approx(60 * HALL.load_kw / masses, rel=1e-3)


def test_the_step_width_does_not_matter():
    def crossing(dt: float) -> float:
        past = live(HALL, cut(HALL, settled(HALL), 4), 1500, dt=dt)
        return next(index for index, now in enumerate(past) if now.cold >= 40) * dt

    assert crossing(1.0) == pytest.approx(crossing(0.2), rel=0.01)


def test_one_unit_lost_is_carried_two_are_not():
    one = live(HALL, cut(HALL, settled(HALL), 1), 3600)[-1]
    two = live(HALL, cut(HALL, settled(HALL), 2), 7200)
    assert one.cold < 24
    assert two[3600].cold > 27
    assert two[7200].cold - two[3600].cold > 5  # 12 kW too little goes on warming


def test_power_stops_the_fan_and_a_restart_waits_for_the_compressor():
    params = UnitParams("u", 24.0, ramp_s=60.0, min_off_s=180.0, restart_s=15.0)
    zone = replace(HALL, units=(params, *HALL.units[1:]))
    now = cut(zone, settled(zone), 1, at=100.0)
    unit = now.units[0]
    assert (unit.state, fan(unit), unit.output_kw) == (UnitState.OFF, False, 0.0)
    assert supply(params, unit, now) == now.cold
    back = power(params, unit, True, 130.0)
    assert (back.state, fan(back), back.start_at) == (UnitState.STARTING, True, 280.0)
    late = power(params, unit, True, 500.0)
    assert late.start_at == 515.0
    past = live(zone, replace(now, units=(back, *now.units[1:])), 300, start=130)
    assert past[149].units[0].output_kw == 0.0
    assert past[149].units[0].state is UnitState.STARTING
    assert past[152].units[0].state is UnitState.RUNNING
    assert 0 < past[180].units[0].ready < 1
    assert past[215].units[0].ready == 1.0
    assert past[215].units[0].output_kw > 10


def test_a_unit_without_auto_restart_stays_down():
    params = UnitParams("u", 24.0, auto_restart=False)
    down = power(params, settled(HALL).units[0], False, 0.0)
    assert power(params, down, True, 10.0).state is UnitState.FAILED
    assert power(params, down, False, 10.0) is down


def test_a_failed_unit_has_power_and_no_fan():
    unit = fail(settled(HALL).units[0], 5.0)
    assert (unit.state, unit.powered, fan(unit), unit.output_kw) == (UnitState.FAILED, True, False, 0.0)


def test_no_unit_freezes_its_air():
    zone = replace(HALL, setpoint_c=2.0)
    now = live(zone, settled(HALL), 7200)[-1]
    for params, unit in zip(zone.units, now.units, strict=True):
        assert supply(params, unit, now) >= -1e-6
        assert unit.output_kw <= rated_stream(params) * now.hot + 1e-6
