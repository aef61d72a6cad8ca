"""The order socket: who may, what is understood, what garbage gets."""

import asyncio
import contextlib
import json
import os
import pwd
import select
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_rig import until

from envmon.model.effect import Decision
from envmon.model.event import Command, Order
from envmon.runtime.ask import AskError, ask
from envmon.runtime.counters import Counters
from envmon.runtime.crowd import EACH
from envmon.runtime.engine import Answer
from envmon.runtime.order_line import Request, RequestError, parse
from envmon.runtime.orders import DeskError, OrderDesk

ME = pwd.getpwuid(os.getuid()).pw_name


class Submitted:
    """Takes orders and accepts all of them."""

    def __init__(self, prove_s: float = 0.0) -> None:
        self.orders: list[Order] = []
        self.wanted: list[bool] = []
        self._prove_s = prove_s

    async def __call__(self, order: Order, wanted: Callable[[], bool]) -> Answer:
        await asyncio.sleep(self._prove_s)
        self.orders.append(order)
        self.wanted.append(wanted())
        decision = Decision("O10", "route:outbound", "Ordered.", "why", (("lease", "yes"),), order=order.id)
        return Answer(True, False, (decision,))


def desk(path: Path, submit: Submitted | None = None, says: str = "observe", **more: Any) -> OrderDesk:
    return OrderDesk(path, submit or Submitted(), lambda: {"mode": says}, Counters(), **more)


@contextlib.asynccontextmanager
async def open_desk(path: Path, submit: Submitted | None = None, **more: Any) -> AsyncIterator[OrderDesk]:
    served = desk(path, submit, **more)
    served.open()
    task = asyncio.create_task(served.run())
    try:
        yield served
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        served.close()


async def raw(path: Path, data: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    await writer.wait_closed()
    answer: dict[str, Any] = json.loads(line)
    return answer


async def test_an_order_carries_the_kernels_word_for_who_gave_it(tmp_path: Path) -> None:
    submit = Submitted()
    path = tmp_path / "s"
    async with open_desk(path, submit):
        request = {"command": "shift", "route": "outbound", "reason": "crac_3  is on fire"}
        answer = await asyncio.to_thread(ask, path, request)
        status = await asyncio.to_thread(ask, path, {"command": "status"})
    (order,) = submit.orders
    assert order.who.partition(" ")[0] == ME
    assert (order.command, order.route, order.reason) == (Command.SHIFT, "outbound", "crac_3 is on fire")
    assert answer == {
        "ok": True,
        "order": order.id,
        "refused": False,
        "decisions": [
            {
                "rule": "O10",
                "subject": "route:outbound",
                "sentence": "Ordered.",
                "why": "why",
                "facts": {"lease": "yes"},
                "refused": False,
                "waits": False,
            }
        ],
    }
    assert status == {"ok": True, "status": {"mode": "observe"}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\xff\xfe\n", "expected one JSON object a line"),
        (b"shift outbound\n", "expected one JSON object a line"),
        (b"[" * 4000 + b"\n", "expected one JSON object a line"),
        (b"[1]\n", "expected a JSON object"),
        (b'{"command":"explode","reason":"x"}\n', "unknown command 'explode'; known: status, shift, restore"),
        (b'{"command":"hold"}\n', "hold: a reason is required"),
        (b'{"command":"hold","reason":"  "}\n', "hold: a reason is required"),
        (b'{"command":"hold","reason":3}\n', "reason must be a text, not int"),
        (
            b'{"command":"hold","reason":"x","who":"root"}\n',
            "unknown key 'who'; known: break_glass, command, deadline, override, reason, request, route",
        ),
        (b'{"command":"approve","reason":"x"}\n', "request names what is approved"),
        (b'{"command":"hold","reason":"x","request":"ab"}\n', "request names what is approved"),
        (b'{"command":"hold","reason":"x","override":true}\n', "override is for shift and restore, not for hold"),
        (b'{"command":"hold","reason":"x","deadline":-1}\n', "deadline must be seconds of CLOCK_BOOTTIME"),
        (b'{"command":"shift","reason":"x","override":"yes"}\n', "override must be true or false, not str"),
        (b'{"command":"hold","reason":"%s"}\n' % (b"x" * 401), "reason is 401 characters long, at most 400 are taken"),
        (
            b'{"command":"shift","reason":"x","route":"%s"}\n' % (b"y" * 201),
            "route is 201 characters long, at most 200",
        ),
        (b'{"command":"hold","reason":"\\ud800\\u0007\\u202e"}\n', "hold: a reason is required"),
        (b"x" * 5000 + b"\n", "at most 4096 bytes"),
        (b"", "no request within 2 s"),
    ],
)
async def test_garbage_gets_one_clear_line_and_the_desk_stays_open(tmp_path: Path, line: bytes, says: str) -> None:
    submit = Submitted()
    path = tmp_path / "s"
    async with open_desk(path, submit, idle_s=2.0):
        answer = await raw(path, line)
        assert answer["ok"] is False
        assert says in answer["error"]
        assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]
    assert submit.orders == []


