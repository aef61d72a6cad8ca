"""The addresses of devices, looked up in threads of their own.

Rules
  - Devices are many, and a resolver that is dead holds one thread for each of them for 20 s or so: they wait for one
    another, while edges, pagers, brokers and the lease find their few names in the loop's default threads.
  - IPv4 comes first, which every card serves. An address is its own address, and waits for nobody.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final

AT_ONCE = 32

_threads: Final = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="device-names")


async def addresses(host: str) -> tuple[str, ...]:
    """Return the addresses of ``host``, at least one. Raises OSError."""
    with suppress(ValueError):
        return (str(ip_address(host)),)
    look_up = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_threads, look_up)
    ordered = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in ordered))
