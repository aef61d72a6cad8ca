"""Sockets for HTTP requests that command or page: what was given up is not delivered later.

Rules
  - A request that is given up while the network is away lies in the kernel, which would deliver it when the network is
    back: behind its own repetition, or behind what was sent since. Giving up takes it back: the socket is reset.
  - A request that was answered ends as any other: a reset is an error in the log of who answered. What callers raise
    of an answer (a refusal, a fence) takes nothing back.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import aiohttp

_UNANSWERED = (TimeoutError, asyncio.CancelledError, aiohttp.ClientError, OSError)
_FOR_NO_TIME = struct.pack("ii", 1, 0)  # struct linger: closing throws away what is not delivered (socket(7))


class Revocable:
    """Makes the sockets of one aiohttp session (its ``socket_factory``)."""

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def __call__(self, address: tuple[Any, ...]) -> socket.socket:
        """Make one for an address as ``getaddrinfo`` gives it. Raises OSError."""
        made = socket.socket(*address[:3])
        made.setblocking(False)
        self._made.add(made)
        return made

    @contextmanager
    def answered_or_taken_back(self) -> Iterator[None]:
        """What is sent in here is reset where no answer came; aiohttp closes the socket a moment later."""
        try:
            yield
        except _UNANSWERED:
            for made in self._made:
                if made.fileno() >= 0:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FOR_NO_TIME)
            raise
