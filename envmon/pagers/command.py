"""Pages given to a program of the operator's, as one JSON object on standard input: the webhook's object.

Rules
  - The program is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - Exit code 0 is delivered. 75 (EX_TEMPFAIL, sysexits.h), no end in time and a program that cannot be started
    are worth another try; any other exit code is not.
  - It and what it started in its session are killed at the deadline.
"""

import json
from typing import Self

from envmon.config.settings import PagerSettings
from envmon.host.program import StartError, run
from envmon.pagers.contract import Envelope, PagerError
from envmon.pagers.webhook import body

EX_TEMPFAIL = 75


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
        told, deadline_s = json.dumps(body(envelope)).encode() + b"\n", self._settings.deadline_s
        try:
            ended = await run(self._settings.argv, told, deadline_s=deadline_s)
        except StartError as error:
            raise PagerError(f"{program}: {error}", retry=True) from None
        except TimeoutError:
            raise PagerError(f"{program}: no end in {deadline_s:g} s; killed", retry=True) from None
        if ended.code:
            raise PagerError(f"{program}: ended with {ended.code}", retry=ended.code == EX_TEMPFAIL)
