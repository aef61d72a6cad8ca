"""Somebody edits the journal's file by hand: verification finds it, and says where."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_samples import FULL, record

from envmon.journal import schema
from envmon.journal.chain import EMPTY, Head, seal
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.store import Journal

LINES = 9


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Head]:
    path = tmp_path / "journal.db"
    with Journal.open(path, room=4096) as journal:
        journal.append([FULL])
        return path, journal.append([record(number) for number in range(1, LINES)])


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def fault(path: Path, head: Head | None = None) -> str:
    with JournalReader.open(path) as reader:
        found = reader.verify(head)
    assert found.ok == (not found.fault)
    return found.fault


def test_untouched(written: tuple[Path, Head]) -> None:
    path, head = written
    assert fault(path, head) == ""


@pytest.mark.parametrize(
    "column",
    ["text", "who", "rule", "facts", "effect", '"order"', "approvals", "state_hash", "episode", "extra", "subject"],
)
def test_one_edited_character(written: tuple[Path, Head], column: str) -> None:
    path, _ = written
    with raw(path) as connection:
        (text,) = connection.execute(f"SELECT {column} FROM line WHERE seq = 0").fetchone()
        where = max(index for index, char in enumerate(text) if char.isalnum())
        edited = text[:where] + ("X" if text[where] != "X" else "Y") + text[where + 1 :]
        connection.execute(f"UPDATE line SET {column} = ? WHERE seq = 0", (edited,))
    assert fault(path) == "line 0 was changed after it was written: its hash does not match its text"


@pytest.mark.parametrize(
    "change",
    [
        "entry = 'result'",
        "mono_ns = 1",
        "wall = wall + 0.5",
        "deadline = 0",
        "epoch = 41",
        "boot_id = ''",
        "hash = 'x'",
    ],
)
def test_one_edited_number(written: tuple[Path, Head], change: str) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute(f"UPDATE line SET {change} WHERE seq = 0")
    assert fault(path).startswith("line 0 was changed after it was written")


@pytest.mark.parametrize(
    "change",
    [
        "entry = 'no such entry'",
        "facts = 'not json'",
        "facts = '[1]'",
        "facts = '[[NaN, 1]]'",
        "approvals = '7'",
        "approvals = '[\"\\ud800\"]'",
        "extra = '[1]'",
        "wall = 9e999",
        "text = CAST(x'ff' AS TEXT)",
    ],
)
def test_an_edit_that_cannot_even_be_read(written: tuple[Path, Head], change: str) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute(f"UPDATE line SET {change} WHERE seq = 4")
    assert fault(path) != ""


def test_a_removed_line(written: tuple[Path, Head]) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute("DELETE FROM line WHERE seq = 4")
    assert fault(path) == "line 4 is missing: line 5 follows line 3"


def test_a_removed_line_with_the_rest_renumbered(written: tuple[Path, Head]) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute("DELETE FROM line WHERE seq = 4")
        for seq in range(5, LINES):
            connection.execute("UPDATE line SET seq = seq - 1 WHERE seq = ?", (seq,))
    assert fault(path) == "line 4 does not follow line 3: a line was replaced, or the order changed"


def test_two_lines_swapped(written: tuple[Path, Head]) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute("UPDATE line SET seq = -1 WHERE seq = 4")
        connection.execute("UPDATE line SET seq = 4 WHERE seq = 5")
        connection.execute("UPDATE line SET seq = 5 WHERE seq = -1")
    assert fault(path) == "line 4 does not follow line 3: a line was replaced, or the order changed"


def test_a_line_with_a_fresh_hash_breaks_the_next(written: tuple[Path, Head]) -> None:
    path, _ = written
    with JournalReader.open(path) as reader:
        (before,) = reader.records(since=3, limit=1)
    forged = seal(record(99), Head(before.seq, before.hash))
    with raw(path) as connection:
        connection.execute("DELETE FROM line WHERE seq = 4")
        connection.execute(schema.INSERT, schema.to_row(forged))
    assert fault(path) == "line 5 does not follow line 4: a line was replaced, or the order changed"


def test_a_cut_end(written: tuple[Path, Head]) -> None:
    path, head = written
    with raw(path) as connection:
        connection.execute("DELETE FROM line WHERE seq >= 6")
    assert fault(path) == "the journal ends at line 5, but the newest line it recorded is at 8: its end was removed"
    with pytest.raises(JournalError, match=r"does not end in the line it last recorded \(8\)"):
        Journal.open(path)

    with raw(path) as connection:  # a careful hand corrects the recorded head too: only a published head tells
        connection.execute("UPDATE head SET (seq, hash) = (SELECT seq, hash FROM line ORDER BY seq DESC LIMIT 1)")
    assert fault(path) == ""
    assert fault(path, head) == "the journal ends at line 5, but the published head is at 8: its end was removed"


def test_everything_replaced_by_a_new_chain(written: tuple[Path, Head]) -> None:
    path, head = written
    path.unlink()
    with Journal.open(path, room=4096) as journal:
        journal.append([record(number) for number in range(LINES)])
    assert fault(path) == ""
    assert fault(path, head) == "line 8 is not the line of the published head: the chain was rebuilt"


@pytest.mark.parametrize("sql", ["DELETE FROM head", "UPDATE head SET seq = 3", "DELETE FROM line", "DROP TABLE line"])
def test_a_daemon_does_not_go_on_from_a_changed_end(written: tuple[Path, Head], sql: str) -> None:
    path, _ = written
    with raw(path) as connection:
        connection.execute(sql)
    with pytest.raises(JournalError, match=str(path)):
        Journal.open(path)
    with raw(path) as connection:  # and the refusal let go of its locks
        connection.execute("BEGIN EXCLUSIVE")


def test_an_empty_journal_is_unbroken(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db", room=4096) as journal:
        found = journal.verify()
    assert (found.ok, found.lines, found.head) == (True, 0, EMPTY)
