"""kill -9 at random moments: what was acknowledged is there, and the chain is unbroken."""

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from journal_samples import CHILD_ENV

from envmon.journal.store import Journal

WRITER = """
import sys
from pathlib import Path
from journal_samples import record
from envmon.journal.store import Journal
journal = Journal.open(Path(sys.argv[1]), room=1 << 20)
number = journal.head.seq + 1
while True:
    count = 1 + number % 3
    head = journal.append([record(number + i) for i in range(count)], snapshot=f"memory {number}" + "x" * 20000)
    number += count
    print(head, flush=True)
    if number % 50 < 3:
        journal.save_snapshot("between" + "y" * 30000)
"""


def test_no_acknowledged_line_is_ever_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(7)
    acknowledged: list[str] = []
    for _ in range(12):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=CHILD_ENV) as writer:
            assert writer.stdout is not None
            acknowledged.append(writer.stdout.readline().strip())
            threading.Timer(chance.uniform(0.0, 0.25), writer.send_signal, [signal.SIGKILL]).start()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL
    with Journal.open(path, create=False, room=1 << 20) as journal:
        found = journal.verify()
        assert found.fault == ""
        on_disk = {f"{line.seq}:{line.hash}" for line in journal.records()}
        lines = [line.record.mono_ns for line in journal.records()]
        assert journal.latest_snapshot() is not None
    assert set(acknowledged) <= on_disk
    assert len(acknowledged) > 12
    assert lines == list(range(found.lines)), "no line twice, none skipped"
