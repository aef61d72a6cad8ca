"""Who stands behind a connection to the order socket, and what they may do: from the kernel and the system's groups.

Rules
  - The person is who logged in (audit, proc(5)), not who they became: sudo makes nobody a second person.
  - Without configured groups everybody who can open the socket may do everything, still two by two.
  - root without a login (a console, a script) is one person, an approver.
  - A process that connected and was gone when it was looked at has left its connection to another: nobody can tell who
    logged in there, so it is nobody's second person and may only look. Its orders are refused, journalled and paged.

Theory of operation
  The kernel keeps the number of the process that connected, and a number is given again. Where the kernel gives a
  handle of that very process (SO_PEERPIDFD, Linux 6.5) it is asked whether the process is still there after what was
  read under its number; where it does not, the number is.
"""

import errno
import grp
import logging
import os
import pwd
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from envmon.config.settings import PeopleSettings
from envmon.model.event import Access

log = logging.getLogger(__name__)

NO_LOGIN = 2**32 - 1  # audit login uid of a process nobody logged in for
SO_PEERPIDFD = 77  # asm-generic/socket.h; not in the socket module yet


@dataclass(frozen=True, slots=True)
class Peer:
    """``uid`` is what the process runs as, ``login`` what its user logged in as; equal where that is not known.

    ``gone``: it connected and was gone when it was looked at.
    """

    uid: int
    login: int
    gone: bool = False

    @property
    def who(self) -> str:
        """For people to read."""
        if self.gone:
            return f"{name(self.uid)} (who asked has gone: nobody can tell who logged in)"
        return name(self.uid) if self.login == self.uid else f"{name(self.uid)} (login {name(self.login)})"

    @property
    def person(self) -> str:
        """The same for every order of one person."""
        return self.who if self.gone else name(self.login)


def peer(connection: socket.socket) -> Peer:
    """Return who is behind a connection (SO_PEERCRED, unix(7))."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    login = _login_uid(pid)
    if not _still_there(connection, pid):
        return Peer(uid, uid, gone=True)
    return Peer(uid, uid if login is None else login)


def access(people: PeopleSettings, asking: Peer) -> Access:
    """Return what a peer may do: by the groups of who logged in."""
    if asking.gone:
        return Access.VIEWER
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


def _still_there(connection: socket.socket, pid: int) -> bool:
    """Whether the process that connected exists, so that what was read under its number was its own."""
    if pid == 0:
        return True  # outside our namespace of processes: nothing was read under its number
    handle = -1
    try:
        try:
            handle = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        except OSError as fault:
            if fault.errno != errno.ENOPROTOOPT:  # an old kernel; any other fault is that there is no such process
                return False
            os.kill(pid, 0)
        else:
            signal.pidfd_send_signal(handle, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    finally:
        if handle >= 0:
            os.close(handle)
    return True


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
