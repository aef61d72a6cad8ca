"""Maintenance and shelved pages: they quiet the chore that was announced, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envmon.core.snapshot import dump, load
from envmon.core.status import status
from envmon.core.world import SECOND
from envmon.model.effect import Page, SetPercent, Urgency
from envmon.model.event import Command, Order, OrderReceived, Stamp
from envmon.model.verdict import Position, Verdict
from tests.core.room import Room
from tests.core.test_failover import storm

HOUR = 3_600.0


def order(room: Room, command: Command, target: str, hours: float = 2.0, who: str = "bob"):
    until = room.at.wall + hours * HOUR if command in (Command.MAINTENANCE, Command.SHELVE) else 0.0
    given = Order(f"o{len(room.decisions)}", command, "", who, "filters", target=target, until=until)
    (decision,) = room.tell(OrderReceived(room.at, given))
    assert decision.order == given.id
    return decision


def maintain(room: Room, target: str, hours: float = 2.0):
    return order(room, Command.MAINTENANCE, target, hours)


def lose(room: Room, seconds: int, *units: int) -> None:
    """These units die; the room jumps, then warms."""
    room.lose_units(*units)
    room.run(60, heat=4 / 60)
    room.run(seconds - 60, heat=0.01)


def raised(room: Room) -> dict[str, str]:
    """The open pages of the plant and the calls."""
    open_now = {key.removeprefix("envmon/dallas/"): urgency for key, urgency in room.world.raised.items()}
    return {key: urgency for key, urgency in open_now.items() if not key.startswith("order/")}


def told(room: Room, rule: str) -> list[Page]:
    """The pages that told of what a rule did."""
    return [e for e in room.effects if isinstance(e, Page) and e.raised and f"/order/{rule}-" in e.key]


# --- units --------------------------------------------------------------------------------------------------------


def test_a_unit_in_maintenance_is_no_capacity_and_no_loss():
    room = Room().armed()
    decision = maintain(room, "hall_a_crac_3")
    assert decision.rule == "K10"
    assert decision.subject == "unit:hall_a.hall_a_crac_3"
    assert "until 05:30 UTC; 72 kW of cooling left for 60 kW: one more failure is critical" in decision.why
    room.lose_units(3)
    room.run(60)
    judgement = room.world.zones["hall_a"].judgement
    assert (judgement.margin_kw, judgement.spare_units, judgement.lost_units) == (12.0, 0, ())
    assert judgement.verdict is Verdict.OK
    assert raised(room) == {}


def test_the_second_units_loss_still_pages_and_acts():
    room = Room().armed()
    maintain(room, "hall_a_crac_3")
    room.lose_units(3)
    room.run(30)
    lose(room, 1_500, 1)
    assert "T10" in room.rules
    assert room.route.position is Position.BACKUP
    assert raised(room)["hall_a/thermal"] == "critical"
    assert "redundancy" in " ".join(raised(room))


def test_maintenance_excuses_nothing_once_the_rest_cannot_carry_the_load():
    room = Room().armed()
    for number in (1, 2, 3):
        last = maintain(room, f"hall_a_crac_{number}")
    assert "too little, so it excuses nothing" in last.why
    lose(room, 600, 1, 2, 3)
    assert room.route.position is Position.BACKUP


def test_warm_air_of_a_unit_that_stands_still_is_no_evidence():
    room = Room().armed()
    real = room.readings

    def readings(device, zone_name):
        told = real(device, zone_name)
        if device == "hall_a_crac_3":
            return tuple(
                type(r)(r.point, 39.0) if r.point.name == "return_temp" else r for r in told
            )  # a still unit's air is the plenum's
        return told

    room.readings = readings
    room.lose_units(3)
    for _ in range(3):
        maintain(room, "hall_a_crac_3")
        room.run(60)
    assert "cooling_air" not in [vote.kind for vote in room.world.zones["hall_a"].judgement.votes]


def test_a_unit_that_is_still_off_when_its_time_is_over_is_a_loss():
    room = Room().armed()
    maintain(room, "hall_a_crac_3", 0.05)
    room.lose_units(3)
    room.run(170)
    assert raised(room) == {}
    room.run(30)
    assert "K50" in room.rules
    assert room.world.zones["hall_a"].judgement.lost_units == ("hall_a_crac_3",)
    assert raised(room)["hall_a/redundancy"] == "error"


def test_an_order_ends_it_early_and_a_second_order_moves_its_end():
    room = Room().armed()
    maintain(room, "hall_a_crac_3", 0.05)
    maintain(room, "hall_a_crac_3", 1.0)
    room.run(400)
    assert "unit:hall_a.hall_a_crac_3" in room.world.aside.maintenance
    assert order(room, Command.MAINTENANCE_END, "hall_a_crac_3").rule == "K20"
    assert room.world.aside.maintenance == {}
    assert order(room, Command.MAINTENANCE_END, "hall_a_crac_3").rule == "K21"


@pytest.mark.parametrize(
    ("target", "hours", "rule", "why"),
    [
        ("crac_9", 1, "K11", "'crac_9' is none of dallas, hall_a, hall_b, hall_a.hall_a_crac_1"),
        ("hall_a", 0, "K13", ""),
        ("hall_a", -1, "K13", ""),
        ("hall_a", float("nan"), "K13", ""),
        ("hall_a", 169, "K14", ""),
        ("hall_a", float("inf"), "K14", ""),
    ],
)
def test_maintenance_without_a_name_or_a_sound_end_is_refused(target, hours, rule, why):
    room = Room().run(5)
    decision = maintain(room, target, hours)
    assert (decision.rule, decision.refused) == (rule, True)
    assert why in decision.why
    assert room.world.aside.maintenance == {}


# --- devices, zones, the site -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["hall_a_crac_3", "hall_a", "dallas"])
def test_the_silent_device_of_what_is_in_maintenance_is_no_page(target):
    room = Room().armed()
    maintain(room, target)
    room.silent.add("hall_a_crac_3")
    room.run(120)
    assert raised(room) == {}
    order(room, Command.MAINTENANCE_END, target)
    room.run(2)
    assert raised(room) == {"hall_a_crac_3/device": "warning"}


def test_a_sensor_without_a_vote_in_a_zone_in_maintenance_is_no_page():
    room = Room().armed()
    maintain(room, "hall_a")
    real = room.readings
    room.readings = lambda device, zone: tuple(
        type(r)(r.point, 85.0) if device == "hall_a_crac_2" and r.point.name == "inlet_temp" else r
        for r in real(device, zone)
    )
    room.run(200)
    assert raised(room) == {}
    order(room, Command.MAINTENANCE_END, "hall_a")
    room.run(2)
    assert list(raised(room)) == ["hall_a/hall_a_crac_2/trust"]


def test_the_rest_of_a_zone_still_pages():
    room = Room().armed()
    maintain(room, "hall_a_crac_3")
    room.silent.update({"hall_a_crac_2", "hall_b_crac_1"})
    room.run(120)
    assert set(raised(room)) == {"hall_a_crac_2/device", "hall_b_crac_1/device"}


def test_a_zone_in_maintenance_is_judged_and_evacuated_like_any_other():
    room = Room().armed()
    maintain(room, "hall_a")
    maintain(room, "dallas")
    storm(room, 600)
    assert room.route.position is Position.BACKUP
    assert raised(room)["hall_a/thermal"] == "critical"


@given(st.sets(st.sampled_from(["hall_a", "hall_b", "dallas", "edge_2", "hall_a_crac_3"])))
@settings(max_examples=5, deadline=None)
def test_no_maintenance_keeps_calls_in_a_room_that_is_lost(targets):
    room = Room().armed()
    for target in sorted(targets):
        assert maintain(room, target).rule == ("K15" if target in ("hall_a", "hall_b", "dallas") else "K10")
    storm(room, 600)
    assert room.route.position is Position.BACKUP
    assert room.edges["edge_2"].percent == 100


@pytest.mark.parametrize("target", ["hall_a", "dallas"])
def test_maintenance_of_a_whole_place_is_paged_each_time_it_is_ordered(target):
    room = Room().armed()
    for number in (1, 2):
        assert maintain(room, target, hours=100).rule == "K15"
        room.run(1)
        pages = told(room, "K15")
        assert len(pages) == number
        assert f":{target}: " in pages[-1].summary
        assert "bob: filters" in pages[-1].summary
    assert status(room.world)["armed"]["now"], "and nothing is disarmed by it"


# --- edges --------------------------------------------------------------------------------------------------------


def test_an_edge_in_maintenance_is_neither_silent_nor_waited_for_nor_contested():
    room = Room().armed()
    maintain(room, "edge_2")
    room.edges["edge_2"].silent = True
    room.run(30)
    assert raised(room) == {}
    told = status(room.world)
    assert told["armed"]["now"] is True
    readiness = told["routes"]["outbound"]["readiness"]["edges"]
    assert readiness["pass"] is True
    assert readiness["why"] == "edge_1 answer; partial, edge_2: in maintenance"
    room.edges["edge_2"].silent = False
    room.edges["edge_2"].percent = 50  # an engineer tries something on it
    room.run(30)
    assert room.world.mode == "automatic"


def test_a_move_is_sent_to_an_edge_in_maintenance_and_nothing_waits_for_it():
    room = Room().armed()
    maintain(room, "edge_2")
    room.edges["edge_2"].deaf = True
    storm(room, 600)
    moves = [e for e in room.effects if isinstance(e, SetPercent)]
    assert moves[0].edges == ("edge_1", "edge_2")
    assert len(moves) == 1
    assert room.route.position is Position.BACKUP
    assert "T24" in room.rules  # proven where it can be: partial


def test_an_edge_that_comes_back_with_its_old_position_is_written_again():
    room = Room().armed()
    maintain(room, "edge_2", 0.5)
    room.edges["edge_2"].deaf = True
    storm(room, 600)
    room.edges["edge_2"].deaf = False
    order(room, Command.MAINTENANCE_END, "edge_2")
    room.run(30)
    assert room.edges["edge_2"].percent == 100


def test_all_edges_in_maintenance_is_not_ready():
    room = Room().armed()
    maintain(room, "edge_1")
    maintain(room, "edge_2")
    room.run(3)
    assert status(room.world)["armed"]["now"] is False
    assert raised(room)["outbound/not-ready"] == "error"


# --- shelved pages ------------------------------------------------------------------------------------------------


def silent_device(room: Room) -> str:
    room.silent.add("hall_a_crac_3")
    room.run(120)
    (key,) = room.world.raised
    return key


def test_a_shelved_page_is_seen_in_the_status_and_comes_back_if_it_is_still_true():
    room = Room().armed()
    key = silent_device(room)
    room.effects.clear()
    assert order(room, Command.SHELVE, key, 0.1).rule == "K30"
    room.run(60)
    pages = [e for e in room.effects if isinstance(e, Page) and "/order/" not in e.key]
    assert [(page.raised, page.summary) for page in pages] == [(False, f"Shelved: {key}")]
    (shelving,) = told(room, "K30")
    assert key in shelving.summary
    assert "bob: filters; until 03:38 UTC" in shelving.summary
    shelved = status(room.world)["shelved"][key]
    assert shelved["says"] == "dallas hall_a_crac_3: does not answer: no answer in 2 s"
    assert (shelved["who"], shelved["reason"]) == ("bob", "filters")
    room.run(320)
    assert "K50" in room.rules
    assert key in room.world.raised
    assert [e.raised for e in room.effects if isinstance(e, Page) and "/order/" not in e.key] == [False, True]


def test_a_shelved_page_whose_condition_went_stays_quiet():
    room = Room().armed()
    key = silent_device(room)
    order(room, Command.SHELVE, key, 0.1)
    room.silent.clear()
    room.run(60)
    assert status(room.world)["shelved"][key]["says"] == ""
    room.run(400)
    assert raised(room) == {}


@pytest.mark.parametrize("deed", ["order", "mode"])
def test_a_page_that_tells_what_somebody_did_is_never_shelved(deed):
    """Who holds automation, or was refused, does not silence the page that says so."""
    room = Room().armed()
    if deed == "mode":
        room.order(Command.HOLD)
    else:
        maintain(room, "dallas")
    room.run(1)
    (key,) = [key for key in room.world.raised if f"/{deed}/" in key]
    answer = order(room, Command.SHELVE, key)
    assert (answer.rule, answer.refused) == ("K34", True)
    room.run(1)
    assert key in room.world.raised
    assert len(told(room, "K34")) == 1


def test_unshelve_and_what_is_refused():
    room = Room().armed()
    key = silent_device(room)
    assert order(room, Command.UNSHELVE, key).rule == "K41"
    assert order(room, Command.SHELVE, key, 25).rule == "K33"
    assert order(room, Command.SHELVE, key, -1).rule == "K13"
    decision = order(room, Command.SHELVE, "envmon/dallas/nothing")
    assert decision.rule == "K31"
    assert f"open: {key}" in decision.why
    order(room, Command.SHELVE, key)
    room.run(2)
    assert order(room, Command.UNSHELVE, key).rule == "K40"
    room.run(2)
    assert key in room.world.raised


def test_a_critical_page_is_never_shelved_and_a_shelf_breaks_when_it_gets_worse():
    room = Room().armed()
    room.run(200, heat=0.0325)
    key = "envmon/dallas/hall_a/thermal"
    assert room.world.raised[key] == "warning"
    assert order(room, Command.SHELVE, key, 3).rule == "K30"
    room.run(5)
    assert key not in room.world.raised
    room.effects.clear()
    storm(room, 400)
    assert "K51" in room.rules
    assert room.world.raised[key] == "critical"
    assert any(
        isinstance(e, Page) and e.raised and e.urgency is Urgency.CRITICAL and e.key == key for e in room.effects
    )
    assert order(room, Command.SHELVE, key).rule == "K32"


# --- what all of it has in common ---------------------------------------------------------------------------------


def test_it_survives_a_restart_and_a_reboot_and_ends_on_time():
    room = Room().armed()
    key = silent_device(room)
    order(room, Command.SHELVE, key, 1)
    maintain(room, "hall_a_crac_3", 1)
    assert load(dump(room.world), room.at).aside == room.world.aside
    later = Stamp(7 * SECOND, room.at.wall + 600, "boot-2")
    entry = load(dump(room.world), later).aside.maintenance["unit:hall_a.hall_a_crac_3"]
    assert (entry.until_ns - later.mono_ns) / SECOND == pytest.approx(HOUR - 600)


def test_a_wall_clock_that_jumps_back_extends_nothing():
    room = Room().armed()
    maintain(room, "hall_a_crac_3", 0.05)
    real = Room.at.fget
    Room.at = property(lambda self: Stamp(real(self).mono_ns, real(self).wall - 86_400, real(self).boot_id))
    try:
        room.run(200)
    finally:
        Room.at = property(real)
    assert room.world.aside.maintenance == {}
