"""What was recorded is replayed to the identical decisions, from every recorded world; a lie in it is found."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envmon.core.advance import advance
from envmon.core.snapshot import dump
from envmon.core.world import World, initial
from envmon.model.event import Command, DeviceBatch, Event, PolicyLoaded
from envmon.model.points import Points, points_of
from envmon.model.reading import Point, Quality, Reading, Reason, Severity
from envmon.model.readings import Readings, sheet_of
from envmon.recordings.decode import Start, files, read
from envmon.recordings.encode import Encoder, header
from envmon.recordings.replay import Replay, replay
from tests.core.room import Room
from tests.core.test_failover import storm
from tests.recordings.recording_rig import RecordedRoom, recorder, text_of, write


def rerun(path: Path, since: int = 0) -> Replay:
    found = Replay()
    for _ in replay(files(path), found, since):
        pass
    return found


def failover(folder: Path, **pace: float) -> Room:
    with recorder(folder, **pace) as to:
        room = storm(RecordedRoom(to=to).armed(), 500)
    assert to.counts.lost == 0
    assert to.failure == ""
    return room


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> list[str]:
    """One recorded failover, line by line."""
    folder = tmp_path_factory.mktemp("failover")
    failover(folder, snapshot_s=0.05)
    (path,) = folder.glob("*.gz")
    return text_of(path)


def test_a_recorded_failover_is_replayed_to_the_identical_decisions(tmp_path):
    room = failover(tmp_path, snapshot_s=0.02, file_s=0.1)
    found = rerun(tmp_path)
    assert "T10" in room.rules
    assert found.identical
    assert found.decisions == len(room.decisions)
    assert str(found.recorded) == str(found.replayed)
    assert len(found.headers) > 1, "more than one file"
    assert found.worlds > len(found.headers), "more than one world a file"


def test_the_episode_alone_is_a_recording_too(tmp_path):
    failover(tmp_path, file_s=0.2)
    (kept,) = tmp_path.glob("episode-*")
    found = rerun(kept)
    assert found.identical
    assert any('"T10"' in line for file in files(kept) for line in text_of(file))


class Scribe:
    """One file, with the world written after every few events."""

    def __init__(self, world: World, every: int) -> None:
        self.encoder = Encoder(world.now.boot_id, world.now.mono_ns)
        self.lines = [header("1.2.3", "dallas", "run", world.now.boot_id, 1), self.encoder.world(1, world)]
        self.number = 1
        self.every = every

    def tell(self, world: World, event: Event) -> World:
        step = advance(world, event)
        self.number += 1
        self.lines += self.encoder.event(event, step.decisions, step.effects)
        if self.number % self.every == 0:
            self.lines.append(self.encoder.world(self.number, step.world))
        return step.world


ACTIONS = ("run", "lose", "silence", "speak", "heat", "hold", "resume", "shift", "restore", "deaf", "lease", "policy")


def happen(room: Room, action: str) -> None:
    match action:
        case "run":
            room.run(7)
        case "heat":
            room.run(15, heat=0.3)
        case "lose":
            room.lose_units(1, 2, 3)
        case "silence":
            room.silent.update({"hall_a_probes", "hall_a_crac_1"})
        case "speak":
            room.silent.clear()
        case "deaf":
            room.edges["edge_1"].silent = not room.edges["edge_1"].silent
        case "policy":
            zones = tuple(replace(zone, it_load_kw=zone.it_load_kw + 1) for zone in room.policy.zones)
            room.policy = replace(room.policy, zones=zones)
            room.tell(PolicyLoaded(room.at, room.policy, f"digest {zones[0].it_load_kw}", "kübler", "site: dallas\n"))
        case "lease":
            room.take_lease(room.edges["edge_2"].fence + 1)
        case _:
            room.order(Command(action))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(ACTIONS), min_size=3, max_size=15), st.integers(11, 60))
def test_a_replay_from_every_recorded_world_is_identical(tmp_path, actions, every):
    events: list[Event] = []
    room = Room()
    tell = room.tell

    def kept(event):
        events.append(event)
        return tell(event)

    start = room.world
    room.tell = kept  # type: ignore[method-assign]
    room.run(3)
    for action in actions:
        happen(room, action)
    encoder = Scribe(start, every)
    world = start
    for event in events:
        world = encoder.tell(world, event)
    assert dump(world) == dump(room.world)
    path = write(tmp_path / "one.jsonl.gz", encoder.lines)
    starts = [item.number for item in read(path) if isinstance(item, Start)]
    assert starts[0] == 1
    whole = rerun(path)
    assert whole.identical, whole.difference
    assert whole.events == len(events)
    for number in starts:
        part = rerun(path, number)
        assert part.identical, (number, part.difference)
        assert part.events == len(events) + 1 - number


def whole(event: Event) -> str:
    """An event to the last sign; a poll's readings one by one, however they are kept."""
    return repr(replace(event, readings=tuple(event.readings)) if isinstance(event, DeviceBatch) else event)


