"""An edge commanded by a program of the operator's: JSON in, JSON out, described in deploy/actuators.md.

Rules
  - The program is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - It gets one JSON object on standard input and answers with its whole status on standard output, exit code 0.
  - It and all it started are killed at the deadline; what it writes to standard error is shown only when it fails.
  - It keeps the fence. A program on two hosts keeps two: this kind is for sites without a standby.
"""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from envmon.actuators.told import Voice, statuses
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

_MAX_ANSWER = 65_536  # bytes
_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # sd_notify(3): only the daemon speaks for the daemon


class CommandEdge:
    """The actuator of kind ``command``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._voice = Voice(settings.id, settings.argv[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Ask the program for its status, one per route. Raises EdgeError."""
        return await self._ask({"order": "status"})

    async def stamp(self, epoch: int) -> None:
        """Show the program our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        self._voice.must_show_fence(await self._ask({"order": "stamp", "epoch": epoch}), epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._voice.check(epoch, percent)
        await self._ask({"order": "set", "route": route, "percent": percent, "epoch": epoch}, epoch)
        found = await self._ask({"order": "status"})
        self._voice.must_show_fence(found, epoch)
        self._voice.must_show(found, route, percent, epoch)

    async def _ask(self, order: Mapping[str, Any], epoch: int | None = None) -> tuple[EdgeStatus, ...]:
        """Run the program once; with ``epoch``, a newer fence in its answer is a refusal."""
        told = json.dumps({"edge": self._settings.id, **order}).encode() + b"\n"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in _KEPT_BACK},
            )
        except (OSError, ValueError) as error:
            raise self._voice.error(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from None
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                code, answer, errors = await _converse(process, told)
        except TimeoutError:
            raise self._voice.error(f"no answer within {self._settings.deadline_s:g} s; it was killed") from None
        finally:
            await _end(process)
        return self._read(code, answer, errors, epoch)

    def _read(self, code: int, answer: bytes, errors: bytes, epoch: int | None) -> tuple[EdgeStatus, ...]:
        if code != 0:
            said = errors.decode(errors="replace").strip().rpartition("\n")[2][-200:]
            raise self._voice.error(f"it ended with {code}: {said!r}" if said else f"it ended with {code}")
        if len(answer) > _MAX_ANSWER:
            raise self._voice.error(f"its answer is longer than {_MAX_ANSWER} bytes")
        try:
            found = statuses(self._settings.id, json.loads(answer), counts_needed=False)
        except (ValueError, RecursionError) as error:
            raise self._voice.error(f"its answer is not a status: {str(error)[:200]}") from None
        if epoch is not None and found[0].fence > epoch:
            raise self._voice.fenced(epoch, found[0].fence)
        return found


async def _converse(process: asyncio.subprocess.Process, told: bytes) -> tuple[int, bytes, bytes]:
    """Give the program its order, read both streams to their ends, at most a little more than is allowed."""
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    with suppress(ConnectionError):  # a program need not read its order to fail
        process.stdin.write(told)
        await process.stdin.drain()
    process.stdin.close()
    answer, errors = await asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
    return await process.wait(), answer, errors


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    """Read to the end; what exceeds the longest answer is read and dropped."""
    kept = b""
    while more := await stream.read(4096):
        if len(kept) <= _MAX_ANSWER:
            kept += more
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program and all it started; a child that left its session may keep the streams, but not for us."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - wait() waits for the streams as well
    await process.wait()
