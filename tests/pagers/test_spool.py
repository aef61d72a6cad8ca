"""The pages' file: damaged, unwritable, absent; pages matter more than their file."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from page_server import envelope, page

from envmon.pagers.spool import RUN, Spool


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def opened(path: Path) -> Spool:
    is_open = threading.Event()
    spool = Spool(path, "dallas", is_open.set)
    assert is_open.wait(10.0)
    assert spool.durable
    return spool


def test_rows_come_back_and_numbers_go_up(tmp_path: Path) -> None:
    path = tmp_path / "pages.db"
    spool = opened(path)
    assert (spool.first_number, spool.loaded) == (RUN, [])
    first, second = envelope(RUN + 1, page(summary="\ud800 ß")), envelope(RUN + 2, page(raised=False))
    spool.put("a", first)
    spool.put("a", second)
    spool.put("b", second)
    wait(lambda: spool.saved)
    spool.remove("b", second.number)
    spool.close()
    again = opened(path)
    assert again.first_number == 2 * RUN
    assert again.loaded == [("a", envelope(RUN + 1, page(summary="\\ud800 ß"))), ("a", second)]
    again.close()


def test_a_run_with_very_many_pages_pushes_the_next_one_up(tmp_path: Path) -> None:
    spool = opened(tmp_path / "pages.db")
    spool.put("a", envelope(7 * RUN + 3))
    spool.close()
    again = opened(tmp_path / "pages.db")
    assert again.first_number == 8 * RUN
    again.close()


def test_a_damaged_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pages.db"
    path.write_bytes(b"garbage, garbage, garbage\n" * 500)
    spool = opened(path)
    assert spool.durable
    spool.put("a", envelope(5))
    spool.close()
    assert (tmp_path / "pages.db.damaged").read_bytes().startswith(b"garbage")
    assert "is damaged" in caplog.text
    again = opened(path)
    assert [item.number for _, item in again.loaded] == [5]
    again.close()


def test_a_locked_file_is_waited_for_not_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.pagers.spool.RETRY_S", 0.05)
    monkeypatch.setattr("envmon.pagers.spool.BUSY_S", 0.01)
    path = tmp_path / "pages.db"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN EXCLUSIVE")
    is_open = threading.Event()
    spool = Spool(path, "dallas", is_open.set)
    wait(lambda: "cannot be used: database is locked" in caplog.text)
    raw.close()
    assert is_open.wait(10.0)
    spool.close()
    assert list(tmp_path.glob("*.damaged")) == []


def test_a_damaged_row_is_dropped_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pages.db"
    spool = opened(path)
    spool.put("a", envelope(1))
    spool.put("a", envelope(2))
    spool.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE page SET urgency = 'shouting' WHERE number = 1")
    raw.commit()
    raw.close()
    again = opened(path)
    assert [item.number for _, item in again.loaded] == [2]
    again.close()
    assert "page 1 is damaged: dropped" in caplog.text


def test_without_a_directory_pages_stay_in_memory_until_there_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.pagers.spool.RETRY_S", 0.05)
    is_open = threading.Event()
    spool = Spool(tmp_path / "later" / "pages.db", "dallas", is_open.set)
    assert spool.first_number > 1_000_000_000 * RUN
    spool.put("a", envelope(1))
    wait(lambda: "pages are kept in memory only" in caplog.text)
    assert not spool.durable
    assert not spool.saved
    (tmp_path / "later").mkdir()
    assert is_open.wait(10.0)
    spool.close()
    again = opened(tmp_path / "later" / "pages.db")
    assert [item.number for _, item in again.loaded] == [1]
    again.close()


def test_closing_before_the_file_could_be_opened(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "absent" / "pages.db", "dallas", lambda: None)
    spool.close()
    assert not spool._thread.is_alive()


def test_a_disk_that_refuses_is_reported_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.pagers.spool.RETRY_S", 0.05)
    path = tmp_path / "pages.db"
    spool = opened(path)
    raw = sqlite3.connect(path)
    raw.execute("CREATE TRIGGER full BEFORE INSERT ON page BEGIN SELECT RAISE(ABORT, 'no space'); END")
    raw.commit()
    spool.put("a", envelope(1))
    spool.put("a", envelope(2))
    wait(lambda: not spool.durable)
    spool.remove("a", 1)  # delivered meanwhile: nothing to write any more
    spool.put("a", envelope(3))
    raw.execute("DROP TRIGGER full")
    raw.commit()
    wait(lambda: spool.saved)
    assert raw.execute("SELECT number FROM page ORDER BY number").fetchall() == [(2,), (3,)]
    raw.close()
    spool.close()
    assert "cannot be used: no space" in caplog.text
    assert spool.durable


@pytest.fixture
def refusing(tmp_path: Path) -> Spool:
    """A spool whose every write fails."""
    path = tmp_path / "pages.db"
    spool = opened(path)
    raw = sqlite3.connect(path)
    raw.execute("CREATE TRIGGER full BEFORE INSERT ON page BEGIN SELECT RAISE(ABORT, 'no space'); END")
    raw.commit()
    raw.close()
    spool.put("a", envelope(1))
    wait(lambda: not spool.durable)
    return spool


def test_what_waits_for_the_disk_is_what_waits_for_the_pagers(refusing: Spool) -> None:
    for number in range(2, 1000):
        refusing.put("a", envelope(number))
        refusing.remove("a", number)
    assert list(refusing._changes) == [("a", 1)]
    refusing.close()


def test_a_disk_that_refuses_is_left_alone_for_a_while(refusing: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    monkeypatch.setattr("envmon.pagers.spool._write", lambda _, changes: attempts.append(len(changes)))
    refusing.put("a", envelope(2))
    refusing._thread.join(0.2)
    assert attempts == []
    refusing.close()


def test_closing_tries_once_more_and_does_not_wait_for_the_disk(refusing: Spool) -> None:
    refusing.put("a", envelope(2))
    refusing.close()
    assert not refusing._thread.is_alive()


def test_what_failed_is_written_when_closing(tmp_path: Path) -> None:
    path = tmp_path / "pages.db"
    spool = opened(path)
    raw = sqlite3.connect(path)
    raw.execute("CREATE TRIGGER full BEFORE INSERT ON page BEGIN SELECT RAISE(ABORT, 'no space'); END")
    raw.commit()
    spool.put("a", envelope(1))
    wait(lambda: not spool.durable)
    raw.execute("DROP TRIGGER full")
    raw.commit()
    spool.close()
    assert raw.execute("SELECT number FROM page").fetchall() == [(1,)]
    raw.close()
