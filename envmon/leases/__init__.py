"""The right to act: one holder at a time, and the number that fences an old one.

Rules
  - ``LEASES`` is the whole list; a configuration's ``lease.kind`` is one of its keys.
"""

from collections.abc import Callable

from envmon.config.settings import Settings
from envmon.leases.contract import Lease
from envmon.leases.etcd import EtcdLease
from envmon.leases.local import LocalLease

LEASES: dict[str, Callable[[Settings], Lease]] = {
    "local": lambda settings: LocalLease(settings.daemon.state_dir),
    "etcd": lambda settings: EtcdLease(settings.lease, settings.policy.site),
}
