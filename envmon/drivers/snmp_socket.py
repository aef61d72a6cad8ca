"""One connected socket to one SNMP agent: a datagram out, the answer to it in.

Rules
  - The socket is connected: the kernel lets in nobody's datagrams but the agent's.
  - One request at a time. A wait ends at ``deadline``, or when whoever asked is cancelled.
  - Who opened a socket closes it: the loop knows it until then.
  - What comes while nobody waits is too late: it is read and dropped.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, TypeVar

from envmon.wire.snmp_get import LEAST_REQUEST

T = TypeVar("T")

_MOST_STRANGE = 50  # datagrams that are no answer to us, read in one go
_POOL = 1024  # numbers made in one go
_received = bytearray(1 << 16)  # no datagram is larger; it is read by one socket after the other


class SnmpSocket:
    """``address`` is that of a host, not its name. Raises OSError where there is no way to it.

    ``deadline`` is by the loop's clock; None until one is set. A timer of its own costs a third of asyncio's timeout.
    """

    __slots__ = ("_answer", "_loop", "_read", "_socket", "deadline")

    def __init__(self, address: str, port: int) -> None:
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
        self.deadline: float | None = None
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Any] | None = None
        self._read: Callable[[bytes], Any]
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect((address, port))
            self._loop.add_reader(self._socket.fileno(), self._receive)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    async def ask(self, request: bytes, read: Callable[[bytes], T | None]) -> T:
        """Send a datagram and wait until ``read`` finds the answer in one; it returns None for one that is not.

        Raises what ``read`` raises, TimeoutError, ConnectionRefusedError where nothing listens, and other OSErrors.
        """
        self._read = read
        self._answer = self._loop.create_future()  # no variable names it: its error keeps this frame
        timer = None if self.deadline is None else self._loop.call_at(self.deadline, _expire, self._answer)
        try:
            self._socket.send(request)
            return await self._answer  # type: ignore[no-any-return]  # what the reader returns
        finally:
            self._answer = None
            del self._read  # and all that it knows
            if timer is not None:
                timer.cancel()

    def _receive(self) -> None:
        answer = self._answer
        if answer is None or answer.done():
            with suppress(OSError):
                self._socket.recv_into(_received)
            return
        try:
            for _ in range(_MOST_STRANGE):
                size = self._socket.recv_into(_received)
                found = self._read(bytes(memoryview(_received)[:size]))
                if found is not None:
                    answer.set_result(found)
                    return
        except BlockingIOError:
            return
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            answer.set_exception(error)
            del answer  # the error keeps this frame


def _expire(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _identifiers() -> Iterator[int]:
    """Yield numbers for requests that nobody can guess, of four bytes each; the system is asked for many at once."""
    while True:
        pool = memoryview(os.urandom(4 * _POOL)).cast("I")
        yield from (LEAST_REQUEST | number & 0x7FFF_FFFF for number in pool)


identifiers = _identifiers()
"""Of requests and of messages."""
