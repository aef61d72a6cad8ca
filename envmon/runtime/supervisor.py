"""Named tasks: restarted when they crash, ended in order when the daemon stops.

Rules
  - A crash is our fault: it is logged with its traceback, counted, and the task starts again after a pause that
    doubles up to ``LONGEST_S`` and is forgotten after ``HEALTHY_S`` without a crash.
  - A vital task is not restarted: its crash ends the daemon, and calls stay where they are.
  - Tasks end in the reverse order of their start, each within ``STOP_S``; one that does not is named and left.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from envmon.runtime.counters import Counters

log = logging.getLogger(__name__)

SHORTEST_S = 0.5
LONGEST_S = 30.0
HEALTHY_S = 60.0
STOP_S = 5.0

Run = Callable[[], Awaitable[None]]


class VitalTaskError(Exception):
    """A task the daemon cannot live without has crashed."""


class Supervisor:
    """Owns every long-lived task. Pauses are real seconds."""

    def __init__(self, counters: Counters, shortest_s: float = SHORTEST_S, stop_s: float = STOP_S) -> None:
        self._counters = counters
        self._shortest_s = shortest_s
        self._stop_s = stop_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] | None = None

    def start(self, name: str, run: Run, *, vital: bool = False) -> None:
        """Start a task under a name that is free."""
        if name in self._tasks:
            raise ValueError(f"a task {name!r} runs already")
        keep = self._keep_vital(name, run) if vital else self._keep(name, run)
        self._tasks[name] = asyncio.create_task(keep, name=name)

    def names(self) -> tuple[str, ...]:
        """Return the tasks in the order of their start."""
        return tuple(self._tasks)

    async def stop(self, name: str) -> None:
        """End one task; a name that is not there is no error."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=self._stop_s)
        if pending:
            log.error("task %s did not end within %g s and is left behind", name, self._stop_s)

    async def close(self) -> None:
        """End every task, the newest first."""
        for name in reversed(self.names()):
            await self.stop(name)

    async def failure(self) -> None:
        """Wait for a vital task to crash. Raises VitalTaskError."""
        await self._future()

    def _future(self) -> asyncio.Future[None]:
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    async def _keep_vital(self, name: str, run: Run) -> None:
        bug: Exception | None = None
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the daemon ends on it
            bug = error
        why = f"{type(bug).__name__}: {bug}" if bug else "it ended by itself"
        log.critical("task %s crashed, envmon ends; calls stay where they are: %s", name, why, exc_info=bug)
        if not self._future().done():
            self._future().set_exception(VitalTaskError(f"task {name} crashed: {why}"))

    async def _keep(self, name: str, run: Run) -> None:
        pause = self._shortest_s
        while True:
            began = time.monotonic()
            try:
                await run()
            except Exception:
                log.exception("task %s crashed", name)
            else:
                log.error("task %s ended by itself", name)
            if time.monotonic() - began >= HEALTHY_S:
                pause = self._shortest_s
            self._counters.task_restarts[name] += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_S)
