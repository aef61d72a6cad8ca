"""A simulated SNMP agent (v1 and v2c over UDP): one device's variables, faults on demand.

Rules
  - Reads only, as the codec. A wrong community or a datagram that is not SNMP gets no answer (RFC 3584, RFC 3416).
  - Answers are in OID order, by RFC 1157 for v1 (noSuchName) and RFC 3416 for v2c (noSuchInstance, endOfMibView).
  - An answer larger than ``max_size`` is tooBig; a bulk answer is cut short instead.
  - Loopback unless told otherwise; port 0 takes a free one (see ``port``).
"""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from envmon.sim.registers import Trouble
from envmon.wire import ber
from envmon.wire.frame import FrameError
from envmon.wire.snmp import (
    ErrorStatus,
    Message,
    PduType,
    Tag,
    Value,
    VarBind,
    Version,
    decode_message,
    encode_message,
)

_GARBAGE = b"\x30\x03not"
_MAX_SIZE = 1472  # one Ethernet frame


class Agent(Protocol):
    """What an agent answers from: a simulated device, or a recording of a real one."""

    trouble: Trouble

    @property
    def view(self) -> Mapping[ber.Oid, Value]:
        """Every variable."""
        ...

    @property
    def order(self) -> Sequence[ber.Oid]:
        """The names of all variables, ascending."""
        ...

    @property
    def first(self) -> ber.Oid:
        """The variable whose reading counts as a poll."""
        ...

    def heard(self, *, first_point: bool) -> None:
        """Count a request."""
        ...


class SnmpAgent:
    """Serves one device; an async context manager. ``bulk`` False ignores GETBULK, as some cards do."""

    def __init__(
        self,
        device: Agent,
        *,
        community: str = "public",
        host: str = "127.0.0.1",
        port: int = 0,
        bulk: bool = True,
        max_size: int = _MAX_SIZE,
    ) -> None:
        self.device = device
        self._community = community.encode()
        self._at = (host, port)
        self._bulk = bulk
        self._max_size = max_size
        self._transport: asyncio.DatagramTransport | None = None
        self._late: set[asyncio.TimerHandle] = set()
        self._first = device.first

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._at[1]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(self), local_addr=self._at)
        self._at = self._transport.get_extra_info("sockname")[:2]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for timer in self._late:
            timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def receive(self, data: bytes, peer: tuple[str, int]) -> None:
        """Answer one datagram, now or after the device's delay."""
        try:
            request = decode_message(data)
        except FrameError:
            return
        if request.community != self._community or request.kind is PduType.RESPONSE:
            return
        self.device.heard(first_point=any(variable.oid == self._first for variable in request.variables))
        trouble = self.device.trouble
        if trouble.silent or (request.kind is PduType.GET_BULK and not self._bulk):
            return
        answer = _GARBAGE if trouble.garbage else self._encode(request)
        if not trouble.delay_ms:
            self._send(answer, peer)
            return
        timer = asyncio.get_running_loop().call_later(trouble.delay_ms / 1000, self._send, answer, peer)
        self._late = {other for other in self._late if not other.cancelled()} | {timer}

    def _send(self, answer: bytes, peer: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, peer)

    def _encode(self, request: Message) -> bytes:
        if self.device.trouble.refuse:
            return encode_message(request.answer(request.variables, self.device.trouble.refuse, 1))
        answer = self._answer(request)
        encoded = encode_message(answer)
        while len(encoded) > self._max_size and request.kind is PduType.GET_BULK and len(answer.variables) > 1:
            answer = request.answer(answer.variables[: len(answer.variables) // 2])
            encoded = encode_message(answer)
        if len(encoded) > self._max_size:
            kept = request.variables if request.version is Version.V1 else ()
            return encode_message(request.answer(kept, ErrorStatus.TOO_BIG))
        return encoded

    def _answer(self, request: Message) -> Message:
        view, order = self.device.view, self.device.order
        match request.kind:
            case PduType.GET:
                found = [VarBind(v.oid, view.get(v.oid, Value(Tag.NO_SUCH_INSTANCE))) for v in request.variables]
            case PduType.GET_NEXT:
                found = [_after(view, order, v.oid) for v in request.variables]
            case _:
                found = _bulk(view, order, request)
        if request.version is Version.V1:
            for index, variable in enumerate(found, 1):
                if variable.value.tag in {Tag.NO_SUCH_INSTANCE, Tag.END_OF_MIB_VIEW}:
                    return request.answer(request.variables, ErrorStatus.NO_SUCH_NAME, index)
        return request.answer(tuple(found))


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, agent: SnmpAgent) -> None:
        self._agent = agent

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._agent.receive(data, addr)


def _after(view: Mapping[ber.Oid, Value], order: Sequence[ber.Oid], oid: ber.Oid) -> VarBind:
    place = bisect_right(order, oid)
    if place == len(order):
        return VarBind(oid, Value(Tag.END_OF_MIB_VIEW))
    return VarBind(order[place], view[order[place]])


def _bulk(view: Mapping[ber.Oid, Value], order: Sequence[ber.Oid], request: Message) -> list[VarBind]:
    """RFC 3416 section 4.2.3; the two numbers travel in the error fields."""
    once, times = max(0, request.error_status), max(0, request.error_index)
    found = [_after(view, order, variable.oid) for variable in request.variables[:once]]
    at = [variable.oid for variable in request.variables[once:]]
    for _ in range(min(times, len(order) + 1)):
        row = [_after(view, order, oid) for oid in at]
        found += row
        at = [variable.oid for variable in row]
        if all(variable.value.tag is Tag.END_OF_MIB_VIEW for variable in row):
            break
    return found
