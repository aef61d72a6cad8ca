"""What the tests of several users share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory other users can enter, which pytest's own is not."""
    assert os.geteuid() == 0, "only root can speak as other users: run the tests as root, as CI does"
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
