"""Who stands behind a connection, and what the system's groups let them do."""

import grp
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from envmon.config.settings import PeopleSettings
from envmon.model.event import Access
from envmon.runtime import people
from envmon.runtime.people import Peer, access, name, peer

BIN = pwd.getpwnam("bin")
DAEMON = pwd.getpwnam("daemon")
GAMES = pwd.getpwnam("games")


def test_the_kernel_says_who_is_behind_a_connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer(ours)
    assert found.uid == os.getuid()
    assert found.who.startswith(pwd.getpwuid(os.getuid()).pw_name)


@pytest.mark.parametrize("handles", [True, False])
def test_who_connects_and_goes_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handles: bool):
    """sudo -u bob: connect, leave the connection to a child, exit. The uid alone would make alice a second person."""
    if not handles:  # as before Linux 6.5
        monkeypatch.setattr(people, "SO_PEERPIDFD", 9_999)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        code = (
            "import os, socket, sys; c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]);\n"
            "if os.fork() == 0: c.sendall(b'x'); c.recv(1)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=True)
        connection, _ = server.accept()
        with connection:
            found = peer(connection)
            assert connection.recv(1) == b"x", "somebody speaks there"
    assert found.gone
    assert found.person not in {name(uid) for uid in (os.getuid(), 0)}
    assert "who asked has gone" in found.who
    assert access(PeopleSettings(), found) is Access.VIEWER
    assert access(PeopleSettings(approvers=(grp.getgrgid(0).gr_name,)), found) is Access.VIEWER


def test_who_stays_is_known_by_number_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(people, "SO_PEERPIDFD", 9_999)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not peer(ours).gone


def test_who_became_somebody_else_is_still_one_person():
    became_root = Peer(0, BIN.pw_uid)
    assert (became_root.who, became_root.person) == ("root (login bin)", "bin")
    assert Peer(BIN.pw_uid, BIN.pw_uid).person == became_root.person
    assert Peer(4_000_000_001, 4_000_000_001).person == "uid 4000000001"


@pytest.mark.parametrize(
    ("asking", "may"),
    [
        (Peer(BIN.pw_uid, BIN.pw_uid), Access.APPROVER),
        (Peer(DAEMON.pw_uid, DAEMON.pw_uid), Access.OPERATOR),
        (Peer(GAMES.pw_uid, GAMES.pw_uid), Access.VIEWER),
        (Peer(4_000_000_001, 4_000_000_001), Access.VIEWER),
        (Peer(0, 0), Access.APPROVER),
        (Peer(0, DAEMON.pw_uid), Access.OPERATOR),  # sudo gives no role
        (Peer(0, GAMES.pw_uid), Access.VIEWER),
    ],
)
def test_the_groups_of_who_logged_in_give_the_role(asking, may):
    assert access(PeopleSettings(operators=("daemon", "bin"), approvers=("bin",)), asking) is may


def test_without_groups_everybody_at_the_socket_may_do_everything():
    assert access(PeopleSettings(), Peer(GAMES.pw_uid, GAMES.pw_uid)) is Access.APPROVER
