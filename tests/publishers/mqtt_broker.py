"""A real mosquitto on loopback and a foreign client (mosquitto_sub) that watches it."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port


def needed(program: str) -> str:
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    assert found, f"{program} is needed by these tests; install the Debian packages mosquitto and mosquitto-clients"
    return found


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


@dataclass
class Broker:
    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def write(self, *lines: str) -> None:
        text = "\n".join([*lines, "persistence false", "log_dest stderr", ""])
        (self.directory / "mosquitto.conf").write_text(text)

    def start(self) -> None:
        configuration = self.directory / "mosquitto.conf"
        if not configuration.exists():
            self.write(f"listener {self.port} 127.0.0.1", "allow_anonymous true")
        with (self.directory / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([needed("mosquitto"), "-c", str(configuration)], stderr=log)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def log(self) -> str:
        return (self.directory / "mosquitto.log").read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Watcher:
    """What a foreign subscriber sees: the messages in order, and the newest per topic."""

    messages: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    newest: dict[str, dict[str, object]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def watch(self, port: int, *options: str, topic: str = "#") -> None:
        process = await asyncio.create_subprocess_exec(
            *(needed("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(port), "-t", topic, "-q", "1", "-F", "%t %p"),
            *options,
            stdout=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        self.tasks.append(asyncio.create_task(self._read(process)))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            topic, _, text = line.decode().partition(" ")
            self.messages.append((topic, json.loads(text)))
            self.newest[topic] = json.loads(text)

    async def close(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.gather(*self.tasks)
