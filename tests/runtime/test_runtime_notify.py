"""sd_notify over real datagram sockets."""

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from envmon.runtime.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@envmon-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name.startswith("@") else name)
        sock.settimeout(2)
        yield name, sock


def test_every_message_arrives_as_systemd_reads_it(manager: tuple[str, socket.socket]) -> None:
    name, sock = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name}, 1)
    notifier.ready("watching\nhall_a")
    assert sock.recv(1000).decode().split("\n") == ["READY=1", "STATUS=watching hall_a"]
    notifier.watchdog()
    assert sock.recv(1000) == b"WATCHDOG=1"
    notifier.reloading()
    state, usec, status = sock.recv(1000).decode().split("\n")
    assert (state, status) == ("RELOADING=1", "STATUS=reloading")
    assert usec.startswith("MONOTONIC_USEC=") and int(usec.partition("=")[2]) > 0
    notifier.status("hot")
    assert sock.recv(1000) == b"STATUS=hot"
    notifier.stopping()
    assert sock.recv(1000).startswith(b"STOPPING=1\n")


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    Notifier().ready()
    gone = Notifier(str(tmp_path / "gone"))
    gone.watchdog()
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "43"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_ours_or_none(environ: dict[str, str], seconds: float) -> None:
    assert Notifier.from_environment(environ, 42).watchdog_s == seconds
