"""The client library's session with a cheaper wait for an answer.

Rules
  - Only how an answer is waited for is ours; what is sent, and what is an answer, is the library's.
  - There is no timeout here: whoever asks ends the wait, by cancelling it.
  - Who opened a session closes it: the loop knows its socket until then.
  - What comes while nobody waits is too late: it is read and dropped.

The library's own wait makes a timer and a chain of callbacks for each request and tells the kernel twice of its socket,
a sixth of what a poll costs. It offers no other way in, so its private ``_recv`` is replaced; the drivers' tests hold
both to the same behaviour.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from gufo.snmp.aio import SnmpSession

T = TypeVar("T")

_MOST_BYTES = 1 << 16  # no datagram is larger


class SnmpSocket(SnmpSession):
    """One socket to one agent, one request at a time."""

    _answer: asyncio.Future[Any] | None = None
    _receiver: Callable[[], Any]
    _loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """Let go of the socket."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    async def _recv(self, receiver: Callable[[], T]) -> T:
        """Wait until ``receiver`` has got an answer; it raises BlockingIOError for a datagram that is none."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._fd, self._read)
        self._receiver = receiver
        self._answer = answer = loop.create_future()
        try:
            return await answer  # type: ignore[no-any-return]  # what the receiver returns
        finally:
            self._answer = None

    def _read(self) -> None:
        answer = self._answer
        if answer is None or answer.done():
            with suppress(OSError):
                os.read(self._fd, _MOST_BYTES)
            return
        try:
            answer.set_result(self._receiver())
        except BlockingIOError:
            return
        except BaseException as error:  # noqa: BLE001 - the native code's panics are no Exception
            answer.set_exception(error)
