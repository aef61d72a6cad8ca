"""One Modbus TCP connection with one request in flight.

Rules
  - Frames with another transaction identifier are late answers: counted and dropped, never matched.
  - The first bytes that are no frame close the connection; nothing after them can be trusted.

A bare asyncio protocol: per poll it costs a half to a fifth of what a client library costs.
"""

import asyncio
from typing import cast

from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_plan import Span
from envmon.model.reading import Reason
from envmon.wire.frame import FrameError
from envmon.wire.modbus import FrameBuffer, Refusal, Request, decode_response, encode_request, transaction_of


class Link(asyncio.Protocol):
    """The connection. ``where`` names the device in every error."""

    def __init__(self, where: str, unit_id: int) -> None:
        self._where = where
        self._unit_id = unit_id
        self._buffer = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._fault: DeviceError | None = None
        self._transaction = 0
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.late = 0

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._fault is None

    async def ask(self, span: Span) -> bytes | Refusal:
        """Send one read and wait for its answer, as long as the caller lets it. Raises DeviceError."""
        if self._fault is not None or self._transport is None:
            raise self._fault or DeviceError(Reason.UNREACHABLE, f"{self._where}: not connected")
        self._transaction = (self._transaction + 1) & 0xFFFF
        request = Request(self._transaction, self._unit_id + span.unit, span.function, span.address, span.count)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            encode_request(request.transaction, request.unit_id, request.function, request.address, request.count)
        )
        try:
            frame = await self._answer
        finally:
            self._answer = None
        try:
            return decode_response(frame, request)
        except FrameError as error:
            raise self._garbage(error) from None

    async def close(self) -> None:
        """Close the connection and wait until it is gone."""
        if self._transport is not None:
            self._transport.abort()  # there is nothing to flush: one small request at a time
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut frames and hand over the one that is waited for (asyncio calls this)."""
        try:
            frames = self._buffer.feed(data)
        except FrameError as error:
            self._garbage(error)
            return
        for frame in frames:
            if self._answer is None or self._answer.done() or transaction_of(frame) != self._transaction:
                self.late += 1
            else:
                self._answer.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits (asyncio calls this)."""
        how = str(exc) if exc is not None else "the device closed it"
        self._fail(DeviceError(Reason.UNREACHABLE, f"{self._where}: connection lost: {how}"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _garbage(self, error: FrameError) -> DeviceError:
        fault = DeviceError(Reason.GARBAGE, f"{self._where}: {error}; connection closed")
        self._fail(fault)
        if self._transport is not None:
            self._transport.abort()
        return fault

    def _fail(self, fault: DeviceError) -> None:
        if self._fault is None:
            self._fault = fault
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._fault)


async def connect(host: str, port: int, where: str, unit_id: int) -> Link:
    """Open a connection. Raises DeviceError; how long it may take is the caller's deadline."""
    try:
        _, link = await asyncio.get_running_loop().create_connection(lambda: Link(where, unit_id), host, port)
    except OSError as error:
        raise DeviceError(Reason.UNREACHABLE, f"{where}: cannot connect: {error.strerror or error}") from None
    return link
