"""``envmon replay`` and ``envmon rehearse`` as they are called: what they print, how they end, what they refuse."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from envmon.cli.main import main
from tests.core.test_failover import storm
from tests.recordings.recording_rig import RecordedRoom, recorder, text_of, write

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "envmon.example.yaml"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """A failover of the room of the core's tests."""
    folder = tmp_path_factory.mktemp("recordings")
    with recorder(folder) as to:
        storm(RecordedRoom(to=to).armed(), 700)
    return folder


@pytest.fixture
def other(tmp_path) -> Path:
    """The recorded room's site, as a configuration that expects no unit to restart."""

    def zone(name: str, load: float, **more: str) -> dict[str, object]:
        units = {f"{name}_crac_{n}": {"sensible_kw": 36} for n in (1, 2, 3)}
        return {"it_load_kw": load, "units": units, "units_needed": 2, **more}

    def device(zone_name: str, number: int) -> dict[str, object]:
        unit = f"{zone_name}.{zone_name}_crac_{number}"
        where = {
            "address": f"192.0.{2 if zone_name == 'hall_a' else 3}.{number}",
            "path": f"{zone_name}_crac_{number}",
            "serves": unit,
        }
        return {"profile": "apc-inrow-sc-modbus", "commissioned": True, **where}

    config = {
        "site": "dallas",
        "daemon": {"zone": "noc"},
        "places": ["noc", "meet_me"],
        "zones": {"hall_a": zone("hall_a", 60, restart_expected="0s"), "hall_b": zone("hall_b", 30, at="backup")},
        "backup": {"site": "houston"},
        "devices": {f"{z}_crac_{n}": device(z, n) for z in ("hall_a", "hall_b") for n in (1, 2, 3)},
        "edges": {
            f"edge_{n}": {
                "kind": "kamailio", "zone": "meet_me", "url": f"http://192.0.2.9{n}", "sip": f"192.0.2.9{n}",
                "token": "credential:edge",
            }
            for n in (1, 2)
        },
        "pagers": {"oncall": {"kind": "simulated", "zone": "meet_me", "url": "http://192.0.2.99/"}},
        "routes": {
            "outbound": {
                "edges": ["edge_1", "edge_2"], "depends_on": ["hall_a"], "backup": ["hall_b"],
                            }
        },
    }  # fmt: skip
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_replay_tells_the_story_and_that_it_is_identical(recording, tmp_path, capsys):
    picture = tmp_path / "picture.svg"
    assert main(["replay", str(recording), "--plot", str(picture)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"\n2015-05-29 03:3\d:\d\dZ  hall_a 2\d\.\d °C critical, limit in ", said)
    assert "T10 route:outbound: Time to limit has come down" in said
    assert "-> 100 % of new calls to the backup at edge_1, edge_2" in said
    assert re.search(r"The rule fired because\n +the mode is automatic\n +new calls go to the primary\n", said)
    assert "\nidentical" in said
    digests = [line.partition(":")[2] for line in said.splitlines() if "sha256:" in line]
    assert len(digests) == 2
    assert digests[0] == digests[1]
    root = ET.fromstring(picture.read_text())
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert {"hall_a", "hall_b", "T10", "service limit 40 °C", "outbound: evacuation"} <= set(texts)
    assert len(list(root.iter(f"{SVG}polyline"))) >= 3


def test_a_replay_for_machines(recording, capsys):
    assert main(["replay", str(recording), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"] is True
    assert told["difference"] is None
    moved = next(decision for decision in told["replayed"]["decisions"] if decision["rule"] == "T10")
    titles = [part["title"] for part in moved["explained"]]
    assert titles[0].startswith("T10 on route:outbound, 29 May 2015 03:3")
    assert "The rule fired because" in titles
    assert "100 % of new calls to the backup at edge_1, edge_2" in moved["explained"][0]["lines"]
    assert told["replayed"]["zones"]["hall_a"][-1]["c"] > 25


def test_a_replay_that_differs_says_where_first(recording, tmp_path, capsys):
    (path,) = recording.glob("*.gz")
    lie = write(tmp_path / "lie.jsonl.gz", [line.replace('"T10"', '"T99"') for line in text_of(path)])
    assert main(["replay", str(lie)]) == 2
    said = capsys.readouterr().out
    assert "DIFFERENT: first at event " in said
    assert "recorded: T99 route:outbound" in said
    assert "replayed: T10 route:outbound" in said


def test_another_policy_is_put_beside_it(recording, other, capsys):
    assert main(["replay", str(recording), "--policy", str(other), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first = {
        name: next(d["t"] for d in told[name]["decisions"] if d["rule"] == "T10") for name in ("replayed", "other")
    }
    assert first["other"] < first["replayed"], "no restart is waited for, an earlier move"
    moved = [d["rule"] for d in told["other"]["decisions"] if d["rule"] in {"T10", "T20", "T23"}]
    assert moved == ["T10", "T20", "T23"], "its edges obey, so its move is proven and its calls end"
    assert main(["replay", str(recording), "--policy", str(other)]) == 0
    said = capsys.readouterr().out
    assert "AS RECORDED" in said
    assert f"WITH {other}" in said
    assert "same" in said


def test_a_policy_of_another_site_is_refused(recording, other, capsys):
    other.write_text(other.read_text().replace("site: dallas", "site: austin"))
    assert main(["replay", str(recording), "--policy", str(other)]) == 1
    assert "it was recorded at 'dallas', the policy is for 'austin'" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x1f\x8b\x08broken"])
def test_what_is_no_recording_ends_with_one_line(tmp_path, content, capsys):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(content)
    assert main(["replay", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"envmon: {path}: ")
    assert said.count("\n") == 1


def test_the_rehearsals_are_listed(capsys):
    assert main(["rehearse"]) == 0
    said = capsys.readouterr().out
    assert "june-2015" in said
    assert "utility-cut-no-restart" in said


def test_a_rehearsal_of_the_example_site(tmp_path, capsys):
    picture = tmp_path / "picture.svg"
    arguments = ["rehearse", "june-2015", "--config", str(EXAMPLE)]
    assert main([*arguments, "--plot", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "hall_a: 60 kW, limit 40 °C" in said
    assert "-> 100 % of new calls to the backup at edge_1" in said
    assert said.splitlines()[-1].startswith("SAFE: moved at 00:1")
    assert ET.fromstring(picture.read_text()).tag == f"{SVG}svg"
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["good"] is True
    assert told["moved_at"] < told["left_at"] < told["limit_at"]


def test_the_readmes_configuration_survives_what_a_reader_tries_first(tmp_path, capsys):
    config = tmp_path / "envmon.yaml"
    text = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    config.write_text(text)
    for scenario in ("june-2015", "chillers-lost", "units-one-by-one", "utility-cut-no-restart"):
        assert main(["rehearse", scenario, "--config", str(config)]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("SAFE: moved at "), scenario
    config.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("pagers:")))
    assert main(["rehearse", "june-2015", "--config", str(config)]) == 2
    why = "envmon cannot be armed: there is no pager: nobody would be told of a move."
    assert why in capsys.readouterr().out.splitlines()[-1]


def test_a_rehearsal_without_a_good_place_to_go_is_not_survived(capsys):
    assert main(["rehearse", "backup-hot", "--config", str(EXAMPLE)]) == 2
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith("LOST: the limit was reached at ")
    assert "T13: The calls cannot move: the backup is not ready. People were paged at 00:" in verdict


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["doom", "--config", str(EXAMPLE)], "envmon: doom: doom: cannot be read"),
        (["june-2015", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_what_cannot_be_rehearsed_ends_with_one_line(arguments, says, capsys):
    assert main(["rehearse", *arguments]) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_picture_that_cannot_be_written_is_told(recording, capsys):
    assert main(["replay", str(recording), "--json", "--plot", "/nowhere/x.svg"]) == 1
    assert "/nowhere/x.svg: the picture cannot be written: No such file or directory" in capsys.readouterr().err
