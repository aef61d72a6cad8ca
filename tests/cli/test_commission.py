"""``envmon commission``, against devices on loopback that are not quite what their profile says."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from device_rig import config, crac, serving

from envmon.cli.main import main
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.record import Verdict, load_record
from envmon.profiles.schema import Profile
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent

PROFILES = load_builtin()
TEXT = """profile: acme-crac
vendor: Acme
kind: cooling_unit
protocol: modbus
evidence: excerpt
sources: [{document: a brochure, revision: "1"}]
modbus: {word_order: high_first}
points:
- {name: unit_state, function: 3, address: 1, type: uint16, role: unit_running,
   map: {0: ["off", warning], 1: [running, ok]}}
- {name: supply_air_temp, function: 3, address: 10, type: int16, role: supply_temp, unit: degC, scale: 0.1}
- {name: cooling_output, function: 4, address: 20, type: float32, role: cooling_output, unit: kW, valid_range: [0, 500]}
"""
POINTS = ("unit_state", "supply_air_temp", "cooling_output")


def device(change: tuple[str, str] = ("", "")) -> SimulatedDevice:
    """A device as its profile says, but for one change of the profile."""
    there = SimulatedDevice(load_text(TEXT.replace(*change), "real.yaml"))
    there.set("supply_air_temp", 18.5)
    there.set("cooling_output", 42.0)
    return there


class Bench:
    """A folder with a configuration, answers and the record."""

    def __init__(self, folder: Path, entry: dict[str, object], text: str = TEXT) -> None:
        self.folder, self.entry = folder, entry
        self.own = folder / "profiles"
        self.own.mkdir(exist_ok=True)
        self.say(text)
        self.record = folder / "commissioned" / "unit.yaml"
        self.config = self.write()

    def say(self, text: str) -> None:
        """Change the profile."""
        (self.own / "acme-crac.yaml").write_text(text)

    def write(self, **more: object) -> Path:
        """Write the configuration, the device's entry with ``more``."""
        return config(self.folder, self.own, unit={**self.entry, **more}, crac_1=crac(1, self.folder))

    def commission(self, answers: dict[str, object] | None = None, *options: str, by: str = "Ada") -> int:
        """Run the command with prepared answers, or at the console without."""
        if answers is not None:
            file = self.folder / "answers.yaml"
            file.write_text(yaml.safe_dump({"by": by, "points": answers}, sort_keys=False))
            options = ("--answers", str(file), *options)
        return main(["commission", "unit", "--config", str(self.config), *options])

    def poll(self, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        """Read the device as configured now; the readings by name."""
        capsys.readouterr()
        assert main(["poll", "unit", "--json", "--config", str(self.config)]) == 0
        return {row["id"].rpartition(".")[2]: row for row in json.loads(capsys.readouterr().out)}


@contextmanager
def bench(folder: Path, there: SimulatedDevice) -> Iterator[Bench]:
    server = ModbusServer({1: there})
    with serving(server):
        yield Bench(folder, {"profile": "acme-crac", "address": f"127.0.0.1:{server.port}", "zone": "hall_a"})


def test_only_what_was_confirmed_votes_and_the_record_says_who_saw_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path, device()) as there:
        assert {row["reason"] for row in there.poll(capsys).values()} == {"not_commissioned"}
        assert there.commission({"unit_state": "y", "supply_air_temp": "18.4"}) == 0
        assert "2 confirmed" in capsys.readouterr().err
        record = load_record(there.record)
        assert (record.device, record.profile, record.by) == ("unit", "acme-crac", "Ada")
        seen = record.points["dallas.hall_a.unit.supply_air_temp"]
        assert (seen.verdict, seen.reading, seen.panel, seen.unit) == ("confirmed", 18.5, "18.4", "degC")
        there.write(commissioned=str(there.record))
        read = there.poll(capsys)
        assert {name: row["quality"] for name, row in read.items()} == {
            "unit_state": "good",
            "supply_air_temp": "good",
            "cooling_output": "uncertain",
        }
        assert main(["check", "--config", str(there.config)]) == 0
        assert "does not vote" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "hypothesis"),
    [
        (("address: 10,", "address: 9,"), "address -1"),
        (("address: 10,", "address: 11,"), "address +1"),
        (("type: int16, role: supply_temp", "type: int16, byte_order: low_first, role: supply_temp"), "byte order low"),
        (("unit: degC, scale: 0.1", "unit: degC, scale: 0.01"), "scale x0.1"),
        (("unit: degC, scale: 0.1", "unit: degC, scale: 1"), "scale x10"),
        (("unit: degC, scale: 0.1", "unit: degF, scale: 0.1"), "unit degF"),
    ],
)
def test_what_explains_a_temperature_that_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], hypothesis: str
) -> None:
    real = device(change)
    real.set("supply_air_temp", 18.0)
    with bench(tmp_path, real) as there:
        assert there.commission({"supply_air_temp": "18.0"}) == 1
        told = capsys.readouterr().err
        seen = load_record(there.record).points["dallas.hall_a.unit.supply_air_temp"]
        assert seen.verdict == "differs"
        assert seen.hypothesis.startswith(hypothesis)
        assert f"1 of 1 that differ: {hypothesis}" in told
        there.write(commissioned=str(there.record))
        assert there.poll(capsys)["supply_air_temp"]["quality"] != "good"
        assert main(["check", "--config", str(there.config)]) == 0
        assert "device unit: supply_air_temp read otherwise than the panel showed" in capsys.readouterr().out


