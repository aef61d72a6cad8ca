"""What happens to a simulated edge without us: the events rehearsals are made of."""

import pytest

from envmon.actuators import ACTUATORS
from envmon.actuators.contract import EdgeError
from envmon.actuators.simulated import SimulatedEdge
from envmon.config.edge_settings import EdgeSettings

SETTINGS = EdgeSettings("e1", "simulated", "elsewhere", "", "", 0, None)


async def test_a_wiped_edge_knows_nothing() -> None:
    clock = iter((100.0, 250.9))
    edge = SimulatedEdge(SETTINGS, ("a", "b"), now=lambda: next(clock))
    await edge.set_percent("b", 100, 9)
    assert (await edge.status())[1].up_since == 100
    edge.wipe()
    for status in await edge.status():
        assert (status.percent, status.set_epoch, status.fence, status.up_since) == (0, 0, 0, 250)
    await edge.stamp(1)


async def test_a_foreign_hand_changes_the_percent_under_no_new_epoch() -> None:
    edge = SimulatedEdge(SETTINGS)
    await edge.set_percent("outbound", 100, 3)
    edge.foreign_hand("outbound", 0)
    (status,) = await edge.status()
    assert (status.percent, status.set_epoch, status.fence) == (0, 3, 3)


async def test_calls_go_where_the_percent_says_while_the_edge_is_silent() -> None:
    edge = SimulatedEdge(SETTINGS)
    await edge.set_percent("outbound", 25, 1)
    edge.silence(True)
    edge.carry("outbound", 40)
    with pytest.raises(EdgeError):
        await edge.set_percent("outbound", 0, 1)
    edge.silence(False)
    (status,) = await edge.status()
    assert (status.calls_primary, status.calls_backup) == (30, 10)
    assert (status.active_primary, status.active_backup) == (30, 10)
    edge.hang_up("outbound")
    (status,) = await edge.status()
    assert (status.active_primary, status.active_backup) == (0, 0)


async def test_the_registry_makes_one() -> None:
    async with ACTUATORS["simulated"](SETTINGS) as edge:
        assert [status.route for status in await edge.status()] == ["outbound"]
