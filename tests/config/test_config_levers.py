"""Edges of every kind and the lease: every key reaches the settings, every kind is known everywhere."""

import re
import textwrap
from pathlib import Path
from typing import get_args

import pytest
from config_samples import SOUND, changed, faults_of, loaded

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


CARRIERS = sorted((Path(__file__).parents[2] / "config" / "carriers").glob("*.yaml"))


def carrier(name: str = "percent-api", *changes: tuple[str, str]) -> str:
    """The edge of a shipped template, as the sound site's only edge."""
    text = next(file for file in CARRIERS if file.stem == name).read_text().split("  carrier:\n")[1]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return changed((EDGE_TOKEN, text))


@pytest.mark.parametrize("file", CARRIERS, ids=lambda file: file.stem)
def test_every_shipped_template_of_a_carrier_is_sound(file, tmp_path):
    settings = loaded(tmp_path, carrier(file.stem))
    (found,) = settings.edges
    assert (found.kind, [route.route for route in found.rest.routes]) == ("rest", ["outbound"])
    assert found.rest.memory == Path("/var/lib/envmon/edge-edge_1.epochs")
    (route,) = settings.policy.routes
    assert route.stages == ((100,) if found.rest.routes[0].all_or_nothing else (10, 50, 100))


def test_a_template_reaches_the_settings(tmp_path):
    (found,) = loaded(tmp_path, carrier("twilio-origination")).edges
    (route,) = found.rest.routes
    assert (found.rest.username, found.rest.header) == ("SK" + 32 * "x", "")
    assert (route.method, route.form, route.fields, route.read) == (
        "POST",
        True,
        (("Priority", "{value}"),),
        "/priority",
    )
    assert (route.primary, route.backup, route.expect) == (10, 30, (("/enabled", True),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("https://api", "http://api"), "sends the credential in clear: write https:"),
        (('"{remainder}"', '"{rest}"'), "there is no placeholder {rest}; there are {value}, {percent}, {remainder}, "),
        (("read: /distribution/backup", "read: distribution"), "must be a JSON pointer such as /data/percent"),
        (("{/active: true}", "{active: true}"), "must be a JSON pointer such as /data/percent"),
        (("{/active: true}", "{/active: [1]}"), "must be a text, a whole number, or true or false"),
        (("{/active: true}", "{/active: 0.5}"), "must be a text, a whole number, or true or false"),
        (("# header: X-Api-Key ", "username: 'a:b' #"), "must be plain ASCII without spaces"),
        (
            ("read: /distribution/backup", "read: /a\n          primary: 1"),
            "is missing: primary and backup go together",
        ),
        (
            ("read: /distribution/backup", "read: /a\n          primary: 1\n          backup: 1"),
            "is the same as primary; nothing would move",
        ),
        (
            ("read: /distribution/backup", "read: /a\n          primary: true\n          backup: 'true'"),
            "is the same as primary; nothing would move",
        ),
        (("body: json", "body: form"), "a form has plain names; JSON pointers belong to body: json"),
        (("/distribution/primary:", "/distribution:"), "one of them lies within another; give each its own place"),
        (("# header: X-Api-Key ", "header: X-Api-Key\n      username: ann #"), "and username are two ways to log in"),
        (("method: PUT", "method: DELETE"), "must be PUT, POST or PATCH"),
    ],
)
def test_a_template_that_cannot_work_is_refused(change, words, tmp_path):
    told = [fault.text for fault in faults_of(tmp_path, carrier("percent-api", change))]
    assert len(told) == 1
    assert words in told[0]


def test_a_template_is_for_the_routes_that_name_its_edge(tmp_path):
    told = [
        fault.text for fault in faults_of(tmp_path, carrier("percent-api", ("        outbound:", "        inbound:")))
    ]
    assert told == [
        "route outbound names this edge; say here what carries it",
        "no route is called inbound; did you mean outbound?",
    ]


def test_a_template_that_moves_nothing_is_refused(tmp_path):
    text = carrier("twilio-origination", ('"{value}"', '"20"'))
    (fault,) = faults_of(tmp_path, text)
    assert fault.text == "hold none of {value}, {percent} and {remainder}; nothing would move"


def test_a_carrier_keeps_no_epoch_so_there_is_no_standby_beside_it(tmp_path):
    (fault,) = faults_of(tmp_path, carrier() + ETCD.replace("ZONE", "outside"))
    assert "rest cannot refuse the orders of a daemon that has lost the lease" in fault.text


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
    assert len([each for each in BLOCKS if each.startswith("edges:")]) == 4


def test_a_hold_ends_when_the_file_says(tmp_path):
    assert loaded(tmp_path, SOUND).policy.hold_s == 8 * 3600
    assert loaded(tmp_path, f"{SOUND}people:\n  hold: 90min\n").policy.hold_s == 5400
