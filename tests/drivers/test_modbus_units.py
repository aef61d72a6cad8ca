"""One Modbus device in front of several units: rows further on, and rows at the next unit identifier."""

from driver_rig import Clock, settings, told

from envmon.drivers import open_driver
from envmon.profiles.bind import bind_at, place
from envmon.profiles.loader import load_text
from envmon.profiles.schema import Profile
from envmon.sim.modbus_server import ModbusServer
from envmon.sim.registers import SimulatedDevice

HEAD = """profile: made-up
vendor: nobody
kind: cooling_unit
protocol: modbus
evidence: document
sources: [{document: a test, revision: "1"}]
"""


def repeated(where: str) -> Profile:
    point = "{name: t, function: 4, address: 12, type: int16, unit: degC, scale: 0.1, role: supply_temp}"
    return load_text(f"{HEAD}repeat: [{{count: 3, serves: true, {where}, points: [{point}]}}]\n", "made-up.yaml")


def flat(*addresses: int) -> SimulatedDevice:
    points = "".join(
        f"- {{name: t{at}, function: 4, address: {at}, type: int16, unit: degC, scale: 0.1}}\n" for at in addresses
    )
    device = SimulatedDevice(load_text(f"{HEAD}points:\n{points}", "made-up.yaml"))
    for at in addresses:
        device.set(f"t{at}", at / 10)
    return device


async def read(kind: Profile, server: ModbusServer, **units: tuple[str, str]) -> dict[str, float | str]:
    named = {number.removeprefix("u"): there for number, there in units.items()}
    at = place(kind, site="s", device="d", path="p", zone="z", units=named)
    async with server:
        device = settings(server.port, unit_id=5)
        async with open_driver(device, kind, bind_at(kind, at), at=at, clock=Clock(), jitter=lambda: 1.0) as driver:
            readings = await driver.poll()
    return {reading.point.id: told((reading,))[reading.point.name] for reading in readings}


async def test_rows_further_on() -> None:
    values = await read(repeated("step: 100"), ModbusServer({5: flat(12, 112)}))
    assert values == {"s.z.d.unit_1_t": 1.2, "s.z.d.unit_2_t": 11.2, "s.z.d.unit_3_t": "absent"}


async def test_rows_at_the_next_unit_identifier_and_only_those_that_are_named() -> None:
    server = ModbusServer({5: flat(12), 6: flat(12, 13), 7: flat(12)})
    server.devices[6].set("t12", 19.5)
    values = await read(repeated("unit_step: 1"), server, u2=("y", "crac_2"))
    assert values == {"s.y.crac_2.t": 19.5}
    assert (server.devices[5].requests, server.devices[6].requests) == (0, 1)
