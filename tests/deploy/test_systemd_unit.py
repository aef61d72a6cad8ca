"""The systemd files as systemd's own tools see them; nothing is started."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from envmon.cli.places import CONFIG, SOCKET, STATE

EXPOSURE = "20"  # tenths: what systemd-analyze calls OK ends at 4.9, and we want much less


@pytest.fixture
def files(deploy: Path) -> Path:
    return deploy / "systemd"


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed; on Debian: apt-get install systemd")
    environ = {**os.environ, "SYSTEMD_LOG_LEVEL": "info", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)


def rendered(files: Path, place: Path, *drop_ins: str) -> Path:
    """The unit with a program that exists here, and drop-ins appended as systemd would read them."""
    text = (files / "envmon.service").read_text()
    text, count = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/sh", text, flags=re.MULTILINE)
    assert count == 1
    text += "".join("\n" + (files / name).read_text() for name in drop_ins)
    unit = place / "envmon.service"
    unit.write_text(text)
    return unit


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    "drop_ins",
    [(), ("credentials.conf", "network.conf"), ("traps.conf",), ("serial.conf",), ("traps.conf", "serial.conf")],
)
def test_systemd_understands_every_line(files: Path, tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    unit = rendered(files, tmp_path, *drop_ins)
    done = tool("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_a_line_systemd_does_not_know_is_found(files: Path, tmp_path: Path) -> None:
    """The test above can fail: Type=notify-reload is unknown to systemd 252, a wrong name to every version."""
    unit = rendered(files, tmp_path)
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    done = tool("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "ProtectClocks" in done.stderr


@pytest.mark.parametrize("drop_ins", [(), ("network.conf",), ("network.conf", "traps.conf", "serial.conf")])
def test_the_exposure_stays_small(files: Path, tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    unit = rendered(files, tmp_path, *drop_ins)
    done = tool("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_exposure_gate_can_close(files: Path, tmp_path: Path) -> None:
    unit = rendered(files, tmp_path)
    kept = [
        line for line in unit.read_text().splitlines() if not line.startswith(("Protect", "Restrict", "Capability"))
    ]
    unit.write_text("\n".join(kept))
    done = tool("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode != 0


def test_what_would_hide_operators_or_reboots_stays_off(files: Path) -> None:
    unit = settings((files / "envmon.service").read_text())
    assert not {"PrivateUsers", "ProtectProc", "ProcSubset"} & set(unit)


def test_the_unit_and_the_program_mean_the_same_places(files: Path) -> None:
    unit = settings((files / "envmon.service").read_text())
    assert unit["ExecStart"] == [f"/opt/envmon/bin/envmon run --config {CONFIG}"]
    assert Path("/var/lib", unit["StateDirectory"][0]) == STATE
    assert Path("/run", unit["RuntimeDirectory"][0]) == SOCKET.parent
    assert Path("/etc", unit["ConfigurationDirectory"][0]) == CONFIG.parent


def test_the_unit_speaks_what_the_daemon_speaks(files: Path) -> None:
    unit = settings((files / "envmon.service").read_text())
    assert unit["Type"] == ["notify"]  # systemd 252 has no notify-reload
    assert unit["ExecReload"] == ["/bin/sh -c 'kill -HUP $MAINPID'"]
    assert "WatchdogSec" in unit


def test_every_device_may_have_its_socket(files: Path) -> None:
    unit = settings((files / "envmon.service").read_text())
    assert unit["LimitNOFILE"] == ["65536"]  # soft and hard


def test_every_credential_of_the_example_is_loaded(files: Path) -> None:
    loaded = settings((files / "credentials.conf").read_text())["LoadCredential"]
    example = (files.parents[1] / "config" / "envmon.example.yaml").read_text()
    wanted = re.findall(r"^[^#\n]*credential:(\w+)", example, flags=re.MULTILINE)
    assert wanted
    assert {line.partition(":")[0] for line in loaded} == set(wanted)


def test_the_user_is_made(files: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = tool("systemd-sysusers", f"--root={tmp_path}", "--dry-run", str((files / "sysusers.conf").resolve()))
    assert done.returncode == 0, done.stderr
    assert "Would create user" in done.stdout + done.stderr or "Creating user 'envmon'" in done.stdout + done.stderr
    unit = settings((files / "envmon.service").read_text())
    assert unit["User"] == unit["Group"] == ["envmon"]
