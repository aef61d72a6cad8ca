"""What real SNMP agents do, one test a quirk: each was met in a walk, in a MIB or in somebody's bug report."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from driver_rig import Agent, Clock, agent, community, driver, oid, settings, told, user
from driver_rig import profile as of_points
from driver_rig import temperature as point_of
from v3_rig import PysnmpAgent

from envmon.config.settings import SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import DeviceError, Driver
from envmon.drivers.snmp_identify import ask_snmp
from envmon.model.reading import Quality, Reading, Reason, Role, Severity
from envmon.profiles.bind import bind_at, place
from envmon.profiles.identify import identify
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.schema import Profile, SnmpLimits
from envmon.sim.recording import RecordedDevice
from envmon.sim.snmp_agent import SnmpAgent
from envmon.wire import ber
from envmon.wire.snmp import ErrorStatus, Message, PduType, Tag, Value, VarBind, Version, decode_message, encode_message

BASE = "1.3.6.1.4.1.99999"
UPTIME = "1.3.6.1.2.1.1.3.0"
HEAD = """
profile: made-up
vendor: nobody
kind: cooling_unit
protocol: snmp
evidence: document
sources: [{document: a test, revision: "1"}]
"""


def made_up(body: str, snmp: str = "") -> Profile:
    return load_text(f"{HEAD}snmp: {{base: {BASE}, {snmp}}}\n{body}", "made-up.yaml")


def points(*bodies: str, snmp: str = "") -> Profile:
    lines = "".join(f'- {{name: p{n}, oid: "{{base}}.{n}.0", {body}}}\n' for n, body in enumerate(bodies, 1))
    return made_up(f"points:\n{lines}", snmp)


def number(value: int) -> Value:
    return Value(Tag.INTEGER, value)


def text(value: str) -> Value:
    return Value(Tag.OCTET_STRING, value.encode())


def name(value: str) -> Value:
    return Value(Tag.OBJECT_IDENTIFIER, ber.parse_oid(value))


def recording(cells: dict[str, Value], uptime_s: int = 10_000) -> RecordedDevice:
    device = RecordedDevice([(ber.parse_oid(UPTIME), Value(Tag.TIME_TICKS, uptime_s * 100))])
    for where, value in cells.items():
        device.put(where, value)
    return device


@contextlib.asynccontextmanager
async def reading(
    device: RecordedDevice, kind: Profile, login: SnmpSettings, *, bulk: bool = True, max_size: int = 1472
) -> AsyncIterator[Driver]:
    there = place(kind, site="dallas", device="crac_1", path="p", zone="hall_a", serves="crac_1", commissioned=True)
    async with SnmpAgent(device, bulk=bulk, max_size=max_size) as there_is:
        asked = settings(there_is.port, login, 5.0)
        opened = open_driver(asked, kind, bind_at(kind, there), at=there, clock=Clock(), jitter=lambda: 0.5)
        async with opened:
            yield opened


def by_name(readings: Iterable[Reading]) -> dict[str, Reading]:
    return {each.point.name: each for each in readings}


def many(count: int, max_oids: int) -> Profile:
    return of_points([point_of(f"t{n}", oid(n)) for n in range(1, count + 1)], SnmpLimits(max_oids=max_oids))


def ones(message: Message) -> list[bytes]:
    return [encode_message(message.answer(tuple(VarBind(each.oid, number(10)) for each in message.variables)))]


# --- GETBULK and sizes -----------------------------------------------------------------------------------------------

NO_BULK = ("liebert", "stulz", "avtech", "hwg", "serverscheck", "socomec", "deltaups", "netmanplus", "cyberpower")


def test_cards_known_to_bear_no_getbulk_are_never_sent_one():
    named = {kind.name: kind for kind in load_builtin().values() if kind.name.startswith(NO_BULK)}
    assert len(named) >= 6
    assert {kind.name for kind in named.values() if kind.snmp is not None and kind.snmp.bulk} == set()


TABLE = """
tables:
- walk: "{base}.1"
  columns: {name: "{base}.1"}
  key: name
  points: [{name: "{key}", oid: "{base}.2", unit: degC, scale: 0.1}]
