"""The client's side of orders over HTTPS: ask once, get one answer.

Rules
  - Blocking, and only the standard library: it is for the command line.
  - The server's certificate is checked against the authority given (or the system's) and the name in the URL, always.
  - An order says when it was sent and has a number of its own; it is never sent twice.
"""

import http.client
import json
import os
import secrets
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envmon.runtime.ask import LARGEST, WAIT_S, AskError, read_answer


@dataclass(frozen=True, slots=True)
class Remote:
    """A daemon elsewhere: ``https://host:port``, our certificate and its key, and who signed the daemon's."""

    url: str
    cert: Path
    key: Path
    ca: Path | None = None


def ask_https(remote: Remote, request: Mapping[str, Any], wait_s: float = WAIT_S) -> dict[str, Any]:
    """Send one request and return the answer. Raises AskError."""
    there = urlsplit(remote.url)
    if there.scheme != "https" or not there.hostname or there.path not in ("", "/"):
        raise AskError(f"{remote.url}: must be https://HOST:PORT")
    context = _context(remote)
    fields = dict(request)
    if fields.get("command") != "status":
        fields |= {"sent": time.time(), "number": secrets.token_hex(16)}
    try:
        with closing(http.client.HTTPSConnection(there.hostname, there.port, timeout=wait_s, context=context)) as link:
            link.request("POST", "/v1/orders", json.dumps(fields).encode(), {"Content-Type": "application/json"})
            body = link.getresponse().read(LARGEST)
    except ssl.SSLCertVerificationError as fault:
        raise AskError(f"{remote.url}: its certificate is not believed: {fault.verify_message}") from None
    except ssl.SSLError as fault:
        raise AskError(f"{remote.url}: TLS failed, is our certificate one it takes? ({fault.reason})") from None
    except TimeoutError:
        raise AskError(f"{remote.url}: no answer within {wait_s:g} s; the order may still be carried out") from None
    except (OSError, http.client.HTTPException, ValueError) as fault:
        reason = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else str(fault)
        raise AskError(f"{remote.url}: cannot be asked: {reason or type(fault).__name__}") from None
    return read_answer(body, remote.url, "envmon's port for orders")


def _context(remote: Remote) -> ssl.SSLContext:
    for path in filter(None, (remote.cert, remote.key, remote.ca)):
        try:
            path.read_bytes()
        except OSError as fault:
            raise AskError(f"{path}: cannot be read: {fault.strerror}") from None
    try:
        context = ssl.create_default_context(cafile=remote.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(remote.cert, remote.key)
    except (ssl.SSLError, ValueError) as fault:
        text = f"{remote.cert}, {remote.key} and {remote.ca or 'no authority'} are no certificates and key"
        raise AskError(f"{text}: {getattr(fault, 'reason', None) or fault}") from None
    return context
