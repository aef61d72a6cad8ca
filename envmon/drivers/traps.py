"""Listens for SNMP traps and informs, and says which device to look at now.

Rules
  - A notification is a reason to poll and nothing else: no state is ever read from it.
  - Known by its address: a notification counts for every device polled at the address it came from, with their login.
  - Nothing that arrives can hurt: see ``trap_gate`` for floods and ``trap_engine`` for bytes. At most ``READS_PER_S``
    datagrams a second are even read; the kernel drops the rest and we count them.
  - Where the address cannot be listened on, the fault is told once and tried again; polling goes on without traps.

Theory of operation
  One socket, read in small batches on the event loop. Names of devices are resolved, and worn engines replaced, every
  ``_RENEW_S`` in a thread: both may take long.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from envmon.config.settings import DeviceSettings, SnmpSettings, TrapSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.trap_engine import TrapEngine
from envmon.drivers.trap_gate import Allowance, Gate, Outcome
from envmon.host.names import addresses
from envmon.host.threads import aside

log = logging.getLogger(__name__)

READS_PER_S: Final = 2000
_BATCH = 50
_PAUSE_S = _BATCH / READS_PER_S
_MOST_BYTES = 65_535
_RENEW_S = 60.0
_RETRY_S = 30.0
_SO_RXQ_OVFL = 40  # linux/socket.h: how many datagrams the kernel dropped, beside each one read
_TOLD_STRANGERS = 10  # of all the addresses in the world, those that are logged

_HINTS = {
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE (deploy/systemd/traps.conf), or listen on another port",
    errno.EADDRINUSE: "another program (snmptrapd?) has the port",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


class TrapListener:
    """Calls ``notice`` with the id of each device that sent a notification. ``gate.counts`` says what arrived."""

    def __init__(
        self, settings: TrapSettings, site: str, devices: Iterable[DeviceSettings], notice: Callable[[str], None]
    ) -> None:
        self.gate = Gate()
        self.failure = "not listening yet"
        """Why nothing is received; "" while it is."""
        self._settings = settings
        self._site = site
        self._notice = notice
        self._devices = tuple(device for device in devices if not device.host.startswith("/"))
        self._senders: Mapping[str, Mapping[SnmpSettings, tuple[str, ...]]] = {}
        self._engines: dict[SnmpSettings, TrapEngine] = {}
        self._told: set[str] = set()
        self._dropped = 0
        self._reads = Allowance(READS_PER_S, _BATCH)
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            await self._renew()
            try:
                self._socket = _bound(self._settings)
            except OSError as error:
                self._tell_failure(error)
                await asyncio.sleep(_RETRY_S)
                continue
            try:
                await self._listen(self._socket)
            finally:
                self._socket.close()
                self._socket = None

    async def _listen(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.failure = ""
        log.info("traps are received on %s:%d", self._settings.host, self.port)
        loop.add_reader(sock, self._readable, sock)
        try:
            while True:
                await asyncio.sleep(_RENEW_S)
                await self._renew()
        finally:
            loop.remove_reader(sock)

    def _readable(self, sock: socket.socket) -> None:
        """Read a batch, as far as the allowance goes; after it let the kernel wait and drop."""
        loop = asyncio.get_running_loop()
        for _ in range(_BATCH):
            if not self._reads.take(loop.time()):
                break
            try:
                data, ancillary, _, sender = sock.recvmsg(_MOST_BYTES, 64)
            except BlockingIOError:
                return
            except OSError as error:  # an answer of ours was refused; the next datagram is unharmed
                log.debug("traps: %s", error)
                return
            self._count_dropped(ancillary)
            self._take(data, sender, loop.time())
        loop.remove_reader(sock)
        loop.call_later(_PAUSE_S, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        if self._socket is sock:
            asyncio.get_running_loop().add_reader(sock, self._readable, sock)

    def _count_dropped(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                (total,) = struct.unpack("=I", value[:4])
                self.gate.counts[Outcome.OVERFLOWED] += (total - self._dropped) & 0xFFFFFFFF
                self._dropped = total

    def _take(self, data: bytes, sender: tuple[Any, ...], now: float) -> None:
        host = _plain(sender[0])
        if not self.gate.admits(host, now):
            self._tell_stranger(host)
            return
        outcome = Outcome.REFUSED
        for login, devices in self._senders[host].items():
            engine = self._engines.get(login)
            outcome = engine.receive(data, sender) if engine is not None else Outcome.REFUSED
            if outcome is Outcome.ACCEPTED:
                for device in devices:
                    self._notice(device)
            if outcome is not Outcome.REFUSED:
                break
        self.gate.counts[outcome] += 1
        if outcome is Outcome.REFUSED:
            self._tell_refused(host)

    async def _renew(self) -> None:
        """Resolve the devices' names again, and build the engines that are missing or worn."""
        senders = await _senders(self._devices, self._settings)
        wanted = {login for logins in senders.values() for login in logins}
        for login in wanted:
            if login not in self._engines or self._engines[login].worn:
                try:
                    self._engines[login] = await aside(self._engine, login)
                except DeviceError as error:
                    self._engines.pop(login, None)
                    self._tell(f"login:{login.user}", f"some traps cannot be accepted: {error}")
        self._senders = senders  # together with the gate: whom it admits is looked up here
        self.gate.let_in(senders)

    def _engine(self, login: SnmpSettings) -> TrapEngine:
        community = self._settings.community
        return TrapEngine(self._site, login, (community,) if community else (), self._send)

    def _send(self, data: bytes, to: tuple[Any, ...]) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(data, to)
            except OSError as error:
                log.debug("traps: the answer to an inform was not sent: %s", error)

    def _tell_failure(self, error: OSError) -> None:
        hint = f"; {_HINTS[error.errno]}" if error.errno in _HINTS else ""
        self.failure = f"{self._settings.host}:{self._settings.port}: {error.strerror or error}{hint}"
        self._tell("listen", f"no traps are received, polling goes on: {self.failure}")

    def _tell_refused(self, host: str) -> None:
        devices = ", ".join(name for names in self._senders[host].values() for name in names)
        self._tell(host, f"{devices} ({host}) sends notifications that do not carry its own login")

    def _tell_stranger(self, host: str) -> None:
        if host not in self._senders and len(self._told) < _TOLD_STRANGERS:
            self._tell(host, f"{host} sends notifications and is no device of ours")

    def _tell(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            log.warning("traps: %s", text)


async def _senders(
    devices: Iterable[DeviceSettings], settings: TrapSettings
) -> dict[str, dict[SnmpSettings, tuple[str, ...]]]:
    """Return who may send: address, then login, then the devices polled there. A name that fails is left out."""
    found: dict[str, dict[SnmpSettings, tuple[str, ...]]] = {}
    for device in devices:
        login = device.snmp
        if not (settings.community or login.community or login.user):
            continue
        for address in await _addresses(device.host):
            logins = found.setdefault(address, {})
            logins[login] = (*logins.get(login, ()), device.id)
    return found


async def _addresses(host: str) -> Iterable[str]:
    try:
        return {_plain(address) for address in await addresses(host)}
    except OSError:
        return ()


def _plain(address: str) -> str:
    """Return an address without its scope, and an IPv4 address that came through IPv6 as it is."""
    given = ip_address(address.partition("%")[0])
    if isinstance(given, IPv6Address) and given.ipv4_mapped is not None:
        return str(given.ipv4_mapped)
    return str(given)


def _bound(settings: TrapSettings) -> socket.socket:
    """Open the socket. Raises OSError."""
    family, *_, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
