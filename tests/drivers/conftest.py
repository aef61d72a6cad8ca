"""Servers shared by the driver tests."""

from collections.abc import AsyncIterator, Iterator

import pytest
from driver_rig import PymodbusDevice, Snmpd


@pytest.fixture
async def pymodbus_device() -> AsyncIterator[PymodbusDevice]:
    device = PymodbusDevice()
    await device.start()
    yield device
    await device.stop()


@pytest.fixture(scope="session")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    """One agent for every test; a test that stops it starts it again."""
    agent = Snmpd(tmp_path_factory.mktemp("snmpd"))
    agent.start()
    yield agent
    agent.stop()
