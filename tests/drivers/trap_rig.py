"""A trap listener on loopback, and net-snmp's snmptrap to talk to it."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from driver_rig import settings

from envmon.config.secret import Secret
from envmon.config.settings import DeviceSettings, SnmpSettings, TrapSettings
from envmon.drivers.traps import TrapListener
from tests.ports import free_port

LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"  # SNMPv2-MIB linkDown
ENGINE = "0x80001f8804656e766d6f6e74657374"  # of the device that sends


def device(name: str, login: SnmpSettings | None = None, host: str = "127.0.0.1") -> DeviceSettings:
    return replace(settings(161, login), id=name, host=host)


@contextlib.asynccontextmanager
async def listening(
    *devices: DeviceSettings, community: Secret | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[TrapListener, list[str]]]:
    noticed: list[str] = []
    traps = TrapSettings(host, port or free_port(), community)
    listener = TrapListener(traps, "dallas", devices, noticed.append)
    task = asyncio.create_task(listener.run())
    try:
        await reached(lambda: not listener.failure, "the listener listens")
        yield listener, noticed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def reached(condition, what: str, seconds: float = 20.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


async def snmptrap(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run snmptrap with no files but its own; return its exit status and what it says."""
    program = shutil.which("snmptrap")
    assert program is not None, "snmptrap is not installed: apt install snmp"
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(directory), "SNMPCONFPATH": str(directory), "MIBS": ""}
    process = await asyncio.create_subprocess_exec(
        program, *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    lines = said.decode().splitlines(keepends=True)
    return process.returncode, "".join(line for line in lines if not line.startswith("Created directory"))


async def datagram(directory: Path, *before: str, v1: bool = False) -> bytes:
    """What snmptrap sends with these options."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.setblocking(False)
        to = f"127.0.0.1:{sink.getsockname()[1]}"
        what = ("1.3.6.1.4.1.8072", "127.0.0.1", "6", "17", "42") if v1 else ("", LINK_DOWN)
        status, said = await snmptrap(directory, *before, to, *what)
        assert status == 0, said
        return await loop.sock_recv(sink, 65535)
