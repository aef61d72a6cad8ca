"""What must hold of everything that decodes above the wire: polls, traps, readings, configuration, profiles.

Rules
  - As ``fuzz_wire``: a check takes a stranger's bytes and raises when the product does something it must not.
"""

import asyncio
import atexit
import contextlib
import math
import re
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from fuzz_wire import Cutter, Target, v3_message

from envmon.config import ConfigError, load
from envmon.config.secret import Secret
from envmon.config.settings import DeviceSettings, SnmpSettings, TrapSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_community import CommunityPeer
from envmon.drivers.snmp_session import Session
from envmon.drivers.snmp_socket import SnmpSocket
from envmon.drivers.traps import TrapListener
from envmon.model.reading import Quality, Reading, Severity
from envmon.profiles.bind import BoundPoint, bind_at, place
from envmon.profiles.conditions import bind_conditions, summarise
from envmon.profiles.decode import Beside, Raw, decode, plain_registers
from envmon.profiles.expand import expand
from envmon.profiles.identify import Facts, identify
from envmon.profiles.loader import ProfileError, load_builtin, load_text
from envmon.profiles.schema import Profile, Protocol
from envmon.profiles.schema_point import Address, Register
from envmon.wire import ber
from envmon.wire.snmp import ErrorStatus, Message, Tag, Value, VarBind, Version, decode_message, encode_message
from envmon.wire.snmp_community import Community

ROOT = Path(__file__).parents[2]


@cache
def _directory() -> Path:
    """Files of this process; in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    directory = tempfile.mkdtemp(prefix="envmon-fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _secret(name: str, text: str) -> Secret:
    path = _directory() / name
    path.write_text(text + "\n", encoding="utf-8")
    return Secret(f"file:{path}")


# --- walks -----------------------------------------------------------------------------------------------------------

_COLUMN = "1.3.6.1.4.1.99999.1"


class _Peer(asyncio.DatagramProtocol):
    """Answers every request with what ``script`` makes of it, then that there is nothing more."""

    def __init__(self) -> None:
        self.script: Callable[[Message], bytes] = encode_message
        self.sent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = decode_message(data)
        self.sent.append(self.script(asked))
        end = asked.answer((VarBind(asked.variables[0].oid, Value(Tag.END_OF_MIB_VIEW)),))
        if asked.version is Version.V1:
            end = asked.answer(asked.variables, ErrorStatus.NO_SUCH_NAME, 1)
        for datagram in (self.sent[-1], encode_message(end)):
            self._transport.sendto(datagram, addr)


@dataclass
class _Walks:
    """One loop and one peer."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    peer: _Peer = field(default_factory=_Peer)

    def __post_init__(self) -> None:
        made = self.loop.create_datagram_endpoint(lambda: self.peer, local_addr=("127.0.0.1", 0))
        self.transport, _ = self.loop.run_until_complete(made)
        atexit.register(self._close)

    def _close(self) -> None:
        self.transport.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def walk(self, version: Version, rows: int) -> tuple[str, ...]:
        """Walk as a poll does. Raises DeviceError."""
        return self.loop.run_until_complete(asyncio.wait_for(self._walk(version, rows), 4))

    async def _walk(self, version: Version, rows: int) -> tuple[str, ...]:
        port = self.transport.get_extra_info("sockname")[1]
        peer = CommunityPeer(SnmpSocket("127.0.0.1", port), Community(version, b"public"))
        with contextlib.closing(Session(peer, "fuzz")) as session:
            return await session.walk(_COLUMN, rows).indexes()


@cache
def _walks() -> _Walks:
    return _Walks()


