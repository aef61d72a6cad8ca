"""A float whose words come in the other order than the profile says, through the driver."""

import pytest

from envmon.config.settings import DeviceSettings
from envmon.drivers import open_driver
from envmon.model.reading import Quality
from envmon.profiles.loader import load_text
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice
from tests.bound import bind

TEXT = """profile: made-up
vendor: nobody
kind: sensor
protocol: modbus
evidence: document
sources: [{document: a test, revision: "1"}]
points:
- {name: t, function: 4, address: 0, type: float32, role: supply_temp, unit: degC, valid_range: [-40, 60],
   word_order: ORDER}
- {name: u, function: 4, address: 2, type: float32, unit: kW, valid_range: [0, 500], word_order: ORDER}
"""


@pytest.mark.parametrize("shown", [21.5, 18.0, 42.0, 0.5, -3.25])
async def test_a_float_with_swapped_words_is_never_read_as_zero(shown: float) -> None:
    real = SimulatedDevice(load_text(TEXT.replace("ORDER", "low_first"), "real.yaml"))
    real.set("t", shown)
    real.set("u", abs(shown))
    profile = load_text(TEXT.replace("ORDER", "high_first"), "profile.yaml")
    points = bind(profile, site="s", device="d", path="p", zone="z")
    async with ModbusServer({1: real}) as server:
        device = DeviceSettings("d", "made-up", "127.0.0.1", server.port, "z", "", "p", deadline_s=5.0)
        async with open_driver(device, profile, points) as driver:
            readings = await driver.poll()
    assert [(reading.value, reading.quality) for reading in readings] == [(None, Quality.BAD)] * 2
