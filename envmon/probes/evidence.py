"""What somebody else says of the backup: a readiness item by HTTP GET, or from a program of the operator's.

Rules
  - An answer is one JSON object. A program's is new each time; one over HTTP names its life (``boot``) and counts
    (``seq``), and says something only when it has advanced: what is repeated, cached or played back is no evidence.
  - ``pass`` (true or false), ``why``, and for spare calls ``value``, say it plainly. Two more documents are understood:
    the status of the backup's own envmon, whose zones must all be good, and the digest of its do-not-record list, which
    must be the one in our file ``ours``.
  - Nothing is guessed: an answer without them is an error, and the item grows old.
"""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from envmon.config.secret import SecretError
from envmon.config.settings import ProofSettings

LARGEST = 2 * 2**20  # bytes of an answer
LIVES = 100  # of a source, of which it is known how far they had counted
_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # sd_notify(3): only the daemon speaks for the daemon


class EvidenceError(Exception):
    """Nothing was learnt; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was said of one item."""

    passed: bool
    why: str
    value: float | None = None


class Evidence:
    """One item of one route, asked for again and again."""

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self._lives: dict[str, int] = {}

    async def look(self) -> Finding | None:
        """Ask once; None when nothing new was said. Raises EvidenceError."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                told = await (self._run() if self._settings.argv else self._get())
        except TimeoutError:
            raise EvidenceError(f"no answer within {self._settings.deadline_s:g} s") from None
        if self._settings.argv or self._advanced(told):
            return self._read(told)
        return None

    def _advanced(self, told: Mapping[str, Any]) -> bool:
        """Whether this answer is later than every one before it."""
        daemon = told.get("daemon")
        life = daemon if isinstance(daemon, dict) else told
        boot, seq = life.get("boot"), life.get("seq")
        if not isinstance(boot, str) or not isinstance(seq, int) or isinstance(seq, bool):
            raise EvidenceError("its answer has no boot (text) and seq (whole number): how old it is cannot be told")
        if seq <= self._lives.get(boot, -1):
            return False
        self._lives[boot] = seq
        if len(self._lives) > LIVES:
            del self._lives[next(iter(self._lives))]
        return True

    def _read(self, told: Mapping[str, Any]) -> Finding:
        match told:
            case {"pass": bool(passed), "why": str(why)}:
                value = told.get("value")
                if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                    raise EvidenceError("its value is no number of calls")
                return Finding(passed, why[:500], None if value is None else float(value))
            case {"site": str(site), "zones": dict(zones)}:
                return _cooling(site, zones)
            case {"count": int(count), "sha256": str(digest)}:
                return self._parity(count, digest)
        raise EvidenceError("its answer is neither pass and why, nor an envmon's status, nor a list's digest")

    def _parity(self, count: int, digest: str) -> Finding:
        try:
            ours = json.loads(self._settings.ours.read_text()) if self._settings.ours else None
            same = (ours["count"], ours["sha256"]) == (count, digest) if ours else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"our own digest cannot be read: {type(error).__name__}") from None
        if ours is None or same is None:
            raise EvidenceError("it told a list's digest; say in ours: where our own is")
        return Finding(same, f"{count} numbers there, {ours['count']} here, {'the same' if same else 'not the same'}")

    async def _get(self) -> Mapping[str, Any]:
        try:
            token = self._settings.token.reveal() if self._settings.token else ""
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(self._settings.url, headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise EvidenceError(f"it answered {answer.status}")
                body = b""
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > LARGEST:
                        raise EvidenceError(f"its answer is longer than {LARGEST} bytes")
        except SecretError as error:
            raise EvidenceError(str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EvidenceError(f"no answer: {type(error).__name__}") from None
        return _object(body)

    async def _run(self) -> Mapping[str, Any]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in _KEPT_BACK},
            )
        except OSError as error:
            raise EvidenceError(f"it cannot be started: {error.strerror or error}") from None
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            body = await process.stdout.read(LARGEST)
            code = await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if code:
            raise EvidenceError(f"it ended with {code}")
        return _object(body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise EvidenceError("its answer is no JSON object")
    return told


def _cooling(site: str, zones: Mapping[str, Any]) -> Finding:
    """The backup's own envmon speaks of the zones it calls here."""
    here = {name: zone for name, zone in zones.items() if isinstance(zone, dict) and zone.get("here")}
    if not here:
        raise EvidenceError("that status has no zone of its own")
    poor = [f"{name} is {zone.get('verdict')}" for name, zone in here.items() if zone.get("verdict") != "ok"]
    return Finding(not poor, f"{site}: {', '.join(poor) if poor else f'{len(here)} zones good'}")
