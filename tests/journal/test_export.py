"""An export proves on another machine what the journal held."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import FULL, RECORDS, record

from envmon.journal.chain import EMPTY, Head, check, seal
from envmon.journal.export import is_export, read, verify, write
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.store import Journal


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    with Journal.open(tmp_path / "journal.db", room=0) as journal:
        journal.append([FULL, *(record(number) for number in range(20))])
        assert write(journal.records(), tmp_path / "journal.jsonl") == journal.head
    return tmp_path / "journal.jsonl"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def test_an_export_is_the_journal_line_by_line(exported: Path) -> None:
    with JournalReader.open(exported.with_name("journal.db")) as journal:
        assert list(read(exported)) == list(journal.records())
        found = verify(exported, journal.stored_head())
    assert (found.ok, found.lines) == (True, 21)
    assert is_export(exported)
    assert not is_export(exported.with_name("journal.db"))
    assert not is_export(exported.with_name("none"))


@given(st.lists(RECORDS, max_size=5))
def test_whatever_a_record_holds_survives(tmp_path_factory: pytest.TempPathFactory, records: list) -> None:
    head, sealed = EMPTY, []
    for each in records:
        sealed.append(seal(each, head))
        head = Head(sealed[-1].seq, sealed[-1].hash)
    path = tmp_path_factory.mktemp("export") / "journal.jsonl"
    write(sealed, path)
    assert list(read(path)) == sealed
    assert check(read(path)).ok


def test_an_edit_a_gap_a_new_order_and_a_cut_end_are_found(exported: Path) -> None:
    whole = lines(exported)
    head = verify(exported).head
    for changed, says in (
        ([*whole[:5], whole[5].replace("n=4", "n=5"), *whole[6:]], "line 5 was changed after it was written"),
        ([*whole[:5], *whole[6:]], "line 5 is missing"),
        ([*whole[:5], whole[6], whole[5], *whole[7:]], "line 5 is missing: line 6 follows"),
        (whole[:-1], "its end was removed"),
    ):
        exported.write_text("".join(changed))
        found = verify(exported, head)
        assert not found.ok
        assert says in found.fault


@pytest.mark.parametrize("text", ["{}", '{"seq": 1}', "[1]", "nonsense", "{" * 10_000, '{"a"', "\x00"])
def test_what_is_no_line_is_named_by_its_place(exported: Path, text: str) -> None:
    exported.write_text("".join([*lines(exported)[:3], text + "\n"]))
    found = verify(exported)
    assert (found.ok, found.lines) == (False, 3)
    assert found.fault.startswith(f"{exported}:4: not a line of a journal")


@pytest.mark.parametrize(("key", "value"), [("entry", "gossip"), ("facts", [1]), ("approvals", 3), ("extra", None)])
def test_a_field_of_the_wrong_kind_is_no_line(exported: Path, key: str, value: object) -> None:
    first = json.loads(lines(exported)[0])
    exported.write_text(json.dumps({**first, key: value}) + "\n")
    assert not verify(exported).ok


def test_bytes_that_are_no_text(exported: Path) -> None:
    exported.write_bytes(b"{\xff\xfe\n")
    assert verify(exported).fault == f"{exported} is neither a journal nor an export of one"


def test_nothing_is_written_over_and_no_half_is_left(exported: Path, tmp_path: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(JournalError, match="exists; name another file"):
        write([], exported)
    assert exported.read_bytes() == before

    def breaks():
        yield seal(record(1), EMPTY)
        raise JournalError("the disk does not read")

    with pytest.raises(JournalError, match="does not read"):
        write(breaks(), tmp_path / "new.jsonl")
    assert [path.name for path in tmp_path.glob("new*")] == []
    with pytest.raises(JournalError, match="cannot be written"):
        write([], tmp_path / "no-such-directory" / "x.jsonl")
