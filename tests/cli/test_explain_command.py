"""``envmon explain`` and the times of ``envmon maintenance``, as an operator writes them."""

import argparse
import json
from datetime import datetime, timedelta, timezone

import pytest

from envmon.cli import explain
from envmon.cli.aside import until
from envmon.cli.main import main
from envmon.journal.store import Journal
from envmon.model.effect import SetPercent
from envmon.model.event import Tick
from envmon.runtime import scribe
from tests.core.room import Room
from tests.core.test_failover import storm

DALLAS = timezone(timedelta(hours=-5))
NOW = datetime(2015, 5, 29, 3, 30, tzinfo=DALLAS)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("90min", NOW + timedelta(minutes=90)),
        ("2h", NOW + timedelta(hours=2)),
        ("3d", NOW + timedelta(days=3)),
        ("06:00", NOW.replace(hour=6, minute=0)),
        ("3:30", NOW + timedelta(days=1)),
        ("02:15", NOW.replace(day=30, hour=2, minute=15)),
        ("2015-05-30T06:00", NOW.replace(day=30, hour=6, minute=0)),
        ("2015-05-29T10:00:00+00:00", NOW + timedelta(minutes=90)),
    ],
)
def test_times_as_people_write_them(text, ends):
    assert until(text, NOW) == ends.timestamp()


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2h30", "-1h", "2015-13-01", "1e9"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(argparse.ArgumentTypeError, match="write 90min, 2h, 06:00"):
        until(text, NOW)


@pytest.fixture
def journal(tmp_path):
    """The journal of a room that was lost, as the engine writes it."""
    room = Room().armed()
    storm(room, 700)
    path = tmp_path / "journal.db"
    with Journal.open(path) as written:
        for decision in room.decisions:
            moves = [e for e in room.effects if isinstance(e, SetPercent) and e.id in decision.effects]
            written.append(scribe.lines(Tick(room.at), moves, [decision]))
    return path


def test_a_decision_is_explained_by_its_rule_its_number_and_its_effect(journal, capsys):
    assert main(["explain", "--decision", "T10", "--path", str(journal)]) == 0
    by_rule = capsys.readouterr().out
    assert by_rule.startswith("T10 on route:outbound, ")
    assert "it permitted: 100 % of new calls to the backup at edge_1, edge_2, epoch 7" in by_rule
    assert "  the backup is ready\n" in by_rule
    assert main(["explain", "--decision", "T10", "--path", str(journal), "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)
    assert parts[0]["title"] in by_rule
    numbers = [n for n in range(1, 40) if explain.decision(journal, str(n), as_json=False) == 0]
    assert by_rule in capsys.readouterr().out
    assert numbers


@pytest.mark.parametrize("wanted", ["9999", "T99"])
def test_a_decision_that_is_not_there_is_told(journal, capsys, wanted):
    assert main(["explain", "--decision", wanted, "--path", str(journal)]) == 1
    assert f"no decision {wanted}" in capsys.readouterr().err


def test_without_a_journal_or_a_daemon(tmp_path, capsys):
    assert main(["explain", "--decision", "1", "--path", str(tmp_path / "none.db")]) == 1
    assert main(["explain", "--socket", str(tmp_path / "none.sock")]) == 1
    assert main(["maintenance", "hall_a", "--end", "--reason", "x", "--socket", str(tmp_path / "none.sock")]) == 1
    assert capsys.readouterr().err.count("envmon: ") == 3
