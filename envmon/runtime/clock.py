"""The one source of time above the core: the system's clock, or a faster one for a simulated site.

Rules
  - Durations use ``now`` and ``mono_ns`` only; ``wall`` is for people.
  - Every clock here is virtual to its callers: seconds slept are seconds of ``now``, whatever they cost in reality.
"""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Protocol

from envmon.model.event import Stamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Time as the loops see it."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def stamp(self) -> Stamp:
        """This moment, for an event."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of this clock; zero or less only yields."""
        ...


def boot_id(path: Path = _BOOT_ID) -> str:
    """Return the kernel's boot id (random(4)).

    Where /proc/sys is hidden (``ProcSubset=pid``) the answer is new at each start: nobody can then compare our
    monotonic times with an earlier process's, and a snapshot is rebased by the wall clock.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return f"hidden-{uuid.uuid4()}"


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        self._boot_id = boot_id()

    def now(self) -> float:
        """Monotonic seconds since boot."""
        return time.monotonic()

    def stamp(self) -> Stamp:
        """This moment."""
        return Stamp(time.monotonic_ns(), time.time(), self._boot_id)

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``."""
        await asyncio.sleep(max(seconds, 0.0))


class ScaledClock:
    """A clock that runs ``speed`` times as fast as the machine's and starts at ``start_wall`` Unix seconds."""

    def __init__(self, speed: float, start_wall: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed {speed}: a clock runs forward")
        self._speed = speed
        self._start_wall = start_wall
        self._origin_ns = time.monotonic_ns()
        self._boot_id = f"virtual-{uuid.uuid4()}"

    def _elapsed_ns(self) -> int:
        return int((time.monotonic_ns() - self._origin_ns) * self._speed)

    def now(self) -> float:
        """Return the virtual seconds since the clock was made."""
        return self._elapsed_ns() / 1e9

    def stamp(self) -> Stamp:
        """This virtual moment."""
        elapsed = self._elapsed_ns()
        return Stamp(elapsed, self._start_wall + elapsed / 1e9, self._boot_id)

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` virtual, ``seconds / speed`` real."""
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


class Beat:
    """A steady beat on one clock: ``wait`` returns at the next multiple of ``interval_s``, never twice for one.

    Beats that passed while the caller was busy are skipped, not caught up.
    """

    def __init__(self, clock: Clock, interval_s: float, offset_s: float = 0.0) -> None:
        self._clock = clock
        self._interval = interval_s
        self._due = clock.now() + offset_s

    async def wait(self) -> None:
        """Sleep until the next beat; the first one is due ``offset_s`` after the beat was made."""
        await self._clock.sleep(self._due - self._clock.now())
        late = max(self._clock.now() - self._due, 0.0)
        self._due += self._interval * (1 + late // self._interval)
