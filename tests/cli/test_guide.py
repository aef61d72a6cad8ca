"""The guide, done as it says: from the register list of a made-up cooler to a profile that votes."""

import json
import re
from pathlib import Path

import pytest
import yaml
from device_rig import config, serving

from envmon.cli.main import main
from envmon.profiles.loader import load_text
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice

GUIDE = (Path(__file__).parents[2] / "envmon" / "profiles" / "README.md").read_text(encoding="utf-8")
EXAMPLE = GUIDE.split("```yaml\n")[1].split("```")[0]
ANSWERS = next(block.split("```")[0] for block in GUIDE.split("```yaml\n") if block.startswith("by: "))


def cooler() -> SimulatedDevice:
    """The cooler of the guide, by its manual and not by the profile: number printed -> what it holds."""
    device = SimulatedDevice(load_text(EXAMPLE, "README.md"))
    device.words.clear()
    watts = 42_500
    registers = {40011: 1, 40013: 184, 40014: 0x8000, 40021: watts & 0xFFFF, 40022: watts >> 16, 40101: 1200, 40102: 0}
    device.words |= {(3, printed - 40001): value for printed, value in registers.items()}
    device.words[2, 10005 - 10001] = 0
    return device


def site(folder: Path, port: int, text: str, **more: object) -> Path:
    own = folder / "profiles"
    own.mkdir(exist_ok=True)
    (own / "acme-cooler.yaml").write_text(text)
    entry = {"profile": "acme-cooler", "address": f"127.0.0.1:{port}", "serves": "hall_a.crac_1", **more}
    return config(folder, own, cooler_1=entry)


def polled(file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[object, str]]:
    capsys.readouterr()
    assert main(["poll", "cooler_1", "--json", "--config", str(file)]) == 0
    rows = json.loads(capsys.readouterr().out)
    return {row["id"].rpartition(".")[2]: (row["value"], row["quality"]) for row in rows}


def test_the_steps_of_the_guide_lead_to_readings_that_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = ModbusServer({1: cooler()})
    with serving(server):
        file = site(tmp_path, server.port, EXAMPLE)
        assert main(["profile", "check", str(tmp_path / "profiles" / "acme-cooler.yaml")]) == 0
        assert main(["check", "--config", str(file)]) == 0
        assert {name: value for name, (value, _) in polled(file, capsys).items()} == {
            "status": "running",
            "supply_air_temp": 18.4,
            "return_air_temp": None,
            "cooling_power": 42.5,
            "fan_failure": "clear",
            "run_hours": 1200.0 * 3600,
        }
        answers = tmp_path / "answers.yaml"
        told = yaml.load(ANSWERS, yaml.BaseLoader)
        assert set(told) == {"by", "points"}
        told["points"] |= {"fan_failure": "y", "status": "y", "cooling_power": "42.5", "run_hours": "1200 h"}
        answers.write_text(yaml.safe_dump(told))
        assert main(["commission", "cooler_1", "--config", str(file), "--answers", str(answers)]) == 0
        record = tmp_path / "commissioned" / "cooler_1.yaml"
        assert f"commissioned: {record}" in capsys.readouterr().err
        file = site(tmp_path, server.port, EXAMPLE, commissioned=str(record))
        assert main(["check", "--config", str(file)]) == 0
        quality = {name: quality for name, (_, quality) in polled(file, capsys).items()}
        assert quality.pop("return_air_temp") == "bad"  # its sensor is gone
        assert set(quality.values()) == {"good"}


def test_a_manual_that_was_counted_from_the_wrong_number_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = re.sub(r"(function: 3, address: )(\d+)", lambda match: f"{match[1]}{int(match[2]) + 1}", EXAMPLE)
    device = cooler()
    device.words |= {(3, 13): 251, (3, 14): 260, (3, 11): 0, (3, 22): 7, (3, 102): 0}
    server = ModbusServer({1: device})
    with serving(server):
        file = site(tmp_path, server.port, wrong)
        answers = tmp_path / "answers.yaml"
        answers.write_text("by: Ada\npoints: {supply_air_temp: 18.4, return_air_temp: 25.1, cooling_power: 42.5 kW}\n")
        assert main(["commission", "cooler_1", "--config", str(file), "--answers", str(answers)]) == 1
        told = capsys.readouterr().err
        assert "3 of 3 that differ: address -1: the document counts registers otherwise than the wire" in told
