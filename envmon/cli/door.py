"""Orders over HTTPS of one daemon: certificates are read before they take force, so that a bad one changes nothing."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from envmon.config.settings import OrdersSettings
from envmon.core.world import World
from envmon.runtime.counters import Counters
from envmon.runtime.daemon import Daemon
from envmon.web.certificates import context
from envmon.web.orders import OrderServer


class OrderDoor:
    """The server where one is configured; ``prepare`` at every reading of the configuration, ``open`` once."""

    def __init__(self) -> None:
        self._server: OrderServer | None = None

    def prepare(self, settings: OrdersSettings | None) -> Callable[[], None]:
        """Read the certificates; what is returned puts them into force. Raises CertificateError."""
        if settings is None:
            return lambda: None
        made = context(settings)

        def in_force() -> None:
            if self._server is not None:
                self._server.renew(settings, made)

        return in_force

    def open(
        self, settings: OrdersSettings | None, daemon: Daemon[World], counters: Counters
    ) -> AbstractAsyncContextManager[Any]:
        """Listen while entered, where it is configured. Raises CertificateError, and ListenError on entry."""
        if settings is None:
            return nullcontext()
        self._server = OrderServer(settings, context(settings), daemon.order, daemon.told, counters)
        return self._server
