"""``envmon poll``, ``identify``, ``profiles`` and ``profile check``, against devices on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from device_rig import config, crac, serving

from envmon.cli.main import main
from envmon.profiles.loader import load_builtin
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from envmon.sim.snmp_agent import SnmpAgent

PROFILES = load_builtin()


def test_poll_shows_every_reading_with_its_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = SimulatedDevice(PROFILES["apc-inrow-rc"])
    device.set("supply_air_temp", 18.5)
    device.show_sentinel("containment_dp")
    agent = SnmpAgent(device)
    with serving(agent):
        file = config(tmp_path, crac_1=crac(agent.port, tmp_path))
        assert main(["poll", "crac_1", "--config", str(file)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main(["poll", "crac_1", "--json", "--config", str(file)]) == 0
        told = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert any(line.split()[1:] == ["18.5", "degC", "[supply_temp]"] for line in lines)
    assert any(line.split()[1:] == ["-", "Pa", "bad:", "sentinel"] for line in lines)
    assert len(told) == len(lines) == len(PROFILES["apc-inrow-rc"].points)
    assert told["dallas.hall_a.crac_1.supply_air_temp"]["value"] == 18.5


def test_poll_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, crac_1=crac(1, tmp_path))
    assert main(["poll", "crac_1", "--config", str(file)]) == 1
    assert capsys.readouterr().err == "snmp 127.0.0.1:1: nothing listens there\n"
    assert main(["poll", "crac_2", "--config", str(file)]) == 1
    assert "no device is called crac_2; there are crac_1" in capsys.readouterr().err
    assert main(["poll", "crac_1", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_an_excerpt_profile_says_that_it_does_not_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = ModbusServer({1: SimulatedDevice(PROFILES["comet-t-modbus"])})
    with serving(server):
        probe = {"profile": "comet-t-modbus", "address": f"127.0.0.1:{server.port}", "zone": "hall_a"}
        file = config(tmp_path, crac_1=crac(1, tmp_path), probe=probe)
        assert main(["poll", "probe", "--config", str(file)]) == 0
        assert "[rack_inlet_temp]  uncertain: not_commissioned" in capsys.readouterr().out
        assert main(["check", "--config", str(file)]) == 0
        assert "device probe is published but does not vote" in capsys.readouterr().out
        file = config(tmp_path, crac_1=crac(1, tmp_path), probe={**probe, "commissioned": True})
        assert main(["poll", "probe", "--config", str(file)]) == 0
        assert "uncertain" not in capsys.readouterr().out


def test_identify_ranks_what_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = SnmpAgent(SimulatedDevice(PROFILES["rfc1628-ups"]))
    with serving(agent):
        file = config(tmp_path, crac_1=crac(agent.port, tmp_path))
        there = f"127.0.0.1:{agent.port}"
        assert main(["identify", there, "--community", f"file:{tmp_path / 'community'}"]) == 0
        by_community = capsys.readouterr().out
        assert main(["identify", there, "--like", "crac_1", "--config", str(file)]) == 0
        assert capsys.readouterr().out == by_community
    assert "1. rfc1628-ups (any, ups, recorded)\n   1.3.6.1.2.1.33.1.4.1.0 answers" in by_community


@pytest.mark.parametrize(
    ("profile", "point", "value", "reason"),
    [
        ("liebert-crv-modbus", "server_class", "air", "function 4 register 458 reads 2"),
        ("carrier-ccu-modbus", "controller_type", "ccu", "function 3 register 1 reads 43"),
        ("apc-inrow-sc-modbus", "model", "ACSC101", "function 3 register 53 reads 'ACSC101'"),
    ],
)
def test_identify_knows_a_modbus_unit_by_a_register_of_its_own(
    capsys: pytest.CaptureFixture[str], profile: str, point: str, value: str, reason: str
) -> None:
    device = SimulatedDevice(PROFILES[profile])
    device.set(point, value)
    server = ModbusServer({1: device})
    with serving(server):
        assert main(["identify", f"127.0.0.1:{server.port}", "--modbus"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"1. {profile} (")
    assert told[1:] == [f"   {reason}"]


def test_identify_does_not_take_a_neighbour_for_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    device = SimulatedDevice(PROFILES["liebert-crv-modbus"])
    device.set("server_class", "ups")
    server = ModbusServer({1: device})
    with serving(server):
        assert main(["identify", f"127.0.0.1:{server.port}", "--modbus"]) == 1
    assert "no profile fits" in capsys.readouterr().out


def test_identify_says_when_nothing_fits_or_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = SnmpAgent(SimulatedDevice(PROFILES["hwg-wld"]) if PROFILES["hwg-wld"].points else device_without_name())
    config(tmp_path, crac_1=crac(1, tmp_path))
    with serving(agent):
        login = ["--community", f"file:{tmp_path / 'community'}"]
        assert main(["identify", f"127.0.0.1:{agent.port}", *login]) == 1
        assert "no profile fits" in capsys.readouterr().out
    assert main(["identify", "127.0.0.1:1", "--modbus"]) == 1
    assert "cannot connect" in capsys.readouterr().err
    assert main(["identify", "not a host", *login]) == 1
    assert "IP address or a host name" in capsys.readouterr().err


def device_without_name() -> SimulatedDevice:
    """An agent that answers one variable nobody asks for."""
    return SimulatedDevice(PROFILES["controlbox-th332b"])


def test_profiles_lists_what_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(PROFILES)


def test_profile_check_reads_back_or_tells_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[2] / "envmon/profiles/vertiv-dcs.yaml").read_text()
    file.write_text(text)
    assert main(["profile", "check", str(file)]) == 0
    assert "vertiv-dcs: Vertiv, cooling_unit over snmp, recorded" in capsys.readouterr().out
    file.write_text(text.replace("unit: degC", "unit: celsius", 1).replace("walk:", "wakl:", 1))
    assert main(["profile", "check", str(file)]) == 1
    told = capsys.readouterr().err
    assert "unknown key; did you mean walk?" in told
    assert "Traceback" not in told


def test_a_reader_that_has_enough_of_the_output_is_no_traceback() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    program = "import sys; from envmon.cli.main import main; sys.exit(main(['profiles']))"
    with os.fdopen(theirs, "wb") as output:
        done = subprocess.run([sys.executable, "-c", program], stdout=output, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