def snmp_walk(data: bytes) -> None:
    """A walk ends, and the rows it finds stand below its column in what the agent sent."""
    cut = Cutter(data)
    flags, walks = cut.number(), _walks()
    walks.peer.script = lambda asked: _rows_of(asked, flags >> 2, cut)
    walks.peer.sent.clear()
    version, rows = (Version.V1, 0) if flags & 1 else (Version.V2C, 10 if flags & 2 else 0)
    found: tuple[str, ...] = ()
    with contextlib.suppress(DeviceError):
        found = walks.walk(version, rows)
    for index in found:
        oid = ber.encode_oid(6, ber.parse_oid(f"{_COLUMN}.{index}"))
        assert any(oid[2:] in sent for sent in walks.peer.sent), f"row {index} was never sent"
    assert len(walks.peer.sent) < 5000


def _rows_of(asked: Message, how: int, cut: Cutter) -> bytes:
    """Turn a request into the datagram the input stands for."""
    if how & 1:
        return cut.take(cut.number())
    at = asked.variables[0].oid
    variables = []
    for _ in range(cut.number() % 4):
        tail = tuple(cut.number() for _ in range(cut.number() % 4))
        oid = (*ber.parse_oid(_COLUMN), *tail) if how & 2 else (*at, *tail)
        variables.append(VarBind(oid, Value(Tag.INTEGER, cut.number())))
    whole = bytearray(encode_message(asked.answer(tuple(variables), cut.number() % 7 if how & 4 else 0)))
    for _ in range(cut.number() % 4):
        whole[cut.number() % len(whole)] = cut.number()
    return bytes(whole)


def _walk_seeds() -> tuple[bytes, ...]:
    rows = bytes((3, 1, 1, 7, 1, 2, 8, 2, 3, 1, 9, 0))
    broken = bytes.fromhex("0301ffffffffffffffffffffffffffffffffffffffffffffa1a1a1a1a101")
    return (broken, *(bytes((flags,)) + rows * 3 for flags in (0, 2, 8, 10, 9, 1, 24)), bytes((4, 30)) + b"\x30" * 30)


# --- notifications ---------------------------------------------------------------------------------------------------

V2C_TRAP = bytes.fromhex(
    "304502010104067075626c6963a73802040c05f187020100020100302a300f06082b060102010103004303136e813017060a2b060106"
    "03010104010006092b0601060301010503"
)
V1_TRAP = bytes.fromhex("302702010004067075626c6963a41a06072b06010401bf0840047f00000102010602011143012a3000")
V3_TRAP = bytes.fromhex(  # user envmon, SHA-256 authpass12, AES-128 privpass12
    "3081b2020103301102046f742be1020300ffe304010302010304473045040f80001f8804656e766d6f6e7465737402010102"
    "03136e860406656e766d6f6e04186b177db9900722dbf8346818752c607e51a5583a6b4bd71f040870366fd37ac3484b0451"
    "2b55d4c174292687af2e8a149d29acc832639ed8eab1cface34bb366fa7270c23bfcf2d57056f90f95a81a616d38d41ac7887"
    "eef211af30daa98651f3b75fa9fc2e1ec91dc0d1e56a9923be6911297d5e8"
)
_NOTIFICATIONS = {0xA4, 0xA6, 0xA7}  # Trap-PDU of v1, InformRequest, SNMPv2-Trap


@cache
def _listener() -> tuple[TrapListener, list[str]]:
    noticed: list[str] = []
    community = SnmpSettings(community=_secret("community", "public"))
    login = SnmpSettings(
        version="3",
        user="envmon",
        auth_protocol="sha256",
        auth_password=_secret("auth", "authpass12"),
        privacy_protocol="aes128",
        privacy_password=_secret("privacy", "privpass12"),
    )
    devices = [
        DeviceSettings(
            id=name, profile="p", host="127.0.0.1", port=161, zone=None, serves="", path="p", deadline_s=1, snmp=snmp
        )
        for name, snmp in (("by_community", community), ("by_user", login))
    ]
    listener = TrapListener(TrapSettings("127.0.0.1", 1), "dallas", devices, noticed.append)
    listener.gate = replace(listener.gate, per_sender_s=1e9, burst=1e9, all_per_s=1e9, all_burst=1e9)
    return listener, noticed


