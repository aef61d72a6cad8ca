"""Pages given to a program of the operator's, as one JSON object on standard input: the webhook's object.

Rules
  - The program is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - Exit code 0 is delivered. 75 (EX_TEMPFAIL, sysexits.h), no end in time and a program that cannot be started
    are worth another try; any other exit code is not.
  - It and what it started in its session are killed at the deadline.
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import Self

from envmon.config.settings import PagerSettings
from envmon.pagers.contract import Envelope, PagerError
from envmon.pagers.webhook import body

EX_TEMPFAIL = 75
_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # sd_notify(3): only the daemon speaks for the daemon


class CommandPager:
    """One program that takes pages. Every ``send`` ends within the configured deadline."""

    def __init__(self, settings: PagerSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def send(self, envelope: Envelope) -> None:
        """Deliver once. Raises PagerError."""
        program = self._settings.argv[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in _KEPT_BACK},
            )
        except OSError as error:
            raise PagerError(f"{program}: cannot be started: {error.strerror or error}", retry=True) from None
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                with suppress(ConnectionError):  # it need not read its page to take it
                    await process.communicate(json.dumps(body(envelope)).encode() + b"\n")
                code = await process.wait()
        except TimeoutError:
            raise PagerError(f"{program}: no end in {self._settings.deadline_s:g} s; killed", retry=True) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if code:
            raise PagerError(f"{program}: ended with {code}", retry=code == EX_TEMPFAIL)