"""


def rows(count: int) -> dict[str, Value]:
    cells = {f"{BASE}.1.{row}": text(f"Rack {row}") for row in range(1, count + 1)}
    return cells | {f"{BASE}.2.{row}": number(200 + row) for row in range(1, count + 1)}


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_severely_underpowered_card_is_walked_one_row_at_a_time(tmp_path: Path, bulk: bool):
    """Where it may be asked for many rows, it is for no more than the profile says."""
    kind = made_up(TABLE, f"bulk: {str(bulk).lower()}, max_repetitions: 4")
    asked: list[Message] = []
    device = recording(rows(9))
    async with SnmpAgent(device) as there_is:
        receive = there_is.receive

        def spy(data: bytes, peer: tuple[str, int]) -> None:
            asked.append(decode_message(data))
            receive(data, peer)

        there_is.receive = spy  # type: ignore[method-assign]
        there = place(kind, site="dallas", device="d", path="p", zone="hall_a")
        asks = settings(there_is.port, community(tmp_path), 5.0)
        async with open_driver(asks, kind, (), at=there, clock=Clock(), jitter=lambda: 0.5) as opened:
            assert len(await opened.poll()) == 9
    kinds = {message.kind for message in asked}
    assert (PduType.GET_BULK in kinds, PduType.GET_NEXT in kinds) == (bulk, not bulk)
    assert all(message.error_index <= 4 for message in asked if message.kind is PduType.GET_BULK)


@pytest.mark.parametrize("most", [2, 5, 8])
async def test_a_request_has_no_more_objects_than_the_card_bears(tmp_path: Path, most: int):
    async with agent(ones) as peer, driver(settings(peer.port, community(tmp_path)), many(19, most)) as device:
        assert set(told(await device.poll()).values()) == {1.0}
        assert max(len(asked) for asked in peer.asked) == most


async def test_about_40_objects_are_too_big_and_are_split(tmp_path: Path):
    def script(message: Message) -> list[bytes]:
        if len(message.variables) > 40:
            return [encode_message(message.answer((), ErrorStatus.TOO_BIG))]
        return ones(message)

    async with agent(script) as peer, driver(settings(peer.port, community(tmp_path)), many(90, 90)) as device:
        assert set(told(await device.poll()).values()) == {1.0}
        peer.asked.clear()
        assert set(told(await device.poll()).values()) == {1.0}
        assert [len(asked) for asked in peer.asked] == [22, 23, 22, 23]


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("size", [484, 1420, 1500, 2000])
async def test_an_agents_largest_message_is_kept_to(tmp_path: Path, size: int, version: str):
    """1420 bytes is a Gude, 1500 an Eaton, 2000 an AP9617; 484 is the least an agent must bear."""
    kind = points(*["text: true"] * 60, snmp="max_oids: 60")
    device = recording({f"{BASE}.{n}.0": text(f"{n:02}" * 30) for n in range(1, 61)})
    async with reading(device, kind, community(tmp_path, version), max_size=size) as opened:
        assert told(await opened.poll()) == {f"p{n}": f"{n:02}" * 30 for n in range(1, 61)}


def dropping(most: int) -> Callable[[Message], list[bytes]]:
    """An agent that says nothing to a request it finds too large."""
    return lambda message: ones(message) if len(message.variables) <= most else []


@pytest.mark.parametrize(("count", "max_oids"), [(8, 8), (16, 8)], ids=["its only request", "one of several"])
async def test_a_card_that_drops_what_is_too_large_is_asked_for_less_until_it_answers(
    tmp_path: Path, count: int, max_oids: int
):
    clock = Clock()
    asks = settings(0, community(tmp_path), 0.4)
    async with (
        agent(dropping(5)) as peer,
        driver(replace(asks, port=peer.port), many(count, max_oids), clock) as device,
    ):
        values: dict[str, float | str] = {}
        polls = 0
        while set(values.values()) != {1.0}:
            clock.now += 100
            with contextlib.suppress(DeviceError):
                values = told(await device.poll())
            polls += 1
            assert polls < 30
        assert len(values) == count
        peer.asked.clear()
        assert set(told(await device.poll()).values()) == {1.0}
        assert max(len(asked) for asked in peer.asked) <= 5


async def test_an_agent_that_was_gone_is_asked_as_before_once_it_is_back(tmp_path: Path):
    clock = Clock()
    asks = settings(0, community(tmp_path), 0.5)
    async with agent(ones) as peer, driver(replace(asks, port=peer.port), many(24, 12), clock) as device:
        await device.poll()
        assert [len(asked) for asked in peer.asked] == [12, 12]
        peer.answer = lambda _: []
        for _ in range(3):
            clock.now += 100
            with pytest.raises(DeviceError):
                await device.poll()
        peer.answer = ones
        clock.now += 100
        assert set(told(await device.poll()).values()) == {1.0}
        peer.asked.clear()
        assert set(told(await device.poll()).values()) == {1.0}
        assert [len(asked) for asked in peer.asked] == [12, 12]


# --- missing values --------------------------------------------------------------------------------------------------

NUMBERS = {
    "a Liebert Challenger": (2147483647, "invalid: [2147483647]"),
    "an AIRFM": (-2147483648, "invalid: [-1, -2147483648]"),
    "a UPS": (4294967295, "invalid: [4294967295]"),
    "65535": (65535, "invalid: [65535]"),
    "an APC without the option": (-1, "invalid: [-1]"),
    "-65535": (-65535, "invalid: [-65535]"),
    "a Gude": (-9999, "invalid: [-9999]"),
}
TEXTS = {
    "Sensatronics, in range of its lines": ("-99.9", "invalid: [-99.9, -999.9]"),
    "Sensatronics, unplugged": ("-999.9", "invalid: [-99.9, -999.9]"),
    "not available": ("not available", ""),
    "dashes": ("--", ""),
    "a Liebert's Unavailable": ("Unavailable", "invalid_text: [Unavailable]"),
    "nothing at all": ("", ""),
    "a number and a unit": ("21.5 C", ""),
    "a comma": ("21,5", ""),
    "NaN": ("NaN", ""),
}
LIKE = {case: (number(raw), extra) for case, (raw, extra) in NUMBERS.items()}
LIKE["a UPS"] = (Value(Tag.GAUGE32, 4294967295), LIKE["a UPS"][1])
LIKE |= {case: (text(raw), extra) for case, (raw, extra) in TEXTS.items()}


@pytest.mark.parametrize("case", LIKE)
async def test_what_means_not_available_is_bad_and_never_zero(tmp_path: Path, case: str):
    raw, extra = LIKE[case]
    kind = points(f"unit: degC, {extra}", f"unit: degC, {extra}")
    device = recording({f"{BASE}.1.0": raw, f"{BASE}.2.0": number(21)})
    async with reading(device, kind, community(tmp_path)) as opened:
        dead, alive = await opened.poll()
    assert (dead.value, dead.quality) == (None, Quality.BAD)
    assert (alive.value, alive.quality) == (21.0, Quality.GOOD)


async def test_2147483647_is_missing_on_a_liebert(tmp_path: Path):
    table = f"{LIEBERT}.4.1.3.3.1"
    cells = {f"{table}.2.1": name(f"{LIEBERT}.4.1.1.2"), f"{table}.50.1": number(2147483647)}
    async with reading(recording(cells), load_builtin()["liebert-crac"], community(tmp_path)) as opened:
        found = by_name(await opened.poll())["return_air_temp"]
    assert (found.value, found.quality, found.reason) == (None, Quality.BAD, Reason.SENTINEL)


async def test_minus_one_is_a_temperature_on_one_point_and_missing_on_the_next(tmp_path: Path):
    kind = points("unit: degC", "unit: degC, invalid: [-1]")
    device = recording({f"{BASE}.1.0": number(-1), f"{BASE}.2.0": number(-1)})
    async with reading(device, kind, community(tmp_path)) as opened:
        assert told(await opened.poll()) == {"p1": -1.0, "p2": "sentinel"}


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_null_typed_values_are_absent(tmp_path: Path, version: str):
    """A Delta UPS answers Null for what it does not have."""
    device = recording({f"{BASE}.1.0": Value(Tag.NULL), f"{BASE}.2.0": number(21)})
    async with reading(device, points("unit: degC", "unit: degC"), community(tmp_path, version)) as opened:
        assert told(await opened.poll()) == {"p1": "absent", "p2": 21.0}


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("tag", [0x02, 0x42, 0x43])
async def test_an_empty_number_is_absent_and_never_zero(tmp_path: Path, tag: int, version: str):
    def empty(message: Message) -> list[bytes]:
        (right,) = ones(message)
        return [right.replace(b"\x02\x01\x0a", bytes((tag, 1, 0x0A)), 1)]

    def emptied(message: Message) -> list[bytes]:
        variables = b"".join(
            ber.encode(0x30, ber.encode_oid(6, each.oid) + (bytes((tag, 0)) if at == 0 else b"\x02\x01\x0a"))
            for at, each in enumerate(message.variables)
        )
        pdu = b"".join(ber.encode_integer(2, n) for n in (message.request_id, 0, 0)) + ber.encode(0x30, variables)
        head = ber.encode_integer(2, message.version) + ber.encode(4, message.community)
        return [ber.encode(0x30, head + ber.encode(PduType.RESPONSE, pdu))]

    asks = settings(0, community(tmp_path, version))
    async with agent(empty) as peer, driver(replace(asks, port=peer.port), many(2, 10)) as device:
        assert told(await device.poll()) == {"t1": 1.0, "t2": 1.0}
        peer.answer = emptied
        assert told(await device.poll()) == {"t1": "absent", "t2": 1.0}


@pytest.mark.parametrize("status", [ErrorStatus.NO_SUCH_NAME, ErrorStatus.GEN_ERR])
async def test_zeros_in_an_answer_that_says_it_failed_are_not_believed(tmp_path: Path, status: ErrorStatus):
    def failed(message: Message) -> list[bytes]:
        zeros = tuple(VarBind(each.oid, number(0)) for each in message.variables)
        return [encode_message(message.answer(zeros, status, 1))]

    async with agent(failed) as peer, driver(settings(peer.port, community(tmp_path)), many(3, 10)) as device:
        assert set(told(await device.poll()).values()) == {"absent"}


async def test_objects_an_agent_leaves_out_of_its_answer_are_absent(tmp_path: Path):
    def forgetful(message: Message) -> list[bytes]:
        kept = tuple(VarBind(each.oid, number(10)) for each in message.variables if each.oid[-2] != 2)
        return [encode_message(message.answer(kept))]

    async with agent(forgetful) as peer, driver(settings(peer.port, community(tmp_path)), many(3, 10)) as device:
        assert told(await device.poll()) == {"t1": 1.0, "t2": "absent", "t3": 1.0}


# --- units, roles, states --------------------------------------------------------------------------------------------


async def test_the_unit_is_set_on_an_emu2(tmp_path: Path):
    """emsStatusSysTempUnits 2 is degF, and the raw 81 is 27.22 degC."""
    probe, units = "1.3.6.1.4.1.318.1.1.10.3.13.1.1", "1.3.6.1.4.1.318.1.1.10.3.12.11.0"
    cells = {f"{probe}.2.1": text("Cold aisle"), f"{probe}.3.1": number(81), f"{probe}.10.1": number(2)}
    device = recording({**cells, units: number(2)})
    async with reading(device, load_builtin()["apc-environmental-manager"], community(tmp_path)) as opened:
        found = by_name(await opened.poll())["cold_aisle_temp"]
        assert (round(float(found.value or 0), 2), found.point.measure) == (27.22, "degC")
        device.put(f"{probe}.3.1", number(27))
        device.put(units, number(1))
        assert told(await opened.poll())["cold_aisle_temp"] == 27.0


async def test_a_unit_column_says_what_a_flexible_row_counts_in(tmp_path: Path):
    kind = made_up("""
