"""The MQTT publisher against real mosquitto brokers."""

import asyncio
import contextlib
import logging
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mqtt_broker import Broker, Watcher, needed, until
from publish_samples import batch, point, status, unit_readings

from envmon.config.secret import Secret
from envmon.config.settings import MqttSettings
from envmon.model.reading import Reading
from envmon.publishers.mqtt import MqttPublisher
from tests.ports import free_port

UNIT = "envmon/v1/dallas/hall_a/crac_3"
LOOP = "envmon/v1/dallas/state"
STATUS = "envmon/v1/dallas/status"


@contextlib.asynccontextmanager
async def running(publisher: MqttPublisher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(publisher.run())
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def to(broker: Broker, **more: Any) -> MqttSettings:
    return MqttSettings("127.0.0.1", broker.port, "hall_a", **more)


def supply(watcher: Watcher) -> Any:
    points: Any = watcher.newest.get(UNIT, {}).get("points", {})
    return points.get("supply_air_temp", {}).get("value")


@pytest.mark.parametrize(("version", "qos"), [("3.1.1", 1), ("5", 1), ("5", 0)])
async def test_states_arrive_retained(broker: Broker, watcher: Watcher, version: str, qos: int) -> None:
    broker.start()
    seen: list[int] = []
    publisher = MqttPublisher(to(broker, version=version, qos=qos), "dallas", seen.append)
    async with running(publisher):
        publisher.offer_batch(polled := batch(*unit_readings()))
        publisher.offer_status(status())
        await until(lambda: publisher.counts.sent >= 3, "birth, state and unit are acknowledged")
        await watcher.watch(broker.port)  # came later: sees only what is retained
        await until(lambda: len(watcher.newest) == 3, "three retained topics")
        assert watcher.newest[STATUS]["state"] == "online"
        assert watcher.newest[LOOP]["zones"]["hall_a"]["verdict"] == "ok"  # type: ignore[index]
        assert watcher.newest[UNIT]["time"] == "2027-01-15T08:00:00.000Z"
        assert watcher.newest[UNIT]["points"] == {
            "supply_air_temp": {"value": 18.5, "unit": "degC", "quality": "good"},
            "return_humidity": {"value": 57.0, "unit": "%", "quality": "good"},
            "fan_speed": {"value": 80.0, "unit": "%", "quality": "good"},
            "cooling_output": {"value": 42.5, "unit": "kW", "quality": "good"},
            "unit_state": {"value": "running", "unit": "", "quality": "good", "severity": "ok"},
            "water_flow": {"value": None, "unit": "l/s", "quality": "missing", "reason": "absent"},
        }
        assert (publisher.counts.refused, publisher.counts.dropped, publisher.counts.connected) == (0, 0, True)
        assert seen == [polled.at.mono_ns], "the way of the device's answer is timed, that of the loop's status is not"
    await until(
        lambda: watcher.newest[STATUS] | {"time": ""} == {"state": "offline", "reason": "stopped", "time": ""},
        "said goodbye",
    )


async def test_two_devices_of_one_unit_share_one_state(broker: Broker, watcher: Watcher) -> None:
    broker.start()
    probe = point("rack_inlet_temp", "degC", device="probe_9")
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        await watcher.watch(broker.port)
        publisher.offer_batch(batch(Reading(probe, 22.0), device="probe_9", wall=1_800_000_000.0))
        publisher.offer_batch(batch(*unit_readings(), wall=1_800_000_002.0))
        await until(lambda: len(watcher.newest.get(UNIT, {}).get("points", {})) == 7, "both devices' points")  # type: ignore[arg-type]
        state = watcher.newest[UNIT]
        assert state["time"] == "2027-01-15T08:00:02.000Z"
        points: Any = state["points"]
        assert points["rack_inlet_temp"]["time"] == "2027-01-15T08:00:00.000Z"
        assert "time" not in points["supply_air_temp"]


async def test_loop_state_is_sent_on_change_only(broker: Broker, watcher: Watcher) -> None:
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        await watcher.watch(broker.port, topic=LOOP)
        for verdict in ("ok", "degraded", "critical"):
            for step in range(5):
                publisher.offer_status(status(verdict, 24.0 + step))
                await asyncio.sleep(0)
            await until(
                lambda v=verdict: (
                    (LOOP in watcher.newest) and watcher.messages[-1][1]["zones"]["hall_a"]["verdict"] == v
                ),
                verdict,
            )  # type: ignore[index, misc]
        assert len(watcher.messages) == 3, "moving temperatures alone are not a change"


def certificates(directory: Path) -> None:
    openssl = needed("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=test ca",
        "-days",
        "2",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    for name in ("server", "client"):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2"
        run(*sign.split(), "-extfile", "ext")


def guarded(broker: Broker, *acl: str, client_certificates: bool = False) -> None:
    """TLS, a password for envmon and one for the reader, and an ACL."""
    certificates(broker.directory)
    passwords = broker.directory / "passwd"
    for user in ("envmon", "reader"):
        command = [
            needed("mosquitto_passwd"),
            "-b",
            *(["-c"] if user == "envmon" else []),
            str(passwords),
            user,
            "s3cret",
        ]
        subprocess.run(command, check=True, capture_output=True)
    (broker.directory / "acl").write_text("\n".join([*acl, "user reader", "topic read #", ""]))
    (broker.directory / "secret").write_text("s3cret\n")
    directory = broker.directory
    broker.write(
        f"listener {broker.port} 127.0.0.1",
        "allow_anonymous false",
        f"password_file {passwords}",
        f"acl_file {directory / 'acl'}",
        f"cafile {directory / 'ca.pem'}",
        f"certfile {directory / 'server.pem'}",
        f"keyfile {directory / 'server.key'}",
        f"require_certificate {'true' if client_certificates else 'false'}",
        "user root",
    )


def secured(broker: Broker, **more: Any) -> MqttSettings:
    directory = broker.directory
    login = {"username": "envmon", "password": Secret(f"file:{directory / 'secret'}"), "tls_ca": directory / "ca.pem"}
    return to(broker, **(login | more))


async def test_a_refused_message_is_never_sent(
    broker: Broker, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    guarded(broker, "user envmon", f"topic write {UNIT}", f"topic write {STATUS}")
    broker.start()
    publisher = MqttPublisher(secured(broker), "dallas")
    async with running(publisher):
        publisher.offer_batch(batch(*unit_readings()))
        publisher.offer_status(status())
        await until(lambda: publisher.counts.sent + publisher.counts.refused == 3, "three answers")
        assert (publisher.counts.sent, publisher.counts.refused) == (2, 1)
        reader = ("--cafile", str(broker.directory / "ca.pem"), "-u", "reader", "-P", "s3cret")
        await watcher.watch(broker.port, *reader)
        await until(lambda: len(watcher.newest) == 2, "two retained topics")
        assert set(watcher.newest) == {UNIT, STATUS}
    refusals = [record.getMessage() for record in caplog.records if "refuses" in record.getMessage()]
    assert refusals == [f"mqtt: the broker refuses {LOOP}: Not authorized; check its ACL"]
    assert "s3cret" not in caplog.text


async def test_client_certificate(broker: Broker) -> None:
    guarded(broker, "user envmon", "topic write envmon/#", client_certificates=True)
    broker.start()
    bare = MqttPublisher(secured(broker), "dallas")
    async with running(bare):
        await until(lambda: bare.counts.failure, "refused without a certificate")
        assert "ended the connection before accepting it" in bare.counts.failure
    directory = broker.directory
    settings = secured(broker, tls_cert=directory / "client.pem", tls_key=directory / "client.key")
    publisher = MqttPublisher(settings, "dallas")
    async with running(publisher):
        publisher.offer_batch(batch(*unit_readings()))
        await until(lambda: publisher.counts.sent == 2, "birth and unit acknowledged")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": Secret("file:/nonexistent/secret")}, "cannot read /nonexistent/secret"),
        ({"tls_ca": Path("/nonexistent/ca.pem")}, "publish.mqtt.tls.ca: cannot use /nonexistent/ca.pem"),
        ({"username": "stranger"}, "Not authorized"),
        ({"tls_ca": None, "tls": True}, "certificate verify failed"),
    ],
)
async def test_one_clear_line_when_it_cannot_log_in(
    broker: Broker, caplog: pytest.LogCaptureFixture, change: dict[str, Any], says: str
) -> None:
    guarded(broker, "user envmon", "topic write #")
    broker.start()
    publisher = MqttPublisher(secured(broker, **change), "dallas")
    with caplog.at_level(logging.INFO, "envmon"):
        async with running(publisher):
            await until(lambda: publisher.counts.failure, "a failure")
            assert says in publisher.counts.failure
    ours = [record for record in caplog.records if record.name.startswith("envmon")]
    assert len(ours) == 1 and ours[0].exc_info is None
    assert f"127.0.0.1:{broker.port}" in ours[0].getMessage()


async def test_broker_killed_and_restarted_gets_the_newest_of_every_topic(
    broker: Broker, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "envmon")
    broker.start()
    seen: list[int] = []
    publisher = MqttPublisher(to(broker), "dallas", seen.append)
    quiet = point("inlet", "degC", device="probe_1", unit=None)
    async with running(publisher):
        publisher.offer_batch(first := batch(Reading(quiet, 21.0), device="probe_1"))
        await until(lambda: publisher.counts.sent == 2, "birth and probe acknowledged")
        broker.kill()
        await until(lambda: not publisher.counts.connected, "the loss is noticed")
        for value in range(50):
            publisher.offer_batch(last := batch(*unit_readings(float(value))))
        publisher.offer_status(status("critical"))
        broker.start()
        await watcher.watch(broker.port)
        await until(lambda: len(watcher.newest) == 4, "birth, loop, unit, and the probe that said nothing since")
        assert supply(watcher) == 49.0
        assert watcher.newest["envmon/v1/dallas/hall_a/probe_1"]["points"]["inlet"]["value"] == 21.0  # type: ignore[index]
        assert [topic for topic, _ in watcher.messages].count(UNIT) == 1, "only the newest of fifty"
        assert (publisher.counts.reconnects, publisher.counts.dropped, publisher.counts.replaced) == (1, 0, 49)
        await until(lambda: publisher.counts.waiting == 0, "all of it acknowledged")
    assert seen == [first.at.mono_ns, last.at.mono_ns], "what is only sent again is not late"
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("envmon")]
    assert sum("connected to" in line for line in lines) == 2


