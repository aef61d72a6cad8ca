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


@pytest.fixture(autouse=True)
def _nothing_left_to_asyncio(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No callback failed behind our back, no exception was left for the garbage collector."""
    yield
    left = [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
    assert not left, left
