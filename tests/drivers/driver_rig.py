"""Real devices for the driver tests: profiles, a foreign Modbus server, net-snmp's agent, and scripted peers."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from envmon.config.secret import Secret
from envmon.config.settings import DeviceSettings, SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import Driver
from envmon.model.reading import Reading, Role, Severity
from envmon.profiles.schema import Evidence, Kind, ModbusLimits, Profile, Protocol, SnmpLimits
from envmon.profiles.schema_point import Address, CrossCheck, Oid, ProfilePoint, Register, RegisterType, State
from envmon.profiles.units import Scaling
from envmon.wire.ber import parse_oid
from envmon.wire.modbus import FrameBuffer, Request, decode_request
from envmon.wire.snmp import Message, PduType, Tag, Value, VarBind, Version, decode_message, encode_message
from tests.bound import bind
from tests.ports import free_port

BASE = "1.3.6.1.4.1.99999.1"
PASSWORDS = {"community": "public", "auth": "authpass12", "privacy": "privpass12", "wrong": "wrongpass12", "short": "a"}


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def register(
    function: int, address: int, type_: RegisterType = RegisterType.INT16, registers: int = 1, bit: int = 0
) -> Register:
    return Register(function, address, type_, registers, bit=bit)


def temperature(name: str, address: Address, cross: Address | None = None) -> ProfilePoint:
    """Tenths of degC; 32767 is the sentinel."""
    check = None if cross is None else CrossCheck(cross, Scaling("degF", 0.1), 0.2)
    return ProfilePoint(name, Role.SUPPLY_TEMP, address, Scaling("degC", 0.1), invalid=(32767.0,), cross_check=check)


def mode(name: str, address: Address) -> ProfilePoint:
    states = (State(0, "off", Severity.CRITICAL), State(1, "running", Severity.OK))
    return ProfilePoint(name, Role.UNIT_RUNNING, address, states=states)


def profile(points: Iterable[ProfilePoint], limits: ModbusLimits | SnmpLimits) -> Profile:
    modbus = isinstance(limits, ModbusLimits)
    return Profile(
        "test",
        "none",
        Kind.COOLING_UNIT,
        Protocol.MODBUS if modbus else Protocol.SNMP,
        (),
        Evidence.RECORDED,
        tuple(points),
        modbus=limits if isinstance(limits, ModbusLimits) else None,
        snmp=limits if isinstance(limits, SnmpLimits) else None,
    )


def settings(port: int, snmp: SnmpSettings | None = None, deadline_s: float = 2.0, unit_id: int = 1) -> DeviceSettings:
    return DeviceSettings(
        id="crac_1",
        profile="test",
        host="127.0.0.1",
        port=port,
        zone="hall_a",
        serves="crac_1",
        path="switch_1",
        deadline_s=deadline_s,
        unit_id=unit_id,
        snmp=snmp or SnmpSettings(),
    )


def driver(device: DeviceSettings, kind: Profile, clock: Clock | None = None) -> Driver:
    """The driver as the product opens it, with a clock of the test's own and no chance in the backoff."""
    points = bind(kind, site="dallas", device=device.id, path=device.path, zone=device.zone, serves=device.serves)
    return open_driver(device, kind, points, clock=clock or Clock(), jitter=lambda: 1.0)


def told(readings: tuple[Reading, ...]) -> dict[str, float | str]:
    """Name -> value, or the reason why there is none."""
    return {r.point.name: r.reason.value if r.value is None else r.value for r in readings}


# --- Modbus ----------------------------------------------------------------------------------------------------------


