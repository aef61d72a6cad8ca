"""How many files a daemon of this configuration holds open at its busiest, told before devices fail for want of one.

Rules
  - An estimate from above. A device holds one socket; an edge is asked, commanded and called at once, by HTTP, SIP or a
    program; what is left (journal, listeners, browsers, brokers, the lease) has room in ``OWN``.
"""

from collections.abc import Iterator

from envmon.config.settings import Settings

OWN = 200
PER_EDGE = 24
PER_PROOF = 8
PER_PAGER = 8


def needed(settings: Settings) -> int:
    """Return how many."""
    asked = PER_EDGE * len(settings.edges) + PER_PROOF * len(settings.proofs) + PER_PAGER * len(settings.pagers)
    return OWN + len(settings.devices) + asked


def shortage(settings: Settings, most: int) -> Iterator[str]:
    """Say so when ``most`` are too few."""
    if needed(settings) > most:
        devices = len(settings.devices)
        yield (
            f"{devices} devices and the rest need about {needed(settings)} open files, {most} are allowed "
            "(ulimit -Hn): raise LimitNOFILE in the unit, or devices and edges will fail for want of a socket"
        )
