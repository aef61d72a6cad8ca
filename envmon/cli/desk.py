"""Where the command line sends its requests: the socket of this host, or a daemon elsewhere over HTTPS.

Rules
  - ``--socket`` means the socket; else ``--url`` or $ENVMON_URL means HTTPS, with ``--cert``, ``--key`` and ``--ca`` or
    $ENVMON_CERT, $ENVMON_KEY and $ENVMON_CA; else the socket where it usually is.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envmon.cli.places import SOCKET
from envmon.runtime.ask import AskError, ask


@dataclass(frozen=True, slots=True)
class Desk:
    """Who is asked. Texts are "" where nothing was given."""

    socket: Path | None
    url: str = ""
    cert: str = ""
    key: str = ""
    ca: str = ""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask once. Raises AskError, also for an answer that is a refusal to listen."""
        if self.socket is not None or not self.url:
            return ask(self.socket or SOCKET, request)
        if not self.cert or not self.key:
            raise AskError(f"{self.url}: orders over HTTPS need --cert and --key (or ENVMON_CERT and ENVMON_KEY)")
        from envmon.runtime.ask_https import Remote, ask_https  # noqa: PLC0415 - the socket needs no TLS

        remote = Remote(self.url, Path(self.cert), Path(self.key), Path(self.ca) if self.ca else None)
        return ask_https(remote, request)

    def status(self) -> dict[str, Any]:
        """Ask for the status. Raises AskError."""
        answer = self.ask({"command": "status"})
        if "status" not in answer:
            raise AskError(str(answer.get("error", "no status was told")))
        return dict(answer["status"])


def options(parser: argparse.ArgumentParser) -> None:
    """Add where to send a command's request."""
    where = parser.add_argument_group("which daemon", "this host's, or one elsewhere over HTTPS")
    where.add_argument("--socket", type=Path, help=f"its socket; {SOCKET} unless --url is given")
    for name, says in (
        ("url", "https://HOST:PORT of its web.orders"),
        ("cert", "PEM file of your certificate"),
        ("key", "PEM file of its key"),
        ("ca", "PEM file of the authority that signed the daemon's certificate; the system's unless given"),
    ):
        variable = f"ENVMON_{name.upper()}"
        where.add_argument(f"--{name}", default=os.environ.get(variable, ""), help=f"{says}; or ${variable}")


def chosen(asked: argparse.Namespace) -> Desk:
    """What the command line chose."""
    return Desk(asked.socket, asked.url, asked.cert, asked.key, asked.ca)
