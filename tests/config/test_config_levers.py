"""Edges of every kind and the lease: every key reaches the settings, every kind is known everywhere."""

import re
import textwrap
from pathlib import Path
from typing import get_args

import pytest
from config_samples import SOUND, changed, loaded

from envmon.actuators import ACTUATORS
from envmon.config.edge_settings import DispatcherSettings, DispatcherTargets, DnsRecord, DnsSettings
from envmon.config.lever_entries import KEYS
from envmon.config.references import UNFENCED
from envmon.config.secret import Secret
from envmon.config.settings import LeaseMember, LeaseSettings
from envmon.config.shape_levers import LeaseEntry
from envmon.leases import LEASES

EDGE = "    kind: kamailio\n    zone: noc_room\n    url: http://192.0.2.20:5060\n    sip: 192.0.2.20\n"
EDGE_TOKEN = f"{EDGE}    token: credential:edge\n"
ETCD = """\
lease:
  kind: etcd
  endpoints:
    one: {url: "https://192.0.2.81:2379", zone: noc_room}
    two: {url: "https://192.0.2.82:2379", zone: hall_a}
    three: {url: "https://192.0.2.83:2379", zone: ZONE}
"""


def test_every_kind_is_known_everywhere():
    assert set(KEYS) == set(ACTUATORS)
    assert set(ACTUATORS) > UNFENCED
    assert set(get_args(LeaseEntry.model_fields["kind"].annotation)) == set(LEASES)


def test_a_dns_edge_reaches_the_settings(tmp_path):
    edge = """\
    kind: dns
    zone: outside
    sip: sbc-a.voice.example
    sip_backup: sbc-b.voice.example:5070
    token: credential:tsig
    dns:
      server: 192.0.2.53
      zone: Voice.example.
      key: envmon-key
      algorithm: hmac-sha512
      ttl: 1min
      records:
        outbound: {name: _sip._udp.voice.example., primary: sbc-A.voice.example, backup: "sbc-b.voice.example:5070"}
"""
    (found,) = loaded(tmp_path, changed((EDGE_TOKEN, edge))).edges
    record = DnsRecord(
        "outbound", "_sip._udp.voice.example", ("sbc-a.voice.example", 5060), ("sbc-b.voice.example", 5070)
    )
    assert found.dns == DnsSettings("192.0.2.53", 53, "voice.example", "envmon-key", (record,), "hmac-sha512", 60)
    assert (found.kind, found.url, found.token) == ("dns", "", Secret("credential:tsig"))
    assert (found.sip_host, found.sip_port) == ("sbc-a.voice.example", 5060)
    assert (found.sip_backup_host, found.sip_backup_port) == ("sbc-b.voice.example", 5070)


def test_a_dispatcher_edge_reaches_the_settings(tmp_path):
    edge = EDGE_TOKEN.replace("kamailio", "dispatcher") + (
        "    dispatcher: {routes: {outbound: {set: 7, uris: ['sip:192.0.2.71:5060', 'sip:[2001:db8::1];lr']}}}\n"
    )
    (found,) = loaded(tmp_path, changed((EDGE_TOKEN, edge))).edges
    targets = (DispatcherTargets("outbound", 7, ("sip:192.0.2.71:5060", "sip:[2001:db8::1];lr")),)
    assert found.dispatcher == DispatcherSettings(targets, Path("/var/lib/envmon/edge-edge_1.epochs"))


def test_a_command_reaches_the_settings_as_it_is(tmp_path):
    edge = "    kind: command\n    zone: noc_room\n    sip: 192.0.2.20\n    command: [/bin/move, '$(id)', 'a b']\n"
    (found,) = loaded(tmp_path, changed((EDGE_TOKEN, edge))).edges
    assert found.argv == ("/bin/move", "$(id)", "a b")


def test_a_lease_reaches_the_settings(tmp_path):
    assert loaded(tmp_path, changed()).lease == LeaseSettings()
    text = ETCD.replace("ZONE", "outside")
    keys = "  ttl: 8s\n  username: u\n  password: credential:etcd\n  tls: {ca: /ca, cert: /cert, key: /key}\n"
    found = loaded(tmp_path, changed() + text + keys).lease
    members = tuple(
        LeaseMember(name, f"https://192.0.2.{last}:2379", zone)
        for name, last, zone in (("one", 81, "noc_room"), ("two", 82, "hall_a"), ("three", 83, "outside"))
    )
    assert found == LeaseSettings(
        "etcd", members, 8, "u", Secret("credential:etcd"), Path("/ca"), Path("/cert"), Path("/key")
    )


@pytest.mark.parametrize(("zone", "refused"), [("outside", False), ("hall_b", False), ("hall_a", True)])
def test_losing_a_zone_must_leave_a_majority_of_the_lease(zone, refused, tmp_path):
    found = loaded(tmp_path, changed() + ETCD.replace("ZONE", zone)).policy.placement_faults
    told = (
        "2 of 3 members of the lease (two, three) stand in hall_a, the zone route outbound must be able to leave: "
        "no majority would be left, and nobody could act"
    )
    assert found == ((told,) if refused else ())


def test_half_of_the_members_are_no_majority(tmp_path):
    two = "".join(ETCD.splitlines(keepends=True)[:-1])
    (fault,) = loaded(tmp_path, changed() + two).policy.placement_faults
    assert fault.startswith("1 of 2 members of the lease (two)")


DOCUMENT = Path(__file__).parents[2] / "deploy" / "actuators.md"
BLOCKS = [textwrap.dedent(each) for each in re.findall(r"(?:^    .*\n)+", DOCUMENT.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.startswith("edges:")])
def test_the_edges_of_the_document_are_sound(block, tmp_path):
    name = block.splitlines()[1].strip().partition(":")[0]
    before, _, rest = SOUND.partition("edges:\n")
    text = before + block + "routes:\n" + rest.partition("routes:\n")[2]
    text = text.replace("edges: [edge_1]", f"edges: [{name}]").replace("meet_me_room", "outside")
    (edge,) = loaded(tmp_path, text).edges
    assert edge.id == name


def test_the_lease_of_the_document_is_sound(tmp_path):
    (block,) = [each for each in BLOCKS if each.startswith("lease:")]
    assert len(loaded(tmp_path, changed() + block.replace("meet_me_room", "hall_a")).lease.members) == 3


def test_the_document_tells_every_kind():
    told = DOCUMENT.read_text()
    assert [kind for kind in ACTUATORS if f"`{kind}`" not in told and kind != "simulated"] == []
    assert len([each for each in BLOCKS if each.startswith("edges:")]) == 3


def test_a_hold_ends_when_the_file_says(tmp_path):
    assert loaded(tmp_path, SOUND).policy.hold_s == 8 * 3600
    assert loaded(tmp_path, f"{SOUND}people:\n  hold: 90min\n").policy.hold_s == 5400