async def test_frozen_broker_never_stops_the_loop_and_heals(
    broker: Broker, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.publishers.mqtt_link.ANSWER_S", 1.5)
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        publisher.offer_batch(batch(*unit_readings(1.0)))
        await until(lambda: publisher.counts.sent == 2, "connected")
        broker.signal(signal.SIGSTOP)
        worst, value = 0.0, 1.0
        while value < 60:
            value += 1
            before = time.monotonic()
            publisher.offer_batch(batch(*unit_readings(value)))
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - before)
        assert worst < 5.0, "the loop ran on"
        await until(lambda: not publisher.counts.connected, "a silent broker is left, before its keepalive")
        broker.signal(signal.SIGCONT)
        await watcher.watch(broker.port)
        await until(lambda: supply(watcher) == value, "the newest state arrives", 20)
        assert watcher.newest[STATUS]["state"] == "online"


async def test_idle_connection_to_a_frozen_broker_ends_by_keepalive(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envmon.publishers.mqtt_link.KEEPALIVE_S", 1)
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        await until(lambda: publisher.counts.sent == 1, "connected")
        broker.signal(signal.SIGSTOP)
        await until(lambda: not publisher.counts.connected, "noticed although nothing was sent")
        broker.signal(signal.SIGCONT)
        await until(lambda: publisher.counts.connected, "healed", 20)


KILLED = """
import asyncio, sys
from envmon.config.settings import MqttSettings
from envmon.publishers.mqtt import MqttPublisher
asyncio.run(MqttPublisher(MqttSettings("127.0.0.1", int(sys.argv[1]), "hall_a"), "dallas").run())
"""


async def test_the_will_speaks_for_a_killed_daemon(broker: Broker, watcher: Watcher) -> None:
    import sys

    broker.start()
    await watcher.watch(broker.port)
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(broker.port))
    try:
        await until(lambda: watcher.newest.get(STATUS, {}).get("state") == "online", "online")
    finally:
        daemon.kill()
        await daemon.wait()
    await until(lambda: watcher.newest[STATUS] == {"state": "offline", "reason": "connection lost"}, "the will")


