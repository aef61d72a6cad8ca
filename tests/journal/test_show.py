"""Lines as people and programs see them."""

import json
from dataclasses import replace
from datetime import UTC, timedelta, timezone

from hypothesis import given
from journal_samples import FULL, RECORDS, record

from envmon.journal.chain import EMPTY, Head, Verification, check, seal
from envmon.journal.record import Record
from envmon.journal.show import as_json, for_people, verdict

BERLIN = timezone(timedelta(hours=1))


def test_for_people() -> None:
    assert for_people(seal(FULL, EMPTY), BERLIN) == (
        "2026-03-01 13:02:07+01:00  #0  route:main  New calls of main go to the backup: 18 min left, 11 min needed. "
        "[anna, bert, carla]  (R07)"
    )
    assert for_people(seal(record(4), EMPTY), UTC) == "2023-11-14 22:13:24+00:00  #0  zone:1  n=4"


def test_the_computers_own_zone_has_an_offset() -> None:
    assert for_people(seal(record(4), EMPTY))[19] in "+-"


def test_as_json_holds_every_field_and_the_hash() -> None:
    line = seal(FULL, Head(6, "cd" * 32))
    document = json.loads(as_json(line))
    assert document["seq"] == 7
    assert document["prev"] == "cd" * 32
    assert document["hash"] == line.hash
    assert document["time"] == "2026-03-01T12:02:07+00:00"
    assert document["facts"] == [["time_to_limit_s", "1080"], ["time_to_evacuate_s", "660"]]
    assert document["approvals"] == ["bert", "carla"]


@given(RECORDS)
def test_no_record_can_break_out_of_its_line(any_record: Record) -> None:
    line = seal(any_record, EMPTY)
    assert for_people(line, UTC).isprintable()
    text = as_json(line)
    assert text.isprintable()
    assert json.loads(text)["extra"] == line.record.extra


def test_escapes() -> None:
    line = seal(replace(record(0), text="a\x1b[2J\nb\u202ec"), EMPTY)
    assert for_people(line, UTC).endswith(r"a\x1b[2J\nb\u202ec")


def test_a_time_no_calendar_holds() -> None:
    assert for_people(seal(replace(record(0), wall=1e18), EMPTY), UTC).startswith("@1000000000000000000  #0")


def test_verdict() -> None:
    found = check([seal(FULL, EMPTY)])
    assert verdict(found) == f"1 lines, unbroken; head {found.head}"
    assert verdict(Verification(False, 3, EMPTY, "line 3 is missing")) == "BROKEN after 3 good lines: line 3 is missing"
