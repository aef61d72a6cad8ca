"""What a Modbus device tells of itself, and what its silence means."""

import pytest

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_identify import ask_modbus
from envmon.model.reading import Reason
from envmon.profiles.identify import identify, registers
from envmon.profiles.loader import load_builtin
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice

PROFILES = load_builtin()


class Sullen(SimulatedDevice):
    """A device that says nothing to some requests, counted from 1."""

    def __init__(self, *silent_to: int) -> None:
        super().__init__(PROFILES["carrier-ccu-modbus"])
        self._silent_to = silent_to

    def heard(self, *, first_point: bool) -> None:
        """Decide for this request."""
        super().heard(first_point=first_point)
        self.trouble.silent = self.requests in self._silent_to


def asked(port: int) -> DeviceSettings:
    return DeviceSettings("asked", "", "127.0.0.1", port, "", "", "p", deadline_s=0.5)


async def test_silence_to_a_register_it_does_not_have_says_nothing_about_the_others() -> None:
    number = [at.function for at in registers(PROFILES.values())].index(4) + 1
    async with ModbusServer({1: Sullen(number)}) as server:
        facts = await ask_modbus(asked(server.port), PROFILES.values())
    assert [match.profile for match in identify(PROFILES.values(), facts)] == ["carrier-ccu-modbus"]


async def test_a_device_that_is_silent_to_everything_raises() -> None:
    device = Sullen(*range(1, 100))
    async with ModbusServer({1: device}) as server:
        with pytest.raises(DeviceError, match=r"no answer within 0\.5 s") as silent:
            await ask_modbus(asked(server.port), PROFILES.values())
    assert silent.value.reason is Reason.TIMEOUT
    assert device.requests == len(registers(PROFILES.values()))
