"""The Unix socket operators give orders through; who they are comes from the kernel, never from the request.

Rules
  - The socket is mode 0660 from its first moment: its owner and group may order, nobody else.
  - A stale socket is removed; a living one belongs to another daemon and is an error; anything else is left alone.
  - Lines and idle times are bounded, and what one person may have (``crowd``); garbage gets one clear error line.
  - Who does not read answers is cut off: a client's place is free again only when its connection is gone.
  - Between any two clients, and any two requests, the loop turns for everything else.
  - An order counts for as long as its client waits, a minute at most, and not at all when the client has left: a daemon
    that was frozen finds yesterday's orders in its socket.
"""

import asyncio
import os
import select
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from envmon.config.settings import PeopleSettings
from envmon.model.event import Order
from envmon.runtime.ask import WAIT_S
from envmon.runtime.counters import Counters
from envmon.runtime.crowd import Crowd
from envmon.runtime.engine import Answer
from envmon.runtime.order_in import Asking, order_of
from envmon.runtime.order_line import LINE, RequestError, answer, encode, error, parse
from envmon.runtime.people import Peer, access, name, peer

IDLE_S = 30.0
COUNTS_S = 60.0  # the longest a client can make an order count
PAUSE_S = 0.001  # after somebody was turned away, so that a flood of clients costs little
EVERYBODY = PeopleSettings()
BACKLOG = 128


class DeskError(Exception):
    """The socket cannot be opened; the text says why and what to do."""


class OrderDesk:
    """Takes requests on the socket at ``path``, gives orders to ``submit`` and answers.

    With an order goes a function that tells whether its client still waits for the answer.
    """

    def __init__(
        self,
        path: Path,
        submit: Callable[[Order, Callable[[], bool]], Awaitable[Answer]],
        status: Callable[[], Mapping[str, Any]],
        counters: Counters,
        people: PeopleSettings = EVERYBODY,
        idle_s: float = IDLE_S,
    ) -> None:
        self._path = path
        self._submit = submit
        self._status = status
        self._counters = counters
        self._people = people
        self._idle_s = idle_s
        self._crowd = Crowd()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take the socket's path. Raises DeskError."""
        _check_parent(self._path.parent)
        _clear(self._path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        mask = os.umask(0o117)
        try:
            server.bind(os.fspath(self._path))
            server.listen(BACKLOG)
        except OSError as fault:
            server.close()
            raise DeskError(f"{self._path}: cannot open the socket: {fault.strerror or fault}") from None
        finally:
            os.umask(mask)
        self._socket = server

    def close(self) -> None:
        """Give the path back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Serve until cancelled. The desk must be open."""
        if self._socket is None:
            raise DeskError(f"{self._path}: the socket is not open")
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as clients:
            while True:
                connection, _ = await loop.sock_accept(self._socket)  # while others wait, at once
                who = peer(connection)
                if refused := self._crowd.enter(who):
                    self._turn_away(connection, refused)
                    await asyncio.sleep(PAUSE_S)
                else:
                    clients.create_task(self._serve(connection, who))
                    await asyncio.sleep(0)

    def _turn_away(self, connection: socket.socket, why: str) -> None:
        with connection, suppress(OSError):
            connection.send(encode(self._refused(why)))

    async def _serve(self, connection: socket.socket, who: Peer) -> None:
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE)
            await self._converse(reader, writer, who)
            writer.close()  # once the client has read what it was told
            async with asyncio.timeout(self._idle_s):
                await writer.wait_closed()
        except OSError:
            return  # the client left, or does not read; an order it gave is answered in the journal
        finally:
            if writer is None:
                connection.close()
            else:
                _cut_off(writer)
            self._crowd.leave(who)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: Peer) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await reader.readuntil()
            except TimeoutError:
                await self._send(writer, error(f"no request within {self._idle_s:g} s"))
                return
            except asyncio.LimitOverrunError:
                await self._send(writer, error(f"a request is at most {LINE} bytes"))
                return
            except asyncio.IncompleteReadError as rest:
                if rest.partial:
                    await self._send(writer, error("the request has no end of line"))
                return
            if refused := self._crowd.ask(who):
                await self._send(writer, self._refused(refused))
                return
            await self._send(writer, await self._answer(line, who, writer))
            await asyncio.sleep(0)  # the next line may be here already

    async def _answer(self, line: bytes, who: Peer, client: asyncio.StreamWriter) -> Mapping[str, Any]:
        try:
            request = parse(line)
        except RequestError as fault:
            return self._refused(str(fault))
        if request.command is None:
            return {"ok": True, "status": self._status()}
        may = access(self._people, who)
        if refused := self._crowd.order(who, may):
            return self._refused(refused)
        order = order_of(request.command, request, Asking(who.who, who.person, may))
        return answer(await self._submit(order, _wanted(client, request.deadline)), order.id)

    def _refused(self, why: str) -> Mapping[str, Any]:
        self._counters.refused_requests += 1
        return error(why)

    async def _send(self, writer: asyncio.StreamWriter, fields: Mapping[str, Any]) -> None:
        writer.write(encode(fields))
        async with asyncio.timeout(self._idle_s):
            await writer.drain()


def _wanted(client: asyncio.StreamWriter, deadline: float) -> Callable[[], bool]:
    """Return what tells whether a client still waits; one that does not say until when waits its usual time."""
    now = _boottime()
    until = min(deadline or now + WAIT_S, now + COUNTS_S)
    return lambda: _boottime() < until and not _has_left(client)


def _boottime() -> float:
    """Return the seconds since boot, those asleep included: the one clock that client and daemon share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _cut_off(client: asyncio.StreamWriter) -> None:
    """End a connection now: closing waits for ever for a client that does not read. One that has ended is left alone.

    A transport that closed after its last byte left fails when it is aborted, for it has given up its loop.
    """
    if client.get_extra_info("socket").fileno() >= 0:
        client.transport.abort()


def _has_left(client: asyncio.StreamWriter) -> bool:
    """Whether a client has closed its end; one that only sends no more (shutdown(2)) still waits for its answer."""
    connection = client.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return True
    look = select.poll()
    look.register(connection, select.POLLIN)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in look.poll(0))


def _check_parent(parent: Path) -> None:
    """Check that nobody else can put a socket of theirs in our place."""
    try:
        info = parent.stat()
    except OSError as fault:
        raise DeskError(f"{parent}: cannot hold the socket: {fault.strerror}; make it, or set daemon.socket") from None
    if not stat.S_ISDIR(info.st_mode):
        raise DeskError(f"{parent}: not a directory; set daemon.socket to another path")
    if info.st_uid not in (0, os.geteuid()):
        raise DeskError(f"{parent}: belongs to {name(info.st_uid)}, who could replace the socket; use our own")
    if info.st_mode & stat.S_IWOTH and not info.st_mode & stat.S_ISVTX:
        raise DeskError(f"{parent}: everybody may write there and could replace the socket; chmod o-w")


def _clear(path: Path) -> None:
    """Remove what a dead daemon left; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as fault:
        raise DeskError(f"{path}: {fault.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise DeskError(f"{path}: exists and is no socket; move it away, or set daemon.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as fault:
            raise DeskError(f"{path}: cannot tell whether its daemon lives: {fault.strerror or fault}") from None
    raise DeskError(f"{path}: another envmon answers there; stop it first")
