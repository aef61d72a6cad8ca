"""What systemd is told: the sd_notify(3) datagrams, nothing where no service manager listens.

Rules
  - A notification is best effort: a service manager that is gone never stops the daemon.
  - ``RELOADING=1`` carries MONOTONIC_USEC even though systemd 252 (Debian 12) has no ``Type=notify-reload``.
"""

import socket
import time
from collections.abc import Mapping


class Notifier:
    """The way to the service manager. ``address`` is $NOTIFY_SOCKET ("@..." is abstract), "" for none."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int) -> "Notifier":
        """Read $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID (sd_watchdog_enabled(3)).

        A watchdog meant for another process, or no number of microseconds, is no watchdog.
        """
        usec = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog_s = int(usec) / 1e6 if ours and usec.isdecimal() else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog_s)

    def ready(self, status: str = "") -> None:
        """Started, or reloaded."""
        self._send("READY=1", status)

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._send("RELOADING=1", "reloading", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon is on its way out."""
        self._send("STOPPING=1", "stopping; calls stay where they are")

    def watchdog(self) -> None:
        """Still turning."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("", text)

    def _send(self, state: str, status: str = "", *more: str) -> None:
        if not self._address:
            return
        lines = [state, *more, f"STATUS={' '.join(status.split())}" if status else ""]
        message = "\n".join(line for line in lines if line).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message, self._address)
        except OSError:
            return  # nobody to tell: the watchdog, if there is one, will notice
