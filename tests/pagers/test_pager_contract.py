"""What every pager must do: the simulated one and the webhook against a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest
from page_server import PageServer, envelope, page, settings

from envmon.pagers import PAGERS
from envmon.pagers.contract import Pager, PagerError
from envmon.pagers.simulated import SimulatedPager


class Bench(Protocol):
    pager: Pager

    def numbers(self) -> list[int]: ...

    def refuse(self, *, retry: bool) -> None: ...

    def accept(self) -> None: ...


class SimulatedBench:
    def __init__(self) -> None:
        self.simulated = SimulatedPager(settings("simulated:"))
        self.pager: Pager = self.simulated

    def numbers(self) -> list[int]:
        return [item.number for item in self.simulated.delivered]

    def refuse(self, *, retry: bool) -> None:
        self.simulated.fault = PagerError("refused", retry=retry)

    def accept(self) -> None:
        self.simulated.fault = None


class WebhookBench:
    def __init__(self, server: PageServer) -> None:
        self.server = server
        self.pager: Pager = PAGERS["webhook"](settings(server.url))

    def numbers(self) -> list[int]:
        return [item["number"] for item in self.server.taken]

    def refuse(self, *, retry: bool) -> None:
        self.server.answer = lambda _: 503 if retry else 400

    def accept(self) -> None:
        self.server.answer = lambda _: 202


@asynccontextmanager
async def bench(kind: str) -> AsyncIterator[Bench]:
    if kind == "simulated":
        yield SimulatedBench()
    else:
        async with PageServer() as server:
            yield WebhookBench(server)


def test_every_kind_is_on_the_bench() -> None:
    assert set(PAGERS) == {"simulated", "webhook"}


@pytest.mark.parametrize("kind", list(PAGERS))
async def test_delivers_in_the_order_given(kind: str) -> None:
    async with bench(kind) as it, it.pager as pager:
        await pager.send(envelope(7))
        await pager.send(envelope(8, page(raised=False)))
        assert it.numbers() == [7, 8]


@pytest.mark.parametrize("kind", list(PAGERS))
@pytest.mark.parametrize("retry", [True, False])
async def test_a_refusal_says_whether_to_try_again_and_the_pager_goes_on(kind: str, retry: bool) -> None:
    async with bench(kind) as it, it.pager as pager:
        it.refuse(retry=retry)
        with pytest.raises(PagerError) as caught:
            await pager.send(envelope(1))
        assert caught.value.retry is retry
        assert it.numbers() == []
        it.accept()
        await pager.send(envelope(1))
        assert it.numbers() == [1]


@pytest.mark.parametrize("kind", list(PAGERS))
async def test_a_pager_can_be_opened_again(kind: str) -> None:
    async with bench(kind) as it:
        for number in (1, 2):
            async with it.pager as pager:
                await pager.send(envelope(number))
        assert it.numbers() == [1, 2]