def test_every_event_comes_back_as_it_was(tmp_path):
    with recorder(tmp_path) as to:
        room = RecordedRoom(to=to)
        told: list[Event] = []
        record = to.record

        def both(event, step):
            told.append(event)
            record(event, step)

        to.record = both  # type: ignore[method-assign]
        room.armed().run(20)
        odd = [
            Reading(r.point, value, quality, reason)
            for r, (value, quality, reason) in zip(
                room.readings("hall_a_probes", "hall_a"),
                [("Kühlung \ud800", Quality.UNCERTAIN, Reason.SETTLING), (-0.0, Quality.GOOD, Reason.NONE)] * 3,
                strict=False,
            )
        ]
        for readings in (odd, odd, odd[:1], list(reversed(odd)), []):
            room.tell(DeviceBatch(room.at, "hall_a_probes", tuple(readings)))
        room.now_ns -= 5_000_000_000  # asked for before the last event
        room.boot = "boot-2"
        room.run(3)
    came = [item.event for file in files(tmp_path) for item in read(file) if not isinstance(item, Start)]
    assert [whole(event) for event in came[1:]] == [whole(event) for event in told]


VALUES = st.sampled_from([0.0, -0.0, 1.0, 1, "", "ü", None, float("inf")])
GRADES = st.sampled_from([
    (Quality.GOOD, Reason.NONE, Severity.NONE), (Quality.GOOD, Reason.NONE, Severity.OK),
    (Quality.BAD, Reason.SENTINEL, Severity.NONE),
])  # fmt: skip
POINTS = tuple(Point(f"s.z.u.p{n}", f"p{n}", "d", "path", "z", "u", None, "") for n in range(3))
READINGS = st.builds(
    lambda told: [Reading(point, value, *grade) for point, (value, grade) in zip(POINTS, told, strict=False)],
    st.lists(st.tuples(VALUES, GRADES), min_size=2, max_size=3),
)


def signs(event: Event) -> str:
    """All of a batch, 1 told from 1.0 and 0.0 from -0.0, however its readings are kept."""
    assert isinstance(event, DeviceBatch)
    return repr(replace(event, readings=tuple(event.readings)))


@given(st.lists(st.tuples(READINGS, st.sampled_from(["", "no answer"]), st.integers(-5, 5)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_batch_comes_back_to_the_last_sign(tmp_path, batches):
    world = Room().world
    encoder = Encoder(world.now.boot_id, world.now.mono_ns)
    lines = [header("1", "s", "r", world.now.boot_id, 0), encoder.world(0, world)]
    told = [
        DeviceBatch(
            replace(world.now, mono_ns=world.now.mono_ns + at, wall=world.now.wall + at / 7), "d", tuple(some), error
        )
        for some, error, at in batches
    ]
    for event in told:
        lines += encoder.event(event, (), ())
    came = [item.event for item in read(write(tmp_path / "x.jsonl.gz", lines)) if not isinstance(item, Start)]
    assert list(map(signs, came)) == list(map(signs, told))


def test_a_device_that_was_lost_does_not_keep_its_points_for_the_recording():
    now = Room().world.now
    points = points_of([Point(f"s.d.p{at}", f"p{at}", "d", "path", None, None, None, "kW") for at in range(3)])
    assert isinstance(points, Points)
    sheet = sheet_of(points)
    lost = {at: Reading(point, None, Quality.MISSING, Reason.TIMEOUT) for at, point in enumerate(points)}
    encoder = Encoder(now.boot_id, now.mono_ns)
    for polled in (Readings(sheet, (1.0,) * 3), Readings(sheet, (None,) * 3, lost), Readings(sheet, (1.0,) * 3)):
        *_, line = encoder.event(DeviceBatch(now, "d", polled), (), ())
        assert line.count(",") == 4 + 3 * 3  # all three have changed
    assert not points._made


@pytest.mark.parametrize("by", [-2.0, -0.5, 3.0])
def test_a_changed_reading_is_a_difference(tmp_path, lines, by):
    lines = list(lines)
    first = next(n for n, line in enumerate(lines) if '"T10"' in line)
    changed = 0
    for number in range(first - 40, first):
        line = json.loads(lines[number])
        if line[0] != "b":
            continue
        for place in range(2, len(line[5]), 3):
            if isinstance(line[5][place], float):
                line[5][place] += by
                changed += 1
        lines[number] = json.dumps(line, separators=(",", ":"))
    assert changed
    found = rerun(write(tmp_path / "lie.jsonl.gz", lines))
    assert not found.identical
    assert str(found.recorded) != str(found.replayed)
    assert found.difference is not None
    assert found.difference.recorded != found.difference.replayed
    assert re.search(r"degC|zones\.hall_a\.", found.difference.recorded + found.difference.replayed)


def test_a_changed_decision_is_a_difference(tmp_path, lines):
    lines = [line.replace('"percent":100,', '"percent":90,') if line[:4] == '["d"' else line for line in lines]
    found = rerun(write(tmp_path / "lie.jsonl.gz", lines))
    assert found.difference is not None
    assert '"percent": 90' in found.difference.recorded
    assert '"percent": 100' in found.difference.replayed


def test_a_world_that_is_not_the_recorded_one_is_a_difference(tmp_path, lines):
    lines = list(lines)
    last = max(n for n, line in enumerate(lines) if line[:4] == '["s"')
    lines[last] = lines[last].replace('"mode":"automatic"', '"mode":"held"')
    found = rerun(write(tmp_path / "lie.jsonl.gz", lines))
    assert found.difference is not None
    assert "world after event" in found.difference.what
    assert "held" in found.difference.recorded


def test_an_initial_world_has_a_recording_too():
    assert json.loads(Encoder("", 0).world(0, initial()))[0] == "s"
