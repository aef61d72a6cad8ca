"""Evidence from a real HTTP server, real programs, a real mosquitto and real SIP: one contract for all that speak."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiohttp import web
from sip_peers import Peers, certificates

from envmon.config.edge_settings import SipSettings
from envmon.config.secret import Secret
from envmon.config.settings import MqttSettings, ProofSettings, SipAsked
from envmon.probes.evidence import Evidence, Finding
from envmon.probes.evidence_sources import EvidenceError
from envmon.publishers.mqtt import MqttPublisher
from tests.ports import HOST, free_port
from tests.publishers.mqtt_broker import Broker, needed, until

TOPIC = "envmon/v1/houston/state"
PATIENCE_S = 15.0


class Source(Protocol):
    settings: ProofSettings

    async def tell(self, document: Any) -> None:
        """Say it to whoever asks; a broker's clients must have subscribed before."""


class Url:
    def __init__(self) -> None:
        self.told: Any = {}
        self.settings = ProofSettings("outbound", "item")

    async def tell(self, document: Any) -> None:
        self.told = document

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self.told if isinstance(self.told, str) else json.dumps(self.told))


class Program:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "told.json"
        self.settings = ProofSettings("outbound", "item", argv=("/bin/cat", str(self._file)), deadline_s=PATIENCE_S)

    async def tell(self, document: Any) -> None:
        self._file.write_text(document if isinstance(document, str) else json.dumps(document))


