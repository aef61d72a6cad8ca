"""A full disk: one whole episode still fits, then a clear error, then all is well again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from journal_samples import CHILD_ENV

HERE = Path(__file__).parent

# Mounting needs a mount namespace: ours when we are root, else one in a user namespace.
UNSHARE = (
    ["unshare", "--mount", "--"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount", "--"]
)


def test_a_full_file_system(tmp_path: Path) -> None:
    command = [*UNSHARE, sys.executable, str(HERE / "full_disk_child.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=CHILD_ENV, check=False, timeout=60)
    if done.returncode == 1 and not done.stdout and "Operation not permitted" in done.stderr:
        pytest.fail(f"this test mounts a tmpfs in a namespace of its own, which was refused: {done.stderr}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["room_at_first"] is True
    assert (found["episode"], found["error_in_episode"]) == (150, ""), "300 lines and 300 snapshots on a full disk"
    assert found["room_when_full"] is False
    assert found["head_kept"] is True
    assert (found["after_restart"], found["error_after_restart"]) == (20, "")
    assert "is full and the journal's own room is used up; free disk space" in found["error"]
    assert found["verified"] == ""
    written = 1 + 2 * (150 + 20 + found["until_full"])
    assert found["lines"] in {written, written + 2}, (
        "the two of a refused snapshot count, those of a refused append not"
    )
    assert found["memory"] is True
    assert found["room_at_last"] is True
    assert found["verified_at_last"] == ""
    assert found["lines_at_last"] == found["lines"] + 1
    assert "Traceback" not in done.stderr
    assert "no room for a whole episode" in done.stderr


LIMITED = """
import resource
import sys
from pathlib import Path
from journal_samples import FULL
from envmon.journal.record import JournalError
from envmon.journal.store import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
journal = Journal.open(Path(sys.argv[1]), room=1 << 20)
assert not journal.has_room
good = 0
try:
    while good < 10_000:
        good = journal.append([FULL], "m" * 30_000).seq + 1
except JournalError as error:
    print(good, journal.verify().lines, journal.verify().fault or "-", error, sep="|")
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """As under a quota: the write fails otherwise than on a full disk, and nothing is half written."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "journal.db")]
    done = subprocess.run(command, capture_output=True, text=True, env=CHILD_ENV, check=True, timeout=60)
    good, lines, fault, error = done.stdout.strip().split("|")
    assert int(good) > 0
    assert lines == good
    assert fault == "-"
    assert "does not read or write; check the disk" in error
