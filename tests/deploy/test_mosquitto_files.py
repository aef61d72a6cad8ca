"""The example broker: a real mosquitto loads it, envmon may write its own site, everybody else is denied."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_broker import Broker, Watcher, needed, until
from publish_samples import batch, unit_readings

from envmon.config.secret import Secret
from envmon.config.settings import MqttSettings
from envmon.publishers.mqtt import MqttPublisher

UNIT = "envmon/v1/dallas/hall_a/crac_3"


def certificates(directory: Path) -> None:
    openssl = needed("openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *key, *name, "-keyout", "server.key", "-out", "server.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    (directory / "ca.pem").write_bytes((directory / "server.pem").read_bytes())


@pytest.fixture
def broker(tmp_path: Path, deploy: Path) -> Iterator[Broker]:
    """The shipped files as they are, but for the port and the directories."""
    server = Broker(tmp_path)
    certificates(tmp_path)
    (tmp_path / "secret").write_text("s3cret")
    for number, user in enumerate(("envmon-dallas", "envmon-reader", "stranger")):
        create = ["-c"] if number == 0 else []
        command = [needed("mosquitto_passwd"), "-b", *create, str(tmp_path / "envmon.passwd"), user, "s3cret"]
        subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "envmon.acl").write_text((deploy / "mosquitto/envmon.acl").read_text())
    text = (deploy / "mosquitto/envmon.conf").read_text()
    for shipped, ours in (
        ("listener 8883", f"listener {server.port} 127.0.0.1"),
        ("/etc/mosquitto/certs/", f"{tmp_path}/"),
        ("/etc/mosquitto/", f"{tmp_path}/"),
        ("/var/lib/mosquitto/", f"{tmp_path}/"),
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    (tmp_path / "mosquitto.conf").write_text(text + "user root\n")
    server.start()
    yield server
    server.kill()


def login(broker: Broker, user: str) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(broker.port), "--cafile", str(broker.directory / "ca.pem"), "-u", user]


def publish(broker: Broker, topic: str, *who: str) -> str:
    """What mosquitto_pub says of one QoS 1 message; "" when the broker took it."""
    command = [needed("mosquitto_pub"), *who, "-V", "5", "-q", "1", "-t", topic, "-m", "{}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stderr.strip()


async def test_envmon_writes_and_a_reader_reads(broker: Broker) -> None:
    directory = broker.directory
    settings = MqttSettings(
        "127.0.0.1",
        broker.port,
        "hall_a",
        username="envmon-dallas",
        password=Secret(f"file:{directory / 'secret'}"),
        tls_ca=directory / "ca.pem",
    )
    publisher = MqttPublisher(settings, "dallas")
    elsewhere = MqttPublisher(settings, "austin")
    tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(elsewhere.run())]
    watcher = Watcher()
    publisher.offer_batch(batch(*unit_readings()))
    elsewhere.offer_batch(batch(*unit_readings()))
    await until(lambda: publisher.counts.sent == 2 and elsewhere.counts.refused == 2, "own site only")
    assert (publisher.counts.refused, elsewhere.counts.sent) == (0, 0)
    await watcher.watch(broker.port, *login(broker, "envmon-reader")[4:], "-P", "s3cret", topic="envmon/v1/#")
    await until(lambda: UNIT in watcher.newest, "the reader sees the retained state")
    await watcher.close()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_foreign_clients_are_denied(broker: Broker) -> None:
    for user in ("envmon-reader", "stranger"):
        assert "Not authorized" in publish(broker, UNIT, *login(broker, user), "-P", "s3cret"), user
    for login_ in ([*login(broker, "envmon-dallas"), "-P", "wrong"], login(broker, "envmon-dallas")[:-2]):
        assert "Connection error: Not authorized" in publish(broker, UNIT, *login_), "a wrong password, and none"
    assert publish(broker, UNIT, *login(broker, "envmon-dallas"), "-P", "s3cret") == "", "the owner is not denied"
