"""The client's side of the order socket: ask once, get one answer.

Rules
  - Blocking: it is for the command line, never for the daemon's loop.
  - Every fault is one AskError that says what to do.
  - An order says until when its answer is waited for: a daemon that reads it later does not carry it out.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

WAIT_S = 30.0  # longer than the daemon takes to answer an order
LARGEST = 64 * 2**20  # bytes of an answer; a status of thousands of devices is a few MiB


class AskError(Exception):
    """The daemon could not be asked; the text says why and what to do."""


def ask(path: Path, request: Mapping[str, Any], wait_s: float = WAIT_S) -> dict[str, Any]:
    """Send one request, ``{"command", "route", "reason"}``, and return the answer. Raises AskError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(wait_s), 0))
        try:
            connection.connect(os.fspath(path))  # blocking: in the queue of those who wait to be let in (connect(2))
            connection.settimeout(wait_s)
            deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + wait_s
            with suppress(BrokenPipeError):  # turned away: the answer is there
                connection.sendall(json.dumps({**request, "deadline": deadline}).encode() + b"\n")
            line = _read_line(connection)
        except (FileNotFoundError, ConnectionRefusedError):
            raise AskError(f"{path}: no daemon answers there; is envmon running?") from None
        except PermissionError:
            raise AskError(f"{path}: permission denied; you must be in the socket's group") from None
        except (TimeoutError, BlockingIOError):
            raise AskError(f"{path}: no answer within {wait_s:g} s; look at the daemon's log") from None
        except OSError as fault:
            raise AskError(f"{path}: {fault.strerror or fault}") from None
    return read_answer(line, str(path), "envmon's socket")


def read_answer(line: bytes, where: str, wanted: str) -> dict[str, Any]:
    """The JSON object that was answered by what should be ``wanted``. Raises AskError."""
    try:
        answer = json.loads(line)
    except ValueError:
        raise AskError(f"{where}: the answer is no JSON; is that {wanted}?") from None
    if not isinstance(answer, dict):
        raise AskError(f"{where}: the answer is no JSON object; is that {wanted}?")
    return answer


def _read_line(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := connection.recv(65536):
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n") or size > LARGEST:
            break
    return b"".join(parts)
