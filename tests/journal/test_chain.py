"""The hash chain: every change of any field, number or order is found; a published head finds a cut."""

from dataclasses import fields as dataclass_fields
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import FULL, RECORDS, record

from envmon.journal.chain import EMPTY, Expected, Head, Line, check, digest, fields, intact, seal
from envmon.journal.record import Entry, JournalError, Record


def chain(count: int) -> list[Line]:
    lines: list[Line] = []
    head = EMPTY
    for number in range(count):
        line = seal(record(number), head)
        lines.append(line)
        head = Head(line.seq, line.hash)
    return lines


def head_of(line: Line) -> Head:
    return Head(line.seq, line.hash)


def test_an_unbroken_chain() -> None:
    lines = chain(5)
    found = check(lines, [Expected(head_of(lines[2]), "the published head")])
    assert found.ok
    assert found.lines == 5
    assert found.head == head_of(lines[4])
    assert lines[0].prev == "0" * 64


def test_the_hash_never_changes_between_versions() -> None:
    # A journal written years ago must still verify: this value may only change with schema.VERSION.
    assert seal(FULL, EMPTY).hash == "b1f21f9848c2dbac3e63a969a6bd50607fe822c582b73aa6a8ba467f73f30846"


def test_every_field_of_a_record_is_hashed() -> None:
    line = seal(FULL, EMPTY)
    assert set(fields(line)) == {field.name for field in dataclass_fields(Record)} | {"seq", "prev"}
    changed: dict[str, object] = {
        "entry": Entry.RESULT,
        "mono_ns": FULL.mono_ns + 1,
        "wall": FULL.wall + 0.001,
        "deadline": 0.0,
        "epoch": 43,
        "facts": FULL.facts[::-1],
        "approvals": ("carla", "bert"),
        "extra": {"note": "x"},
    }
    for field in dataclass_fields(Record):
        value = changed.get(field.name, "tampered")
        other = replace(line, record=replace(line.record, **{field.name: value}))
        assert digest(other) != line.hash, field.name
        assert not intact(other), field.name


@given(st.integers(2, 8), st.data())
def test_removal_swap_and_repetition_are_found(count: int, data: st.DataObject) -> None:
    lines = chain(count)
    where = data.draw(st.integers(0, count - 2))
    assert not check(lines[:where] + lines[where + 1 :]).ok
    assert not check([*lines[: where + 1], *lines[where:]]).ok
    swapped = lines.copy()
    swapped[where], swapped[where + 1] = swapped[where + 1], swapped[where]
    found = check(swapped)
    assert not found.ok
    assert found.lines == where


def test_a_cut_end_is_found_only_by_a_head_from_elsewhere() -> None:
    lines = chain(6)
    assert check(lines[:4]).ok
    found = check(lines[:4], [Expected(head_of(lines[5]), "the published head")])
    assert not found.ok
    assert found.lines == 4
    assert found.fault == "the journal ends at line 3, but the published head is at 5: its end was removed"


def test_a_rebuilt_chain_is_found_by_a_head_from_elsewhere() -> None:
    lines = chain(3)
    forged = [seal(replace(record(0), text="nothing happened"), EMPTY)]
    forged += [seal(record(1), head_of(forged[0]))]
    assert check(forged).ok
    found = check(forged, [Expected(head_of(lines[1]), "the published head")])
    assert found.fault == "line 1 is not the line of the published head: the chain was rebuilt"


@given(RECORDS)
def test_any_record_can_be_sealed(given_record: Record) -> None:
    line = seal(given_record, EMPTY)
    assert intact(line)
    assert line.record == seal(line.record, EMPTY).record, "sealing is idempotent"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (replace(FULL, wall=float("nan")), "wall nan"),
        (replace(FULL, deadline=float("inf")), "deadline inf"),
        (replace(FULL, epoch=2**63), "epoch 9223372036854775808"),
        (replace(FULL, mono_ns=-(2**70)), "mono_ns"),
    ],
)
def test_what_cannot_be_read_back_is_refused(bad: Record, says: str) -> None:
    with pytest.raises(JournalError, match=says):
        seal(bad, EMPTY)


def test_a_head_survives_its_published_form() -> None:
    head = Head(17, "ab" * 32)
    assert Head.parse(f" {head}\n") == head
    assert Head.parse(f"17:{'AB' * 32}") == head


@pytest.mark.parametrize(
    "text", ["", "17", "17:abc", f"-1:{'ab' * 32}", f"x:{'ab' * 32}", f"1:{'zz' * 32}", f"²:{'a' * 64}"]
)
def test_a_bad_head_is_refused(text: str) -> None:
    with pytest.raises(JournalError, match="is not a journal head; expected NUMBER:64 hexadecimal digits"):
        Head.parse(text)
