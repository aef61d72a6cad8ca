"""Who is measured by the fleet benchmark: envmon, collectd and snmp_exporter, each made to read the same points.

Rules
  - Every subject reads 20 points of every device every second and offers them on ``/metrics``; envmon and collectd
    also publish them to the broker.
  - collectd is configured the usual way, one value in a Data block; so are its manual's examples.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fleet_rig import SUBJECT_CORE, BenchError, Fleet, end, free_port, get, needed, pinned, until

POINTS = 20
ZONE_OF = 50  # devices a zone
ROLES = 2  # points a device that a zone is judged by
SECRETS = {"community": "public", "auth": "authpass12", "privacy": "privpass12"}  # as the simulator has them
OID = "1.3.6.1.4.1.99999.1.{}.0"
ROOT = Path(__file__).resolve().parents[2]


class Subject(Protocol):
    """A program under test."""

    name: str
    http: int
    pid: int

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Process:
    """What every subject has: a process on the measured core, and a port with metrics."""

    name = ""

    def __init__(self, folder: Path, fleets: Sequence[Fleet], mqtt: int) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(exist_ok=True)
        self.fleets = fleets
        self.mqtt = mqtt
        self.http = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.process = pinned(self.command(), SUBJECT_CORE, self.log, cwd=ROOT)
        until(self.answers, f"{self.name} answers; see {self.log}", 90)

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended: {self.log.read_text()[-1500:]}")
        with contextlib.suppress(OSError):
            return bool(get(self.http, "/metrics")[1])
        return False

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)


class Envmon(Process):
    """The daemon as it ships, with two profiles of an operator's own."""

    name = "envmon"

    def command(self) -> list[str]:
        (self.folder / "profiles").mkdir(exist_ok=True)
        for protocol in {fleet.protocol for fleet in self.fleets}:
            (self.folder / "profiles" / f"{protocol}.yaml").write_text(json.dumps(_profile(protocol)))
        config = self.folder / "envmon.yaml"
        for name, secret in SECRETS.items():
            (self.folder / name).write_text(secret)
        config.write_text(json.dumps(self._config()))
        return [sys.executable, "-m", "envmon.cli.main", "run", "--config", str(config)]

    def _config(self) -> dict[str, object]:
        numbered = [(fleet, number) for fleet in self.fleets for number in range(fleet.count)]
        zones = dict.fromkeys(zone_of(fleet, number) for fleet, number in numbered)
        return {
            "site": "bench",
            "daemon": {
                "zone": "desk",
                "state_dir": str(self.folder / "state"),
                "socket": str(self.folder / "envmon.sock"),
            },
            "places": ["desk"],
            "profiles": [str(self.folder / "profiles")],
            "zones": {
                zone: {"it_load_kw": 100, "units": {"unit_1": {"sensible_kw": 200}}, "units_needed": 1}
                for zone in zones
            },
            "devices": {f"{fleet.name}_{number}": self._device(fleet, number) for fleet, number in numbered},
            "publish": {
                "mqtt": {"host": "127.0.0.1", "port": self.mqtt, "zone": "desk", "qos": 0},
                "http": {"listen": f"127.0.0.1:{self.http}"},
            },
        }

    def _device(self, fleet: Fleet, number: int) -> dict[str, object]:
        zone = zone_of(fleet, number)
        where = {"serves": f"{zone}.unit_1"} if number % ZONE_OF == 0 else {"zone": zone}
        files = {name: f"file:{self.folder}/{name}" for name in SECRETS}
        login = {"version": "2c", "community": files["community"]}
        if fleet.group.version == "3":
            login = {"version": "3", "user": "bench", "auth": "sha", "privacy": "aes128",
                     "auth_password": files["auth"], "privacy_password": files["privacy"]}  # fmt: skip
        return {
            "profile": f"bench-{fleet.protocol}",
            "address": f"{fleet.host(number)}:{fleet.port}",
            "every": "1s",
            "deadline": "900ms",
            **where,
            **({"snmp": login} if fleet.protocol == "snmp" else {}),
        }


def zone_of(fleet: Fleet, number: int) -> str:
    return f"{fleet.name}_hall_{number // ZONE_OF}"


def _profile(protocol: str) -> dict[str, object]:
    points: list[dict[str, object]] = []
    for number in range(1, POINTS + 1):
        point: dict[str, object] = {"name": f"point_{number}", "valid_range": [-100, 1000], "invalid": [32767]}
        if number <= ROLES:
            point |= {"role": "rack_inlet_temp", "unit": "degC", "scale": 0.05, "offset": 10}
        elif number % 2:
            point |= {"unit": "kW", "scale": 0.1}
        snmp = {"oid": OID.format(number + 1)}
        modbus = {"function": 3, "address": number, "type": "int16"}
        points.append({**point, **(snmp if protocol == "snmp" else modbus)})
    return {
        "profile": f"bench-{protocol}",
        "vendor": "bench",
        "kind": "sensor",
        "protocol": protocol,
        "evidence": "recorded",
        "sources": [{"document": "the benchmark's simulator", "revision": "1"}],
        "points": points,
    }


