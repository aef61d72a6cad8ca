"""The journal on disk: round trips, all or nothing, one writer, readers beside it, clear errors."""

import _sqlite3
import ctypes
import os
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_samples import CHILD_ENV, FULL, RECORDS, record

from envmon.journal.chain import EMPTY, Head, seal
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError, Record
from envmon.journal.store import Journal

ROOM = 256 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_lines_come_back_as_they_were_written(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        assert journal.head == EMPTY
        head = journal.append([FULL, record(1)], snapshot="{}")
        assert head == journal.head == journal.stored_head()
    with Journal.open(path, create=False, room=ROOM) as journal:
        lines = list(journal.records())
        assert [line.record for line in lines] == [FULL, record(1)]
        assert [line.seq for line in lines] == [0, 1]
        assert lines[1].prev == lines[0].hash
        assert journal.head == head
        assert journal.append([record(2)]).seq == 2
        assert journal.verify(head).ok


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=6))
def test_any_record_reads_back_as_it_was_sealed(tmp_path: Path, records: list[Record]) -> None:
    file = tmp_path / f"{os.urandom(8).hex()}.db"
    with Journal.open(file, room=4096) as journal:
        journal.append(records)
        assert [line.record for line in journal.records()] == [seal(item, EMPTY).record for item in records]
        found = journal.verify(journal.head)
        assert (found.ok, found.lines, found.fault) == (True, len(records), "")


def test_every_commit_is_synced(path: Path) -> None:
    """A kill does not show it, a power cut would: the setting itself is what we can look at."""
    with Journal.open(path, room=ROOM) as journal:
        assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_databases_room_is_real_blocks(path: Path) -> None:
    with Journal.open(path, room=1 << 20) as journal:
        assert journal.has_room
        assert path.stat().st_blocks * 512 >= 1 << 20
        assert path.with_name("journal.db-wal").stat().st_blocks * 512 >= 1 << 20


