"""Files a daemon may open: its limit is raised at the start, and too few are told before devices fail."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from envmon.cli.open_files import needed, shortage
from envmon.config import load
from envmon.profiles.loader import load_builtin

CONFIG = """
site: dallas
daemon: {zone: noc_room, state_dir: STATE}
places: [noc_room]
zones:
  hall_a: {it_load_kw: 40, units: {crac_1: {sensible_kw: 50}}, units_needed: 1}
devices:
  crac_1:
    profile: apc-inrow-rc
    address: 127.0.0.1
    serves: hall_a.crac_1
    snmp: {version: "2c", community: "file:STATE/secret"}
"""


def configured(folder: Path) -> Path:
    config = folder / "envmon.yaml"
    config.write_text(CONFIG.replace("STATE", str(folder / "state")))
    return config


def child(script: str, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    return subprocess.run([sys.executable, "-c", limit + script], capture_output=True, text=True, check=False)


def test_the_daemon_raises_its_soft_limit_to_the_hard_one(tmp_path: Path) -> None:
    config = configured(tmp_path)
    (tmp_path / "state").write_text("in the way: the start ends here")
    script = f"""
from pathlib import Path
from envmon.cli.run import run
assert run(Path({str(config)!r})) == 1
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    ended = child(script, 128, 512)
    assert ended.stdout == "(512, 512)\n", ended.stderr
    assert "cannot be made" in ended.stderr
    assert "open files" not in ended.stderr


def test_check_and_start_say_when_there_are_too_few(tmp_path: Path) -> None:
    config = configured(tmp_path)
    script = f"from pathlib import Path\nfrom envmon.cli.check import check\ncheck(Path({str(config)!r}), schema=False)"
    told = child(script, 100, 150)
    assert "note: 1 devices and the rest need about 201 open files, 150 are allowed (ulimit -Hn)" in told.stdout
    assert "open files" not in child(script, 100, 300).stdout
    (tmp_path / "state").write_text("in the way: the start ends here")
    started = child(f"from pathlib import Path\nfrom envmon.cli.run import run\nrun(Path({str(config)!r}))", 100, 150)
    assert "need about 201 open files, 150 are allowed" in started.stderr


def test_every_device_counts(tmp_path: Path) -> None:
    few = load(configured(tmp_path), profiles=load_builtin())
    many = replace(few, devices=few.devices * 1000)
    assert needed(many) - needed(few) == 999
    assert list(shortage(many, 1200 + 1)) == []
    assert len(list(shortage(many, 1024))) == 1