class Collectd(Process):
    """collectd with its snmp, modbus, mqtt and write_prometheus plugins."""

    name = "collectd"

    def command(self) -> list[str]:
        config = self.folder / "collectd.conf"
        config.write_text("\n".join([*self._head(), *self._snmp(), *self._modbus()]) + "\n")
        return [needed("collectd", "collectd-core libsnmp40 libmodbus5 libmosquitto1 libmicrohttpd12"), "-f", "-C",
                str(config)]  # fmt: skip

    def _head(self) -> list[str]:
        return [
            f'BaseDir "{self.folder}"', f'PIDFile "{self.folder}/pid"', 'TypesDB "/usr/share/collectd/types.db"',
            "Interval 1", "ReadThreads 5", "WriteThreads 5", "AutoLoadPlugin true",
            f'<Plugin "write_prometheus">\n Host "127.0.0.1"\n Port "{self.http}"\n</Plugin>',
            f'<Plugin "mqtt">\n <Publish "bench">\n  Host "127.0.0.1"\n  Port {self.mqtt}\n </Publish>\n</Plugin>',
        ]  # fmt: skip

    def _snmp(self) -> list[str]:
        fleets = [fleet for fleet in self.fleets if fleet.protocol == "snmp"]
        lines = ['<Plugin "snmp">'] if fleets else []
        names = [f"p{number}" for number in range(1, POINTS + 1)]
        for number, name in enumerate(names, start=1):
            values = f' <Data "{name}">\n  Type "gauge"\n  Table false\n  TypeInstance "{name}"'
            lines.append(f'{values}\n  Values "{OID.format(number + 1)}"\n </Data>' if fleets else "")
        collect = " ".join(f'"{name}"' for name in names)
        for fleet in fleets:
            lines += [
                f' <Host "snmp{number}">\n  Address "{fleet.host(number)}:{fleet.port}"\n  Version 2\n'
                f'  Community "public"\n  Collect {collect}\n  Interval 1\n </Host>'
                for number in range(fleet.count)
            ]
        return [*lines, "</Plugin>"] if fleets else []

    def _modbus(self) -> list[str]:
        fleets = [fleet for fleet in self.fleets if fleet.protocol == "modbus"]
        if not fleets:
            return []
        lines = ['<Plugin "modbus">']
        lines += [
            f' <Data "p{number}">\n  RegisterBase {number}\n  RegisterType "Int16"\n  RegisterCmd "ReadHolding"\n'
            f'  Type "gauge"\n  Instance "p{number}"\n </Data>'
            for number in range(1, POINTS + 1)
        ]
        collect = "\n".join(f'   Collect "p{number}"' for number in range(1, POINTS + 1))
        for fleet in fleets:
            lines += [
                f' <Host "modbus{number}">\n  Address "{fleet.host(number)}"\n  Port "{fleet.port}"\n  Interval 1\n'
                f"  <Slave 1>\n{collect}\n  </Slave>\n </Host>"
                for number in range(fleet.count)
            ]
        return [*lines, "</Plugin>"]


class SnmpExporter(Process):
    """snmp_exporter, asked by a scraper for every device once a second, as Prometheus would."""

    name = "snmp_exporter"

    def __init__(self, folder: Path, fleets: Sequence[Fleet], mqtt: int) -> None:
        super().__init__(folder, [fleet for fleet in fleets if fleet.protocol == "snmp"], mqtt)
        self.scraper: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        config = self.folder / "snmp.yml"
        oids = [OID.format(number + 1) for number in range(1, POINTS + 1)]
        metrics = [
            {"name": f"point_{number}", "oid": oid.removesuffix(".0"), "type": "gauge", "help": "x"}
            for number, oid in enumerate(oids)
        ]
        module = {"get": oids, "metrics": metrics, "version": 2, "auth": {"community": "public"}, "max_repetitions": 25}
        config.write_text(json.dumps({"bench": module}))
        return [
            needed("prometheus-snmp-exporter", "prometheus-snmp-exporter"),
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{self.http}",
            "--log.level=error",
        ]

    def start(self) -> None:
        super().start()
        (fleet,) = self.fleets
        targets = [f"{fleet.host(number)}:{fleet.port}" for number in range(fleet.count)]
        (self.folder / "targets").write_text("\n".join(targets))
        command = [sys.executable, __file__, str(self.http), str(self.folder / "targets")]
        self.scraper = pinned(command, 1, self.folder / "scraper.log")

    def stop(self) -> None:
        if self.scraper is not None:
            end(self.scraper)
        super().stop()


async def scrape_for_ever(port: int, target: str, offset: float) -> None:
    """Ask the exporter for one target every second over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    due = loop.time() + offset
    while True:
        await asyncio.sleep(due - loop.time())
        due = max(due + 1.0, loop.time())
        writer.write(f"GET /snmp?module=bench&target={target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))


async def scrape_all(port: int, targets: list[str]) -> None:
    await asyncio.gather(*(scrape_for_ever(port, each, n / len(targets)) for n, each in enumerate(targets)))


if __name__ == "__main__":
    asyncio.run(scrape_all(int(sys.argv[1]), Path(sys.argv[2]).read_text().split()))
