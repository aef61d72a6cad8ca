"""The other hands of the clock: batteries and generator fuel, and what one UPS may never do."""

from dataclasses import replace

import pytest

from envmon.core.route_facts import threat
from envmon.core.route_words import Threat
from envmon.model.effect import Page
from envmon.model.reading import Point, Quality, Reading, Reason, Role
from tests.core.room import Room, policy
from tests.core.test_failover import moves

BATTERY = (Role.ON_BATTERY, Role.BATTERY_TIME_LEFT)
FUEL = (Role.ON_GENERATOR, Role.FUEL_TIME_LEFT)


def room(*feeds: tuple[str, float | None], roles: tuple[Role, Role] = BATTERY, path: str = "") -> Room:
    """An armed room whose feeds say "yes" or "no" and how many seconds are left from the 15th second on."""
    names = [f"hall_a_feed_{n}" for n in range(len(feeds))]
    found = Room(policy=policy(devices=(*policy().devices, *names)))
    real = found.readings
    says = dict(zip(names, feeds, strict=True))

    def point(device: str, role: Role) -> Point:
        return Point(f"dallas.hall_a.{device}.{role}", role, device, path or device, "hall_a", device, role, "")

    def readings(device: str, zone_name: str) -> tuple[Reading, ...]:
        if device not in says:
            return real(device, zone_name)
        using, left = says[device] if found.lost else ("no", 3_600.0)  # type: ignore[attr-defined]
        time = Reading(point(device, roles[1]), left)
        if left is None:
            time = Reading(time.point, None, Quality.MISSING, Reason.ABSENT)
        return Reading(point(device, roles[0]), using), time

    found.lost = False  # type: ignore[attr-defined]
    found.readings = readings  # type: ignore[method-assign]
    found.armed()
    found.lost = True  # type: ignore[attr-defined]
    return found


def pressed(told: Room) -> Threat:
    return threat(told.world, told.policy, told.policy.routes[0])


@pytest.mark.parametrize("roles", [BATTERY, FUEL], ids=["batteries", "fuel"])
def test_two_stores_that_end_before_an_evacuation_would_move_calls_from_a_cool_room(roles):
    told = room(("yes", 400.0), ("yes", 300.0), roles=roles).run(55)
    assert moves(told) == [], "a generator may still start"
    told.run(30)
    assert moves(told) == [100]
    assert "6 min 40 s left" in next(d.why for d in told.decisions if d.rule == "T10")


def test_two_stores_that_last_are_watched():
    told = room(("yes", 3_000.0), ("yes", 2_000.0)).run(90)
    assert pressed(told) is Threat.WATCH
    assert moves(told) == []


@pytest.mark.parametrize(
    ("feeds", "path"),
    [
        ((("yes", 10.0),), ""),
        ((("yes", 10.0), ("no", 3_600.0)), ""),
        ((("yes", 10.0), ("yes", 3_600.0)), ""),
        ((("yes", 10.0), ("yes", None)), ""),
        ((("yes", 10.0), ("yes", 10.0)), "one_card"),
    ],
    ids=["a lone UPS", "one feed is left", "one of two ends", "one tells no time", "one path"],
)
def test_no_single_device_or_path_that_tells_of_an_empty_battery_moves_calls(feeds, path):
    told = room(*feeds, path=path).run(200)
    assert pressed(told) is not Threat.ACT
    assert moves(told) == []


def test_a_lone_ups_on_battery_is_paged_after_a_minute_with_what_is_left():
    told = room(("yes", 600.0)).run(50)
    pages = [e for e in told.effects if isinstance(e, Page) and e.key.endswith("/power")]
    assert pages == []
    told.run(30)
    pages = [e for e in told.effects if isinstance(e, Page) and e.key.endswith("/power")]
    assert len(pages) == 1
    assert "runs on battery, 10 min 0 s left" in pages[0].summary
    told.lost = False  # type: ignore[attr-defined]
    told.run(10)
    assert [e.raised for e in told.effects if isinstance(e, Page) and e.key.endswith("/power")] == [True, False]


def test_silence_moves_nothing_and_starts_no_minute_anew():
    told = room(("yes", 100.0), ("yes", 100.0)).run(30)
    since = told.world.zones["hall_a"].power_ns
    told.silent = {"hall_a_feed_0", "hall_a_feed_1"}
    told.run(120)
    assert moves(told) == []
    told.silent = set()
    told.run(10)
    assert told.world.zones["hall_a"].power_ns == since
    assert moves(told) == [100]


def test_a_policy_that_wants_one_path_only_lets_one_ups_speak():
    told = room(("yes", 100.0))
    told.world = replace(told.world, policy=replace(told.policy, quorum_paths=1))
    told.run(90)
    assert moves(told) == [100]
