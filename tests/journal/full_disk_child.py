"""Run in a mount namespace of its own: a small file system, filled to the last byte under an open journal.

Prints one JSON object; the test beside this file judges it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from journal_samples import FULL

from envmon.journal.record import JournalError
from envmon.journal.store import Journal

ROOM = 1 << 20
MEMORY = "m" * 40_000


def fill(disk: Path) -> None:
    """Take every byte, as a log that went wild would."""
    with (disk / "log").open("ab", buffering=0) as log:
        for size in (1 << 16, 1):
            try:
                while True:
                    log.write(b"x" * size)
            except OSError:
                pass


def append_until_full(journal: Journal, disk: Path, most: int) -> tuple[int, str]:
    for count in range(most):
        fill(disk)  # what the journal gives back, if anything, is taken by somebody else at once
        try:
            journal.append([FULL, FULL], MEMORY)
            journal.save_snapshot(MEMORY + str(count))
        except JournalError as error:
            return count, str(error)
    return most, ""


def main(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", str(disk)], check=True)
    found: dict[str, object] = {}
    path = disk / "journal.db"
    journal = Journal.open(path, room=ROOM)
    found["room_at_first"] = journal.has_room
    journal.append([FULL], MEMORY)
    found["episode"], found["error_in_episode"] = append_until_full(journal, disk, 150)
    head = journal.head
    journal.close()

    fill(disk)
    journal = Journal.open(path, room=ROOM)  # a restart on a full disk: the log is gone, the spare file gives way
    found["head_kept"] = journal.head == head
    found["after_restart"], found["error_after_restart"] = append_until_full(journal, disk, 20)

    found["until_full"], found["error"] = append_until_full(journal, disk, 1_000_000)
    found["room_when_full"] = journal.has_room
    found["verified"] = journal.verify(journal.head).fault
    found["lines"] = journal.verify().lines
    found["memory"] = journal.latest_snapshot() is not None

    (disk / "log").unlink()
    journal._room._next_try = 0.0  # a minute later
    journal.append([FULL])
    journal.save_snapshot(MEMORY)
    found["room_at_last"] = journal.has_room
    found["verified_at_last"] = journal.verify(journal.head).fault
    found["lines_at_last"] = journal.verify().lines
    journal.close()
    print(json.dumps(found))


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]))
