"""A program of the operator's, run once: told something, heard to its end, and gone when its time is over.

Rules
  - It is started with its arguments as configured; no shell reads them. It inherits the environment, but for what only
    the daemon may use.
  - Its input is written while both its outputs are read to their ends, so that no pipe that is full holds it up.
  - It and all it started in its session are killed when it has ended, at the deadline and when we are cancelled; what
    left its session may keep the streams open, but not for us. It leaves no zombie.
  - It has ended when its outputs are closed too: what a child of it still says is part of the answer.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # sd_notify(3): only the daemon speaks for the daemon
_PART = 65_536  # bytes read at once


class StartError(Exception):
    """The program cannot be started; the text says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code (negative: the signal), and what it wrote, cut at ``most`` + 1 bytes each."""

    code: int
    answer: bytes
    errors: bytes


async def run(
    argv: Sequence[str], told: bytes = b"", *, deadline_s: float, most: int = 0, more: Mapping[str, str] | None = None
) -> Ended:
    """Run ``argv`` with ``told`` on its standard input and ``more`` in its environment.

    At most ``most`` + 1 bytes of what it writes are kept, so that the caller sees when it was too much; 0: nobody
    wants to know, and it writes to /dev/null. Raises StartError, and TimeoutError after ``deadline_s``.
    """
    where = asyncio.subprocess.PIPE if most else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=where,
            stderr=where,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in _KEPT_BACK} | dict(more or {}),
        )
    except (OSError, ValueError) as error:
        raise StartError(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from None
    try:
        async with asyncio.timeout(deadline_s):
            _, answer, errors = await asyncio.gather(
                _tell(process, told), _start_of(process.stdout, most), _start_of(process.stderr, most)
            )
            return Ended(await process.wait(), answer, errors)
    finally:
        await _end(process)


async def _tell(process: asyncio.subprocess.Process, told: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for above
    with suppress(ConnectionError):  # a program need not read what it is told
        process.stdin.write(told)
        await process.stdin.drain()
    process.stdin.close()


async def _start_of(stream: asyncio.StreamReader | None, most: int) -> bytes:
    """Read to the end; what is too much is read and dropped."""
    kept = b""
    while stream is not None and (part := await stream.read(_PART)):
        kept += part[: most + 1 - len(kept)]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None and process.stdin.transport.get_write_buffer_size():
        process.stdin.transport.abort()  # close() would wait until somebody has read the rest
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - wait() waits for the streams as well
    await process.wait()
