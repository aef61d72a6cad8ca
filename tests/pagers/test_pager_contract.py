"""What every pager must do: the simulated one and the webhook against a real server."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from page_server import PageServer, envelope, page, settings

from envmon.pagers import PAGERS
from envmon.pagers.contract import Again, Pager, PagerError
from envmon.pagers.simulated import SimulatedPager


class Bench(Protocol):
    pager: Pager

    def numbers(self) -> list[int]: ...

    def refuse(self, again: Again) -> None: ...

    def accept(self) -> None: ...


class SimulatedBench:
    def __init__(self) -> None:
        self.simulated = SimulatedPager(settings("simulated:"))
        self.pager: Pager = self.simulated

    def numbers(self) -> list[int]:
        return [item.number for item in self.simulated.delivered]

    def refuse(self, again: Again) -> None:
        self.simulated.fault = PagerError("refused", again)

    def accept(self) -> None:
        self.simulated.fault = None


class WebhookBench:
    def __init__(self, server: PageServer) -> None:
        self.server = server
        self.pager: Pager = PAGERS["webhook"](settings(server.url))

    def numbers(self) -> list[int]:
        return [item["number"] for item in self.server.taken]

    def refuse(self, again: Again) -> None:
        status = {Again.SOON: 503, Again.SLOWLY: 401, Again.NEVER: 410}[again]
        self.server.answer = lambda _: status

    def accept(self) -> None:
        self.server.answer = lambda _: 202


class CommandBench:
    """A program that appends what it gets to a file, and ends with the code in another."""

    def __init__(self, folder: Path) -> None:
        self.taken, self.code = folder / "taken", folder / "code"
        self.taken.touch()
        self.accept()
        script = 'code=$(cat "$1"); if [ "$code" = 0 ]; then cat >> "$0"; fi; exit "$code"'
        argv = ("/bin/sh", "-c", script, str(self.taken), str(self.code))
        self.pager: Pager = PAGERS["command"](replace(settings(""), kind="command", argv=argv))

    def numbers(self) -> list[int]:
        return [json.loads(line)["number"] for line in self.taken.read_text().splitlines()]

    def refuse(self, again: Again) -> None:
        self.code.write_text({Again.SOON: "75", Again.SLOWLY: "7", Again.NEVER: "110"}[again])

    def accept(self) -> None:
        self.code.write_text("0")


@asynccontextmanager
async def bench(kind: str) -> AsyncIterator[Bench]:
    if kind == "simulated":
        yield SimulatedBench()
    elif kind == "command":
        with tempfile.TemporaryDirectory() as folder:
            yield CommandBench(Path(folder))
    else:
        async with PageServer() as server:
            yield WebhookBench(server)


def test_every_kind_is_on_the_bench() -> None:
    assert set(PAGERS) == {"simulated", "webhook", "command"}


@pytest.mark.parametrize("kind", list(PAGERS))
async def test_delivers_in_the_order_given(kind: str) -> None:
    async with bench(kind) as it, it.pager as pager:
        await pager.send(envelope(7))
        await pager.send(envelope(8, page(raised=False)))
        assert it.numbers() == [7, 8]


@pytest.mark.parametrize("kind", list(PAGERS))
@pytest.mark.parametrize("again", list(Again))
async def test_a_refusal_says_whether_to_try_again_and_the_pager_goes_on(kind: str, again: Again) -> None:
    async with bench(kind) as it, it.pager as pager:
        it.refuse(again)
        with pytest.raises(PagerError) as caught:
            await pager.send(envelope(1))
        assert caught.value.again is again
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


async def test_a_program_that_hangs_or_is_missing_is_tried_again(tmp_path: Path) -> None:
    for argv in (("/bin/sh", "-c", "sleep 60"), (str(tmp_path / "none"),)):
        pager = PAGERS["command"](replace(settings(""), kind="command", argv=argv, deadline_s=0.3))
        with pytest.raises(PagerError) as raised:
            await pager.send(envelope(1))
        assert raised.value.again is Again.SOON