async def test_several_requests_on_one_connection_and_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with open_desk(path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command":"status"}\n{"command":"hold","reason":"x"}\n{"comm')
        assert json.loads(await reader.readline())["ok"]
        assert json.loads(await reader.readline())["decisions"]
        writer.write_eof()
        assert "no end of line" in json.loads(await reader.readline())["error"]
        writer.close()
        await writer.wait_closed()


async def test_idlers_cannot_lock_others_out_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with open_desk(path, idle_s=2.0):
        idlers = [await asyncio.open_unix_connection(path) for _ in range(EACH)]
        await asyncio.sleep(0.2)
        answer = await raw(path, b"")
        assert answer == {"ok": False, "error": f"{EACH} clients of yours are connected already; try again"}
        for reader, writer in idlers:
            assert b"no request" in await asyncio.wait_for(reader.readline(), 20)
            writer.close()
            await writer.wait_closed()
        assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]


async def test_who_never_reads_the_answers_costs_nothing_for_long(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with open_desk(path, says="x" * 60_000, idle_s=0.3):
        with contextlib.ExitStack() as clients:
            before = open_files()
            deaf: list[socket.socket] = []
            for _ in range(3):
                for times in (4, 20) * (EACH // 2):  # little waits to be sent, or so much that the desk waits, too
                    deaf.append(clients.enter_context(socket.socket(socket.AF_UNIX)))
                    deaf[-1].connect(os.fspath(path))
                    deaf[-1].sendall(b'{"command": "status"}\n' * times)
                await until(lambda: all(cut_off(each) for each in deaf), "every one is cut off", 20.0)
                assert open_files() == before + len(deaf), "none but the clients' own"
            assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]


async def test_an_answer_is_read_whole_by_who_takes_their_time(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with open_desk(path, says="x" * 60_000):
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(os.fspath(path))
            slow.sendall(b'{"command": "status"}\n' * 4)
            slow.shutdown(socket.SHUT_WR)  # what is not sent by now is sent after the desk has closed its end
            await asyncio.sleep(0.3)
            with slow.makefile("rb") as reader:
                lines = await asyncio.to_thread(reader.readlines)
    assert [json.loads(line)["status"]["mode"] for line in lines] == ["x" * 60_000] * 4


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def cut_off(client: socket.socket) -> bool:
    look = select.poll()
    look.register(client, select.POLLIN)
    return any(event & select.POLLHUP for _, event in look.poll(0))


async def test_the_loop_turns_between_any_two_clients_and_any_two_requests(tmp_path: Path) -> None:
    path = tmp_path / "s"
    turns = 0
    seen: list[int] = []

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    served = OrderDesk(path, Submitted(), lambda: seen.append(turns) or {}, Counters())
    served.open()
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(EACH + 20)]
    for each in crowd:
        each.connect(os.fspath(path))
        each.setblocking(False)
    crowd[0].sendall(b'{"command": "status"}\n' * 50)
    tasks = [asyncio.create_task(served.run()), asyncio.create_task(turn())]

    def turned_away() -> int:
        return sum(bool(select.select([each], [], [], 0)[0]) for each in crowd[1:])

    for _ in range(3):
        await asyncio.sleep(0)
    assert turned_away() == 0, "one at a time"
    await until(lambda: turned_away() == 20 and len(seen) == 50, "all of them")
    assert len(set(seen)) == 50
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    served.close()
    for each in crowd:
        each.close()


async def test_a_client_that_leaves_harms_nobody(tmp_path: Path) -> None:
    submit = Submitted()
    path = tmp_path / "s"
    async with open_desk(path, submit):
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as hasty:
                hasty.connect(str(path))
                hasty.sendall(b'{"command":"hold","reason":"x"}\n')
        await until(lambda: len(submit.orders) == 3, "the orders of clients that left")
        assert submit.wanted == [False] * 3
        assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]


async def test_a_client_is_waited_for_until_it_says_and_while_it_listens(tmp_path: Path) -> None:
    submit = Submitted(prove_s=0.05)
    path = tmp_path / "s"
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    async with open_desk(path, submit):
        assert (await asyncio.to_thread(ask, path, {"command": "hold", "reason": "x"}))["ok"]
        for deadline in (now - 1, now + 0.01, now + 60, 0):
            await raw(path, json.dumps({"command": "hold", "reason": "x", "deadline": deadline}).encode() + b"\n")
        with socket.socket(socket.AF_UNIX) as polite:
            polite.connect(str(path))
            polite.sendall(b'{"command":"hold","reason":"x"}\n')
            polite.shutdown(socket.SHUT_WR)
            assert json.loads(await asyncio.to_thread(polite.recv, 4096))["ok"]
    assert submit.wanted == [True, False, False, True, True, True]


