"""How fast recordings are replayed: the scenarios of a folder, recorded as a daemon records them, then re-run.

    python tests/bench/replaying.py DIR [--only ID ...] [--seed N] [--keep FOLDER] [--least 50000]

Prints a line a recording: readings, events, CPU time, readings a second, and whether the replay was identical. Exits
with 1 when one was not, or when one was slower than ``--least``.

Rules
  - The time is CPU time of this process, for reading the file, deciding anew and comparing: all that ``replay`` does.
"""

import argparse
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from scenarios import Play, load_simulator

from envmon.core.advance import advance
from envmon.core.world import SECOND
from envmon.model.event import Event
from envmon.recordings.encode import Encoder, header, sealed
from envmon.recordings.replay import Replay, replay

WORLD_S = 300  # the recorder writes the world so often


class Recorded(Play):
    """A play that is recorded from the moment on at which its policy is in force."""

    def __init__(self, scenario: dict[str, Any], rows: list[list[Any]], to: BinaryIO) -> None:
        super().__init__(scenario, rows)
        self._to, self._packer = to, zlib.compressobj(2, zlib.DEFLATED, 31)
        self._encoder: Encoder | None = None
        self._number = 0
        self._world_ns = 0

    def begin(self) -> None:
        super().begin()
        world = self.world
        self._encoder = Encoder(world.now.boot_id, world.now.mono_ns)
        self._line(header("bench", "primary", "bench", world.now.boot_id, 0))
        self._line(self._encoder.world(0, world))
        self._world_ns = world.now.mono_ns

    def tell(self, event: Event) -> None:
        if self._encoder is not None:
            step = advance(self.world, event)
            self._number += 1
            for line in self._encoder.event(event, step.decisions, step.effects):
                self._line(line)
            if event.at.mono_ns - self._world_ns >= WORLD_S * SECOND:
                self._world_ns = event.at.mono_ns
                self._line(self._encoder.world(self._number, step.world))
        super().tell(event)

    def close(self) -> None:
        """Write what is still held back."""
        self._to.write(self._packer.flush())

    def _line(self, text: str) -> None:
        self._to.write(self._packer.compress(sealed(text)))


def record(path: Path, seed: int | None, to: Path) -> None:
    """Simulate and play one scenario file into a recording."""
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    ran = load_simulator(path.parent).run(scenario, seed)
    kept = {key: scenario[key] for key in ("sites", "limits", "drain_s", "duration_s") if key in scenario}
    with to.open("wb") as file:
        play = Recorded({**kept, "sample_s": scenario.get("sample_s", 15)}, ran["rows"], file)
        play.run()
        play.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="record into this folder, or replay what is there already")
    parser.add_argument("--least", type=float, default=50_000.0, help="readings a second")
    asked = parser.parse_args()
    poor = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(asked.dir.glob("*.yaml")):
            if asked.only and not path.stem.startswith(tuple(asked.only)):
                continue
            recording = folder / f"{path.stem}.jsonl.gz"
            if not recording.exists():
                record(path, asked.seed, recording)
            began, found = time.process_time(), Replay()
            for _ in replay([recording], found):
                pass
            spent = time.process_time() - began
            rate = found.readings / spent
            poor += rate < asked.least or not found.identical
            print(
                f"{path.stem:28}{found.readings:8} readings {found.events:7} events {spent:6.2f} s {rate:8.0f}/s "
                f"{'identical' if found.identical else f'DIFFERENT: {found.difference}'}",
                flush=True,
            )
    return int(poor > 0)


if __name__ == "__main__":
    sys.exit(main())