class PymodbusDevice:
    """A foreign Modbus TCP server. Holding registers 0-3 and 5, input registers, two coils, two discrete inputs."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        words = DataType.REGISTERS
        blocks = (
            [SimData(0, values=[True, False], datatype=DataType.BITS)],
            [SimData(0, values=[False, False, False, True], datatype=DataType.BITS)],
            [SimData(0, values=[215, 1, 32767, 65531], datatype=words), SimData(5, values=[7, 299], datatype=words)],
            [SimData(8, values=[0x41AC, 0x0000, 0x4865, 0x6C6C, 707], datatype=words)],
        )
        self._server = ModbusTcpServer(SimDevice(1, blocks), address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


class ScriptedModbus:
    """A Modbus TCP peer that does with each request what the test says; ``asked`` keeps what arrived."""

    def __init__(self, answer: Callable[[Request, asyncio.StreamWriter], Awaitable[None] | None]) -> None:
        self.answer = answer
        self.asked: list[tuple[int, int, int]] = []
        self.connections = 0
        self.hung_up = asyncio.Event()  # the driver has closed a connection
        self.most_in_flight = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.unplug()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        buffer = FrameBuffer()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while data := await reader.read(1000):
                frames = buffer.feed(data)
                self.most_in_flight = max(self.most_in_flight, len(frames))
                for frame in frames:
                    request = decode_request(frame)
                    self.asked.append((int(request.function), request.address, request.count))
                    done = self.answer(request, writer)
                    if done is not None:
                        await done
            self.hung_up.set()
        writer.close()


# --- SNMP ------------------------------------------------------------------------------------------------------------

SNMPD_CONF = f"""
agentaddress udp:127.0.0.1:{{port}}
rocommunity public 127.0.0.1 .1.3.6
createUser shaaes SHA {PASSWORDS["auth"]} AES {PASSWORDS["privacy"]}
rouser shaaes priv
createUser sha512aes256 SHA-512 {PASSWORDS["auth"]} AES-256 {PASSWORDS["privacy"]}
rouser sha512aes256 priv
createUser sha1aes256 SHA {PASSWORDS["auth"]} AES-256 {PASSWORDS["privacy"]}
rouser sha1aes256 priv
createUser md5des MD5 {PASSWORDS["auth"]} DES {PASSWORDS["privacy"]}
rouser md5des priv
createUser sha224only SHA-224 {PASSWORDS["auth"]}
rouser sha224only auth
createUser sha256aes SHA-256 {PASSWORDS["auth"]} AES {PASSWORDS["privacy"]}
rouser sha256aes priv
createUser sha256aes256 SHA-256 {PASSWORDS["auth"]} AES-256 {PASSWORDS["privacy"]}
rouser sha256aes256 priv
createUser sha384aes SHA-384 {PASSWORDS["auth"]} AES {PASSWORDS["privacy"]}
rouser sha384aes priv
createUser nobody
rouser nobody noauth
proxy -Cn crac_2 -v 2c -c public 127.0.0.1:{{port}} .{BASE}
override {BASE}.1.0 integer 215
override {BASE}.2.0 integer 1
override {BASE}.3.0 integer 32767
override {BASE}.4.0 integer -5
override {BASE}.5.0 integer 707
override {BASE}.6.0 octet_str "Hell"
override {BASE}.7.0 uinteger 4000000000
override {BASE}.8.0 octet_str "21.5"
override {BASE}.9.0 object_id {BASE}
"""


class Snmpd:
    """net-snmp's agent with fixed objects under ``BASE``; its engine boots and time survive ``stop`` and ``start``."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None, "snmpd is not installed: apt install snmpd"
        self._program = program
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._state = directory / "state" / "snmpd.conf"
        self._state.parent.mkdir()
        self._state.touch()
        self._write("envmontests")

    def _write(self, engine: str) -> None:
        (self._directory / "snmpd.conf").write_text(f"engineId {engine}\n{SNMPD_CONF.format(port=self.port)}")

    def start(self) -> None:
        environment = {"SNMP_PERSISTENT_DIR": str(self._state.parent), "MIBS": "", "HOME": str(self._directory)}
        files = f"{self._directory / 'snmpd.conf'},{self._state}"
        command = [self._program, "-C", "-c", files, "-f", "-LF", "w", self.log]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait()

    @property
    def log(self) -> str:
        return str(self._directory / "log")

    def _wait(self) -> None:
        request = encode_message(Message(Version.V2C, b"public", PduType.GET, 1, (VarBind(parse_oid(f"{BASE}.1.0")),)))
        deadline = time.monotonic() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            probe.connect(("127.0.0.1", self.port))
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    probe.send(request)
                    if decode_message(probe.recv(1500)).kind is PduType.RESPONSE:
                        return
        raise AssertionError(f"snmpd did not answer within 20 s: {Path(self.log).read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def set_boots(self, boots: int) -> None:
        """While stopped: change the engine's boot count; the agent adds one when it starts."""
        lines = [line for line in self._state.read_text().splitlines() if not line.startswith("engineBoots")]
        self._state.write_text("\n".join([*lines, f"engineBoots {boots}", ""]))

    def replace_card(self, engine: str) -> None:
        """While stopped: become another SNMP engine at the same address."""
        self._state.write_text("")
        self._write(engine)


@dataclass
class Agent(asyncio.DatagramProtocol):
    """A scripted SNMP agent: ``answer`` turns a request into datagrams; ``asked`` keeps the OIDs of each request.

    ``peers`` are who asked.
    """

    answer: Callable[[Message], Iterable[bytes]]
    asked: list[tuple[str, ...]] = field(default_factory=list)
    peers: set[tuple[str, int]] = field(default_factory=set)
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._last: list[bytes] = []
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = decode_message(data)
        self.asked.append(tuple(".".join(map(str, variable.oid)) for variable in message.variables))
        self._peer = addr
        self.peers.add(addr)
        self._last = list(self.answer(message))
        self.send_again()

    def send_again(self) -> None:
        for datagram in self._last:
            self._transport.sendto(datagram, self._peer)


@contextlib.asynccontextmanager
async def agent(answer: Callable[[Message], Iterable[bytes]]) -> AsyncIterator[Agent]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Agent(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


def values(message: Message, **table: int) -> bytes:
    """Answer from ``n1=215`` (BASE.1.0); what is not in the table has no such instance."""
    variables = []
    for variable in message.variables:
        number = table.get(f"n{variable.oid[-2]}")
        value = Value(Tag.NO_SUCH_INSTANCE) if number is None else Value(Tag.INTEGER, number)
        variables.append(VarBind(variable.oid, value))
    return encode_message(message.answer(tuple(variables)))


def secret(directory: Path, name: str) -> Secret:
    path = directory / name
    path.write_text(PASSWORDS[name] + "\n")
    return Secret(f"file:{path}")


def community(directory: Path, version: str = "2c", name: str = "community") -> SnmpSettings:
    return SnmpSettings(version=version, community=secret(directory, name))


def user(
    directory: Path,
    name: str,
    auth: str = "",
    privacy: str = "",
    auth_name: str = "auth",
    privacy_name: str = "privacy",
) -> SnmpSettings:
    return SnmpSettings(
        version="3",
        user=name,
        auth_protocol=auth or "sha",
        auth_password=secret(directory, auth_name) if auth else None,
        privacy_protocol=privacy or "aes128",
        privacy_password=secret(directory, privacy_name) if privacy else None,
    )


def oid(number: int, *, text: bool = False) -> Oid:
    return Oid(f"{BASE}.{number}.0", text)
