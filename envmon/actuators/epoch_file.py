"""The epochs of an edge that keeps none itself: a file of the daemon's, replaced whole and synced.

Rules
  - What is stored is on disk before ``store`` returns. A file that is not ours is never guessed at: ValueError.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Epochs:
    """``fence`` is the newest epoch seen; ``routes`` says which epoch set a route, in which life (``up_since``)."""

    fence: int = 0
    routes: dict[str, tuple[int, int]] = field(default_factory=dict)


def load(path: Path) -> Epochs:
    """Read the file; none is no epochs. Raises OSError, ValueError."""
    try:
        told = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return Epochs()
    try:
        routes = {str(route): (_count(epoch), _count(life)) for route, (epoch, life) in told["routes"].items()}
        return Epochs(_count(told["fence"]), routes)
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is not a file of epochs") from None


def store(path: Path, epochs: Epochs) -> None:
    """Replace the file. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="ascii") as file:
        json.dump({"fence": epochs.fence, "routes": epochs.routes}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is not an epoch")
    return value
