"""Walks: where they end, what a step that fails means, and what an agent that answers oddly cannot do."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from driver_rig import Agent, agent, community

from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_session import Session, open_session
from envmon.model.reading import Reason
from envmon.wire import ber
from envmon.wire.snmp import Message, PduType, Tag, Value, VarBind, encode_message

COLUMN = "1.3.6.1.4.1.99999.1"
ROWS = [(*ber.parse_oid(COLUMN), row) for row in range(1, 31)]
BEYOND = ber.parse_oid("1.3.6.1.4.1.99999.2.1")
BAD_VALUE, GEN_ERR, TOO_BIG, NO_SUCH_NAME = 3, 5, 1, 2


def number(oid: tuple[int, ...]) -> VarBind:
    return VarBind(oid, Value(Tag.INTEGER, 1))


def rows(message: Message) -> list[bytes]:
    """A table of thirty rows, with something behind it."""
    count = message.error_index if message.kind is PduType.GET_BULK else 1
    after = [oid for oid in (*ROWS, BEYOND) if oid > message.variables[0].oid]
    return [encode_message(message.answer(tuple(map(number, after[:count]))))]


@contextlib.asynccontextmanager
async def walking(
    answer: Callable[[Message], list[bytes]], tmp_path: Path, version: str = "2c"
) -> AsyncIterator[tuple[Agent, Session]]:
    async with agent(answer) as peer:
        login = community(tmp_path, version)
        with contextlib.closing(await open_session("127.0.0.1", peer.port, login, "snmp crac_1")) as session:
            yield peer, session


@pytest.mark.parametrize(("version", "most", "steps"), [("1", 0, 31), ("2c", 0, 31), ("2c", 7, 5), ("2c", 40, 1)])
async def test_a_walk_finds_every_row_and_ends_behind_the_last(tmp_path: Path, version: str, most: int, steps: int):
    async with walking(rows, tmp_path, version) as (peer, session):
        assert await session.walk(COLUMN, most).indexes() == tuple(map(str, range(1, 31)))
        assert len(peer.asked) == steps


@pytest.mark.parametrize("status", [GEN_ERR, BAD_VALUE])
async def test_a_step_that_fails_is_no_end_of_the_table(tmp_path: Path, status: int):
    """What has no rows may mean: no alarms."""

    def failing(message: Message) -> list[bytes]:
        return [encode_message(message.answer(message.variables, status, 1))]

    async with walking(failing, tmp_path) as (_, session):
        with pytest.raises(DeviceError, match=f"snmp crac_1: the agent answers error-status {status}") as caught:
            await session.walk(COLUMN, 10).indexes()
        assert caught.value.reason is Reason.GARBAGE
        assert not await session.has_below(COLUMN)


async def test_a_step_too_big_for_the_agent_is_taken_with_fewer_rows(tmp_path: Path):
    def small(message: Message) -> list[bytes]:
        if message.error_index > 6:
            return [encode_message(message.answer(message.variables, TOO_BIG))]
        return rows(message)

    async with walking(small, tmp_path) as (_, session):
        assert await session.walk(COLUMN, 20).indexes() == tuple(map(str, range(1, 31)))


async def test_the_end_of_an_agent_of_v1_is_the_end_of_the_table(tmp_path: Path):
    def short(message: Message) -> list[bytes]:
        if message.variables[0].oid >= ROWS[2]:
            return [encode_message(message.answer(message.variables, NO_SUCH_NAME, 1))]
        return rows(message)

    async with walking(short, tmp_path, "1") as (_, session):
        assert await session.walk(COLUMN, 0).indexes() == ("1", "2", "3")


ODD: dict[str, tuple[Callable[[Message], tuple[VarBind, ...]], tuple[str, ...]]] = {
    "the same row for ever": (lambda _: (number(ROWS[0]),), ("1",)),
    "rows in a circle": (lambda m: (number(ROWS[1] if m.variables[0].oid == ROWS[0] else ROWS[0]),), ("1", "2")),
    "rows out of order": (
        lambda m: (number({ROWS[4]: ROWS[2], ROWS[2]: BEYOND}.get(m.variables[0].oid, ROWS[4])),),
        ("5", "3"),
    ),
    "the column itself": (lambda _: (number(ROWS[0][:-1]),), ()),
    "nothing": (lambda _: (), ()),
    "the end": (lambda _: (VarBind(ROWS[0], Value(Tag.END_OF_MIB_VIEW)),), ()),
}


@pytest.mark.parametrize(("answer", "found"), ODD.values(), ids=ODD.keys())
async def test_an_agent_that_answers_oddly_ends_its_walk(
    tmp_path: Path, answer: Callable[[Message], tuple[VarBind, ...]], found: tuple[str, ...]
):
    async with walking(lambda message: [encode_message(message.answer(answer(message)))], tmp_path) as (peer, session):
        assert await session.walk(COLUMN, 0).indexes() == found
        assert len(peer.asked) <= 3


async def test_a_walk_that_would_never_end_is_bounded(tmp_path: Path):
    def endless(message: Message) -> list[bytes]:
        last = message.variables[0].oid[-1]
        found = tuple(number((*ROWS[0][:-1], last + at)) for at in range(1, 200))
        return [encode_message(message.answer(found))]

    async with walking(endless, tmp_path) as (_, session):
        assert len(await session.walk(COLUMN, 200).indexes()) == 4096
