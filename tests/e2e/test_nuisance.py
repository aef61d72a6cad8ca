"""What listens to the loop or answers badly can neither slow it nor change what it decides."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from envmon.cli.demo_broker import Broker
from tests.e2e.lab import EVERY_S, Lab, position
from tests.ports import free_port
from tests.telephony.rig import Rig

FROZEN_S = 20.0
SLACK_S = 2.0  # on two busy cores; a device that waited for the broker would be later still
SCRAPERS = 20


@asynccontextmanager
async def scraped(url: str) -> AsyncIterator[list[int]]:
    """Twenty clients that read /metrics without a pause; the sizes they got."""
    sizes: list[int] = []

    async def scrape(client: aiohttp.ClientSession) -> None:
        while True:
            async with client.get(url) as response:
                assert response.status == 200
                sizes.append(len(await response.read()))
            await asyncio.sleep(0.2)

    async with aiohttp.ClientSession() as client:
        tasks = [asyncio.create_task(scrape(client)) for _ in range(SCRAPERS)]
        try:
            yield sizes
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def test_frozen_and_dead_brokers_scrapers_and_bad_devices_delay_nobody(tmp_path: Path) -> None:
    port = free_port()
    async with Broker(tmp_path) as broker, Rig(tmp_path) as rig:
        mqtt = {"host": "127.0.0.1", "port": broker.port, "zone": "noc_room", "version": broker.version}
        publish = {"mqtt": mqtt, "http": {"listen": f"127.0.0.1:{port}"}}
        async with Lab(tmp_path, [rig.edge()], publish=publish) as lab:
            lab.start()
            await lab.armed()
            loop = asyncio.get_running_loop()
            lab.devices["crac_3"].trouble.silent = True
            lab.devices["crac_2"].trouble.garbage = True
            others = set(lab.devices) - {"crac_2", "crac_3"}
            async with scraped(f"http://127.0.0.1:{port}/metrics") as sizes:
                broker.signal(signal.SIGSTOP)
                start = loop.time()
                await asyncio.sleep(FROZEN_S)
                frozen = lab.gaps(start)
                broker.signal(signal.SIGKILL)
                start = loop.time()
                lab.lose_the_cooling()
                lab.devices["crac_2"].trouble.garbage = False
                await lab.until(position("shifting"), 40, "the decision")
                decided = loop.time() - start
                await lab.until(position("backup"), 60, "the proof")
                dead = lab.gaps(start)
            status = await lab.status()
        late = {name: gap for name, gap in {**frozen, **dead}.items() if name in others and gap > EVERY_S + SLACK_S}
    assert late == {}
    assert decided < 25.0
    assert len(sizes) > SCRAPERS * 10
    assert min(sizes) > 5_000
    assert status["devices"]["crac_3"]["up"] is False