def test_records_since_and_limit(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        journal.append([record(number) for number in range(1203)])
        assert [line.seq for line in journal.records()] == list(range(1203))
        assert [line.seq for line in journal.records(since=1200)] == [1200, 1201, 1202]
        assert [line.seq for line in journal.records(since=100, limit=1001)] == list(range(100, 1101))
        assert list(journal.records(limit=0)) == []
        assert list(journal.records(since=5000)) == []


def test_a_batch_with_one_bad_record_writes_nothing(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        head = journal.append([record(0)])
        with pytest.raises(JournalError, match="epoch"):
            journal.append([record(1), replace(record(2), epoch=2**64)], snapshot="new")
        with pytest.raises(JournalError, match="surrogates not allowed"):
            journal.append([record(1)], snapshot="\ud800")
        assert journal.head == journal.stored_head() == head
        assert journal.latest_snapshot() is None
        assert journal.append([record(1)]).seq == 1
        assert journal.verify().lines == 2


def test_the_newest_three_snapshots_are_kept_and_a_damaged_one_is_skipped(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal.open(path, room=ROOM) as journal:
        assert journal.latest_snapshot() is None
        for number in range(5):
            journal.save_snapshot(f"memory {number}")
        journal.append([record(0)], snapshot="memory 5")
        assert journal.latest_snapshot() == "memory 5"
    with sqlite3.connect(path) as raw:
        assert [row[0] for row in raw.execute("SELECT text FROM snapshot ORDER BY number")] == [
            "memory 3",
            "memory 4",
            "memory 5",
        ]
        raw.execute("UPDATE snapshot SET text = 'memory X' WHERE text = 'memory 5'")
    raw.close()
    with JournalReader.open(path) as reader:
        assert reader.latest_snapshot() == "memory 4"
    assert "snapshot 6 is damaged; taking the one before it" in caplog.text


def test_a_snapshot_that_was_written_is_not_kept_in_memory(path: Path) -> None:
    """SQLite itself says what it has; up to 2 MB of it is its cache of pages."""
    used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    used.restype = ctypes.c_int64
    with Journal.open(path, room=ROOM) as journal:
        before = used()
        journal.save_snapshot(f'"{"x" * 8_000_000}"')
        assert used() - before < 4_000_000


def test_reading_works_while_the_daemon_writes(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal, JournalReader.open(path) as reader:
        for number in range(20):
            head = journal.append([record(number)])
            assert reader.stored_head() == head
        lines = reader.records()
        next(lines)  # a reader in the middle of its work does not make the writer wait
        journal.append([record(20)])
        assert reader.verify(journal.head).lines == 21
        lines.close()


def test_a_reader_cannot_write(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        journal.append([record(0)])
        with JournalReader.open(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM line")


UNPRIVILEGED = """
import os, sys
import urllib.parse  # pathlib imports it late, when this user may not read root's own Python any more
from pathlib import Path
from envmon.journal.reader import JournalReader
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print(JournalReader.open(Path(sys.argv[1])).verify().lines)
"""


@pytest.mark.parametrize("running", [False, True])
def test_reading_in_a_directory_we_may_not_write(running: bool) -> None:
    """As an operator without rights on the state directory would."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "journal.db"
        journal = Journal.open(path, room=ROOM)
        journal.append([record(0), record(1)])
        if not running:
            journal.close()
        for file in path.parent.iterdir():
            file.chmod(0o444)
        path.parent.chmod(0o555)
        command = [sys.executable, "-c", UNPRIVILEGED, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=CHILD_ENV, check=False)
        path.parent.chmod(0o755)
        journal.close()
    assert (done.stdout.strip(), done.stderr) == ("2", "")


def test_a_second_daemon_is_told_who_writes(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        journal.append([record(0)])
        with pytest.raises(JournalError, match=rf"is written by another envmon \(process {os.getpid()}\)"):
            Journal.open(path, room=ROOM)
        assert journal.append([record(1)]).seq == 1
    Journal.open(path, room=ROOM).close()


def test_another_program_holding_a_write_lock_is_an_error_not_a_hang(path: Path) -> None:
    with Journal.open(path, room=ROOM) as journal:
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        journal._connection.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(JournalError, match="is locked by another program"):
            journal.append([record(0)])
        raw.close()
        assert journal.append([record(0)]).seq == 0


def test_missing_file_and_directory(path: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal.open(path, create=False)
    with pytest.raises(JournalError, match="there is no journal at"):
        JournalReader.open(path)
    with pytest.raises(JournalError, match="is not a directory; create it"):
        Journal.open(tmp_path / "absent" / "journal.db")
    assert not path.exists()


def test_a_file_that_is_no_journal(path: Path) -> None:
    path.write_bytes(b"this is not a database, not at all\n" * 100)
    for opened in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match="is damaged; keep it as evidence"):
            opened(path)
    path.unlink()
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE other (x)")
    raw.commit()
    raw.close()
    for opened in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match="is not an envmon journal"):
            opened(path)


def test_a_newer_version_is_refused(path: Path) -> None:
    Journal.open(path, room=ROOM).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 2")
    raw.close()
    for opened in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match="has journal version 2, this envmon reads version 1"):
            opened(path)


def test_a_making_cut_short_is_finished(path: Path) -> None:
    path.touch()  # killed between making the file and its first commit
    with Journal.open(path, room=ROOM) as journal:
        assert journal.append([record(0)]) == Head(0, seal(record(0), EMPTY).hash)


def test_a_damaged_page_is_a_fault_not_a_traceback(path: Path) -> None:
    with Journal.open(path, room=4096) as journal:
        journal.append([record(number) for number in range(400)])
    data = bytearray(path.read_bytes())
    where = data.index(b"n=200")
    page = where - where % 4096
    data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    with JournalReader.open(path) as reader:
        found = reader.verify()
    assert not found.ok
    assert "is damaged" in found.fault
