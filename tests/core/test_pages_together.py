"""What went silent together is one page, and a unit that only says it runs is told of."""

from dataclasses import dataclass, field, replace

import pytest

from envmon.core.explain import explain_now, text
from envmon.model.effect import Page
from envmon.model.reading import Point, Reading, Role
from tests.core.room import Room


@dataclass
class Wired(Room):
    """A room whose units in hall_a stand behind one gateway, and measure the air they give."""

    supplies: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)

    def readings(self, device: str, zone_name: str) -> tuple[Reading, ...]:
        found = super().readings(device, zone_name)
        if zone_name != "hall_a" or device.endswith("probes"):
            return found
        told = [*found, self.measured(found[0].point, "supply", Role.SUPPLY_TEMP, self.supplies.get(device, 21.0))]
        if device in self.outputs:
            told.append(self.measured(found[0].point, "output", Role.COOLING_OUTPUT, self.outputs[device]))
        return tuple(replace(each, point=replace(each.point, path="gateway")) for each in told)

    @staticmethod
    def measured(like: Point, name: str, role: Role, value: float) -> Reading:
        return Reading(replace(like, id=f"{like.id}.{name}", name=name, role=role, measure=""), value)


def raised(room: Room) -> dict[str, Page]:
    """The pages that stand, by the end of their key."""
    open_now: dict[str, Page] = {}
    for page in room.effects:
        if isinstance(page, Page):
            open_now.pop(page.key, None)
            if page.raised:
                open_now[page.key] = page
    return {key.removeprefix("envmon/dallas/"): page for key, page in open_now.items()}


UNITS = ("hall_a_crac_1", "hall_a_crac_2", "hall_a_crac_3")


def test_a_gateway_that_is_lost_is_one_page_that_names_all_behind_it():
    room = Wired().armed()
    room.silent.update(UNITS)
    room.run(70)
    pages = raised(room)
    assert [key for key in pages if key.endswith(("/device", "/path"))] == ["gateway/path"]
    assert pages["gateway/path"].summary == f"dallas: nothing behind gateway answers: {', '.join(UNITS)}"
    assert "no answer in 2 s" in pages["gateway/path"].detail
    room.silent.clear()
    room.run(10)
    assert "gateway/path" not in raised(room)


def test_one_device_behind_a_gateway_that_answers_is_its_own_page():
    room = Wired().armed()
    room.silent.update(UNITS[:2])
    room.run(70)
    assert sorted(key for key in raised(room) if "crac" in key or "path" in key) == [
        f"{each}/device" for each in UNITS[:2]
    ]


def test_a_blind_room_is_one_page_that_names_what_is_silent():
    room = Wired().armed()
    room.silent.update(device for device in room.policy.devices if device.startswith("hall_a"))
    room.run(120)
    pages = raised(room)
    assert [key for key in pages if key.endswith(("/device", "/path", "/telemetry"))] == ["hall_a/telemetry"]
    assert all(each in pages["hall_a/telemetry"].detail for each in (*UNITS, "hall_a_probes"))


def test_a_device_that_was_paged_is_not_called_resolved_while_it_is_silent():
    room = Wired().armed()
    room.silent.add(UNITS[0])
    room.run(70)
    room.silent.update(device for device in room.policy.devices if device.startswith("hall_a"))
    room.run(120)
    assert {f"{UNITS[0]}/device", "hall_a/telemetry"} <= set(raised(room))
    assert f"{UNITS[1]}/device" not in raised(room)


def idle_room(**outputs: float) -> Wired:
    room = Wired(outputs=dict(outputs)).run(60)
    room.supplies[UNITS[0]] = 32.5
    return room.armed()


def test_a_unit_that_runs_and_cools_nothing_is_told_and_moves_nothing():
    room = idle_room()
    before = room.world.zones["hall_a"].judgement
    room.run(270)
    assert f"hall_a/{UNITS[0]}/idle" not in raised(room)
    room.run(40)
    page = raised(room)[f"hall_a/{UNITS[0]}/idle"]
    assert f"{UNITS[0]} says it runs, but takes 0.5 K out of its air, the others 12.0 K" in page.summary
    judgement = room.world.zones["hall_a"].judgement
    assert (judgement.margin_kw, judgement.lost_units) == (before.margin_kw, before.lost_units)
    assert all("takes" not in vote.says for vote in judgement.votes)
    assert room.route.commanded == 0
    assert f"{UNITS[0]} says it runs, but takes" in text(explain_now(room.world))
    room.supplies.clear()
    room.run(10)
    assert f"hall_a/{UNITS[0]}/idle" not in raised(room)


@pytest.mark.parametrize(
    ("state", "output"), [("standby", 50.0), ("running", 0.0)], ids=["stands by", "says it gives nothing"]
)
def test_a_unit_that_does_not_claim_to_cool_is_no_liar(state, output):
    room = idle_room(**{UNITS[0]: output})
    room.states[UNITS[0]] = state
    room.run(320)
    assert f"hall_a/{UNITS[0]}/idle" not in raised(room)


def test_a_room_in_which_none_cools_is_not_a_matter_of_one_unit():
    room = idle_room()
    room.supplies.update(dict.fromkeys(UNITS, 32.5))
    room.run(320)
    assert not [key for key in raised(room) if key.endswith("/idle")]
