from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mqtt_broker import Broker, Watcher


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path)
    yield server
    server.kill()


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    seen = Watcher()
    yield seen
    await seen.close()
