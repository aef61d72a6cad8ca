"""Threads of our own, for what blocks on the disk or the processor: nothing in them ever waits for a name.

Rules
  - Everything of ours that blocks runs through ``aside``; ``asyncio.to_thread`` is not used.
  - The loop's default threads are left to name resolution and to libraries, which put it nowhere else.

Theory of operation
  asyncio resolves every name in the loop's default threads, a handful of them, and a resolver that is dead holds each
  for 20 s or so: the disk must be reached beside them. The names of devices, which are many, are looked up elsewhere
  (``names``), so that those of edges, pagers and the lease do not wait behind them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

NAMES = 64  # look-ups at once; a thread is made when it is needed
ASIDE = 8  # reloads, audits and secrets at once

P = ParamSpec("P")
T = TypeVar("T")

_aside: Final = ThreadPoolExecutor(ASIDE, thread_name_prefix="envmon")


async def aside(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``call`` returns, in a thread. Who is cancelled leaves the call to end by itself."""
    return await asyncio.get_running_loop().run_in_executor(_aside, partial(call, *args, **kwargs))


def spread_names() -> None:
    """Give the running loop room for names that hang beside names that do not."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(NAMES, thread_name_prefix="names"))
