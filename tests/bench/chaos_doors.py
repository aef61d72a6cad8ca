"""The ways to the edges, one for each daemon and edge: they write down what passes, and can hold or lose it.

Rules
- A write is looked for in the daemon's journal on disk the moment it arrives, before the edge sees it.
- A door forwards from an address of its own, so that the edge's log names the daemon.
- A trap stops the daemon when the first bytes of a command arrive, and holds them: this is the stop between the
  daemon's last look at its lease and the edge's answer.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chaos_history import Write
from chaos_net import address

EDGE_PORT = 5060
PORTS = {"edge0": 8030, "edge1": 8031}
_PUT = re.compile(rb"PUT /envmon/v1/(?:fence/(\d+)|routes/outbound/(\d+)/(\d+)) ")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Door:
    """All ways of one daemon; ``journal`` is where its lines are on disk."""

    daemon: str
    journal: Path
    writes: list[Write] = field(default_factory=list)
    trap: Callable[[Write], Awaitable[None]] | None = None  # called once, with a command that waits for it to return
    loses_answers: bool = False
    _servers: list[asyncio.Server] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        for edge, port in PORTS.items():

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, edge: str = edge) -> None:
                await self._serve(edge, reader, writer)

            self._servers.append(await asyncio.start_server(serve, address(f"door-{self.daemon}"), port))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for server in self._servers:
            server.close()
        self.slam()

    def slam(self) -> None:
        """End every connection that is open."""
        for writer in tuple(self._open):
            writer.close()

    def url(self, edge: str) -> str:
        """What the daemon calls the edge."""
        return f"http://{address(f'door-{self.daemon}')}:{PORTS[edge]}"

    async def _serve(self, edge: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError, EOFError, ValueError):
                back, onward = await asyncio.open_connection(
                    address(edge), EDGE_PORT, local_addr=(address(f"door-{self.daemon}"), 0)
                )
                while True:
                    await self._pass(edge, await _message(reader), back, onward, writer)
        finally:
            self._open.discard(writer)
            for each in (writer, onward):
                if each is not None:
                    each.close()

    async def _pass(
        self, edge: str, request: bytes, back: asyncio.StreamReader, onward: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        write = self._note(edge, request)
        if write is not None and write.percent is not None and self.trap is not None:
            trap, self.trap = self.trap, None
            await trap(write)
        onward.write(request)
        answer = await _message(back)
        if write is not None:
            write.status, write.answered = int(answer.split(b" ", 2)[1]), time.monotonic()
        if not self.loses_answers:
            writer.write(answer)
            await writer.drain()

    def _note(self, edge: str, request: bytes) -> Write | None:
        if (found := _PUT.match(request)) is None:
            return None
        fence, epoch, percent = found.groups()
        write = Write(
            at=time.monotonic(), daemon=self.daemon, edge=edge, epoch=int(fence or epoch),
            percent=None if percent is None else int(percent), permit=-1,
        )  # fmt: skip
        write.permit = permit(self.journal, write)
        self.writes.append(write)
        return write


def permit(journal: Path, write: Write) -> int:
    """The number of the newest line on disk that permits a write, -1 where there is none."""
    kind, percent = ("stamp_epoch", "") if write.percent is None else ("set_percent", f'%"percent":{write.percent},%')
    wanted = [write.epoch, f'%"do":"{kind}"%', f'%"{write.edge}"%', percent or "%"]
    sql = "SELECT max(seq) FROM line WHERE epoch = ? AND effect LIKE ? AND effect LIKE ? AND effect LIKE ?"
    try:
        connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=1.0)
        try:
            ((seq,),) = connection.execute(sql, wanted).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return -1
    return -1 if seq is None else int(seq)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP message. Raises EOFError, OSError."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")
