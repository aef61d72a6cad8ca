"""Who stands behind a connection to the order socket, and what they may do: from the kernel and the system's groups.

Rules
  - The person is who logged in (audit, proc(5)), not who they became: sudo makes nobody a second person.
  - Without configured groups everybody who can open the socket may do everything, still two by two.
  - root without a login (a console, a script) is one person, an approver.
"""

import grp
import logging
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from envmon.config.settings import PeopleSettings
from envmon.model.event import Access

log = logging.getLogger(__name__)

NO_LOGIN = 2**32 - 1  # audit login uid of a process nobody logged in for


@dataclass(frozen=True, slots=True)
class Peer:
    """``uid`` is what the process runs as, ``login`` what its user logged in as; equal where that is not known."""

    uid: int
    login: int

    @property
    def who(self) -> str:
        """For people to read."""
        return name(self.uid) if self.login == self.uid else f"{name(self.uid)} (login {name(self.login)})"

    @property
    def person(self) -> str:
        """The same for every order of one person."""
        return name(self.login)


def peer(connection: socket.socket) -> Peer:
    """Return who is behind a connection (SO_PEERCRED, unix(7))."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    login = _login_uid(pid)
    return Peer(uid, uid if login is None else login)


def access(people: PeopleSettings, asking: Peer) -> Access:
    """Return what a peer may do: by the groups of who logged in."""
    if not people.configured or asking.login == 0:
        return Access.APPROVER
    groups = _groups(asking.login)
    if groups & set(people.approvers):
        return Access.APPROVER
    return Access.OPERATOR if groups & set(people.operators) else Access.VIEWER


def name(uid: int) -> str:
    """Return a user's name, or the number of one that has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _login_uid(pid: int) -> int | None:
    """Return the uid the peer logged in with: who it was before sudo; None where it is not told."""
    try:
        login = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if login == NO_LOGIN else login


def _groups(uid: int) -> set[str]:
    try:
        user = pwd.getpwuid(uid)
        numbers = os.getgrouplist(user.pw_name, user.pw_gid)
    except (KeyError, OSError):
        return set()
    found = set()
    for number in numbers:
        try:
            found.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return found