def traps(data: bytes) -> None:
    """Only a notification with the community, or a message only the user can have made, is news; a stranger never."""
    listener, noticed = _listener()
    if not listener._engines or any(engine.worn for engine in listener._engines.values()):
        asyncio.run(listener._renew())
    noticed.clear()
    listener._take(data, ("192.0.2.9", 162), 0.0)
    assert not noticed, "news of a stranger"
    listener._take(data, ("127.0.0.1", 162), 0.0)
    if "by_user" in noticed:
        assert data == V3_TRAP
    if "by_community" in noticed:
        message = ber.Reader(ber.Reader(data).expect(0x30))
        version, community = ber.decode_integer(message.expect(2), 0, 3), message.expect(4)
        assert version in {0, 1} and community == b"public" and message.next()[0] in _NOTIFICATIONS, data.hex()


def _trap_seeds() -> tuple[bytes, ...]:
    inform = V2C_TRAP.replace(b"\xa7\x38", b"\xa6\x38")
    get = bytes.fromhex("302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500")
    return V2C_TRAP, V1_TRAP, V3_TRAP, inform, get, v3_message(), v3_message(b"")


# --- readings --------------------------------------------------------------------------------------------------------

_MADE_UP = """
profile: made-up-{protocol}
vendor: nobody
kind: sensor
protocol: {protocol}
evidence: document
sources: [{{document: made up, revision: "1"}}]
points:
"""
_POINTS = {
    "snmp": """
- {name: field, oid: 1.3.6.1.1, bits: [2, 5], map: {0: [off, warning], 3: [on, ok]}}
- {name: number, oid: 1.3.6.1.2, bits: [0, 7], unit: "%"}
- {name: sentinel, oid: 1.3.6.1.3, unit: degC, scale: 0.1, invalid: [-1, 2147483647], invalid_text: ["--"]}
- {name: switched, oid: 1.3.6.1.4, scale: 0.1, unit_from: {oid: 1.3.6.1.5, map: {1: degC, 2: degF}}}
- {name: held, oid: 1.3.6.1.6, unit: degC, valid_range: [10, 40],
   cross_check: {oid: 1.3.6.1.7, unit: degF, tolerance: 1}}
- {name: shown, oid: 1.3.6.1.8, unit: kW, valid_from: {oid: 1.3.6.1.9, equals: [1, present]}}
- {name: named, oid: 1.3.6.1.10, enum_from: {oid: 1.3.6.1.11}, map: {ok: [fine, ok], alarm: [alarm, critical]}}
- {name: told, oid: 1.3.6.1.12, text: true}
- {name: pressure, oid: 1.3.6.1.13, unit: bar}
""",
    "modbus": """
- {name: single, function: 4, address: 0, type: float32, unit: degC, word_order: low_first}
- {name: digits, function: 3, address: 2, type: bcd, registers: 2, unit: kWh}
- {name: part, function: 3, address: 4, type: uint16, bits: [3, 6], map: {0: [off, warning], 3: [on, ok]}}
- {name: words, function: 3, address: 6, type: ascii, registers: 4}
- {name: switch, function: 2, address: 9, type: bit, map: {0: [off, ok], 1: [on, critical]}}
- {name: wide, function: 3, address: 12, type: float64, unit: kW}
- {name: odd, function: 3, address: 20, type: uint16, unit: degC, offset: -20, invalid: [0, 0xFFFF]}
""",
}
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


@dataclass(frozen=True)
class _Kind:
    """One profile with its points bound, voting."""

    profile: Profile
    points: tuple[BoundPoint, ...]
    at: Any