tables:
- walk: "{base}.1"
  columns: {name: "{base}.1"}
  key: name
  points:
  - {name: "{key}", oid: "{base}.2", invalid_text: [Unavailable],
     unit_from: {oid: "{base}.3", map: {"deg C": degC, "deg F": degF, "%": "%"}}}
""")
    given = [("Supply", "21.5", "deg C"), ("Return", "81", "deg F"), ("Fan", "40", "%"), ("Odd", "7", "furlong")]
    cells = {
        f"{BASE}.{column}.{row}": text(cell)
        for row, cells in enumerate(given, 1)
        for column, cell in enumerate(cells, 1)
    }
    device = recording(cells)
    async with reading(device, kind, community(tmp_path)) as opened:
        found = by_name(await opened.poll())
        assert {key: (round(float(r.value or 0), 2), r.point.measure) for key, r in found.items()} == {
            "supply": (21.5, "degC"),
            "return": (27.22, "degC"),
            "fan": (40.0, "%"),
        }
        device.put(f"{BASE}.2.1", text("Unavailable"))
        assert told(await opened.poll())["supply"] == "invalid_text"


LIEBERT = "1.3.6.1.4.1.476.1.42.3"


async def test_a_lieberts_row_number_is_not_its_role(tmp_path: Path):
    """The description of a row is an identifier: ...3 is supply air and stands in row 2, ...2 return air in row 3."""
    table = f"{LIEBERT}.4.1.3.3.1"
    cells = {
        f"{table}.2.2": name(f"{LIEBERT}.4.1.1.3"),
        f"{table}.2.3": name(f"{LIEBERT}.4.1.1.2"),
        f"{table}.50.2": number(181),
        f"{table}.50.3": number(272),
    }
    async with reading(recording(cells), load_builtin()["liebert-crac"], community(tmp_path)) as opened:
        roles = {r.point.role: r.value for r in await opened.poll() if r.point.role and r.point.measure == "degC"}
    assert roles == {Role.SUPPLY_TEMP: 18.1, Role.RETURN_TEMP: 27.2}


async def test_a_value_and_all_that_explains_it_are_of_one_request(tmp_path: Path):
    """A value and its text read at two moments differ: 16 beside "17 %"."""
    kind = points(
        'unit: degC, valid_from: {oid: "{base}.12.0", equals: 10}, '
        'cross_check: {oid: "{base}.13.0", unit: degF, tolerance: 90}'
    )
    async with agent(ones) as peer, driver(settings(peer.port, community(tmp_path)), kind) as device:
        assert told(await device.poll()) == {"p1": 10.0}
        assert [len(asked) for asked in peer.asked] == [3]


UPS = {3: ("normal", Severity.OK), 4: ("bypass", None), 5: ("battery", None)}


@pytest.mark.parametrize("source", [3, 4, 5])
async def test_the_output_source_of_an_rfc_1628_ups(tmp_path: Path, source: int):
    mib = "1.3.6.1.2.1.33.1"
    device = recording({f"{mib}.4.1.0": number(source), f"{mib}.2.1.0": number(2)})
    kind = load_builtin()["rfc1628-ups"]
    async with reading(device, kind, community(tmp_path)) as opened:
        found = [r for r in await opened.poll() if r.value is not None]
    on_battery = next(r for r in found if r.point.role is Role.ON_BATTERY)
    assert on_battery.value == ("yes" if source == 5 else "no")
    assert (on_battery.severity is Severity.OK) is (source == 3)


# --- conditions ------------------------------------------------------------------------------------------------------

CONDITIONS = """
points: [{name: state, oid: "{base}.7.0", map: {1: [running, ok]}}]
conditions:
- name: conditions
  count: condition_count
  role: alarm
  walk: "{base}.2.1"
  columns: {text: "{base}.2.1", severity: "{base}.2.2", state: "{base}.2.3"}
  active: [{column: state, equals: 1}]
  label_from: {column: text}
  severity_from: {column: severity, map: {0: ok, 3: warning, 6: warning, 9: critical}}
