"""A snapshot is the world: it comes back whole, moves to a new clock, and a replay from it is identical."""

import copy
import hashlib
import json
from dataclasses import replace

import pytest

from envmon.core.advance import advance
from envmon.core.snapshot import dump, load
from envmon.core.world import SECOND
from envmon.model.event import Command, Stamp, Tick
from envmon.model.reading import Quality, Reason
from envmon.model.verdict import Mode, Position
from tests.core.room import Room
from tests.core.test_failover import storm


def reload(room: Room, at: Stamp | None = None):
    world = load(dump(room.world), at or room.at)
    return replace(world, policy=room.world.policy, lease=room.world.lease, faster=room.world.faster)


def test_a_world_comes_back_whole():
    room = storm(Room().armed(), 200)
    room.order(Command.HOLD)
    assert reload(room) == room.world


def test_the_text_is_canonical():
    room = storm(Room().armed(), 60)
    text = dump(room.world)
    assert dump(load(text, room.at)) == text
    assert json.loads(text)["mode"] == "automatic"


def test_every_string_can_be_kept_and_comes_back():
    room = Room()
    words = ("half \ud800", "\udcff at the front", '"\\\ud800\\', "\x00\x1b\u202e", "Kühlung 冷却 🧊")
    for word in words:
        room.world = replace(room.world, mode_why=word)
        text = dump(room.world)
        assert hashlib.sha256(text.encode()).hexdigest()
        assert load(text, room.at).mode_why == word
        assert dump(load(text, room.at)) == text
    assert words[-1] in dump(room.world), "what can be written is not escaped: hashes of old stay"


def record(room: Room, seconds: int) -> list:
    """Run on, keeping every event the core was told."""
    events: list = []
    tell = room.tell

    def kept(event):
        events.append(event)
        return tell(event)

    room.tell = kept  # type: ignore[method-assign]
    storm(room, seconds)
    return events


def digest(world, events) -> str:
    lines = []
    for number, event in enumerate(events):
        step = advance(world, event)
        world = step.world
        lines.extend(f"{number} {d.rule} {d.facts} {d.effects}" for d in step.decisions)
        lines.extend(f"{number} {effect}" for effect in step.effects)
    return hashlib.sha256("\n".join([*lines, dump(world)]).encode()).hexdigest()


def test_replay_from_a_snapshot_is_identical():
    room = Room().armed()
    start = copy.deepcopy(room.world)
    restored = reload(room)
    events = record(room, 400)
    assert "T10" in room.rules
    assert digest(start, events) == digest(start, events) == digest(restored, events)


def test_a_reboot_carries_every_moment_over():
    room = storm(Room().armed(), 100)
    away = 120.0
    at = Stamp(5 * SECOND, room.at.wall + away, "boot-2")
    world = reload(room, at)
    before = room.world.zones["hall_a"]
    after = world.zones["hall_a"]
    assert before.onset_ns is not None
    assert after.onset_ns is not None
    age_before = (room.world.now.mono_ns - before.onset_ns) / SECOND
    assert (at.mono_ns - after.onset_ns) / SECOND == pytest.approx(age_before + away)
    assert world.routes["outbound"].position is room.route.position
    assert world.now == at


def test_latch_hold_and_position_survive_a_restart():
    room = storm(Room().armed(), 700)
    room.order(Command.HOLD)
    world = reload(room, Stamp(SECOND, room.at.wall + 5, "boot-2"))
    assert world.mode is Mode.HELD
    assert world.routes["outbound"].latched
    assert world.routes["outbound"].position is Position.BACKUP
    assert advance(world, Tick(Stamp(2 * SECOND, room.at.wall + 6, "boot-2"))).world.mode is Mode.HELD


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"now":3}', '{"now":{"mono_ns":1,"wall":1,"boot_id":"b"},"x":1}']
)
def test_what_is_no_snapshot_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match="snapshot cannot be read"):
        load(text, Stamp(1, 1.0, "b"))


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('"wall":1432870200.0', '"wall":Infinity'),
        ('"wall":1432870200.0', '"wall":NaN'),
        ('"wall":1432870200.0', '"wall":-1e308'),
        ('"wall":1432870200.0', f'"wall":1{"0" * 400}'),
        ('"heat_capacity":30.0', '"heat_capacity":NaN'),
        ('"mode_why":""', f'"mode_why":{"[" * 100_000}'),
    ],
)
def test_a_snapshot_with_what_no_envmon_writes_is_refused_in_one_sentence(there, instead):
    text = dump(Room().world)
    assert there in text
    with pytest.raises(ValueError, match="snapshot cannot be read") as error:
        load(text.replace(there, instead, 1), Stamp(1, 1.0, "another boot"))
    assert len(str(error.value)) <= 300


def test_any_flipped_byte_is_refused_or_harmlessly_typed():
    room = Room().armed()
    text = dump(room.world)
    for place in range(0, len(text), 37):
        broken = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        try:
            load(broken, room.at)
        except ValueError:
            continue


def test_a_good_point_is_kept_once_and_comes_back_as_one():
    room = Room().armed()
    seen = json.loads(dump(room.world))["zones"]["hall_a"]["seen"]
    assert seen
    assert not any("good" in point for point in seen.values())
    assert all(s.good is s.reading for s in reload(room).zones["hall_a"].seen.values())


def test_the_last_good_reading_behind_a_bad_one_is_kept():
    room = Room().armed()
    name, before = next(iter(room.world.zones["hall_a"].seen.items()))
    bad = replace(before.reading, value=None, quality=Quality.BAD, reason=Reason.SENTINEL)
    zone = room.world.zones["hall_a"]
    zone = replace(zone, seen={**zone.seen, name: replace(before, reading=bad, at_ns=before.at_ns + 1)})
    room.world = replace(room.world, zones={**room.world.zones, "hall_a": zone})
    kept = reload(room).zones["hall_a"].seen[name]
    assert (kept.reading, kept.good, kept.good_ns) == (bad, before.good, before.good_ns)


def test_a_number_that_is_not_finite_is_not_kept():
    world = Room().armed().world
    zone = replace(world.zones["hall_a"], onset_c=float("inf"))
    with pytest.raises(ValueError, match="inf cannot be kept"):
        dump(replace(world, zones={**world.zones, "hall_a": zone}))
