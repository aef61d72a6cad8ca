"""The whole simulated site: what its devices answer to real drivers, and how a storm is scored."""

import asyncio
import stat
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import yaml
from switchboard import until

from envmon.actuators import ACTUATORS
from envmon.config.load import load as load_config
from envmon.drivers import open_driver
from envmon.model.reading import Quality, Reading, Role, UnitState
from envmon.model.verdict import Mode
from envmon.probes.sip import SipProbe
from envmon.profiles.bind import bind_at, place
from envmon.profiles.loader import load_builtin
from envmon.runtime.clock import ScaledClock
from envmon.sim.feeds import UNIT_FEEDS
from envmon.sim.site import Score, SimulatedSite
from envmon.sim.site_map import DEVICES, HALL, ROUTE, Around
from envmon.sim.storm import Do, load
from envmon.sim.telephony import BACKUP, PRIMARY
from envmon.sim.telephony_caller import CallPlan

JUNE = load("june-2015")
QUICK = CallPlan(rate=0.1, deadline_s=2.0)  # 40 calls a real second at the speed below
PROFILES = load_builtin()


def site(seed: int = 55, speed: float = 400.0, **more) -> SimulatedSite:
    more = {"plan": QUICK, "calls_at_least": 60} | more
    return SimulatedSite(ScaledClock(speed, 0.0), JUNE, seed, **more)


def settings(running: SimulatedSite, directory: Path, around: Around | None = None):
    path = directory / "envmon.yaml"
    path.write_text(running.config_yaml(directory, around))
    return load_config(path, profiles=PROFILES)


async def poll(running: SimulatedSite, directory: Path) -> dict[str, Reading]:
    """Poll every device once, as the daemon does."""
    told = {}
    for device in settings(running, directory).devices:
        profile = PROFILES[device.profile]
        at = place(
            profile,
            site="dallas",
            device=device.id,
            path=device.path,
            zone=device.zone,
            serves=device.serves,
            commissioned=device.commissioned,
        )
        async with open_driver(device, profile, bind_at(profile, at), at=at) as driver:
            told |= {reading.point.id: reading for reading in await driver.poll()}
    return told


def by_role(readings: dict[str, Reading], role: Role, zone: str) -> list[Reading]:
    return [r for r in readings.values() if r.point.role is role and r.point.zone == zone]


async def test_the_configuration_describes_the_site_and_may_be_automatic(tmp_path):
    async with site(edges=2) as running:
        around = Around(http="127.0.0.1:9713", mqtt="127.0.0.1:1883", pager="http://127.0.0.1:9/page")
        compiled = settings(running, tmp_path, around)
        assert compiled.daemon.mode is Mode.AUTOMATIC
        assert compiled.policy.placement_faults == ()
        assert {device.id for device in compiled.devices} == {device.id for device in DEVICES}
        assert len({device.path for device in compiled.devices}) == len(DEVICES)
        assert [edge.id for edge in compiled.edges] == ["edge_1", "edge_2"]
        assert compiled.policy.routes[0].evacuate_s == 480
        assert [zone.here for zone in compiled.policy.zones] == [True, False]
        for secret in ("edge_token", "snmp_community"):
            assert stat.S_IMODE((tmp_path / secret).stat().st_mode) == 0o600
            assert (tmp_path / secret).read_text() not in compiled.text
        plain = yaml.safe_load(running.config_yaml(tmp_path, Around(mode="observe")))
        assert plain["mode"] == "observe"
        assert "publish" not in plain
        assert plain["pagers"]["oncall"]["url"] == running.on_call.url


async def test_the_people_on_call_keep_every_page():
    async with site() as running, aiohttp.ClientSession() as http:
        for number in range(3):
            async with http.post(running.on_call.url, json={"page": number}) as answer:
                assert answer.status == 200
        for body in ("no", "[1]"):
            async with http.post(running.on_call.url, data=body) as answer:
                assert answer.status == 400
        assert [page["page"] for page in running.on_call.pages] == [0, 1, 2]


async def test_real_drivers_read_a_quiet_site(tmp_path):
    async with site() as running:
        readings = await poll(running, tmp_path)
        wrong = {r.point.id: r.reason for r in readings.values() if r.quality is not Quality.GOOD}
        assert set(wrong) == {"dallas.hall_a.crac_1.containment_dp", "dallas.hall_b.bcrac_1.containment_dp"}
        for zone, units, inlets in (("hall_a", 4, 3), ("hall_b", 3, 3)):
            assert [r.value for r in by_role(readings, Role.UNIT_RUNNING, zone)] == [UnitState.RUNNING] * units
            temperatures = [r.value for r in by_role(readings, Role.RACK_INLET_TEMP, zone)]
            assert len(temperatures) == inlets
            assert all(21 < value < 24 for value in temperatures)
            for supply, back in zip(
                by_role(readings, Role.SUPPLY_TEMP, zone), by_role(readings, Role.RETURN_TEMP, zone), strict=True
            ):
                assert supply.value < 22 < back.value
        assert [r.value for r in by_role(readings, Role.ON_BATTERY, "hall_a")] == ["no"]
        cooled = sum(r.value for r in by_role(readings, Role.COOLING_OUTPUT, "hall_a"))
        assert cooled == pytest.approx(running.rooms.zones[HALL].load_kw * 3 / 4, rel=0.02)  # the fourth says no kW


async def test_the_ups_tells_the_power_transfer(tmp_path):
    async with site() as running:
        lost = next(h.at for h in running.draw.happenings if h.do is Do.MAINS_LOST)
        told = []
        for moment in (lost - 2, lost + 5, lost + 30):
            running.rooms.advance(moment)
            running._show()
            readings = await poll(running, tmp_path)
            told.append([readings[f"dallas.hall_a.ups_1.{p}"].value for p in ("on_battery", "time_on_battery")])
        assert [source for source, _ in told] == ["no", "yes", "no"]
        assert told[0][1] == told[2][1] == 0 and 1 <= told[1][1] <= 6


