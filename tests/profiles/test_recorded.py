"""Recorded devices through the bench: none of the values it reads is wrong, and the bench can tell.

Give the folder with ``--devices DIR``: DIR/snmprec holds recordings (``OID|TAG|VALUE`` lines), DIR/expected a JSON of
readings beside each.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "devices.py"
UPS = "1.3.6.1.2.1.33.1"


def bench(snmprec: Path, expected: Path, *more: str) -> tuple[int, str]:
    command = [sys.executable, str(BENCH), str(snmprec), str(expected), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def reading(oid: str, value: float, unit: str, kind: str, **more: object) -> dict[str, object]:
    return {"oid": oid, "class": kind, "unit": unit, "value": value, "raw": str(value), "description": oid, **more}


def made_up(folder: Path, *readings: dict[str, object]) -> tuple[int, str]:
    """A UPS of our own making: on battery, 27 degC, 65535 for a current it does not measure."""
    lines = [f"{UPS}.4.1.0|2|5", f"{UPS}.2.7.0|2|27", f"{UPS}.2.6.0|2|65535", "no line of a recording"]
    (folder / "ups.snmprec").write_text("\n".join(lines))
    (folder / "ups.json").write_text(json.dumps({"readings": readings}))
    return bench(folder, folder, "--left")


def test_right_refused_and_unread_values_are_no_fault(tmp_path: Path) -> None:
    code, told = made_up(
        tmp_path,
        reading(f"{UPS}.2.7.0", 27, "degC", "temperature"),
        reading(f"{UPS}.2.6.0", 6553.5, "A", "current"),
        reading(f"{UPS}.4.1.0", 5, "enum", "state", expected_severity="warning"),
        reading("1.3.6.1.4.1.99999.1.0", 1, "V", "voltage"),
    )
    assert code == 0
    assert [" ".join(line.split()[1:9]) for line in told.splitlines() if line.startswith("ups ")] == [
        "rfc1628-ups 12 2 1 0 0 1 75.0"
    ]
    assert "battery_current is sentinel" in told


@pytest.mark.parametrize(
    "wrong",
    [
        reading(f"{UPS}.2.7.0", 28, "degC", "temperature"),
        reading(f"{UPS}.2.7.0", 27, "degC", "temperature", device_says={"text": "80.6 degC"}),
        reading(f"{UPS}.4.1.0", 5, "enum", "state", expected_severity="ok"),
    ],
)
def test_a_wrong_value_is_told_and_fails_unless_its_source_is_known_to_be_wrong(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    code, told = made_up(tmp_path, wrong)
    assert code == 1
    assert "ups: wrong" in told
    code, told = made_up(tmp_path, {**wrong, "caution": "known"})
    assert code == 0
    assert "ups: caution" in told


def test_no_value_of_a_recorded_device_is_wrong(pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.getoption("--devices")
    if folder is None:
        pytest.skip("no folder of recordings: give one with --devices DIR")
    code, told = bench(folder / "snmprec", folder / "expected")
    assert code == 0, told
    assert "none fits" not in told
