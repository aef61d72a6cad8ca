"""The promise of the product, on real programs: moving new calls loses none and cuts none.

The first test takes 38 s: 1,100 calls of 10 s at 40 per second cannot take less.
"""

import asyncio

from envmon.actuators.kamailio import KamailioEdge
from tests.telephony.rig import Rig, until

RATE, CALLS, HOLD_MS = 40, 1_100, 10_000


async def test_a_shift_in_mid_traffic_loses_no_call(rig: Rig) -> None:
    async with KamailioEdge(rig.edge()) as edge:
        traffic = asyncio.create_task(rig.call(RATE, CALLS, HOLD_MS))
        await until(lambda: len(rig.answered("primary")) >= 400, 60, "400 calls at the primary site")
        (before,) = await edge.status()
        assert rig.answered("backup") == set()
        assert before.active_primary > 150  # 400 calls of 10 s are up at any time
        await edge.set_percent("outbound", 100, 1)
        (shifted,) = await edge.status()
        stats = await traffic
        (after,) = await edge.status()
    assert (stats.offered, stats.setup_failed, stats.bye_failed) == (CALLS, 0, 0)
    assert (stats.on_primary, stats.on_backup) == (after.calls_primary, after.calls_backup)
    assert after.calls_primary == shifted.calls_primary  # not one new call at the primary since the answer
    assert stats.on_backup > 500
    assert stats.on_primary >= 400


async def test_a_restart_of_a_shifted_edge_sends_no_call_home(rig: Rig) -> None:
    async with KamailioEdge(rig.edge()) as edge:
        await edge.set_percent("outbound", 100, 1)
        traffic = asyncio.create_task(rig.call(20, 100, 200))
        await until(lambda: len(rig.answered("backup")) >= 20, 30, "20 calls at the backup site")
        await rig.restart_edge()
        stats = await traffic
        (status,) = await edge.status()
    assert (stats.on_primary, status.calls_primary, status.percent) == (0, 0, 100)
    assert stats.on_backup + stats.setup_failed == stats.offered == 100
    assert stats.setup_failed <= 5  # calls whose INVITE the dying process had taken
