"""An edge commanded by a program of the operator's: JSON in, JSON out, described in deploy/actuators.md.

Rules
  - The program is started with its arguments as configured; no shell reads them, and nothing of ours is added.
  - It gets one JSON object on standard input and answers with its whole status on standard output, exit code 0.
  - It and all it started are killed at the deadline; what it writes to standard error is shown only when it fails.
  - It keeps the fence. A program on two hosts keeps two: this kind is for sites without a standby.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

from envmon.actuators.told import Voice, statuses
from envmon.config.edge_settings import EdgeSettings
from envmon.host.program import Ended, StartError, run
from envmon.model.event import EdgeStatus

_MAX_ANSWER = 65_536  # bytes


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
        deadline_s = self._settings.deadline_s
        try:
            ended = await run(self._settings.argv, told, deadline_s=deadline_s, most=_MAX_ANSWER)
        except StartError as error:
            raise self._voice.error(str(error)) from None
        except TimeoutError:
            raise self._voice.error(f"no answer within {deadline_s:g} s; it was killed") from None
        return self._read(ended, epoch)

    def _read(self, ended: Ended, epoch: int | None) -> tuple[EdgeStatus, ...]:
        if ended.code != 0:
            said = ended.errors.decode(errors="replace").strip().rpartition("\n")[2][-200:]
            raise self._voice.error(f"it ended with {ended.code}: {said!r}" if said else f"it ended with {ended.code}")
        if len(ended.answer) > _MAX_ANSWER:
            raise self._voice.error(f"its answer is longer than {_MAX_ANSWER} bytes")
        try:
            found = statuses(self._settings.id, json.loads(ended.answer), counts_needed=False)
        except (ValueError, RecursionError) as error:
            raise self._voice.error(f"its answer is not a status: {str(error)[:200]}") from None
        if epoch is not None and found[0].fence > epoch:
            raise self._voice.fenced(epoch, found[0].fence)
        return found