async def test_only_owner_and_group_reach_the_socket_and_the_path_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with open_desk(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_stale_socket_is_removed_and_anything_else_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with open_desk(path):
        with pytest.raises(DeskError, match="another envmon answers there"):
            desk(path).open()
        assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]
    path.write_text("precious")
    with pytest.raises(DeskError, match="exists and is no socket"):
        desk(path).open()
    assert path.read_text() == "precious"


def test_a_directory_others_may_write_to_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    with pytest.raises(DeskError, match="everybody may write there"):
        desk(loose / "s").open()
    with pytest.raises(DeskError, match="make it, or set"):
        desk(tmp_path / "none" / "s").open()
    (tmp_path / "file").touch()
    with pytest.raises(DeskError, match="not a directory"):
        desk(tmp_path / "file" / "s").open()
    with pytest.raises(DeskError, match="cannot open the socket"):
        desk(tmp_path / ("x" * 120)).open()


def test_asking_where_nobody_answers_says_so(tmp_path: Path) -> None:
    with pytest.raises(AskError, match="is envmon running"):
        ask(tmp_path / "s", {"command": "status"})
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen()
        with pytest.raises(AskError, match=r"no answer within 0\.1 s"):
            ask(tmp_path / "deaf", {"command": "status"}, wait_s=0.1)


def understood(line: bytes) -> bool:
    """Parse; a refusal must say something, any other exception is a failure of the test."""
    try:
        request = parse(line)
    except RequestError as fault:
        return bool(str(fault))
    return isinstance(request, Request)


def test_texts_are_lines_that_can_be_shown_and_written() -> None:
    request = parse(rb'{"command":"shelve","reason":"K\udcfchl\u001b[31mung\naus","target":"a\ud800\u0000b","until":9}')
    assert (request.reason, request.target) == ("K hl [31mung aus", "a b")
    assert parse('{"command":"hold","reason":"Kühlung „aus“ 冷却"}'.encode()).reason == "Kühlung „aus“ 冷却"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(line: bytes) -> None:
    assert understood(line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.dictionaries(st.text(), c), max_leaves=5
    )
)
def test_no_json_breaks_the_parser(value: Any) -> None:
    assert understood(json.dumps(value).encode())


@given(
    st.fixed_dictionaries(
        {"command": st.sampled_from([*Command, "status", "x"])}, optional={"route": st.text(), "reason": st.text()}
    )
)
def test_no_request_breaks_the_parser(value: Any) -> None:
    assert understood(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": "maintenance", "reason": "r"}, "target belongs to maintenance"),
        ({"command": "maintenance", "reason": "r", "target": "hall_a"}, "until ends what begins there"),
        ({"command": "maintenance_end", "reason": "r", "target": "hall_a", "until": 5}, "until is the end of a hold"),
        (
            {"command": "resume", "reason": "r", "until": 5},
            "until is the end of a hold, of maintenance or of a shelved",
        ),
        ({"command": "hold", "reason": "r", "until": "noon"}, "until must be Unix seconds"),
        ({"command": "shift", "reason": "r", "target": "hall_a"}, "target belongs to maintenance"),
        ({"command": "shelve", "reason": "r", "target": "k", "until": "soon"}, "until must be Unix seconds"),
        ({"command": "shelve", "reason": "r", "target": "k", "until": -1}, "until must be Unix seconds"),
        ({"command": "shelve", "reason": "r", "target": "k", "until": float("inf")}, "until must be Unix seconds"),
        ({"command": "shelve", "reason": "r", "target": "k", "until": float("nan")}, "until must be Unix seconds"),
        ({"command": "shelve", "target": "k", "until": 5}, "a reason is required"),
    ],
)
def test_what_sets_aside_needs_its_target_its_end_and_a_reason(fields, words):
    with pytest.raises(RequestError, match=words):
        parse(json.dumps(fields).encode())


def test_an_order_to_set_aside_is_read_whole():
    line = json.dumps({"command": "shelve", "reason": "r", "target": "envmon/x/y", "until": 1_500_000_000}).encode()
    assert parse(line) == Request(Command.SHELVE, "", "r", target="envmon/x/y", until=1_500_000_000.0)


def test_a_hold_may_have_an_end():
    assert parse(b'{"command": "hold", "reason": "r"}') == Request(Command.HOLD, "", "r")
    assert parse(b'{"command": "hold", "reason": "r", "until": 9.5}') == Request(Command.HOLD, "", "r", until=9.5)