async def test_odd_readings_arrive_as_valid_json(broker: Broker, watcher: Watcher) -> None:
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        odd = point("x", "degC", unit="a/+#b", zone=None)
        publisher.offer_batch(batch(Reading(odd, float("nan"))))
        publisher.offer_batch(batch(Reading(point("alarm"), 'say "hi"\n\u00e9'), device="other"))
        await watcher.watch(broker.port)
        await until(lambda: len(watcher.newest) == 3, "birth and two units")
    points: Any = watcher.newest["envmon/v1/dallas/a___b"]["points"]
    assert points["x"]["value"] is None
    points = watcher.newest[UNIT]["points"]
    assert points["alarm"]["value"] == 'say "hi"\n\u00e9'


@pytest.mark.parametrize("steps", range(8))
async def test_a_stop_at_any_moment_of_a_loss_is_a_stop(broker: Broker, steps: int) -> None:
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.counts.connected, "connected")
    broker.kill()
    time.sleep(0.05)  # noqa: ASYNC251  the loop must not see the loss yet
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()


async def test_the_pause_between_attempts_is_bounded() -> None:
    publisher = MqttPublisher(MqttSettings("127.0.0.1", 1, "hall_a"), "dallas")
    pauses = [publisher._pause() for _ in range(3000)]
    assert all(0.5 <= pause <= 15.0 for pause in pauses)
    assert max(pauses[:2]) <= 2.0 and max(pauses) > 10.0