def test_swapped_words_are_found_though_the_range_hides_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = device(("word_order: high_first", "word_order: low_first"))
    with bench(tmp_path, real) as there:
        assert there.commission({"cooling_output": "42"}) == 1
        seen = load_record(there.record).points["dallas.hall_a.unit.cooling_output"]
        assert (seen.hypothesis, seen.reading) == ("word order low_first", None)
        assert "set it under modbus" in capsys.readouterr().err


def test_a_neighbour_that_shows_the_same_is_told_beside_what_is_confirmed(tmp_path: Path) -> None:
    real = device()
    real.words[3, 11] = 186
    with bench(tmp_path, real) as there:
        assert there.commission({"supply_air_temp": "18.5"}) == 0
        assert load_record(there.record).points["dallas.hall_a.unit.supply_air_temp"].also == ("address +1",)


def test_a_number_where_the_panel_shows_none_is_learned_as_a_sentinel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = device()
    with bench(tmp_path, real) as there:
        assert there.commission({"supply_air_temp": "18.5"}) == 0
        real.show_raw("supply_air_temp", 0)  # unplugged
        assert there.commission({"supply_air_temp": "none"}, by="Bob") == 0
        assert "raw 0 means no value from now on" in capsys.readouterr().err
        record = load_record(there.record)
        seen = record.points["dallas.hall_a.unit.supply_air_temp"]
        assert (seen.verdict, seen.sentinels, seen.by, record.by) == ("confirmed", (0.0,), "Ada", "Bob")
        there.write(commissioned=str(there.record))
        assert there.poll(capsys)["supply_air_temp"]["reason"] == "sentinel"
        assert there.commission({"supply_air_temp": "none"}) == 0  # both show no value now
        real.set("supply_air_temp", 18.5)
        assert there.poll(capsys)["supply_air_temp"]["quality"] == "good"


def test_a_state_that_is_not_what_the_panel_shows_differs(tmp_path: Path) -> None:
    with bench(tmp_path, device()) as there:
        assert there.commission({"unit_state": "n", "supply_air_temp": "18.5"}) == 1
        assert load_record(there.record).points["dallas.hall_a.unit.unit_state"].verdict == "differs"
        assert there.commission({"unit_state": "running"}) == 0
        record = load_record(there.record)
        assert record.having(Verdict.CONFIRMED) == {
            "dallas.hall_a.unit.unit_state",
            "dallas.hall_a.unit.supply_air_temp",  # as the earlier record says
        }


def test_a_profile_that_changed_is_compared_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bench(tmp_path, device()) as there:
        assert there.commission({"unit_state": "y", "supply_air_temp": "18.5"}) == 0
        there.write(commissioned=str(there.record))
        there.say(TEXT.replace("valid_range: [0, 500]", "valid_range: [0, 400]"))
        assert {row["quality"] for row in there.poll(capsys).values()} == {"uncertain"}
        assert main(["check", "--config", str(there.config)]) == 0
        assert "profile acme-crac changed since Ada signed it" in capsys.readouterr().out
        assert there.commission({"cooling_output": "42"}) == 0
        assert set(load_record(there.record).points) == {"dallas.hall_a.unit.cooling_output"}


def test_check_refuses_a_record_that_is_not_this_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bench(tmp_path, device()) as there:
        assert there.commission({"unit_state": "y"}) == 0
        there.write(commissioned=str(there.record))
        text = there.record.read_text()
        faults = {
            "was changed since it was signed": text.replace("by: Ada", "by: Eve", 1),
            "no record of commissioning": "record: 1",
        }
        for said, changed in faults.items():
            there.record.write_text(changed)
            capsys.readouterr()
            assert main(["check", "--config", str(there.config)]) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert f"{there.config}:" in line and "devices.unit.commissioned" in line and said in line
        there.record.write_text(text)
        other = {**there.entry, "commissioned": str(there.record)}
        config(there.folder, there.own, other=other, crac_1=crac(1, tmp_path))
        assert main(["check", "--config", str(there.config)]) == 1
        assert "is of device unit with profile acme-crac, not of other" in capsys.readouterr().err
        there.write(commissioned=str(tmp_path / "none.yaml"))
        assert main(["check", "--config", str(there.config)]) == 1
        assert "envmon commission writes it" in capsys.readouterr().err
        there.write(commissioned="record.yaml")
        assert main(["check", "--config", str(there.config)]) == 1
        assert "absolute path of a record" in capsys.readouterr().err


