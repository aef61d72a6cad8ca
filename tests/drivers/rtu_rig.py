"""RTU lines for the driver tests: scripted units over TCP or a pseudo-terminal, and a foreign server."""

import asyncio
import contextlib
import os
import socket
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from driver_rig import settings
from pymodbus.framer import FramerType
from pymodbus.framer.rtu import FramerRTU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from envmon.config.settings import DeviceSettings, SerialSettings
from tests.ports import free_port

Write = Callable[[bytes], object]


@dataclass(frozen=True)
class Asked:
    """One request as it came, decoded by hand: eight bytes."""

    at: float
    unit: int
    function: int
    address: int
    count: int


Script = Callable[[Asked, Write], Awaitable[None] | None]


def sealed(body: bytes) -> bytes:
    """A frame with the checksum of a foreign codec."""
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def right(asked: Asked) -> bytes:
    """Register n of unit u holds 10 * n + u: point tN of unit 1 reads N + 0.1 degC."""
    numbers = range(asked.address, asked.address + asked.count)
    data = b"".join((10 * n + asked.unit).to_bytes(2, "big") for n in numbers)
    return sealed(bytes((asked.unit, asked.function, len(data))) + data)


def answer(asked: Asked, write: Write) -> None:
    write(right(asked))


@dataclass
class Units:
    """The units of one line. ``most_in_flight`` counts requests that came while one was being served."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    most_in_flight: int = 0
    connections: int = 0
    terminal: int = -1
    """The near end of the pseudo-terminal, where there is one."""
    first: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def heard(self, data: bytes, write: Write) -> None:
        assert len(data) == 8, data.hex(" ")
        assert data == sealed(data[:6])
        asked = Asked(
            time.monotonic(), data[0], data[1], int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:6], "big")
        )
        self.asked.append(asked)
        self.first.set()
        self.most_in_flight = max(self.most_in_flight, len(self._serving) + 1)
        done = self.script(asked, write)
        if done is not None:
            task = asyncio.ensure_future(done)
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def over_tcp(units: Units) -> AsyncIterator[DeviceSettings]:
    """A gateway that passes RTU frames on as they are."""
    loop = asyncio.get_running_loop()
    writers: list[asyncio.Transport] = []

    class Gateway(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writers.append(transport)
            units.connections += 1

        def data_received(self, data: bytes) -> None:
            units.heard(data, self.transport.write)

    server = await loop.create_server(Gateway, "127.0.0.1", 0)
    try:
        yield replace(settings(server.sockets[0].getsockname()[1]), transport="rtu_over_tcp")
    finally:
        server.close()
        for writer in writers:
            writer.abort()
        await units.close()


@contextlib.asynccontextmanager
async def over_pty(units: Units) -> AsyncIterator[DeviceSettings]:
    """A serial line: the driver opens the near end of a pseudo-terminal by its path."""
    loop = asyncio.get_running_loop()
    master, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(master, False)
    units.terminal = near

    def readable() -> None:
        with contextlib.suppress(OSError):
            units.heard(os.read(master, 1000), lambda data: os.write(master, data))

    loop.add_reader(master, readable)
    try:
        yield serial_device(os.ttyname(near))
    finally:
        loop.remove_reader(master)
        await units.close()
        os.close(near)
        os.close(master)


def serial_device(path: str) -> DeviceSettings:
    return replace(settings(0), host=path, transport="rtu", serial=SerialSettings(115200, "none"))  # no parity on a pty


@contextlib.asynccontextmanager
async def foreign(*, serial: bool) -> AsyncIterator[DeviceSettings]:
    """pymodbus as an RTU server with units 1 and 2; ``serial``: its bytes go through a pseudo-terminal."""
    words = DataType.REGISTERS
    blocks = (
        [SimData(0, values=[True, False], datatype=DataType.BITS)],
        [SimData(0, values=[False, False, False, True], datatype=DataType.BITS)],
        [SimData(0, values=[215, 1, 32767], datatype=words)],
        [SimData(8, values=[0x41AC, 0x0000], datatype=words)],
    )
    other = (*blocks[:2], [SimData(0, values=[199, 0, 250], datatype=words)], blocks[3])
    port = free_port()
    server = ModbusTcpServer(
        [SimDevice(1, blocks), SimDevice(2, other)], framer=FramerType.RTU, address=("127.0.0.1", port)
    )
    await server.serve_forever(background=True)
    try:
        if not serial:
            yield replace(settings(port), transport="rtu_over_tcp")
            return
        async with _cable(port) as path:
            yield serial_device(path)
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def _cable(port: int) -> AsyncIterator[str]:
    """A pseudo-terminal whose far end is a TCP connection."""
    loop = asyncio.get_running_loop()
    master, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(master, False)

    class Far(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            os.write(master, data)

    transport, _ = await loop.create_connection(Far, "127.0.0.1", port)
    loop.add_reader(master, lambda: transport.write(os.read(master, 1000)))
    try:
        yield os.ttyname(near)
    finally:
        loop.remove_reader(master)
        transport.abort()
        os.close(near)
        os.close(master)
