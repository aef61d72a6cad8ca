"""How many files (sockets, most of them) this process may hold open.

Rules
  - The soft limit is for programs that use select(2), which this one does not: the hard limit is what counts.
"""

import resource
import sys
from contextlib import suppress


def most() -> int:
    """Return the hard limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def allow_most() -> None:
    """Raise the soft limit to the hard one, where the system lets us."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