def test_at_the_console_a_wrong_answer_is_asked_again_and_q_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, device()) as there:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\nwarm\n65.3F\nq\nGrace Hopper\n"))
        assert there.commission() == 0
        told = capsys.readouterr().err
        assert "dallas.hall_a.unit.supply_air_temp  18.5 degC  [supply_temp]" in told
        assert "'warm' is no number" in told
        record = load_record(there.record)
        assert record.by == "Grace Hopper"
        assert [point.rpartition(".")[2] for point in record.points] == ["unit_state", "supply_air_temp"]
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        before = there.record.read_text()
        assert there.commission() == 1
        assert "nothing was compared" in capsys.readouterr().err
        assert there.record.read_text() == before


def test_only_some_points_can_be_asked_about_and_the_record_comes_out_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path, device()) as there:
        asked = dict.fromkeys(POINTS, "y") | {"supply_air_temp": "18.5", "cooling_output": "42"}
        where = str(tmp_path / "elsewhere.yaml")
        assert there.commission(asked, "--points", "supply_air_temp", "--json", "--record", where) == 0
        told = json.loads(capsys.readouterr().out)
        assert (list(told["points"]), told["path"]) == (["dallas.hall_a.unit.supply_air_temp"], where)
        assert there.commission(asked, "--points", "humidity") == 1
        assert "device unit has no point humidity" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("by: Ada\npoints: {supply: 18.5}", "answers.yaml:2:10: points.supply: this device has no such point; it has"),
        ("by: Ada\npoints: {supply_air_temp: warm}", "2:10: points.supply_air_temp: 'warm' is no number"),
        ("by: Ada\npoints: [18.5]", "answers are a mapping"),
        ("by: Ada\npoints: {a: 1", "not YAML"),
        ("points: {supply_air_temp: 18.5}", "a record is signed"),
        ("by: Ada\npoints: {}", "nothing was compared"),
        ("by: Ada\npoints: {unit_state: y}\nnotes: x", "answers are a mapping"),
    ],
)
def test_bad_answers_end_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    with bench(tmp_path, device()) as there:
        file = tmp_path / "answers.yaml"
        file.write_text(text)
        assert there.commission(None, "--answers", str(file)) == 1
        err = capsys.readouterr().err
        assert said in err
        assert "Traceback" not in err
        assert not there.record.exists()


def test_what_cannot_be_reached_read_or_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bench(tmp_path, device()) as there:
        (tmp_path / "file").write_text("")
        assert there.commission({"unit_state": "y"}, "--record", str(tmp_path / "file" / "r.yaml")) == 1
        assert "cannot be written" in capsys.readouterr().err
        assert there.commission({"unit_state": "y"}) == 0
        config(there.folder, there.own, other=there.entry, crac_1=crac(1, tmp_path))
        assert main(["commission", "other", "--config", str(there.config), "--record", str(there.record)]) == 1
        assert "is the record of device unit; name another file" in capsys.readouterr().err
        there.write()
    assert there.commission({"unit_state": "y"}) == 1
    assert main(["commission", "nobody", "--config", str(there.config)]) == 1
    assert "no device is called nobody" in capsys.readouterr().err


def test_an_snmp_device_is_compared_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile: Profile = PROFILES["eaton-powerware"]
    ups = SimulatedDevice(profile)
    ups.set("charge", 87.0)
    ups.set("ambient_temp", 27.0)
    agent = SnmpAgent(ups)
    with serving(agent):
        entry = crac(agent.port, tmp_path) | {"profile": "eaton-powerware"}
        file = config(tmp_path, unit=entry)
        answers = tmp_path / "answers.yaml"
        told = {"on_battery": "n", "charge": 87, "ambient_temp": "81F", "input_source": "y"}
        answers.write_text(yaml.safe_dump({"by": "Ada", "points": told}))
        assert main(["commission", "unit", "--config", str(file), "--answers", str(answers)]) == 1
        record = load_record(tmp_path / "commissioned" / "unit.yaml")
        verdicts = {point.rpartition(".")[2]: told.verdict.value for point, told in record.points.items()}
        assert verdicts == {
            "on_battery": "differs",
            "charge": "confirmed",
            "ambient_temp": "confirmed",
            "input_source": "confirmed",
        }
        config(tmp_path, unit=entry | {"commissioned": str(tmp_path / "commissioned" / "unit.yaml")})
        capsys.readouterr()
        assert main(["poll", "unit", "--json", "--config", str(file)]) == 0
        good = {row["id"].rpartition(".")[2] for row in json.loads(capsys.readouterr().out) if row["quality"] == "good"}
        assert good == {"charge", "ambient_temp", "input_source"}
