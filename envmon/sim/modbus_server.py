"""Simulated Modbus TCP devices: one listening socket, one or more units behind it, faults on demand.

Rules
  - Reads only, as the codec: every other function is refused with exception 1.
  - An address the device does not have is refused with exception 2, a unit nobody plays with exception 11.
  - Loopback unless told otherwise; port 0 takes a free one (see ``port``).
"""

import asyncio
from collections.abc import Mapping
from typing import Self

from envmon.profiles.schema_point import Register
from envmon.sim.registers import SimulatedDevice
from envmon.wire.frame import FrameError
from envmon.wire.modbus import (
    BadRequestError,
    ExceptionCode,
    FrameBuffer,
    Request,
    decode_request,
    encode_exception,
    encode_response,
    pack_bits,
)

_GARBAGE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"  # what a port mapped to the wrong service says


class ModbusServer:
    """Serves ``devices`` by unit identifier; an async context manager."""

    def __init__(self, devices: Mapping[int, SimulatedDevice], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.devices = devices
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
            self.drop_connections()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    def drop_connections(self) -> None:
        """Close every connection, as a device that restarts."""
        for task in self._serving:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameBuffer()
        try:
            while data := await reader.read(4096):
                for frame in frames.feed(data):
                    await self._answer(frame, writer)
        except (FrameError, ConnectionError, asyncio.CancelledError):
            pass  # what a real device does: it closes the connection, and says nothing
        finally:
            writer.close()

    async def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = decode_request(frame)
        except BadRequestError as error:
            writer.write(error.answer)
            return
        device = self.devices.get(request.unit_id)
        if device is None:
            writer.write(encode_exception(request, ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND))
            return
        device.heard(first_point=_asks_first(device, request))
        if device.trouble.delay_ms:
            await asyncio.sleep(device.trouble.delay_ms / 1000)
        if not device.trouble.silent:
            writer.write(_GARBAGE if device.trouble.garbage else _reply(device, request))
            await writer.drain()


def _asks_first(device: SimulatedDevice, request: Request) -> bool:
    match device.profile.points[0].address:
        case Register(function=request.function, address=address):
            return request.address <= address < request.address + request.count
        case _:
            return False


def _reply(device: SimulatedDevice, request: Request) -> bytes:
    if device.trouble.refuse:
        return encode_exception(request, device.trouble.refuse)
    limits = device.profile.modbus
    if limits is not None and request.count > limits.max_read:
        return encode_exception(request, ExceptionCode.ILLEGAL_DATA_VALUE)
    wanted = range(request.address, request.address + request.count)
    found = [device.words.get((request.function, address)) for address in wanted]
    holes = found.count(None)
    if holes == len(found) or (holes and not device.trouble.zero_holes):
        return encode_exception(request, ExceptionCode.ILLEGAL_DATA_ADDRESS)
    values = [word or 0 for word in found]
    if request.function.reads_bits:
        return encode_response(request, pack_bits([bool(value) for value in values]))
    return encode_response(request, b"".join(value.to_bytes(2, "big") for value in values))
