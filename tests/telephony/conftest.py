"""Real edges and sites for the tests of this directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.telephony.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """One edge with one route, "outbound"."""
    async with Rig(tmp_path) as started:
        yield started
