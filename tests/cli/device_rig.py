"""Devices served on loopback from a thread of their own, and a configuration that names them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from envmon.sim.modbus_server import ModbusServer
from envmon.sim.snmp_agent import SnmpAgent


@contextmanager
def serving(*servers: SnmpAgent | ModbusServer) -> Iterator[None]:
    """Serve from a thread of its own: the commands bring their own event loop."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        for server in servers:
            await server.__aenter__()
        started.set()
        await stop.wait()
        for server in servers:
            await server.__aexit__(None, None, None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def config(folder: Path, own_profiles: Path | None = None, **devices: dict[str, object]) -> Path:
    (folder / "community").write_text("public")
    file = folder / "envmon.yaml"
    told = {
        "site": "dallas",
        "daemon": {"zone": "noc", "state_dir": str(folder), "socket": str(folder / "s")},
        "places": ["noc"],
        "zones": {"hall_a": {"it_load_kw": 10, "units": {"crac_1": {"sensible_kw": 20}}, "units_needed": 1}},
        "devices": devices,
    }
    if own_profiles is not None:
        told["profiles"] = [str(own_profiles)]
    file.write_text(yaml.safe_dump(told, sort_keys=False))
    return file


def crac(port: int, folder: Path) -> dict[str, object]:
    login = {"community": f"file:{folder / 'community'}"}
    return {"profile": "apc-inrow-rc", "address": f"127.0.0.1:{port}", "serves": "hall_a.crac_1", "snmp": login}