@cache
def _kinds() -> tuple[_Kind, ...]:
    made_up = [load_text(_MADE_UP.format(protocol=name) + text, f"{name}.yaml") for name, text in _POINTS.items()]
    kinds = []
    for profile in (*made_up, *load_builtin().values()):
        there = place(profile, site="s", device="d", path="p", zone="z", serves="u", commissioned=True)
        kinds.append(_Kind(profile, bind_at(profile, there), there))
    return tuple(kinds)


def readings(data: bytes) -> None:
    """Whatever a device answers is a reading whose value the answer justifies, or one that says why there is none."""
    cut = Cutter(data)
    kind = _kinds()[cut.number() % len(_kinds())]
    first = cut.number()
    for number in range(min(len(kind.points), 8)):
        _one(kind.points[(first + number) % len(kind.points)], cut)
    if kind.profile.protocol is Protocol.SNMP:
        _rows(kind, cut)


def _one(bound: BoundPoint, cut: Cutter) -> None:
    spec = bound.spec
    raw = _raw(spec.address, cut)
    beside = Beside(*(_raw(address, cut) if address else None for address in _beside(bound)))
    reading = decode(bound, raw, beside)
    _sound(bound, raw, reading)


def _beside(bound: BoundPoint) -> tuple[Address | None, ...]:
    spec = bound.spec
    return (
        spec.cross_check.address if spec.cross_check else None,
        spec.unit_from.address if spec.unit_from else None,
        spec.valid_from.address if spec.valid_from else None,
        spec.enum_from,
    )


def _raw(address: Address, cut: Cutter) -> Raw:
    """Return what a client hands over: registers, or a value of any SNMP type."""
    kind = cut.number()
    if isinstance(address, Register):
        size = 1 if address.function <= 2 else 2 * address.registers
        return plain_registers(address, cut.take(size).ljust(size, b"\0")) if kind % 8 else None
    match kind % 6:
        case 0:
            return None
        case 1:
            return int.from_bytes(cut.take(cut.number() % 9), "big", signed=bool(kind & 64))
        case 2:
            return cast("float", struct.unpack(">d", cut.take(8).ljust(8, b"\0"))[0])
        case 3:
            return cut.take(cut.number() % 24).decode("latin-1")
        case 4:
            return cut.take(cut.number() % 24)
        case _:
            return kind


def _sound(bound: BoundPoint, raw: Raw, reading: Reading) -> None:
    spec = bound.spec
    if raw is None:
        assert reading.quality is Quality.MISSING
    if reading.quality in {Quality.MISSING, Quality.BAD}:
        assert reading.value is None
        assert reading.severity is (Severity.UNKNOWN if spec.states else Severity.NONE)
        return
    assert reading.value is not None
    if spec.states:
        assert reading.value in {state.label for state in spec.states}
        return
    if not spec.is_number:
        return
    assert isinstance(reading.value, float) and math.isfinite(reading.value), (raw, reading)
    if isinstance(raw, str | bytes):
        text = raw if isinstance(raw, str) else raw.decode("latin-1")
        assert _NUMBER.fullmatch(text.strip("\0 \t\r\n")), f"{raw!r} was read as {reading.value}"
    if spec.bits is not None:
        assert 0 <= reading.value < 2 ** (1 + spec.bits[1] - spec.bits[0])
    elif isinstance(raw, int | float):
        assert raw not in spec.invalid
    if spec.valid_range is not None:
        assert spec.valid_range[0] <= reading.value <= spec.valid_range[1]


