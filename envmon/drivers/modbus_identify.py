"""What a Modbus device says about itself: the registers by which profiles recognise their models.

Rules
  - A register that the device refuses, or meets with silence, tells nothing; a device that is silent to all of them
    raises.
"""

import asyncio
from collections.abc import Iterable

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_line import link_opener, name_of
from envmon.drivers.modbus_plan import Span
from envmon.model.reading import Reason
from envmon.profiles.identify import Facts, registers
from envmon.profiles.registers import registers_value
from envmon.profiles.schema import ModbusLimits, Profile, Protocol
from envmon.profiles.schema_point import Register
from envmon.wire.modbus import Function


async def ask_modbus(device: DeviceSettings, profiles: Iterable[Profile]) -> Facts:
    """Ask one device for what ``profiles`` want to know. Raises DeviceError; each question may take its deadline."""
    limits = ModbusLimits()
    where = name_of(device, limits)
    wanted = registers(profile for profile in profiles if profile.protocol is Protocol.MODBUS)
    told: dict[Register, int | float | str] = {}
    silent = 0
    try:
        async with asyncio.timeout(device.deadline_s):
            link = await link_opener(device, device.port or limits.port)()
        try:
            for register in wanted:
                span = Span(Function(register.function), register.address, register.registers)
                try:
                    async with asyncio.timeout(device.deadline_s):
                        found = await link.ask(device.unit_id, span)
                except TimeoutError:
                    silent += 1
                    continue
                if isinstance(found, bytes):
                    told[register] = registers_value(register, found)
        finally:
            await link.close()
    except (TimeoutError, DeviceError) as fault:
        reason = fault.reason if isinstance(fault, DeviceError) else Reason.TIMEOUT
        raise DeviceError(reason, f"{where}: {str(fault) or 'no connection in time'}") from None
    if silent == len(wanted):
        raise DeviceError(Reason.TIMEOUT, f"{where}: no answer within {device.deadline_s:g} s")
    return Facts(Protocol.MODBUS, registers=told)
