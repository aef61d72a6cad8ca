"""Pages given to a program of the operator's, as one JSON object on standard input: see deploy/pagers.md.

Rules
  - The program is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - Exit code 0 is delivered. 75 (EX_TEMPFAIL, sysexits.h), no end in time and a program that cannot be started:
    nobody took it, it is tried again soon.
  - 110 (as HTTP's 410, and used by nothing a script is likely to end with) is the one code for "never again"; any other
    (curl's 7 is "no connection", the shell's 127 "not found") may be mended, and is tried again slowly.
  - It and what it started in its session are killed at the deadline.
"""

import json
from typing import Self

from envmon.config.settings import PagerSettings
from envmon.host.program import StartError, run
from envmon.pagers.contract import Again, Envelope, PagerError
from envmon.pagers.webhook import body

AGAIN = {75: Again.SOON, 110: Again.NEVER}


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
            raise PagerError(f"{program}: {error}") from None
        except TimeoutError:
            raise PagerError(f"{program}: no end in {deadline_s:g} s; killed") from None
        if ended.code:
            raise PagerError(f"{program}: ended with {ended.code}", AGAIN.get(ended.code, Again.SLOWLY))
