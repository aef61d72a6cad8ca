"""``envmon parity digest``: the same list gives the same digest however it is written, and no number leaves it."""

import json
import os
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from envmon.cli.main import main


def told(capsys: pytest.CaptureFixture[str], file: Path, *more: str) -> dict[str, Any]:
    assert main(["parity", "digest", str(file), *more]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_order_layout_and_repetition_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("# attorneys\n+1 (214) 555-0101\n12145550102\n\n")
    other.write_text("12145550102\r\n  +12145550101\n12145550102\n")
    os.utime(one, (time.time() - 90, time.time() - 90))
    found = told(capsys, one, "--list-version", "42")
    assert found["sha256"] == told(capsys, other)["sha256"] == sha256(b"+12145550101\n12145550102\n").hexdigest()
    assert (found["count"], found["version"]) == (2, "42")
    assert 90 <= found["age_s"] < 120


def test_one_number_more_is_another_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "list"
    file.write_text("12145550101\n")
    before = told(capsys, file)
    file.write_text("12145550101\n12145550102\n")
    after = told(capsys, file)
    assert (before["count"], after["count"]) == (1, 2)
    assert before["sha256"] != after["sha256"]


@pytest.mark.parametrize(
    "text", ["12145550101\nsecret name\n", "1\n", "12145550101;12145550102\n", "\u0661\u0662\u0663"]
)
def test_what_is_no_list_is_one_line_that_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "list"
    file.write_text(text, encoding="utf-8")
    assert main(["parity", "digest", str(file)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert len(error.splitlines()) == 1
    assert "secret" not in error and "2145550101" not in error


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", "digest", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
