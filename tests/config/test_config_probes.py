"""Probe calls and evidence: every key of an edge's probe and of a route's proofs reaches the settings."""

from pathlib import Path

import yaml
from config_samples import EXAMPLE, changed, faults_of, loaded

from envmon.config.edge_settings import SipSettings
from envmon.config.secret import Secret
from envmon.config.settings import MqttSettings, ProofSettings, SipAsked

SIP = "    sip: 192.0.2.20\n"
ROUTE = "    backup: [hall_b]\n"
SECURE = (
    "{transport: tls, tls: {ca: /ca, cert: /cert, key: /key}, tls_name: sbc.example, username: probe, "
    'password: credential:probe, allow: [Media.example, "192.0.2.9:5070"], audio: echo}'
)
WAY = SipSettings(
    "tls", Path("/ca"), Path("/cert"), Path("/key"), "sbc.example", "probe", Secret("credential:probe"),
    (("media.example", 0), ("192.0.2.9", 5070)), echo=True,
)  # fmt: skip


def test_how_probe_calls_speak_sip(tmp_path):
    (edge,) = loaded(tmp_path, changed((SIP, f"{SIP}    sip_backup: 192.0.2.21\n    probe: {SECURE}\n"))).edges
    assert edge.way == WAY
    assert (edge.sip_port, edge.sip_backup_port) == (5061, 5061), "TLS has a port of its own (RFC 3261 19.1.2)"
    sound = loaded(tmp_path, changed())
    assert (sound.edges[0].way, sound.edges[0].sip_port, sound.probe_every_s) == (SipSettings(), 5060, 20.0)


def test_probe_calls_come_before_the_last_one_is_old(tmp_path):
    assert loaded(tmp_path, changed() + "judgement: {probe_every: 5s}\n").probe_every_s == 5
    (fault,) = faults_of(tmp_path, changed() + "judgement: {probe_every: 1min}\n")
    assert fault.text == "must be shorter than probe_stands, 1min: each call would be old"


def proofs(tmp_path: Path, text: str) -> tuple[ProofSettings, ...]:
    lines = "".join(f"      {line}\n" for line in text.splitlines())
    return loaded(tmp_path, changed((ROUTE, f"{ROUTE}    proofs:\n{lines}"))).proofs


def test_who_is_asked_about_an_item(tmp_path):
    found = proofs(
        tmp_path,
        "backup_cooling: {mqtt: {host: b.example, tls: {ca: /ca}, username: u, password: credential:p, topic: a/b}}\n"
        f"carrier_trunk: {{sip: sbc.carrier.example, probe: {SECURE}}}\n"
        "canary: {sip: 192.0.2.20, call: '12145550199', command: [/bin/recorded], deadline: 9s}\n"
        "list_parity: {mqtt: {host: b.example, topic: c, version: '3.1.1'}, ours: /ours, oldest: 2h, deadline: 3s}\n",
    )
    secure = MqttSettings(
        "b.example", 8883, "", username="u", password=Secret("credential:p"), tls_ca=Path("/ca"), tls=True
    )
    assert found == (
        ProofSettings("outbound", "backup_cooling", broker=secure, topic="a/b", deadline_s=15.0),
        ProofSettings("outbound", "carrier_trunk", sip=SipAsked("sbc.carrier.example", 5061, WAY)),
        ProofSettings(
            "outbound", "canary", argv=("/bin/recorded",), deadline_s=9.0,
            sip=SipAsked("192.0.2.20", 5060, SipSettings(), "12145550199"),
        ),
        ProofSettings(
            "outbound", "list_parity", ours=Path("/ours"), oldest_s=7_200.0, deadline_s=3.0, topic="c",
            broker=MqttSettings("b.example", 1883, "", version="3.1.1"),
        ),
    )  # fmt: skip


def test_the_age_of_a_list_belongs_to_our_own_digest_of_it(tmp_path):
    text = changed((ROUTE, f"{ROUTE}    proofs:\n      list_parity: {{url: 'http://127.0.0.1/', oldest: 2h}}\n"))
    (fault,) = faults_of(tmp_path, text)
    assert fault.text == "belongs to ours, which names the digest it is about; leave it out"
    (fault,) = faults_of(tmp_path, text.replace("oldest: 2h", "ours: /ours, oldest: 10s"))
    assert fault.text == "must be from 1min to 8760h"


def test_the_items_of_the_example_are_sound(tmp_path):
    lines = EXAMPLE.read_text().split("    # proofs:")[1].split("\n\n")[0].splitlines()[1:]
    text = "\n".join(line.removeprefix("    #   ") for line in lines)
    found = {each.item for each in proofs(tmp_path, text)}
    assert found == set(yaml.safe_load(text))
    assert {"backup_cooling", "list_parity", "call_capacity", "carrier_trunk", "replication_age", "canary"} == found
