"""The ledger: on disk before True, nothing lost, nothing twice, nobody waits for a dead disk."""

import asyncio
import hashlib
import sqlite3
import time
from pathlib import Path

from runtime_rig import STAMP, MemoryJournal, until

from envmon.journal.record import Entry
from envmon.journal.store import Journal
from envmon.model.effect import Decision
from envmon.model.event import Tick
from envmon.runtime import scribe
from envmon.runtime.counters import Counters
from envmon.runtime.ledger import Ledger


def line(text: str) -> list[scribe.Record]:
    return scribe.lines(Tick(STAMP), (), (Decision("T01", "mode", text, "", ()),))


def texts(journal: MemoryJournal) -> list[str]:
    return [record.text for record in journal.records]


async def test_written_means_on_disk_with_the_state_it_left(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db", room=0)
    try:
        ledger = Ledger(journal, Counters())
        assert await ledger.write(line("one"), lambda: '{"n":1}')
        (stored,) = list(journal.records())
        assert stored.record.text == "one"
        assert stored.record.state_hash == hashlib.sha256(b'{"n":1}').hexdigest()
        assert ledger.head.seq == 0
        await ledger.close([scribe.stop(STAMP, "test")], lambda: '{"n":2}')
        assert [kept.record.entry for kept in journal.records()] == [Entry.MODE, Entry.STOP]
    finally:
        journal.close()


async def test_a_journal_that_cannot_be_written_says_so_and_recovers(tmp_path: Path) -> None:
    """A second connection holds the file: a real fault of a real journal."""
    path = tmp_path / "journal.db"
    journal = Journal.open(path, room=0)
    counters = Counters()
    ledger = Ledger(journal, counters, patience_s=10)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert not await ledger.write(line("one"), lambda: "{}")
        assert "locked" in ledger.failure
        assert counters.journal_failing
        started = time.monotonic()
        assert not await ledger.write(line("two"), lambda: "{}")
        assert time.monotonic() - started < 1.0, "while it fails nobody waits for the disk"
        other.execute("ROLLBACK")

        def recovered() -> bool:
            ledger.look(lambda: '{"n":3}')
            return not ledger.failure

        await until(recovered, "the recovery")
        assert [stored.record.text for stored in journal.records()] == ["one", "two"]
        assert await ledger.write(line("three"), lambda: "{}")
        await ledger.close([], lambda: "{}")
    finally:
        other.close()
        journal.close()


async def test_a_disk_that_hangs_writes_every_line_once() -> None:
    journal = MemoryJournal()
    ledger = Ledger(journal, Counters(), patience_s=0.05)
    journal.gate.clear()
    assert not await ledger.write(line("one"), lambda: "{}")
    assert "has not answered" in ledger.failure
    for text in ("two", "three"):
        assert not await ledger.write(line(text), lambda: "{}")
        ledger.look(lambda: "{}")
    assert journal.appends == 1, "nothing new is handed to a thread that hangs"
    journal.fail = "no space left"
    journal.gate.set()
    await until(lambda: bool(ledger.look(lambda: "{}")) or ledger.failure == "no space left", "the append to fail")
    journal.fail = ""
    while ledger.failure:
        ledger.look(lambda: "{}")
        await asyncio.sleep(0.005)
    assert texts(journal) == ["one", "two", "three"]
    assert await ledger.write(line("four"), lambda: "{}")
    assert texts(journal)[-1] == "four"
    assert len(journal.threads) == 1
    await ledger.close([], lambda: "{}")


async def test_a_failed_periodic_snapshot_does_not_cost_the_next_decision() -> None:
    journal = MemoryJournal()
    ledger = Ledger(journal, Counters())
    journal.fail = "no space left"
    ledger.save(lambda: "{}")
    await until(lambda: journal.appends == 1, "the snapshot's attempt")
    journal.fail = ""
    assert await ledger.write(line("one"), lambda: "{}")
    assert ledger.failure == ""
    ledger.save(lambda: '{"n":2}')
    await until(lambda: journal.snapshots[-1] == '{"n":2}', "the next snapshot")
    await ledger.close([], lambda: "{}")


async def test_a_line_is_written_where_the_world_cannot_be(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db", room=0)
    try:
        ledger = Ledger(journal, Counters())

        def broken() -> str:
            raise ValueError("NaN")

        assert await ledger.write(line("one"), lambda: '{"n":1}')
        assert await ledger.write(line("two"), broken)
        assert (ledger.failure, ledger.unkept) == ("", "ValueError: NaN")
        assert [stored.record.text for stored in journal.records()] == ["one", "two"]
        assert journal.latest_snapshot() == '{"n":1}', "the last good one stays"
        ledger.save(broken)
        assert await ledger.write(line("three"), broken), "a periodic snapshot costs no decision either"
        assert await ledger.write(line("four"), lambda: '{"n":4}')
        assert (ledger.unkept, journal.latest_snapshot()) == ("", '{"n":4}')
        await ledger.close([], broken)
        assert journal.verify().ok
    finally:
        journal.close()


async def test_memory_is_bounded_while_the_disk_is_gone() -> None:
    journal = MemoryJournal()
    counters = Counters()
    ledger = Ledger(journal, counters)
    journal.fail = "no space left"
    assert not await ledger.write(line("x") * 6000, lambda: "{}")
    assert not await ledger.write(line("x") * 6000, lambda: "{}")
    assert counters.journal_lost == 2000
    journal.fail = ""
    await ledger.close([], lambda: "{}")
    assert len(journal.records) == 10_000
