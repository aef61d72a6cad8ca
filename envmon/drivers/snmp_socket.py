"""The client library's session with a cheaper wait for an answer.

Rules
  - Only how an answer is waited for is ours; what is sent, and what is an answer, is the library's.
  - There is no timeout here: whoever asks ends the wait, by cancelling it.

The library's own wait makes a timer and a chain of callbacks for each request, a sixth of what a poll costs. It offers
no other way in, so its private ``_recv`` is replaced; the drivers' tests hold both to the same behaviour.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gufo.snmp.aio import SnmpSession

T = TypeVar("T")


class SnmpSocket(SnmpSession):
    """One socket to one agent, one request at a time."""

    async def _recv(self, receiver: Callable[[], T]) -> T:
        """Wait until ``receiver`` has got an answer; it raises BlockingIOError for a datagram that is none."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def read() -> None:
            if answer.done():
                return
            try:
                answer.set_result(receiver())
            except BlockingIOError:
                return
            except BaseException as error:  # noqa: BLE001 - the native code's panics are no Exception
                answer.set_exception(error)

        loop.add_reader(self._fd, read)
        try:
            return await answer
        finally:
            loop.remove_reader(self._fd)
