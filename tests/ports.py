"""Ports for the servers of the tests that no other test process is given.

    port = free_port()

Rules
- A test process takes one block of ports for as long as it lives. What marks a block as taken is an abstract Unix
  socket (unix(7)): it is gone with the process, however that ends, and holds where the ports do, in one network
  namespace. So two suites at once never choose the same port, however long a server takes to listen on its own.
- Every block lies below the range the kernel gives to sockets by itself (ip(7), ip_local_port_range), so no client's
  connection sits on a port between its choice and its use, or while the server behind it is restarted.
- A port is free for UDP and TCP when it is given, and its three neighbours are nobody's: sipp takes some of them for
  media. Ports come round again when the block is used up, the oldest first.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from itertools import cycle

HOST = "127.0.0.1"
_FIRST, _BLOCKS, _SIZE, _APART = 10_000, 20, 500, 4


def free_port() -> int:
    """A port of the loopback that is free for UDP and TCP."""
    for port in _own_ports():
        with ExitStack() as held, suppress(OSError):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                held.enter_context(socket.socket(socket.AF_INET, kind)).bind((HOST, port))
            return port
    raise AssertionError("cycle() has no end")


def free_ports(count: int) -> Iterator[int]:
    """So many of them, all different."""
    return iter([free_port() for _ in range(count)])


@cache
def _own_ports() -> Iterator[int]:
    """The ports of the block this process takes, over and over."""
    for turn in range(_BLOCKS):
        block = (os.getpid() + turn) % _BLOCKS
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0envmon-tests-ports-{block}")
        except OSError:
            mark.close()
            continue
        mark.detach()  # held until the process ends
        first = _FIRST + block * _SIZE
        return cycle(range(first, first + _SIZE, _APART))
    raise RuntimeError(f"{_BLOCKS} test processes run here already: no block of ports is left")
