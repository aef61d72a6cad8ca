"""The recorder: bounded, never waited for, sound after a kill, silent about its troubles but for one page."""

import gzip
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from envmon.model.effect import Page
from envmon.recordings.decode import RecordingError, Start, files, read
from envmon.recordings.replay import Replay, replay
from envmon.recordings.shelf import Shelf
from tests.core.test_failover import storm
from tests.recordings.recording_rig import RecordedRoom, recorder, text_of, until, write

# Mounting needs a mount namespace: ours when we are root, else one in a user namespace.
UNSHARE = (
    ["unshare", "--mount", "--"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount", "--"]
)


def rerun(path: Path) -> Replay:
    found = Replay()
    for _ in replay(files(path), found):
        pass
    return found


def size(folder: Path) -> int:
    return sum({path.stat().st_ino: path.stat().st_size for path in folder.rglob("*.gz")}.values())


def test_the_disk_it_takes_is_bounded_and_the_oldest_goes_first(tmp_path):
    budget = 100_000
    with recorder(tmp_path, budget=budget, file_s=0.05) as to:
        room = RecordedRoom(to=to).armed()
        until(lambda: room.run(20) and len(list(tmp_path.glob("*.gz"))) > 1, "a second file")
        first = min(tmp_path.glob("*.gz"))
        until(lambda: room.run(50) and not first.exists(), "the oldest to go", 60)
    assert to.counts.lost == 0
    assert size(tmp_path) <= budget
    assert rerun(tmp_path).identical


def test_an_episode_is_kept_with_the_file_before_it(tmp_path):
    with recorder(tmp_path, file_s=0.05) as to:
        room = RecordedRoom(to=to).armed()
        until(lambda: room.run(5) and len(list(tmp_path.glob("*.gz"))) > 3, "some quiet files")
        quiet = sorted(path.name for path in tmp_path.glob("*.gz"))
        storm(room, 400)
        assert "T10" in room.rules
    (kept,) = tmp_path.glob("episode-*")
    assert kept.name == f"episode-{room.route.episode}"
    names = sorted(path.name for path in kept.glob("*.gz"))
    assert names[0] not in quiet[:2], "not all that went before"
    assert names[-1] == max(path.name for path in tmp_path.glob("*.gz"))
    found = rerun(kept)
    assert found.identical
    first = {
        rule: next(n for n, path in enumerate(files(kept)) if any(f'"{rule}"' in line for line in text_of(path)))
        for rule in ("Z20", "T10")
    }
    assert 1 <= first["Z20"] <= first["T10"], "the file before the first evidence as well"


def test_what_is_kept_outlives_the_ring(tmp_path):
    shelf = Shelf(tmp_path, 55)
    for number in range(12):
        path = shelf.new(1e9 + number)
        path.write_bytes(b"x" * 10)
        if number in (3, 4):
            shelf.keep("1000", path.name)
        shelf.prune()
    assert [path.name[:8] for path in sorted((tmp_path / "episode-1000").iterdir())] == ["00000004", "00000005"]
    assert [path.name[:8] for path in shelf.ring()][-3:] == ["00000010", "00000011", "00000012"]
    assert size(tmp_path) <= 55


def test_only_so_many_episodes_are_kept_and_never_the_open_one(tmp_path):
    shelf = Shelf(tmp_path, 1_000_000, kept=2)
    for number in range(5):
        path = shelf.new(1_000_000_000.0 + number)
        path.write_bytes(b"x" * 10)
        shelf.keep(f"100{number}", path.name)
        shelf.prune(pinned=path.name, episode=f"100{number}")
    assert [path.name for path in shelf.episodes()] == ["episode-1002", "episode-1003", "episode-1004"]
    names = [path.name for path in shelf.ring()]
    assert names[0] == "00000001-20010909T014640Z.jsonl.gz"
    shelf = Shelf(tmp_path, 25, kept=2)
    shelf.prune(pinned=names[-1], episode="1004")
    assert (tmp_path / "episode-1004" / names[-1]).exists()
    assert size(tmp_path) <= 25


def test_evidence_without_an_end_pins_no_more_than_the_budget(tmp_path):
    shelf = Shelf(tmp_path, 45)
    for number in range(10):
        shelf.new(1e9 + number).write_bytes(b"x" * 10)
        shelf.prune(pinned="00000001")
    assert len(shelf.ring()) == 4


def test_a_full_queue_costs_events_and_the_rest_is_sound(tmp_path):
    to = recorder(tmp_path, queue=300)
    room = RecordedRoom(to=to).armed()  # nobody writes yet: a disk that hangs
    began = time.monotonic()
    room.run(200)
    assert time.monotonic() - began < 30
    assert to.counts.lost > 300
    with to:
        until(lambda: room.run(1) and to.counts.events > 600, "the queue to be written", 60)
    found = rerun(tmp_path)
    assert found.identical
    assert len(found.headers) == 2, "a gap begins a new file"
    assert found.events == to.counts.events


KILLED = """
import sys, time
from pathlib import Path
from tests.core.test_failover import storm
from tests.recordings.recording_rig import RecordedRoom, recorder
with recorder(Path(sys.argv[1]), snapshot_s=0.1) as to:
    storm(RecordedRoom(to=to).armed(), 120)
    print(to.counts.events + len(to._queue), flush=True)  # in this order none is counted twice
    time.sleep(600)
"""


def test_kill_9_leaves_all_but_the_last_moment(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert child.stdout is not None
    events = int(child.stdout.readline())
    child.stdout.close()
    until(lambda: rerun(tmp_path).events >= events - 1, "all of it, in a file that is being written", 60)
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    found = rerun(tmp_path)
    assert found.identical
    assert events > 500
    assert found.events >= events - 1


def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_line(tmp_path):
    with recorder(tmp_path / "rec") as to:
        RecordedRoom(to=to).armed().run(30)
    (path,) = (tmp_path / "rec").glob("*.gz")
    whole = [item.event for item in read(path) if not isinstance(item, Start)]
    packed = path.read_bytes()
    cut = tmp_path / "cut.jsonl.gz"
    lengths = set()
    for length in range(0, len(packed), max(1, len(packed) // 60)):
        cut.write_bytes(packed[:length])
        found = [item.event for item in read(cut) if not isinstance(item, Start)]
        assert found == whole[: len(found)]
        lengths.add(len(found))
    assert len(lengths) > 5


def test_a_changed_number_is_told_with_its_line(tmp_path):
    with recorder(tmp_path / "rec") as to:
        RecordedRoom(to=to).armed()
    (path,) = (tmp_path / "rec").glob("*.gz")
    plain = zlib.decompressobj(wbits=31).decompress(path.read_bytes())
    assert plain.count(b"22.0") > 1
    path.write_bytes(gzip.compress(plain[::-1].replace(b"0.22", b"0.32", 1)[::-1]))
    number = next(n for n, line in enumerate(plain.split(b"\n"), 1) if line == _last_with(plain, b"22.0"))
    with pytest.raises(RecordingError, match=rf"{path}: line {number}: it was damaged \(its checksum is wrong\)"):
        list(read(path))


def _last_with(plain: bytes, text: bytes) -> bytes:
    return [line for line in plain.split(b"\n") if text in line][-1]


def test_a_flipped_bit_is_told_where_it_is(tmp_path):
    with recorder(tmp_path / "rec") as to:
        RecordedRoom(to=to).armed().run(30)
    (path,) = (tmp_path / "rec").glob("*.gz")
    whole = [repr(item.event) for item in read(path) if not isinstance(item, Start)]
    packed = bytearray(path.read_bytes())
    broken = tmp_path / "broken.jsonl.gz"
    told = 0
    for place in range(10, len(packed) - 8, max(1, len(packed) // 80)):
        packed[place] ^= 0x10
        broken.write_bytes(packed)
        packed[place] ^= 0x10
        found: list[str] = []
        try:
            for item in read(broken):
                found += [] if isinstance(item, Start) else [repr(item.event)]
        except RecordingError as error:
            told += str(error).startswith(f"{broken}: line ") or str(error).startswith(f"{broken}: after byte ")
        assert found == whole[: len(found)], "a damaged line is never believed"
    assert told > 40


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"site: dallas\n", "byte 0: this is not an envmon recording"),
        (b"\x1f\x8bnonsense", "was damaged"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path, content, says):
    path = tmp_path / "foreign.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says):
        list(read(path))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"a":1}'], "line 1: this is not an envmon recording"),
        (["[]"], "line 1: this is not an envmon recording"),
        (['{"envmon":"recording","format":9,"engine":"7.0"}'], r"format 9, this envmon reads 1.*\(7.0\)"),
        (['{"envmon":"recording","format":1}'], "line 1: this is not an envmon recording"),
        (["HEADER", '["t",1,2.0]'], "line 2: cannot be read.*before the world"),
        (["HEADER", '["?"]'], "line 2: cannot be read"),
        (["HEADER", '["b",1,2.0,7,"",[]]'], "line 2: cannot be read"),
        (["HEADER", '{"t":1}'], "line 2: cannot be read"),
        (["HEADER", '["s",1,{},{},{}]'], "line 2: cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_told_with_its_line(tmp_path, lines, says):
    known = '{"envmon":"recording","format":1,"engine":"1","site":"s","run":"r","boot_id":"b","number":0}'
    path = write(tmp_path / "odd.jsonl.gz", [known if line == "HEADER" else line for line in lines])
    with pytest.raises(RecordingError, match=says):
        list(read(path))


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(RecordingError, match="no such recording"):
        files(tmp_path / "none")
    with pytest.raises(RecordingError, match="no recording in this folder"):
        files(tmp_path)


def test_a_folder_that_cannot_be_written_pages_once_and_is_tried_again(tmp_path):
    pages: list[Page] = []
    folder = tmp_path / "rec"
    folder.write_text("in the way")
    with recorder(folder, pages=pages, retry_s=0.05, steady_s=0.1) as to:
        room = RecordedRoom(to=to)
        until(lambda: room.run(1) and to.counts.failures > 3, "attempts")
        assert [page.raised for page in pages] == [True]
        assert "cannot record: File exists" in pages[0].summary
        assert to.failure
        folder.unlink()
        until(lambda: room.run(1) and to.counts.events > 50, "recording")
        until(lambda: room.run(1) and len(pages) > 1, "the all-clear")
    assert [page.raised for page in pages] == [True, False]
    assert to.counts.lost > 0
    assert rerun(folder).identical


FULL = """
import os, subprocess, sys
from pathlib import Path
from tests.recordings.recording_rig import RecordedRoom, recorder, until
from tests.recordings.test_recorder import rerun
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(disk)], check=True)
pages = []
with recorder(disk / "rec", budget=10_000_000, pages=pages, retry_s=0.05, steady_s=0.05) as to:
    room = RecordedRoom(to=to).armed()
    (disk / "log").write_bytes(b"x" * 50_000)
    until(lambda: room.run(5) and to.failure, "a full disk", 60)
    (disk / "log").unlink()
    before = to.counts.events
    until(lambda: room.run(2) and to.counts.events > before + 50, "recording again", 60)
assert [page.raised for page in pages][:1] == [True], pages
assert to.counts.lost > 0
found = rerun(disk / "rec")
assert found.identical and len(found.headers) > 1, found
print("sound", to.failure)
"""


def test_a_full_disk_costs_recordings_and_nothing_else(tmp_path):
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", FULL, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith("sound"), done.stdout + done.stderr
