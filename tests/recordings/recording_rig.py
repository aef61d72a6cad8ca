"""A room that fails, recorded as a daemon records it."""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envmon.core.advance import advance
from envmon.model.effect import Decision, Page
from envmon.recordings.encode import sealed
from envmon.recordings.recorder import Pace, Recorder
from tests.core.room import Room


def recorder(folder: Path, *, budget: int = 64_000_000, pages: list[Page] | None = None, **pace: Any) -> Recorder:
    rate = Pace(**{"wake_s": 0.01, **pace})
    return Recorder(folder, budget, "1.2.3", "dallas", (pages if pages is not None else []).append, rate)


@dataclass
class RecordedRoom(Room):
    """A room whose every event is recorded, with what it led to."""

    to: Recorder | None = None

    def tell(self, event: object) -> tuple[Decision, ...]:
        step = advance(self.world, event)  # type: ignore[arg-type]
        self.world = step.world
        if self.to is not None:
            self.to.record(event, step)  # type: ignore[arg-type]
        self.effects.extend(step.effects)
        self.decisions.extend(step.decisions)
        self._carry_out(step.effects)
        return step.decisions


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def text_of(path: Path) -> list[str]:
    """The JSON of every line."""
    plain = zlib.decompressobj(wbits=31).decompress(path.read_bytes())
    return [line[9:].decode() for line in plain.split(b"\n")[:-1]]


def write(path: Path, lines: list[str]) -> Path:
    """A recording of these lines, as if a daemon had written it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    path.write_bytes(b"".join([*(packer.compress(sealed(line)) for line in lines), packer.flush()]))
    return path