async def test_real_drivers_see_the_loss_and_the_lies(tmp_path):
    async with site() as running:
        running.rooms.advance(running.draw.cut_at + 110)
        running._show()
        readings = await poll(running, tmp_path)
        states = {r.point.unit: r.value for r in by_role(readings, Role.UNIT_RUNNING, "hall_a")}
        assert states == {"crac_1": "off", "crac_2": "off", "crac_3": "off", "crac_4": "running"}
        assert readings["dallas.hall_a.crac_4.error_code"].value == "ald09_driver_offline"
        assert readings["dallas.hall_a.crac_4.compressor"].value == "off"
        assert {r.value for r in by_role(readings, Role.COOLING_OUTPUT, "hall_a")} == {0.0}
        assert min(r.value for r in by_role(readings, Role.RACK_INLET_TEMP, "hall_a")) > 24
        assert {r.value for r in by_role(readings, Role.UNIT_RUNNING, "hall_b")} == {"running"}
        assert readings["dallas.hall_a.crac_1.fan_speed"].value == 0.0
        assert readings["dallas.hall_a.crac_1.entering_fluid_temp"].value > 7.2


async def test_every_seed_can_be_shown_by_every_device_to_the_end():
    for seed in (1, 2, 3):
        running = site(seed)
        while running.rooms.second < 3600:
            running.rooms.advance(running.rooms.second + 12)
            running._show()  # a value its profile cannot show raises
        assert HALL in running.rooms.limit_reached_at


def test_every_cooling_profile_that_ships_has_a_feed_here():
    assert set(UNIT_FEEDS) <= set(PROFILES)
    assert {device.profile for device in DEVICES if device.unit} == set(UNIT_FEEDS)


async def test_a_site_left_alone_is_lost(tmp_path):
    async with site(speed=200.0, plan=CallPlan(rate=0.1, deadline_s=4.0)) as running:
        score = await running.run()
    assert score.verdict == "lost"
    assert score.failures["its far end died"] > 0
    assert score.failures["no answer"] > 0
    assert score.offered >= 60
    assert score.ended + score.failed == score.offered
    assert score.seconds_before_limit is not None and score.seconds_before_limit <= 0
    assert score.limit_reached_at is not None
    assert 9 * 60 < score.limit_reached_at - score.cut_at < 40 * 60
    assert running.far_ends[0].dead and not running.far_ends[1].dead


async def test_a_site_that_was_moved_in_time_survives(tmp_path):
    patient = CallPlan(rate=0.1, deadline_s=20.0)  # the move takes a busy machine seconds, each of them many here
    async with site(edges=2, speed=100.0, plan=patient) as running:
        compiled = settings(running, tmp_path)

        async def act() -> None:
            await until(lambda: running.rooms.second > running.draw.cut_at + 60, 60)
            for edge in compiled.edges:
                assert (await SipProbe().call(edge.sip_host, edge.sip_port, edge.probe_user)).answered
                async with ACTUATORS[edge.kind](edge) as actuator:
                    await actuator.set_percent(ROUTE, 100, 1)
                    assert (await actuator.status())[0].percent == 100

        acting = asyncio.create_task(act())
        score = await running.run()
        await acting
        assert (score.failed, score.failures) == (0, {})
        assert score.verdict == "survived"
        assert score.ended == score.offered >= 60
        assert score.last_call_left_primary_at > score.cut_at
        assert score.limit_reached_at > running.rooms.second - 1  # reached in pure computation
        assert score.seconds_before_limit > 300
        assert not running.far_ends[0].dead  # the run ended before the heat came
        assert running.live_calls == {PRIMARY: 0, BACKUP: 0}


def test_the_verdict_counts_nothing_else_as_success():
    score = Score(
        seed=1,
        cut_at=300.0,
        offered=1000,
        answered=1000,
        ended=1000,
        failed=0,
        failures={},
        limit_reached_at=1300.0,
        last_call_left_primary_at=700.0,
    )
    assert (score.verdict, score.seconds_before_limit) == ("survived", 600.0)
    assert replace(score, failed=1).verdict == "lost"
    assert replace(score, offered=0).verdict == "lost"
    assert replace(score, limit_reached_at=None).seconds_before_limit is None
    assert replace(score, last_call_left_primary_at=None).seconds_before_limit is None


async def test_the_backup_dies_of_its_own_heat_only():
    async with site() as running:
        running.rooms.limit_reached_at["hall_b"] = 1.0
        running._live()
        assert running.far_ends[1].dead and not running.far_ends[0].dead


async def test_a_site_that_cannot_start_leaves_nothing_open(monkeypatch):
    running = site()
    monkeypatch.setattr(running, "_show", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await running.__aenter__()
    port = running._ports["crac_2"]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_passed_before_the_site_is_lived_in_is_not_told_as_slowness():
    async with site() as running:
        await asyncio.sleep(1.0)  # 400 virtual seconds
        living = asyncio.create_task(running.run())
        await until(lambda: running.rooms.second > 440)
        living.cancel()
        await asyncio.wait((living,))
        assert running.score.late_s < 300


async def test_a_machine_too_slow_for_the_speed_is_told():
    async with site() as running:
        running._live()
        in_time = running.score.late_s
        await asyncio.sleep(0.1)  # 40 virtual seconds in which nobody advances the rooms
        running._live()
        assert running.score.late_s >= max(38.0, in_time)
        assert running.rooms.second >= 40
