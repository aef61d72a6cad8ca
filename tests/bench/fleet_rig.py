"""What the fleet benchmark runs on: simulated devices, a broker, pinned processes, and what /proc says of them."""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet_runs import Group

SOURCES = Path(__file__).parent / "sim"
TICK = os.sysconf("SC_CLK_TCK")
LATE_MS = 1500  # a device that waited longer than one and a half intervals for its poll was polled late
SUBJECT_CORE, WORLD_CORE = 0, 1


class BenchError(Exception):
    """Something the benchmark needs is missing; the text says what to install."""


def needed(program: str, package: str) -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        raise BenchError(f"{program} is missing: apt-get install --no-install-recommends {package}")
    return found


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(command: Sequence[str], core: int, log: Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a program on one core, with as many open files as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    outer = ["prlimit", f"--nofile={hard}:{hard}", "taskset", "-c", str(core)]
    with log.open("wb") as out:
        return subprocess.Popen([*outer, *command], stdout=out, stderr=out, cwd=cwd)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def until(condition: object, what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Counts:
    """What a simulator saw since its last reset."""

    points: int
    late: int
    never: int
    gap_ms: float


class Fleet:
    """A group of devices, simulated by one C program."""

    def __init__(self, number: int, group: Group, folder: Path) -> None:
        self.name = f"{group.protocol}_{number}"
        self.group = group
        self.protocol, self.count = group.protocol, group.count
        self.octet = 10 + number
        self.port = free_port(socket.SOCK_DGRAM if self.protocol == "snmp" else socket.SOCK_STREAM)
        self._control = free_port(socket.SOCK_DGRAM)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def host(self, number: int) -> str:
        return f"127.{self.octet}.{number // 250}.{number % 250 + 1}"

    def start(self) -> None:
        source = {"snmp": "snmpsim", "modbus": "mbsim"}[self.protocol]
        program = self._folder / source
        log = self._folder / f"{self.name}.log"
        if not program.exists():
            compiler = needed("gcc", "gcc libc6-dev libssl-dev")
            built = subprocess.run(
                [compiler, "-O2", "-w", "-o", str(program), str(SOURCES / f"{source}.c"), "-lcrypto"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if built.returncode:
                raise BenchError(f"{source}.c does not compile; apt-get install libssl-dev?\n{built.stderr[-800:]}")
        command = [program, "-n", self.count, "-p", self.port, "-c", self._control, "-a", self.octet]
        self._process = pinned([str(part) for part in command], WORLD_CORE, log)
        until(self._answers, f"{source} answers: {log.read_text()}")

    def break_(self) -> None:
        """Let the devices have the fault of their group."""
        if self.group.fault:
            self.tell(self.group.fault)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)

    def tell(self, command: str) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.settimeout(2)
            control.sendto(command.encode(), ("127.0.0.1", self._control))
            return control.recv(4096).decode()

    def counts(self) -> Counts:
        told = json.loads(self.tell(f"stats {LATE_MS}"))
        return Counts(told["points"], told["late"], told["never"], told["gap_max_ms"])

    def _answers(self) -> bool:
        try:
            return bool(self.tell("stats"))
        except OSError:
            return False


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A mosquitto on loopback; yields its port."""
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
        "set_tcp_nodelay true\n"
    )
    process = pinned([needed("mosquitto", "mosquitto"), "-c", str(configuration)], WORLD_CORE, folder / "mosquitto.log")

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(listens, "mosquitto listens")
        yield port
    finally:
        end(process)


def get(port: int, path: str) -> tuple[float, bytes]:
    """Fetch a page; seconds it took, and its body."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        pieces = []
        while piece := link.recv(1 << 20):
            pieces.append(piece)
    return time.monotonic() - begun, b"".join(pieces).partition(b"\r\n\r\n")[2]
