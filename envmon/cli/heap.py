"""How often Python looks for garbage in a daemon that keeps a whole fleet in memory.

Rules
  - What the start built lives as long as the daemon: it is never looked at again.
  - Reference counting frees nearly everything at once; only cycles wait for the collector.

With thousands of devices the collector at its defaults takes a third of all CPU time, and stops the loop for a tenth
of a second whenever it looks at everything.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 500_000  # containers made and, as the collector counts, not freed; it misses most of those that were
RATIOS = (20, 20)  # looks at the young for one at the older ones, and of these for one at everything not frozen


@contextmanager
def building() -> Iterator[None]:
    """Build the daemon in here, undisturbed; what is left at the end is kept for good."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, *RATIOS)
    finally:
        gc.enable()
