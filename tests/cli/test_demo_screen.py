"""The demo's screen: what a person reads of the rooms, the calls and the decisions."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from envmon.cli.demo_screen import Screen
from envmon.config.load import load as load_config
from envmon.core.advance import advance
from envmon.core.status import status
from envmon.core.world import initial
from envmon.journal.chain import Line
from envmon.journal.record import Entry, Record
from envmon.model.event import DeviceBatch, PolicyLoaded, Stamp, Tick
from envmon.model.reading import Reading
from envmon.profiles.loader import load_builtin
from envmon.runtime.clock import ScaledClock
from envmon.sim.site import Score, SimulatedSite
from envmon.sim.storm import load
from envmon.sim.telephony import BACKUP, PRIMARY
from tests.bound import bind

JUNE = load("june-2015")
STARTS = 1432887900.0  # 2015-05-29 03:25:00 -05:00
SCORE = Score(1, 300.0, 120, 118, 90, 0, {}, None, None)
PROFILES = load_builtin()


@pytest.fixture
async def settings(tmp_path: Path):
    async with SimulatedSite(ScaledClock(1.0, 0.0), JUNE, 1) as site:
        path = tmp_path / "envmon.yaml"
        path.write_text(site.config_yaml(tmp_path))
        return load_config(path, profiles=PROFILES)


def stamp(second: float) -> Stamp:
    return Stamp(int(second * 1e9), STARTS + second, "boot")


def world(settings, inlet: float, mode: str):
    """A world whose first hall has one fresh reading per point of two devices."""
    now = advance(initial(), PolicyLoaded(stamp(0), settings.policy, "digest", "test")).world
    for device in settings.devices:
        profile = PROFILES[device.profile]
        bound = bind(profile, site="dallas", device=device.id, path=device.path, zone=device.zone, serves=device.serves)
        values = {"rack_inlet_temp": inlet, "operate_mode": mode, "operating_state": mode}
        readings = tuple(Reading(b.point, values[b.spec.name]) for b in bound if b.spec.name in values)
        now = advance(now, DeviceBatch(stamp(1), device.id, readings)).world
    return advance(now, Tick(stamp(2))).world


def line(number: int, rule: str, text: str, why: str) -> Line:
    record = Record(
        Entry.DECISION, 0, STARTS + 60 * number, "boot", "route:outbound", "envmon", text, rule, extra={"why": why}
    )
    return Line(number, "", "", record)


def picture(told, score=SCORE, decisions=(), width=110) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=60, color_system=None, legacy_windows=False)
    with Screen(JUNE, live=True, broker="mosquitto", console=console) as screen:
        screen.show(told, score, {PRIMARY: 25, BACKUP: 3}, 4, decisions)
    return out.getvalue()


async def test_the_picture_tells_rooms_calls_and_broker(settings):
    seen = picture(status(world(settings, 22.4, "running")))
    for text in (
        JUNE.title,
        "03:25:02",
        "broker mosquitto",
        "mode observe",
        "not armed",
        "hall_a",
        "hall_b (backup)",
        "22.4 °C",
        "outbound",
        "120 offered, 90 ended well, 0 failed; now 25 at the primary, 3 at the backup; 4 pages",
        "nothing yet",
    ):
        assert text in seen, text


async def test_a_lost_room_says_why_and_how_long(settings):
    seen = picture(status(world(settings, 36.0, "off")), width=200)
    assert "critical" in seen
    assert "36.0 °C" in seen
    assert "at least" in seen
    assert "rack inlet 36.0 degC (hot)" in seen
    assert "not ready" in seen


async def test_the_newest_decisions_are_shown_and_the_last_one_says_why(settings):
    decisions = [line(n, f"T{n:02}", f"sentence {n} [bold]", f"because {n}") for n in range(10)]
    seen = picture(status(world(settings, 22.4, "running")), decisions=decisions)
    assert "03:34:00  T09  sentence 9 [bold]" in seen  # brackets are text, not style
    assert "because 9" in seen
    assert "because 8" not in seen
    assert "sentence 4" in seen
    assert "sentence 3" not in seen


async def test_failed_calls_are_counted(settings):
    seen = picture(status(world(settings, 22.4, "running")), replace(SCORE, failed=17))
    assert "17 failed" in seen


async def test_a_daemon_that_knows_nothing_yet_is_shown_too():
    assert "mode observe" in picture(status(initial()))


async def test_what_is_not_known_is_said_so(settings):
    fresh = advance(initial(), PolicyLoaded(stamp(0), settings.policy, "digest", "test")).world
    seen = picture(status(advance(fresh, Tick(stamp(1))).world))
    assert seen.count("not known") >= 2
    assert "cannot tell" in seen
    assert "unknown" in seen


@pytest.mark.parametrize("live", [True, False])
async def test_without_a_terminal_every_decision_is_one_entry_told_once(settings, live):
    out = io.StringIO()
    told = status(world(settings, 22.4, "running"))
    with Screen(JUNE, live=live, broker="amqtt", console=Console(file=out, width=80)) as screen:
        decisions = [line(1, "T10", "It moves.", "hot " * 60)]
        screen.show(told, SCORE, {PRIMARY: 0, BACKUP: 0}, 0, decisions)
        screen.show(told, SCORE, {PRIMARY: 0, BACKUP: 0}, 0, decisions)
        screen.show(told, SCORE, {PRIMARY: 0, BACKUP: 0}, 0, [*decisions, line(2, "T20", "Proven.", "read back")])
    text = out.getvalue()
    assert JUNE.title.split()[0] in text and "amqtt" in text
    assert text.count("T10  It moves.") == 1
    assert text.count("T20  Proven.") == 1
    assert "03:26:00  T10" in text
    assert "\x1b[" not in text
