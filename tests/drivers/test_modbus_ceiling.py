"""No device is asked faster than its profile says, whatever it answers: polls in a time that passes by itself."""

import asyncio
import selectors
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, cast

from driver_rig import profile, register, settings, temperature
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from envmon.drivers import open_driver
from envmon.drivers.contract import DeviceError, Driver
from envmon.drivers.modbus_framing import TcpFraming
from envmon.drivers.modbus_line import Line, Lines
from envmon.drivers.modbus_link import Link
from envmon.profiles.bind import bind_at, place
from envmon.profiles.schema import ModbusLimits
from envmon.wire.modbus import FrameBuffer, decode_request, encode_exception, encode_response


class Timeless(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer when there is nothing to do."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self.now


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: Timeless) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits for nothing"
        self._loop.now += max(timeout, 0.0)
        return super().select(0)


FATES = ("answer", "answer", "answer", "refuse", "silence", "hang up", "garbage")


@dataclass
class Plant:
    """Units behind one gateway: what becomes of each request, and when each unit was asked and done."""

    fates: Iterator[tuple[str, float]]
    began: dict[int, list[float]] = field(default_factory=dict)
    ended: dict[int, list[float]] = field(default_factory=dict)

    async def open_link(self) -> Link:
        link = Link(TcpFraming(iter(range(1, 1 << 16))))
        link.connection_made(Wire(self, link))
        return link


class Wire(asyncio.Transport):
    """The gateway's end of a connection."""

    def __init__(self, plant: Plant, link: Link) -> None:
        super().__init__()
        self._plant, self._link = plant, link
        self._frames = FrameBuffer()
        self._loop = cast("Timeless", asyncio.get_running_loop())
        self._open = True

    def write(self, data: Any) -> None:
        for frame in self._frames.feed(bytes(data)):
            request = decode_request(frame)
            fate, after_s = next(self._plant.fates)
            self._plant.began.setdefault(request.unit_id, []).append(self._loop.time())
            answer = encode_response(request, bytes(2 * request.count))
            if fate == "refuse":
                answer = encode_exception(request, 2)
            elif fate == "garbage":
                answer = b"HTTP/1.1 400 Bad Request\r\n"
            if fate == "hang up":
                self._loop.call_later(after_s, self.abort)
            elif fate != "silence":
                self._loop.call_later(after_s, self._send, request.unit_id, answer)

    def _send(self, unit: int, answer: bytes) -> None:
        if self._open:
            if self._link._answer is not None:  # not too late
                self._plant.ended.setdefault(unit, []).append(self._loop.time())
            self._link.data_received(answer)

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._loop.call_soon(self._link.connection_lost, None)

    def is_closing(self) -> bool:
        return not self._open


def devices(limits: list[ModbusLimits], plant: Plant, loop: Timeless) -> list[Driver]:
    lines = Lines()
    asks = replace(settings(502, deadline_s=3.0), interval_s=10.0)
    lines._known["tcp", asks.host, 502] = Line(plant.open_link)
    opened = []
    for unit, each in enumerate(limits, 1):
        kind = profile([temperature(f"t{n}", register(3, 2 * n)) for n in range(5)], each)
        at = place(kind, site="s", device=f"d{unit}", path="p", zone="z")
        here = replace(asks, id=f"d{unit}", unit_id=unit)
        opened.append(
            open_driver(here, kind, bind_at(kind, at), at=at, lines=lines, clock=loop.time, jitter=lambda: 0.0)
        )
    return opened


async def polled(device: Driver, polls: int, every_s: float) -> None:
    async with device:
        for _ in range(polls):
            try:
                await device.poll()
            except DeviceError:
                await asyncio.sleep(1.0)
            await asyncio.sleep(every_s)


async def together(opened: list[Driver], every_s: float) -> None:
    await asyncio.gather(*(polled(device, 4, every_s) for device in opened))


LIMITS = st.builds(
    ModbusLimits,
    pause_ms=st.sampled_from([0, 0, 30, 400]),
    pause_after_connect_ms=st.sampled_from([0, 50]),
    max_requests_per_s=st.sampled_from([0.5, 1.0, 3.0, 7.5, 20.0]),
)
FATE = st.tuples(st.sampled_from(FATES), st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.1]))


@examples(max_examples=60, deadline=None)
@given(
    st.lists(LIMITS, min_size=1, max_size=3), st.lists(FATE, min_size=1, max_size=40), st.sampled_from([0.0, 0.2, 2.0])
)
def test_no_device_is_asked_faster_than_its_ceiling_whatever_it_does(
    limits: list[ModbusLimits], fates: list[tuple[str, float]], every_s: float
):
    loop = Timeless()
    plant = Plant(fates=iter(fates * 100 + [("answer", 0.01)] * 10_000))
    try:
        loop.run_until_complete(asyncio.wait_for(together(devices(limits, plant, loop), every_s), 100_000))
    finally:
        loop.close()
    assert plant.began
    for unit, moments in plant.began.items():
        least_s = 1 / limits[unit - 1].max_requests_per_s
        assert all(later - earlier >= least_s - 1e-6 for earlier, later in pairwise(moments)), (unit, moments)
        pause_s = limits[unit - 1].pause_ms / 1000
        for done in plant.ended.get(unit, ()):
            following = [moment for moment in moments if moment > done]
            assert not following or following[0] - done >= pause_s - 1e-6
