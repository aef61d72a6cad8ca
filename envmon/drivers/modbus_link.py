"""One open Modbus connection or serial line with one request in flight.

Rules
  - Over TCP the first bytes that are no frame close the connection. On an RTU line they cost one answer: frames have
    checksums, and what comes next can be trusted again.
  - Errors do not name the device; whoever asked does.

A bare asyncio protocol: per poll it costs a half to a fifth of what a client library costs.
"""

import asyncio
from contextlib import suppress
from typing import cast

from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_framing import Framing
from envmon.drivers.modbus_plan import Span
from envmon.host.names import addresses
from envmon.model.reading import Reason
from envmon.wire.frame import FrameError
from envmon.wire.modbus import Refusal


class Link(asyncio.Protocol):
    """An asyncio protocol over whatever transport carries the bytes."""

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes | Refusal] | None = None
        self._fault: DeviceError | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._fault is None

    async def ask(self, unit_id: int, span: Span) -> bytes | Refusal:
        """Send one read and wait for its answer, as long as the caller lets it. Raises DeviceError."""
        if self._fault is not None or self._transport is None:
            raise self._told()
        try:
            request = self.framing.ask(unit_id, span.function, span.address, span.count)
        except ValueError as error:  # a profile that counts units beyond what the line can have
            raise DeviceError(Reason.REFUSED, str(error)) from None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None
            self.framing.forget()
            if self._silence is not None:
                self._silence.cancel()

    async def close(self) -> None:
        """Close the connection and wait until it is gone."""
        if self._transport is not None:
            self._transport.abort()  # there is nothing to flush: one small request at a time
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand over the answer that is waited for (asyncio calls this)."""
        try:
            answer = self.framing.feed(data)
        except FrameError as error:
            self._garbage(error)
            return
        if self._answer is None or self._answer.done():
            return
        if answer is not None:
            self._answer.set_result(answer)
        elif self.framing.silence_s:
            if self._silence is not None:
                self._silence.cancel()
            self._silence = asyncio.get_running_loop().call_later(self.framing.silence_s, self._quiet)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits (asyncio calls this)."""
        how = str(exc) if exc is not None else "the device closed it"
        self._fail(DeviceError(Reason.UNREACHABLE, f"connection lost: {how}"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _quiet(self) -> None:
        try:
            self.framing.quiet()
        except FrameError as error:
            self._garbage(error)

    def _garbage(self, error: FrameError) -> None:
        if not self.framing.identifies:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(DeviceError(Reason.GARBAGE, str(error)))
            return
        self._fail(DeviceError(Reason.GARBAGE, f"{error}; connection closed"))
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, fault: DeviceError) -> None:
        if self._fault is None:
            self._fault = fault
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._told())

    def _told(self) -> DeviceError:
        """Return the fault, anew for everybody who meets it."""
        return (self._fault or DeviceError(Reason.UNREACHABLE, "not connected")).anew()


async def connect(host: str, port: int, framing: Framing) -> Link:
    """Open a connection. Raises DeviceError; how long it may take is the caller's deadline."""
    loop = asyncio.get_running_loop()
    try:
        *others, last = await addresses(host)
        for address in others:
            with suppress(OSError):
                return (await loop.create_connection(lambda: Link(framing), address, port))[1]
        return (await loop.create_connection(lambda: Link(framing), last, port))[1]
    except OSError as error:
        raise DeviceError(Reason.UNREACHABLE, f"cannot connect: {error.strerror or error}") from None