def _rows(kind: _Kind, cut: Cutter) -> None:
    """Tables and conditions from a handful of cells."""
    indexes = [".".join(str(cut.number() % 12) for _ in range(1 + cut.number() % 3)) for _ in range(3)]
    for table in kind.profile.tables:
        columns = {column for _, column in table.columns}
        columns |= {point.spec.address.oid for point in table.points if not isinstance(point.spec.address, Register)}
        cells = _cells(sorted(columns), indexes, cut)
        for bound in expand(table, indexes, cells, kind.at):
            assert bound.point.id.isprintable() and re.fullmatch(r"[a-z0-9_]+", bound.point.name), bound.point
            _one(bound, cut)
    for conditions in kind.profile.conditions:
        there = bind_conditions(conditions, kind.at)
        cells = _cells(sorted(column for _, column in conditions.columns), indexes, cut)
        for reading in summarise(there, indexes, cells, float(cut.number(2))):
            assert reading.value is not None
            assert reading.severity is not Severity.OK or reading.value == "clear" or reading.point.role is None
    told = [str(_raw(Register and kind.points[0].spec.address, cut) or "") for _ in range(2)] if kind.points else []
    if len(told) == 2:
        identify(load_builtin().values(), Facts(Protocol.SNMP, told[0], told[1], {}))


def _cells(columns: list[str], indexes: list[str], cut: Cutter) -> dict[str, Raw]:
    oid = next(point.spec.address for point in _kinds()[0].points)
    return {f"{column}.{index}": _raw(oid, cut) for index in indexes for column in columns}


def _reading_seeds() -> tuple[bytes, ...]:
    texts = (b"not available", b"--", b"-99.9", b"21.5", b"Unavailable", b"1e400", b"nan", b"2_1", b"1e305")
    answers = b"".join(bytes((3, len(text))) + text for text in texts)
    numbers = b"".join(bytes((1, 4)) + n.to_bytes(4, "big") for n in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 215, 0))
    kinds = range(len(_kinds()))
    return (
        *(bytes((number, 0)) + answers for number in kinds),
        *(bytes((number, 0)) + numbers * 3 for number in kinds),
    )


# --- files -----------------------------------------------------------------------------------------------------------


def configuration(data: bytes) -> None:
    """Any file is settings or faults, each of one printable line with its place."""
    path = _directory() / "envmon.yaml"
    path.write_bytes(data)
    faults: Any = ()
    try:
        load(path, profiles=load_builtin())
    except ConfigError as error:
        faults = error.faults or [None]
    for fault in faults:
        assert fault.line >= 1 and fault.col >= 1 and fault.text and str(fault).isprintable(), str(fault)


def profile(data: bytes) -> None:
    """Any file is a profile or faults, a line each that begins with the file's name."""
    faults: tuple[str, ...] = ()
    try:
        load_text(data.decode("utf-8", "replace"), "fuzz.yaml")
    except ProfileError as error:
        faults = error.faults or ("",)
    for fault in faults:
        assert fault.startswith("fuzz.yaml:") and fault.isprintable(), fault


_SMALL = b"""site: dallas
daemon: {zone: noc}
places: [noc]
zones:
  hall_a: {it_load_kw: 60, units: {crac_1: {sensible_kw: 36}}, units_needed: 1}
devices:
  crac_1: {profile: apc-inrow-rc, address: 192.0.2.31, serves: hall_a.crac_1, snmp: {community: credential:snmp}}
"""


def _config_seeds() -> tuple[bytes, ...]:
    return (_SMALL, (ROOT / "config" / "envmon.example.yaml").read_bytes()[:8000])


def _profile_seeds() -> tuple[bytes, ...]:
    files = ("liebert-crac", "apc-inrow-sc-modbus", "stulz-wib8000", "rittal-cmc-iii")
    shipped = (ROOT / "envmon" / "profiles" / f"{name}.yaml" for name in files)
    made_up = (_MADE_UP.format(protocol=name) + text for name, text in _POINTS.items())
    return (*(path.read_bytes()[:8000] for path in shipped), *(text.encode() for text in made_up))


TARGETS = (
    Target("snmp_walk", snmp_walk, _walk_seeds, short=200),
    Target("traps", traps, _trap_seeds, short=700),
    Target("decode", readings, _reading_seeds, short=800),
    Target("config", configuration, _config_seeds, short=60),
    Target("profile", profile, _profile_seeds, short=60),
)
