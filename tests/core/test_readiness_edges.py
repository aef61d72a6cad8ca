"""Readiness: an edge that takes calls but no commands, and the backup's cooling by the word of its own envmon."""

from dataclasses import replace
from typing import Any

import pytest
from room import Room, policy

from envmon.core.status import status
from envmon.model.event import Command, ProbeReport, ReadinessReport, Target


def items(room: Room) -> dict[str, Any]:
    return dict(status(room.world)["routes"]["outbound"]["readiness"])


def test_an_edge_that_takes_calls_but_no_commands_stands_in_the_way_and_clears_by_itself():
    room = Room().armed()
    room.edges["edge_2"].silent = room.edges["edge_2"].speaks = True
    room.run(30)
    assert items(room)["every_edge"] == {
        "pass": False, "why": "edge_2 takes calls but no commands: no answer", "waived": False,
    }  # fmt: skip
    assert items(room)["edges"]["pass"] is True
    assert status(room.world)["armed"]["now"] is False
    assert room.order(Command.SHIFT).refused
    room.edges["edge_2"].speaks = False
    room.run(5)
    assert items(room)["every_edge"]["pass"] is True, "silent to command, OPTIONS and probe calls: gone"
    assert status(room.world)["armed"]["now"] is True


def test_an_edge_that_carries_a_probe_call_is_not_gone_either():
    room = Room().armed()
    room.edges["edge_2"].silent = True
    room.run(30)
    assert items(room)["every_edge"]["pass"] is True
    room.tell(ProbeReport(room.at, "outbound", "edge_2", Target.PRIMARY, True, "sip:a1@far", "", 3.0))
    assert items(room)["every_edge"]["pass"] is False


def test_a_probe_call_from_before_its_last_answer_says_nothing_about_a_silent_edge():
    room = Room().armed()
    room.run(2)
    room.probe = lambda: None  # type: ignore[method-assign]
    room.run(2)
    room.edges["edge_2"].silent = True
    room.run(20)
    assert items(room)["edges"]["why"] == "edge_1 answer; partial, edge_2 silent"
    assert items(room)["every_edge"]["pass"] is True


def test_when_time_is_up_the_other_edges_move_without_it():
    room = Room().armed()
    room.edges["edge_2"].silent = room.edges["edge_2"].speaks = True
    room.lose_units(1, 2, 3)
    room.run(60, heat=4 / 60, back=1 / 60)
    while room.edges["edge_1"].percent == 0:
        room.run(1, heat=0.01)
        assert room.inlets["hall_a"] < 40
    assert items(room)["every_edge"]["waived"]


def peer(room: Room, passed: bool) -> None:
    room.tell(ReadinessReport(room.at, "outbound", "backup_cooling", passed, "houston: hall_1 is as told"))


@pytest.mark.parametrize("zones", [(), ("hall_b",)])
def test_the_backups_own_envmon_may_speak_for_its_cooling(zones: tuple[str, ...]):
    base = policy()
    route = replace(base.routes[0], proofs=("backup_cooling",), backup_zones=zones)
    room = Room(policy=replace(base, routes=(route,)))
    room.run(12)
    assert items(room)["backup_cooling"]["pass"] is None, "nobody has spoken yet"
    peer(room, True)
    assert items(room)["backup_cooling"]["pass"] is True
    peer(room, False)
    assert items(room)["backup_cooling"] == {"pass": False, "why": "houston: hall_1 is as told", "waived": False}
    assert status(room.world)["routes"]["outbound"]["ready"] == "no"
    peer(room, True)
    room.run(121)
    assert items(room)["backup_cooling"]["pass"] is None, "an old word is none"


def test_a_good_word_from_there_does_not_outweigh_what_we_measure_ourselves():
    base = policy()
    room = Room(policy=replace(base, routes=(replace(base.routes[0], proofs=("backup_cooling",)),)))
    room.run(12)
    room.states.update(dict.fromkeys((name for name in room.policy.devices if name.startswith("hall_b_crac")), "off"))
    room.run(30)
    peer(room, True)
    assert items(room)["backup_cooling"]["pass"] is False
    assert "hall_b" in items(room)["backup_cooling"]["why"]


def test_with_neither_zones_nor_a_peer_it_is_unknown():
    base = policy()
    room = Room(policy=replace(base, routes=(replace(base.routes[0], backup_zones=()),)))
    room.run(12)
    assert items(room)["backup_cooling"]["why"] == "no backup zone is configured, and no peer is asked"


def test_an_item_that_cannot_be_asked_says_why_and_its_last_word_stands_until_it_is_old():
    base = policy()
    room = Room(policy=replace(base, routes=(replace(base.routes[0], proofs=("carrier_trunk",)),)))

    def asked(passed: bool = False, error: str = "") -> dict[str, Any]:
        room.tell(ReadinessReport(room.at, "outbound", "carrier_trunk", passed, "as told", error=error))
        return dict(items(room)["carrier_trunk"])

    assert asked(error="it answered 404") == {"pass": None, "why": "not reported yet: it answered 404", "waived": False}
    assert asked(passed=True)["pass"] is True
    room.run(100)
    assert asked(error="no answer") == {"pass": True, "why": "as told", "waived": False}
    room.run(21)
    told = items(room)["carrier_trunk"]
    assert (told["pass"], told["why"]) == (None, "reported 121 s ago, a report stands for 120 s: no answer")
    assert asked(passed=True)["why"] == "as told"