"""
ACTIVE, INACTIVE = 1, 2


def condition(row: int, words: str, severity: int, state: int) -> dict[str, Value]:
    cells = (text(words), number(severity), number(state))
    return {f"{BASE}.2.{column}.{row}": cell for column, cell in enumerate(cells, 1)}


def alarmed(readings: Iterable[Reading]) -> tuple[float | str | None, float | str | None, Quality, Severity]:
    found = by_name(readings)
    alarm = found["conditions"]
    return alarm.value, found["condition_count"].value, alarm.quality, alarm.severity


async def test_an_empty_condition_table_just_after_the_agent_started_is_not_all_clear(tmp_path: Path):
    device = recording({f"{BASE}.7.0": number(1)}, uptime_s=20)
    async with reading(device, made_up(CONDITIONS), community(tmp_path)) as opened:
        assert alarmed(await opened.poll()) == ("clear", 0.0, Quality.UNCERTAIN, Severity.UNKNOWN)
        device.put(UPTIME, Value(Tag.TIME_TICKS, 40_000))
        assert alarmed(await opened.poll()) == ("clear", 0.0, Quality.GOOD, Severity.OK)


async def test_a_condition_that_is_present_may_be_over(tmp_path: Path):
    device = recording({f"{BASE}.7.0": number(1), **condition(1, "High Temperature", 9, INACTIVE)})
    async with reading(device, made_up(CONDITIONS), community(tmp_path)) as opened:
        assert alarmed(await opened.poll()) == ("clear", 0.0, Quality.GOOD, Severity.OK)
        device.put(f"{BASE}.2.3.1", number(ACTIVE))
        assert alarmed(await opened.poll()) == ("high_temperature", 1.0, Quality.GOOD, Severity.CRITICAL)


async def test_condition_ids_wrap_and_are_used_again(tmp_path: Path):
    """A row is what it says now: the last id is 2147483647, and the next condition has id 1 again."""
    device = recording({f"{BASE}.7.0": number(1), **condition(1, "Fan Issue", 3, ACTIVE)})
    async with reading(device, made_up(CONDITIONS), community(tmp_path)) as opened:
        assert alarmed(await opened.poll())[:2] == ("fan_issue", 1.0)
        for where, value in condition(2147483647, "Low Airflow", 3, ACTIVE).items():
            device.put(where, value)
        assert alarmed(await opened.poll())[1] == 2.0
        device.forget(f"{BASE}.2")
        for where, value in condition(1, "Compressor Failure", 9, ACTIVE).items():
            device.put(where, value)
        assert alarmed(await opened.poll())[:2] == ("compressor_failure", 1.0)


# --- who answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["127.0.0.2", "127.0.0.1"], ids=["another address", "another port"])
async def test_an_answer_from_elsewhere_is_not_believed(tmp_path: Path, where: str):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((where, 0))

        def script(message: Message) -> list[bytes]:
            stranger.sendto(ones(message)[0], peer._peer)
            return [encode_message(message.answer(tuple(VarBind(v.oid, number(20)) for v in message.variables)))]

        async with agent(script) as peer, driver(settings(peer.port, community(tmp_path)), many(2, 10)) as device:
            for _ in range(3):
                assert told(await device.poll()) == {"t1": 2.0, "t2": 2.0}


CHANGES: dict[str, dict[str, object]] = {
    "another request": {"request_id": 7},
    "another community": {"community": b"private"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("version", ["1", "2c"])
async def test_an_answer_to_another_question_is_passed_over(tmp_path: Path, change: dict[str, object], version: str):
    def script(message: Message) -> list[bytes]:
        right = message.answer(tuple(VarBind(each.oid, number(20)) for each in message.variables))
        wrong = message.answer(tuple(VarBind(each.oid, number(10)) for each in message.variables))
        return [encode_message(replace(wrong, **change)), encode_message(right)]  # type: ignore[arg-type]

    asks = settings(0, community(tmp_path, version))
    async with agent(script) as peer, driver(replace(asks, port=peer.port), many(2, 10)) as device:
        assert told(await device.poll()) == {"t1": 2.0, "t2": 2.0}


async def test_request_identifiers_cannot_be_guessed(tmp_path: Path):
    seen: list[int] = []

    def script(message: Message) -> list[bytes]:
        seen.append(message.request_id)
        return ones(message)

    async with agent(script) as peer, driver(settings(peer.port, community(tmp_path)), many(1, 1)) as device:
        for _ in range(20):
            await device.poll()
    assert len(set(seen)) == 20
    assert len({later - earlier for earlier, later in pairwise(seen)}) > 15


async def test_an_answer_of_another_version_is_one_clear_error(tmp_path: Path):
    def script(message: Message) -> list[bytes]:
        return ones(replace(message, version=Version.V1))

    async with agent(script) as peer, driver(settings(peer.port, community(tmp_path)), many(1, 1)) as device:
        with pytest.raises(DeviceError, match="version 0 answers, version 1 was asked") as caught:
            await device.poll()
    assert caught.value.reason is Reason.GARBAGE


async def test_a_flood_of_strange_answers_ends_at_the_deadline(tmp_path: Path):
    async def flood(peer: Agent) -> None:
        while True:
            peer._last = [values_of_nobody] * 20
            peer.send_again()
            await asyncio.sleep(0)

    nobody = Message(Version.V2C, b"private", PduType.RESPONSE, 1, (VarBind((1, 3), number(0)),))
    values_of_nobody = encode_message(nobody)
    asks = settings(0, community(tmp_path), 0.5)
    heard = asyncio.Event()

    def script(_: Message) -> list[bytes]:
        heard.set()
        return []

    async with agent(script) as peer, driver(replace(asks, port=peer.port), many(1, 1)) as device:
        poll = asyncio.ensure_future(device.poll())
        await heard.wait()
        flooding = asyncio.ensure_future(flood(peer))
        with pytest.raises(DeviceError) as caught:
            await poll
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert caught.value.reason is Reason.TIMEOUT


# --- identification --------------------------------------------------------------------------------------------------

SYS_DESCR, SYS_OBJECT_ID = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0"
WHO = [
    ("0.0", "", {"1.3.6.1.2.1.33.1.4.1.0": number(3), "1.3.6.1.2.1.33.1.1.1.0": text("a UPS")}, "rfc1628-ups"),
    ("1.3.6.1.4.1.476.1.42", "Uninitialized", {f"{LIEBERT}.4.3.1.0": number(1)}, "liebert-crac"),
]


@pytest.mark.parametrize(("object_id", "descr", "cells", "right"), WHO, ids=["no sysObjectID", "no sysDescr"])
async def test_an_agent_that_does_not_say_what_it_is_is_known_by_what_it_answers(
    tmp_path: Path, object_id: str, descr: str, cells: dict[str, Value], right: str
):
    device = recording({**cells, SYS_OBJECT_ID: name(object_id), SYS_DESCR: text(descr)})
    async with SnmpAgent(device) as there_is:
        facts = await ask_snmp(settings(there_is.port, community(tmp_path), 5.0), load_builtin().values())
    assert identify(load_builtin().values(), facts)[0].profile == right


# --- SNMPv3 engines --------------------------------------------------------------------------------------------------

GOOD = {"t1": 21.5, "t2": 0.1}


def two() -> Profile:
    return of_points([point_of(f"t{n}", oid(n)) for n in (1, 2)], SnmpLimits())


REBOOTS = {
    "boots that did not rise": (5, 3),
    "boots that went backwards": (2, 3),
    "boots that jumped": (900, 3),
    "a clock ahead by an hour": (5, 103_600),
    "a clock behind by an hour": (5, 96_400),
}


@pytest.mark.parametrize("case", REBOOTS)
async def test_an_engine_whose_boots_and_time_are_not_as_they_should_be_is_read_in_the_same_poll(
    tmp_path: Path, case: str
):
    """The window is 150 s (RFC 3414). Some agents keep no boots, some lose them, and clients freeze what they saw."""
    there_is = PysnmpAgent()
    login = user(tmp_path, "envmon", "sha256", "aes128")
    async with there_is.serving(), driver(settings(there_is.port, login, 5.0), two()) as device:
        assert told(await device.poll()) == GOOD
        there_is.reboot(*REBOOTS[case])
        assert told(await device.poll()) == GOOD
        assert told(await device.poll()) == GOOD