async def test_readings_expire_and_the_daemons_status_does_not(broker: Broker) -> None:
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        publisher.offer_batch(batch(*unit_readings()))
        publisher.offer_status(status())
        await until(lambda: publisher.counts.sent == 3, "all acknowledged")
        port = str(broker.port)
        asked = (
            needed("mosquitto_sub"),
            "-h",
            "127.0.0.1",
            "-p",
            port,
            "-V",
            "5",
            "-t",
            "#",
            "-C",
            "3",
            "-W",
            "30",
            "-F",
            "%t %E",
        )
        reader = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.PIPE)
        text, _ = await reader.communicate()
    seconds = dict(line.split(" ") for line in text.decode().splitlines())
    assert seconds[STATUS] == ""
    assert 290 <= int(seconds[UNIT]) <= 300 and 290 <= int(seconds[LOOP]) <= 300


async def test_what_nobody_renewed_is_not_sent_again(
    broker: Broker, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.start()
    publisher = MqttPublisher(to(broker), "dallas")
    async with running(publisher):
        publisher.offer_batch(batch(*unit_readings()))
        publisher.offer_status(status())
        await until(lambda: publisher.counts.sent == 3, "all acknowledged")
        monkeypatch.setattr("envmon.publishers.mqtt.EXPIRY_S", 0)  # by now everything is too old
        broker.kill()
        broker.start()
        await until(lambda: publisher.counts.sent == 4, "the birth of the new connection")
        quiet = point("t", "degC", unit="crac_9")
        publisher.offer_batch(batch(Reading(quiet, 20.0), device="card_9"))
        await until(lambda: publisher.counts.sent == 5, "a new state goes out as ever")
        await watcher.watch(broker.port)
        await until(lambda: len(watcher.newest) == 2, "the broker's whole store")
        assert set(watcher.newest) == {STATUS, "envmon/v1/dallas/hall_a/crac_9"}


async def test_a_refusal_is_told_again_only_after_it_was_mended(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    acl = ["user envmon", f"topic write {STATUS}", f"topic write {UNIT}"]
    guarded(broker, *acl)
    broker.start()
    publisher = MqttPublisher(secured(broker), "dallas")
    path = broker.directory / "acl"

    async def offer(mended: bool) -> None:
        path.write_text("\n".join([*acl, f"topic write {LOOP}" if mended else "", ""]))
        reloads = broker.log().count("Reloading config")
        broker.signal(signal.SIGHUP)
        await until(lambda: broker.log().count("Reloading config") > reloads, "the new ACL is in force")
        before = publisher.counts.sent + publisher.counts.refused
        publisher.offer_status(status("ok" if mended else "critical", mode=f"{before}"))
        await until(lambda: publisher.counts.sent + publisher.counts.refused > before, "an answer")

    async with running(publisher):
        await until(lambda: publisher.counts.sent == 1, "connected")
        for mended, count in ((False, 2), (True, 1), (False, 2)):
            for _ in range(count):
                await offer(mended)
    assert sum("refuses" in record.getMessage() for record in caplog.records) == 2
    assert publisher.counts.refused == 4


async def test_without_a_broker_the_bound_holds_and_nothing_raises() -> None:
    settings = MqttSettings("127.0.0.1", free_port(), "hall_a", queue=3)
    publisher = MqttPublisher(settings, "dallas")
    async with running(publisher):
        for number in range(10):
            reading = Reading(point("t", "degC", unit=f"crac_{number}"), 20.0)
            publisher.offer_batch(batch(reading))
        await until(lambda: publisher.counts.failure, "a failure")
        assert (publisher.counts.waiting, publisher.counts.dropped, publisher.counts.sent) == (3, 7, 0)


async def test_stopping_while_connecting_to_a_silent_port_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("envmon.publishers.mqtt_link.ANSWER_S", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = MqttPublisher(MqttSettings("127.0.0.1", silent.getsockname()[1], "hall_a"), "dallas")
        task = asyncio.create_task(publisher.run())
        await asyncio.sleep(0.2)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=20)
        assert done, "it does not wait for the CONNACK"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_burst_at_qos_0_arrives_whole_and_is_counted_a_message_each(
    broker: Broker, watcher: Watcher, version: str
) -> None:
    broker.write(f"listener {broker.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0")
    broker.start()
    seen: list[int] = []
    publisher = MqttPublisher(to(broker, version=version, qos=0), "dallas", seen.append)
    names = [f"unit_{number}" for number in range(1_300)]  # more than one burst
    async with running(publisher):
        await watcher.watch(broker.port, topic="envmon/v1/dallas/hall_a/+")
        for number, name in enumerate(names):
            points = 1 if number % 100 else 300  # of 1, 2 and 3 bytes of length (MQTT 5, 1.5.5)
            readings = [Reading(point(f"p{at}", "degC", unit=name), float(at)) for at in range(points)]
            publisher.offer_batch(batch(*readings, device=name))
        await until(lambda: len(watcher.newest) == len(names), "every unit's state", 60.0)
        await until(lambda: publisher.counts.waiting == 0, "everything left")
    states: dict[str, Any] = {topic.rpartition("/")[2]: state for topic, state in watcher.newest.items()}
    assert states["unit_7"]["points"] == {"p0": {"value": 0.0, "unit": "degC", "quality": "good"}}
    assert [len(states[f"unit_{n}"]["points"]) for n in (0, 99, 1_200)] == [300, 1, 300]
    assert len(seen) == len(names)