class Topic:
    """mosquitto, and mosquitto_pub as the peer."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(folder)
        self.broker.write(f"listener {self.broker.port} {HOST}", "allow_anonymous true", "log_type all")
        self._seen = 0
        broker = MqttSettings(HOST, self.broker.port, "")
        self.settings = ProofSettings("outbound", "item", broker=broker, topic=TOPIC, deadline_s=PATIENCE_S)

    async def tell(self, document: Any) -> None:
        await self.publish(document)

    async def subscribed(self) -> None:
        """Wait for one more subscription than at the last call."""
        await until(lambda: self.broker.log().count("Sending SUBACK") > self._seen, "a subscription")
        self._seen += 1

    async def publish(self, document: Any, *options: str) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        command = [needed("mosquitto_pub"), "-h", HOST, "-p", str(self.broker.port), "-t", TOPIC, "-m", text, "-q", "1"]
        done = await asyncio.to_thread(subprocess.run, [*command, *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@asynccontextmanager
async def source(kind: str, folder: Path) -> AsyncIterator[Source]:
    match kind:
        case "url":
            found = Url()
            app = web.Application()
            app.router.add_get("/", found.answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, HOST, 0).start()
            found.settings = ProofSettings("outbound", "item", f"http://{HOST}:{runner.addresses[0][1]}/")
            yield found
            await runner.cleanup()
        case "program":
            yield Program(folder)
        case _:
            topic = Topic(folder)
            topic.broker.start()
            try:
                yield topic
            finally:
                topic.broker.kill()


async def asked(evidence: Evidence, there: Source, document: Any) -> Finding | None:
    """Ask, while the source says ``document``."""
    if not isinstance(there, Topic):
        await there.tell(document)
        return await evidence.look()
    looking = asyncio.create_task(evidence.look())
    await there.subscribed()
    await there.tell(document)
    return await looking


@pytest.mark.parametrize("kind", ["url", "program", "mqtt"])
async def test_the_contract_of_evidence(kind: str, tmp_path: Path) -> None:
    async with source(kind, tmp_path) as there:
        evidence = Evidence(there.settings)

        def said(seq: int, **more: Any) -> dict[str, Any]:
            return {"boot": "a", "seq": seq, "pass": True, "why": "it is so", **more}

        assert await asked(evidence, there, said(1)) == Finding(True, "it is so")
        assert await asked(evidence, there, said(2, value=120)) == Finding(True, "it is so", 120.0)
        assert await asked(evidence, there, said(3, **{"pass": False, "why": "no more"})) == Finding(False, "no more")
        for wrong in ("nonsense", [], {}, {"boot": "a", "seq": 4, "pass": "yes", "why": "x"}, said(5, value=-1)):
            with pytest.raises(EvidenceError):
                await asked(evidence, there, wrong)
        cooling = {"site": "houston", "zones": {"hall_1": {"here": True, "verdict": "critical"}}}
        found = await asked(evidence, there, {**cooling, "daemon": {"boot": "a", "seq": 6}})
        assert found == Finding(False, "houston: hall_1 is critical")
        assert await asked(evidence, there, said(7)) == Finding(True, "it is so"), "and it clears by itself"


async def test_a_retained_message_is_no_evidence_but_says_how_far_its_source_had_counted(tmp_path: Path) -> None:
    async with source("mqtt", tmp_path) as there:
        assert isinstance(there, Topic)
        settings = ProofSettings("outbound", "item", broker=there.settings.broker, topic=TOPIC, deadline_s=1.0)
        said = {"boot": "a", "seq": 7, "pass": True, "why": "it was so"}
        await there.publish(said, "-r")
        evidence = Evidence(settings)
        with pytest.raises(EvidenceError, match="nothing new was said within 1 s"):
            await evidence.look()
        await there.subscribed()
        evidence = Evidence(there.settings)
        looking = asyncio.create_task(evidence.look())
        await there.subscribed()
        await there.publish(said)  # the very message, played back
        await there.publish({**said, "seq": 6})
        await asyncio.sleep(0.3)
        assert not looking.done()
        await there.publish({**said, "seq": 8})
        assert await looking == Finding(True, "it was so")


async def test_what_the_backups_own_envmon_publishes_is_evidence(tmp_path: Path) -> None:
    def status(seq: int, verdict: str) -> dict[str, Any]:
        zones = {"hall_1": {"here": True, "verdict": verdict}}
        return {"site": "houston", "mode": "observe", "zones": zones, "daemon": {"boot": "x", "seq": seq}}

    async with source("mqtt", tmp_path) as there:
        assert isinstance(there, Topic)
        settings = MqttSettings(HOST, there.broker.port, "noc_room")
        publisher = MqttPublisher(settings, "houston")
        running = asyncio.create_task(publisher.run())
        try:
            evidence = Evidence(there.settings)
            for seq, verdict in ((1, "ok"), (2, "unknown"), (3, "ok")):
                looking = asyncio.create_task(evidence.look())
                await there.subscribed()
                publisher.offer_status(status(seq, verdict))
                found = await looking
                assert found is not None
                assert found.passed is (verdict == "ok"), found
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_broker_that_is_gone_silent_or_refuses_is_an_error_in_one_line(tmp_path: Path) -> None:
    def asking(port: int, **more: Any) -> Evidence:
        broker = MqttSettings(HOST, port, "", **more)
        return Evidence(ProofSettings("outbound", "item", broker=broker, topic=TOPIC, deadline_s=1.5))

    with pytest.raises(EvidenceError, match=r"the broker: .*refused"):
        await asking(free_port()).look()
    with closing(socket.create_server((HOST, 0))) as deaf, pytest.raises(EvidenceError, match="nothing new was said"):
        await asking(deaf.getsockname()[1]).look()
    with pytest.raises(EvidenceError, match="cannot read"):
        await asking(1, username="u", password=Secret(f"file:{tmp_path}/none")).look()
    with pytest.raises(EvidenceError, match=r"tls\.ca: cannot use"):
        await asking(1, tls_ca=Path("/nonexistent")).look()


async def test_a_broker_behind_tls_and_a_password(tmp_path: Path) -> None:
    await asyncio.to_thread(certificates, tmp_path)
    broker = Broker(tmp_path)
    passwords = tmp_path / "passwords"
    await asyncio.to_thread(
        subprocess.run, [needed("mosquitto_passwd"), "-c", "-b", str(passwords), "dallas", "word"], check=True
    )
    passwords.chmod(0o644)
    for name in ("server.key", "server.pem", "ca.pem"):
        (tmp_path / name).chmod(0o644)
    broker.write(
        f"listener {broker.port} {HOST}", "allow_anonymous false", f"password_file {passwords}", "user root",
        f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key",
        "log_type all",
    )  # fmt: skip
    broker.start()
    (tmp_path / "word").write_text("word\n")
    (tmp_path / "wrong").write_text("wrong\n")

    def asking(**changes: Any) -> Evidence:
        login = {"username": "dallas", "password": Secret(f"file:{tmp_path}/word"), "tls_ca": tmp_path / "ca.pem"}
        settings = MqttSettings(HOST, broker.port, "", **{**login, **changes})
        return Evidence(ProofSettings("outbound", "item", broker=settings, topic=TOPIC, deadline_s=PATIENCE_S))

    try:
        for changes, says in (
            ({"password": Secret(f"file:{tmp_path}/wrong")}, "the broker: .*[Nn]ot authorized"),
            ({"tls_ca": tmp_path / "other.pem"}, "the broker: .*certificate verify failed"),
        ):
            with pytest.raises(EvidenceError, match=says):
                await asking(**changes).look()
        looking = asyncio.create_task(asking().look())
        await until(lambda: "Sending SUBACK" in broker.log(), "a subscription")
        command = [needed("mosquitto_pub"), "-h", HOST, "-p", str(broker.port), "-t", TOPIC, "--cafile", "ca.pem"]
        said = '{"boot": "a", "seq": 1, "pass": true, "why": "it is so"}'
        await asyncio.to_thread(
            subprocess.run, [*command, "-u", "dallas", "-P", "word", "-m", said], cwd=tmp_path, check=True
        )
        assert await looking == Finding(True, "it is so")
    finally:
        broker.kill()


async def test_a_carrier_is_proven_by_its_answer_to_options(tmp_path: Path) -> None:
    async with Peers(tmp_path) as peers:
        await peers.site()
        await peers.edge()

        def trunk(transport: str, port: int) -> Evidence:
            asked = SipAsked(HOST, port, peers.way(transport))
            return Evidence(ProofSettings("outbound", "carrier_trunk", sip=asked, deadline_s=5.0))

        for transport, port in (("udp", peers.site_port), ("tls", peers.secure_port)):
            found = await trunk(transport, port).look()
            assert found is not None and found.passed, found
        silent = await trunk("tcp", free_port()).look()
        assert silent is not None and not silent.passed
        assert "nothing listens there" in silent.why


async def test_a_canary_is_called_and_a_program_tells_what_became_of_that_very_call(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    script = f'echo "$ENVMON_CALL_ID" >> {log}; echo "{{\\"pass\\": true, \\"why\\": \\"no recording of it\\"}}"'
    async with Peers(tmp_path) as peers:
        await peers.site()
        called = SipAsked(HOST, peers.site_port, SipSettings(), "12145550199")
        argv = ("/bin/sh", "-c", script)
        evidence = Evidence(ProofSettings("outbound", "canary", argv=argv, sip=called, deadline_s=20.0))
        assert await evidence.look() == Finding(True, "no recording of it")
    assert log.read_text().endswith("@envmon\n")
    gone = await Evidence(ProofSettings("outbound", "canary", argv=argv, sip=called, deadline_s=20.0)).look()
    assert gone is not None and not gone.passed
    assert "the canary call failed" in gone.why
    assert len(log.read_text().splitlines()) == 1, "nobody is asked about a call that was not"
