"""What ``envmon edge check`` finds at edges of the other kinds: read-back, an old epoch, where the fence is kept."""

import json
from pathlib import Path

import pytest
from levers import HOST, ROUTES, Program, Receiver

from envmon.actuators import ACTUATORS
from envmon.actuators.checks import FENCE_KEPT, Check, check_any
from envmon.actuators.command import CommandEdge
from envmon.actuators.webhook import WebhookEdge
from envmon.config.edge_settings import EdgeSettings


def named(checks: list[Check]) -> dict[str, bool | None]:
    return {check.name: check.passed for check in checks}


def test_every_kind_says_where_its_fence_is_kept():
    assert FENCE_KEPT.keys() == ACTUATORS.keys()


async def test_a_receiver_that_keeps_its_fence_passes(tmp_path: Path):
    async with Receiver(tmp_path) as receiver, WebhookEdge(receiver.settings()) as edge:
        assert named(await check_any(edge, receiver.settings(), ROUTES)) == {
            "read-back": True, "old-epoch": None, "fence-kept": True,
        }  # fmt: skip
        await edge.set_percent("outbound", 40, 7)
        checks = await check_any(edge, receiver.settings(), ROUTES)
        (status, _) = await edge.status()
    assert set(named(checks).values()) == {True}
    assert "refused epoch 6: it has seen 7" in checks[1].why
    assert (status.percent, status.set_epoch, status.fence) == (40, 7, 7)


async def test_a_route_that_is_not_reported_and_a_silent_edge_fail(tmp_path: Path):
    async with Receiver(tmp_path) as receiver, WebhookEdge(receiver.settings(deadline_s=0.5)) as edge:
        checks = await check_any(edge, receiver.settings(), (*ROUTES, "emergency"))
        assert checks[0].passed is False
        assert "not emergency" in checks[0].why
        receiver.silent = True
        (silent,) = await check_any(edge, receiver.settings(), ROUTES)
    assert (silent.passed, "no answer within 0.5 s" in silent.why) == (False, True)


async def test_a_program_without_a_fence_fails(tmp_path: Path):
    program = Program(tmp_path)
    edge = CommandEdge(program.settings())
    await edge.set_percent("outbound", 40, 7)
    assert named(await check_any(edge, program.settings(), ROUTES))["old-epoch"] is True
    script = tmp_path / "program"
    script.write_text(script.read_text().replace(' and epoch >= state["fence"]', ""))
    checks = await check_any(edge, program.settings(), ROUTES)
    assert named(checks) == {"read-back": True, "old-epoch": False, "fence-kept": None}
    assert "no standby" in checks[2].why
    assert json.loads((tmp_path / "state").read_text())["routes"]["outbound"]["percent"] == 40, "and nothing moved"


async def test_a_simulated_edge_is_never_a_pass():
    settings = EdgeSettings("edge0", "simulated", "elsewhere", "", HOST, 5060, None)
    async with ACTUATORS["simulated"](settings) as edge:
        checks = await check_any(edge, settings, ("outbound",))
    assert named(checks)["fence-kept"] is None
    assert "moves no call" in checks[-1].why


@pytest.mark.parametrize("kind", sorted(FENCE_KEPT))
def test_what_is_told_is_a_phrase(kind: str):
    assert FENCE_KEPT[kind][0].islower()
