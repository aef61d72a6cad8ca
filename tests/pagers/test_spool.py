"""The pages' file: damaged, unwritable, absent; pages matter more than their file."""

import sqlite3
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


def test_rows_come_back_and_numbers_go_up(tmp_path: Path) -> None:
    path = tmp_path / "pages.db"
    spool = Spool(path, "dallas")
    assert (spool.first_number, spool.loaded) == (RUN, [])
    first, second = envelope(RUN + 1, page(summary="\ud800 ß")), envelope(RUN + 2, page(raised=False))
    spool.put("a", first)
    spool.put("a", second)
    spool.put("b", second)
    wait(lambda: spool.saved)
    spool.remove("b", second.number)
    spool.close()
    again = Spool(path, "dallas")
    assert again.first_number == 2 * RUN
    assert again.loaded == [("a", envelope(RUN + 1, page(summary="\\ud800 ß"))), ("a", second)]
    again.close()


def test_a_run_with_very_many_pages_pushes_the_next_one_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "pages.db", "dallas")
    spool.put("a", envelope(7 * RUN + 3))
    spool.close()
    again = Spool(tmp_path / "pages.db", "dallas")
    assert again.first_number == 8 * RUN
    again.close()


def test_a_damaged_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pages.db"
    path.write_bytes(b"garbage, garbage, garbage\n" * 500)
    spool = Spool(path, "dallas")
    assert spool.durable
    spool.put("a", envelope(5))
    spool.close()
    assert (tmp_path / "pages.db.damaged").read_bytes().startswith(b"garbage")
    assert "is damaged" in caplog.text
    again = Spool(path, "dallas")
    assert [item.number for _, item in again.loaded] == [5]
    again.close()


def test_a_damaged_row_is_dropped_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pages.db"
    spool = Spool(path, "dallas")
    spool.put("a", envelope(1))
    spool.put("a", envelope(2))
    spool.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE page SET urgency = 'shouting' WHERE number = 1")
    raw.commit()
    raw.close()
    again = Spool(path, "dallas")
    assert [item.number for _, item in again.loaded] == [2]
    again.close()
    assert "page 1 is damaged: dropped" in caplog.text


def test_without_a_directory_pages_stay_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "absent" / "pages.db", "dallas")
    assert not spool.durable
    assert not spool.saved
    assert spool.first_number > 1_000_000_000 * RUN
    spool.put("a", envelope(1))
    spool.remove("a", 1)
    spool.close()
    assert "pages are kept in memory only" in caplog.text


def test_a_disk_that_refuses_is_reported_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.pagers.spool.RETRY_S", 0.05)
    path = tmp_path / "pages.db"
    spool = Spool(path, "dallas")
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
    assert "cannot be written: no space" in caplog.text
    assert spool.durable


def test_closing_does_not_wait_for_a_disk_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "pages.db"
    spool = Spool(path, "dallas")
    raw = sqlite3.connect(path)
    raw.execute("CREATE TRIGGER full BEFORE INSERT ON page BEGIN SELECT RAISE(ABORT, 'no space'); END")
    raw.commit()
    raw.close()
    spool.put("a", envelope(1))
    spool.close()
    assert not spool._thread.is_alive()
