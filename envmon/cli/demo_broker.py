"""A broker for the demo: mosquitto where it is installed, an embedded one (amqtt, MQTT 3.1.1) where it is not."""

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

STARTS_WITHIN_S = 20.0


class BrokerError(Exception):
    """The broker did not start; the text says which and why."""


@contextmanager
def kept_port() -> Iterator[int]:
    """A TCP port of the loopback for a server that is started meanwhile.

    The kernel gives a bound port to nobody who asks for any; a server that names it may listen, as both sides have
    SO_REUSEADDR and this one does not listen (socket(7)).
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        yield int(place.getsockname()[1])


def mosquitto() -> str | None:
    """Where mosquitto is, also when it stands in a directory only root has on its path."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


class Broker:
    """An async context manager around a broker on loopback."""

    def __init__(self, folder: Path, *, embedded: bool = False) -> None:
        self._program = None if embedded else mosquitto()
        self.port = 0
        self.name = "mosquitto" if self._program else "amqtt (embedded)"
        self.version = "5" if self._program else "3.1.1"
        self._folder = folder
        self._kept = ExitStack()
        self._process: asyncio.subprocess.Process | None = None
        self._embedded: object | None = None

    async def __aenter__(self) -> Self:
        self.port = self._kept.enter_context(kept_port())
        try:
            await (self._start(self._program) if self._program else self._embed())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._embedded is not None:
            await self._embedded.shutdown()  # type: ignore[attr-defined]
        self._kept.close()

    def signal(self, number: int) -> None:
        """Send mosquitto a signal, to freeze or kill it."""
        if self._process is not None:
            self._process.send_signal(number)

    async def _start(self, program: str) -> None:
        config = self._folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(program, "-c", config, stdout=quiet, stderr=quiet)
        await self._answers()

    async def _answers(self) -> None:
        deadline = asyncio.get_running_loop().time() + STARTS_WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        raise BrokerError(f"{self.name} does not listen on port {self.port} after {STARTS_WITHIN_S:g} s")

    async def _embed(self) -> None:
        try:
            from amqtt.broker import Broker as Embedded  # noqa: PLC0415 - the demo's extra, not the daemon's
        except ImportError:
            raise BrokerError("no broker: install mosquitto, or envmon with its demo extra") from None
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        listen = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        embedded = Embedded({"listeners": listen, "plugins": plugins})
        await embedded.start()
        self._embedded = embedded
