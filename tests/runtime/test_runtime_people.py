"""Who stands behind a connection, and what the system's groups let them do."""

import os
import pwd
import socket

import pytest

from envmon.config.settings import PeopleSettings
from envmon.model.event import Access
from envmon.runtime.people import Peer, access, peer

BIN = pwd.getpwnam("bin")
DAEMON = pwd.getpwnam("daemon")
GAMES = pwd.getpwnam("games")


def test_the_kernel_says_who_is_behind_a_connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer(ours)
    assert found.uid == os.getuid()
    assert found.who.startswith(pwd.getpwuid(os.getuid()).pw_name)


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
