"""Runs a program of the operator's that moves calls, takes a page or proves something: bytes in, bytes out.

Rules
  - It is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - It inherits the environment, but for what only the daemon may use.
  - However it ends, and when the caller's deadline cancels it, it is killed with all that stayed in its session. What
    left the session may keep the streams open, but is not waited for.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # sd_notify(3): only the daemon speaks for the daemon
_NOTHING: Mapping[str, str] = {}


class StartError(Exception):
    """The program cannot be started; the text says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code and what it wrote, up to one byte more than was allowed."""

    code: int
    out: bytes
    errors: bytes


async def run(argv: Sequence[str], told: bytes, most: int, more: Mapping[str, str] = _NOTHING) -> Ended:
    """Run a program that reads ``told``, with ``more`` in its environment; the caller sets the deadline.

    Up to ``most`` bytes of each of its streams are wanted; with 0 it writes to nobody. Raises StartError.
    """
    stream = asyncio.subprocess.PIPE if most else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in _KEPT_BACK} | dict(more),
        )
    except (OSError, ValueError) as error:
        raise StartError(f"cannot be started: {getattr(error, 'strerror', None) or error}") from None
    try:
        streams = (_all_of(process.stdout, most), _all_of(process.stderr, most))
        _, out, errors = await asyncio.gather(_tell(process, told), *streams)
        return Ended(await process.wait(), out, errors)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - wait() waits for the streams as well
        await process.wait()


async def _tell(process: asyncio.subprocess.Process, told: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for above
    with suppress(ConnectionError):  # it need not read what it is told
        process.stdin.write(told)
        await process.stdin.drain()
    process.stdin.close()


async def _all_of(stream: asyncio.StreamReader | None, most: int) -> bytes:
    """Read to the end; what exceeds the longest answer is read and dropped."""
    kept = b""
    while stream is not None and (part := await stream.read(65_536)):
        kept = (kept + part)[: most + 1]
    return kept
