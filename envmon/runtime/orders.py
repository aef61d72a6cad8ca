"""The Unix socket operators give orders through; who they are comes from the kernel, never from the request.

Rules
  - The socket is mode 0660 from its first moment: its owner and group may order, nobody else.
  - A stale socket is removed; a living one belongs to another daemon and is an error; anything else is left alone.
  - Lines, clients and idle times are bounded; garbage gets one clear error line.
"""

import asyncio
import logging
import os
import pwd
import socket
import stat
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from envmon.model.event import Order
from envmon.runtime.counters import Counters
from envmon.runtime.engine import Answer
from envmon.runtime.order_line import LINE, RequestError, answer, encode, error, parse

log = logging.getLogger(__name__)

IDLE_S = 30.0
CLIENTS = 16
BACKLOG = 128  # more than are served: the rest is told so instead of being cut off
NO_LOGIN = 2**32 - 1  # audit login uid of a process nobody logged in for


class DeskError(Exception):
    """The socket cannot be opened; the text says why and what to do."""


class OrderDesk:
    """Takes requests on the socket at ``path``, gives orders to ``submit`` and answers."""

    def __init__(
        self,
        path: Path,
        submit: Callable[[Order], Awaitable[Answer]],
        status: Callable[[], Mapping[str, Any]],
        counters: Counters,
        idle_s: float = IDLE_S,
    ) -> None:
        self._path = path
        self._submit = submit
        self._status = status
        self._counters = counters
        self._idle_s = idle_s
        self._clients = 0
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
                connection, _ = await loop.sock_accept(self._socket)
                clients.create_task(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        try:
            who = peer(connection)
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE)
        except OSError:
            connection.close()
            return
        self._clients += 1
        try:
            if self._clients > CLIENTS:
                await self._send(writer, error(f"{CLIENTS} clients are connected already; try again"))
            else:
                await self._converse(reader, writer, who)
        except OSError:
            return  # the client left; an order it gave is answered in the journal
        finally:
            self._clients -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: str) -> None:
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
            await self._send(writer, await self._answer(line, who))

    async def _answer(self, line: bytes, who: str) -> Mapping[str, Any]:
        try:
            request = parse(line)
        except RequestError as fault:
            self._counters.refused_requests += 1
            return error(str(fault))
        if request.command is None:
            return {"ok": True, "status": self._status()}
        order = Order(uuid.uuid4().hex, request.command, request.route, who, request.reason)
        log.info("order %s: %s %s by %s (%s)", order.id, order.command, order.route, who, order.reason)
        return answer(await self._submit(order), order.id)

    async def _send(self, writer: asyncio.StreamWriter, fields: Mapping[str, Any]) -> None:
        writer.write(encode(fields))
        async with asyncio.timeout(self._idle_s):
            await writer.drain()


def peer(connection: socket.socket) -> str:
    """Return the user behind a connection (SO_PEERCRED, unix(7)), with the login behind it where it differs."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    login = _login_uid(pid)
    return _name(uid) if login in (None, uid) else f"{_name(uid)} (login {_name(login)})"


def _login_uid(pid: int) -> int | None:
    """Return the uid the peer logged in with (audit, proc(5)): who it was before sudo; None where it is not told."""
    try:
        login = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if login == NO_LOGIN else login


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"uid {uid}"


def _check_parent(parent: Path) -> None:
    """Check that nobody else can put a socket of theirs in our place."""
    try:
        info = parent.stat()
    except OSError as fault:
        raise DeskError(f"{parent}: cannot hold the socket: {fault.strerror}; make it, or set daemon.socket") from None
    if not stat.S_ISDIR(info.st_mode):
        raise DeskError(f"{parent}: not a directory; set daemon.socket to another path")
    if info.st_uid not in (0, os.geteuid()):
        raise DeskError(f"{parent}: belongs to {_name(info.st_uid)}, who could replace the socket; use our own")
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
