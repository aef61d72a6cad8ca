"""How a daemon that keeps a whole fleet in memory handles that memory.

Rules
  - What the start built lives as long as the daemon: it is never looked at again.
  - Reference counting frees nearly everything at once; only cycles wait for the collector.
  - Large blocks (a snapshot, a scrape's page) go back to the system when they are freed.

With thousands of devices the collector at its defaults takes a third of all CPU time, and stops the loop for a tenth
of a second whenever it looks at everything. And glibc at its defaults keeps what large blocks have once taken, in a
heap of its own for every thread: some ten megabytes that only grow.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 100_000  # containers made and, as the collector counts, not freed: so much garbage may wait, 15 MB at most
RATIOS = (20, 20)  # looks at the young for one at the older ones, and of these for one at everything not frozen

LARGE = 1 << 20  # bytes
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


@contextmanager
def building() -> Iterator[None]:
    """Build the daemon in here, undisturbed; what is left at the end is kept for good."""
    gc.disable()
    _give_back()
    try:
        yield
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, *RATIOS)
    finally:
        gc.enable()


def _give_back() -> None:
    """Tell glibc (mallopt(3)); another C library has its own ways."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_ARENA_MAX, 1)
