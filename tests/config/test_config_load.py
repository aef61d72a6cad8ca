"""What a sound configuration compiles to, and what the whole site is asked."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import get_args

import pytest
from config_samples import EXAMPLE, HERE, PROFILES, changed, faults_of, loaded

from envmon.actuators import ACTUATORS
from envmon.cli.check import check
from envmon.config import load
from envmon.config.compile_people import groups, pagers_of, people_of
from envmon.config.schema import schema_text
from envmon.config.secret import Secret
from envmon.config.settings import DeviceSettings, HttpSettings, PeopleSettings, SnmpSettings
from envmon.config.shape import EdgeEntry, PagerEntry
from envmon.config.shape_parts import Entry
from envmon.model.policy import Limits, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Mode
from envmon.pagers import PAGERS
from envmon.profiles.loader import load_builtin

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config/REFERENCE.md"


@pytest.fixture(scope="module")
def example():
    return load(EXAMPLE, profiles=load_builtin())


def test_the_example_is_sound_and_starts_by_observing(example):
    assert example.daemon.mode is Mode.OBSERVE
    assert example.policy.start_automatic is False
    assert example.policy.placement_faults == ()
    assert (example.policy.site, example.backup_site) == ("dallas", "houston")


def test_a_policy_tells_who_is_paged_and_who_gives_orders_and_is_read_back(example):
    assert pagers_of(example.policy.pagers) == example.pagers != ()
    assert [each.partition(" ")[0] for each in example.policy.pagers] == [each.id for each in example.pagers]
    people = PeopleSettings(("noc", "night shift"), ("leads",))
    assert groups(people) == ("operator noc", "operator night shift", "approver leads")
    assert people_of(groups(people)) == people
    assert people_of(groups(PeopleSettings())) == PeopleSettings()
    with pytest.raises(ValueError, match="the pagers in force cannot be read"):
        pagers_of(('oncall {"id":"oncall"}',))


def test_zones_carry_the_numbers_of_the_file(example):
    here, backup = example.policy.zones
    assert here == ZonePolicy(
        id="hall_a",
        here=True,
        it_load_kw=60,
        limits=Limits(27, 32, 40, 2),
        units=tuple(UnitPolicy(f"crac_{n}", 36) for n in (1, 2, 3)),
        needed=2,
        slew=here.slew,
    )
    assert here.slew == pytest.approx(0.033)
    assert (backup.id, backup.here) == ("hall_b", False)


def test_routes_carry_their_times_in_seconds(example, tmp_path):
    assert example.policy.routes == (RoutePolicy("outbound", ("edge_1",), ("hall_a",), ("hall_b",)),)
    text = changed(
        ("backup: [hall_b]", "backup: [hall_b]\n    max_call: 1h\n    verify: 500ms\n    margin: 1.5min\n    soak: 2h")
    )
    assert faults_of(tmp_path, text)[0].text == "must be from 1s to 30min"
    (route,) = loaded(tmp_path, text.replace("500ms", "90s")).policy.routes
    assert (route.max_call_s, route.verify_s, route.margin_s, route.soak_s) == (3600, 90, 90, 7200)


def test_devices_know_zone_unit_path_and_login(example):
    by_id = {device.id: device for device in example.devices}
    assert by_id["crac_1"] == DeviceSettings(
        id="crac_1",
        profile="apc-inrow-rc",
        host="192.0.2.31",
        port=0,
        zone="hall_a",
        serves="crac_1",
        path="switch_3",
        snmp=SnmpSettings(version="2c", community=Secret("credential:snmp_community")),
    )
    assert (by_id["crac_3"].host, by_id["crac_3"].port) == ("192.0.2.33", 502)
    assert (by_id["rack_probes"].zone, by_id["rack_probes"].serves) == ("hall_a", "")
    assert by_id["rack_probes"].path == "192.0.2.40"
    assert by_id["ups_1"].interval_s == 10
    assert by_id["ups_1"].snmp == SnmpSettings(
        version="3",
        user="envmon",
        auth_protocol="sha256",
        auth_password=Secret("file:/etc/envmon/ups_auth"),
        privacy_protocol="aes128",
        privacy_password=Secret("credential:ups_privacy"),
    )


def test_edges_brokers_and_pagers_keep_their_place(example):
    (edge,) = example.edges
    assert (edge.zone, edge.sip_host, edge.sip_port, edge.kind) == ("meet_me_room", "192.0.2.20", 5060, "kamailio")
    assert (example.mqtt.port, example.mqtt.tls, example.mqtt.tls_ca) == (
        8883,
        True,
        Path("/etc/ssl/certs/plant-ca.pem"),
    )
    assert example.http == HttpSettings("127.0.0.1", 9713)
    (pager,) = example.pagers
    assert (pager.id, pager.zone, pager.token) == ("oncall", "outside", Secret("credential:pager"))


def test_what_is_not_configured_is_not_there(tmp_path):
    settings = loaded(
        tmp_path,
        changed(("publish:\n  mqtt:", "publish:\n  http: {listen: '[::1]:9713'}\n  #")).split("    host: 192.0.2.60")[
            0
        ],
    )
    assert settings.mqtt is None
    assert settings.http == HttpSettings("::1", 9713)
    assert loaded(tmp_path, changed()).http is None
    assert loaded(tmp_path, changed()).mqtt.port == 1883


def test_every_number_of_the_file_reaches_the_settings(tmp_path):
    text = changed(
        ("units_needed: 2", "units_needed: 2\n    restart_expected: 90s\n    min_inlets: 2"),
        ("it_load_kw: 60", "it_load_kw: 60\n    heat_capacity_kj_per_k_kw: 12.5"),
        ("address: 192.0.2.32", "address: 192.0.2.32\n    unit_id: 7\n    every: 9s\n    deadline: 700ms"),
        ("sip: 192.0.2.20", "sip: 192.0.2.20:5070\n    probe_user: ring.me\n    deadline: 3s"),
        ("backup: [hall_b]", "backup: [hall_b]\n    proof_calls: 33"),
        ("    username", "    qos: 0\n    queue: 500\n    prefix: a/b\n    client_id: me\n    username"),
        ("password: credential:mqtt", "password: credential:mqtt\n    version: '3.1.1'\n    tls: {cert: /c, key: /k}"),
        ("url: https://pager", "deadline: 4s\n    url: https://pager"),
    )
    stands = "quorum_stands: 11min, probe_stands: 61s, edge_stands: 16s"
    settings = loaded(tmp_path, f"{text}judgement: {{stale: 40s, quorum_paths: 1, {stands}}}\n")
    zone, route, policy = settings.policy.zones[0], settings.policy.routes[0], settings.policy
    assert (zone.restart_s, zone.min_inlets, zone.heat_capacity) == (90, 2, 12.5)
    device = settings.devices[1]
    assert (device.unit_id, device.interval_s, device.deadline_s) == (7, 9, 0.7)
    (edge,) = settings.edges
    assert (edge.sip_port, edge.probe_user, edge.deadline_s) == (5070, "ring.me", 3)
    assert edge.token == Secret("credential:edge")
    assert route.proof_calls == 33
    mqtt = settings.mqtt
    assert (mqtt.port, mqtt.qos, mqtt.queue, mqtt.prefix, mqtt.client_id) == (8883, 0, 500, "a/b", "me")
    assert (mqtt.version, mqtt.tls_ca, mqtt.tls_cert, mqtt.tls_key) == ("3.1.1", None, Path("/c"), Path("/k"))
    assert settings.pagers[0].deadline_s == 4
    assert (policy.stale_s, policy.quorum_stands_s, policy.probe_stands_s, policy.edge_stands_s) == (40, 660, 61, 16)
    assert policy.quorum_paths == 1


def test_three_kinds_can_be_asked_for(tmp_path):
    probes = "  probes:\n    profile: comet-t-modbus\n    address: 192.0.2.70\n    zone: hall_a\nedges:"
    text = changed(("edges:", probes)) + "judgement: {quorum_kinds: 3, quorum_paths: 3}\n"
    policy = loaded(tmp_path, text).policy
    assert (policy.quorum_kinds, policy.quorum_paths) == (3, 3)
    (fault,) = faults_of(tmp_path, text.replace("zone: hall_a\nedges", "zone: noc_room\nedges"))
    assert "can never reach the quorum" in fault.text


def test_text_is_one_printable_line(tmp_path):
    (fault,) = faults_of(tmp_path, changed(("username: envmon", 'username: "env\\nmon"')))
    assert (fault.path, fault.text) == ("publish.mqtt.username", "must be printable text on one line")


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 0),
        ("192.0.2.1:1502", "192.0.2.1", 1502),
        ("'[2001:db8::1]:502'", "2001:db8::1", 502),
        ("2001:db8::1", "2001:db8::1", 0),
        ("gw-1.plant.example:502", "gw-1.plant.example", 502),
    ],
)
def test_addresses(given, host, port, tmp_path):
    device = loaded(tmp_path, changed(("192.0.2.32", given))).devices[1]
    assert (device.host, device.port) == (host, port)


@pytest.mark.parametrize(
    "given",
    ["192.0.2.256", "1.2.3", "host_name", "-host", "'[::1'", "'[::1]502'", "'[::1]:'", "a b", "''", "host:0", "x" * 64],
)
def test_no_address(given, tmp_path):
    (fault,) = faults_of(tmp_path, changed(("192.0.2.32", given)))
    assert fault.path == "devices.crac_2.address"


def test_text_and_digest_cover_the_fragments():
    directory = HERE / "fragments" / "01-merged"
    settings = load(directory / "envmon.yaml", profiles=PROFILES)
    texts = [(directory / "conf.d" / name).read_text() for name in ("10-houston.yaml", "20-hall_a.yaml")]
    assert settings.text.startswith((directory / "envmon.yaml").read_text())
    assert settings.text.index(texts[0]) < settings.text.index(texts[1])
    assert settings.digest == sha256(settings.text.encode()).hexdigest()


def test_an_alias_repeats_a_whole_value(tmp_path):
    text = changed(
        ("snmp: {community: credential:snmp}", "snmp: &login {community: credential:snmp}"),
        (
            "profile: apc-inrow-sc-modbus\n    address: 192.0.2.32",
            "profile: rfc1628-ups\n    address: 192.0.2.32\n    snmp: *login",
        ),
    )
    first, second, _ = loaded(tmp_path, text).devices
    assert first.snmp == second.snmp == SnmpSettings(community=Secret("credential:snmp"))


def test_names_alone_are_enough_to_check_references(tmp_path):
    assert faults_of(tmp_path, changed(), profiles=list(PROFILES)) == ()
    fault = faults_of(tmp_path, changed(), profiles=["apc-inrow-rc", "rfc1628-ups"])[0]
    assert fault.text.startswith("no profile is called apc-inrow-sc-modbus")


@dataclass(frozen=True)
class Kind:
    protocol: str
    witnesses: tuple[Role, ...]


def kinds(**roles: tuple[Role, ...]) -> dict[str, Kind]:
    return {name: Kind(PROFILES[name], roles.get(name.replace("-", "_"), ())) for name in PROFILES}


ALL = (Role.RACK_INLET_TEMP, Role.RETURN_TEMP, Role.UNIT_RUNNING)


def test_a_quorum_needs_kinds_its_devices_can_see(tmp_path):
    assert faults_of(tmp_path, changed(), kinds(apc_inrow_rc=ALL, apc_inrow_sc_modbus=ALL)) == ()
    air = (Role.RACK_INLET_TEMP,)
    (fault,) = faults_of(tmp_path, changed(), kinds(apc_inrow_rc=air, apc_inrow_sc_modbus=air))
    assert fault.path == "zones.hall_a"
    assert fault.text.endswith("quorum_kinds is 2, its devices can show inlet air only")


def test_plant_evidence_is_a_served_unit_or_a_battery(tmp_path):
    half = (Role.RACK_INLET_TEMP, Role.UNIT_RUNNING)
    some = kinds(apc_inrow_rc=half, apc_inrow_sc_modbus=half, comet_t_modbus=half, rfc1628_ups=(Role.ON_BATTERY,))
    assert faults_of(tmp_path, changed(), some) == ()
    inlet = kinds(
        apc_inrow_rc=half[:1], apc_inrow_sc_modbus=half[:1], comet_t_modbus=half, rfc1628_ups=(Role.ON_BATTERY,)
    )
    probes = "  probes:\n    profile: comet-t-modbus\n    address: 192.0.2.70\n    zone: hall_a\nedges:"
    (fault,) = faults_of(tmp_path, changed(("edges:", probes)), inlet)
    assert fault.text.endswith("its devices can show inlet air only")
    ups = probes.replace("comet-t-modbus", "rfc1628-ups\n    snmp: {community: file:/c}")
    assert faults_of(tmp_path, changed(("edges:", ups)), inlet) == ()


def test_a_quorum_needs_a_device_for_each_kind(tmp_path):
    text = changed(
        ("      crac_2: {sensible_kw: 36}\n", ""),
        ("sensible_kw: 36", "sensible_kw: 72"),
        ("units_needed: 2", "units_needed: 1"),
        ("serves: hall_a.crac_2", "zone: noc_room"),
    )
    (fault,) = faults_of(tmp_path, text)
    assert fault.text.endswith("quorum_paths is 2, its devices have 1")
    (fault,) = faults_of(tmp_path, text + "judgement: {quorum_paths: 1}\n")
    assert "2 kinds must come from as many devices" in fault.text


def test_a_zone_without_inlet_sensors_is_refused(tmp_path):
    blind = (Role.RETURN_TEMP, Role.UNIT_RUNNING)
    found = faults_of(tmp_path, changed(), kinds(apc_inrow_rc=ALL, apc_inrow_sc_modbus=blind))
    assert [fault.path for fault in found] == ["zones.hall_b"]
    more = changed(("units_needed: 2", "units_needed: 2\n    min_inlets: 3"))
    (fault,) = faults_of(tmp_path, more, kinds(apc_inrow_rc=ALL, apc_inrow_sc_modbus=ALL))
    assert "2 rack inlet sensors, min_inlets is 3" in fault.text


ASTRAY = ("{zone: noc_room}", "{zone: hall_a}")


def test_observe_keeps_what_automatic_would_refuse(tmp_path):
    assert loaded(tmp_path, changed()).policy.placement_faults == ()
    settings = loaded(tmp_path, changed(ASTRAY, ("    zone: outside", "    zone: hall_a")))
    assert settings.policy.placement_faults == (
        "the daemon stands in hall_a, the zone route outbound must be able to leave",
        "every pager (oncall) starts in hall_a, the zone route outbound must be able to leave",
    )


def test_automatic_is_refused_at_the_key_that_is_wrong(tmp_path):
    automatic = ("site: dallas", "site: dallas\nmode: automatic")
    assert loaded(tmp_path, changed(automatic)).policy.start_automatic is True
    assert [fault.path for fault in faults_of(tmp_path, changed(automatic, ASTRAY))] == ["daemon.zone"]


def test_one_lever_outside_is_enough(tmp_path):
    spare_edge = (
        "  edge_2:\n    kind: kamailio\n    zone: hall_b\n    url: http://192.0.2.21\n    sip: 192.0.2.21\nroutes:"
    )
    text = changed(("kind: kamailio\n    zone: noc_room", "kind: kamailio\n    zone: hall_a"))
    assert len(loaded(tmp_path, text).policy.placement_faults) == 1
    text = changed(("routes:", spare_edge), ("edges: [edge_1]", "edges: [edge_1, edge_2]"), text=text)
    assert loaded(tmp_path, text).policy.placement_faults == ()


def test_one_pager_outside_is_enough(tmp_path):
    inside = changed(("zone: outside", "zone: hall_a"))
    assert len(loaded(tmp_path, inside).policy.placement_faults) == 1
    second = "  desk: {kind: webhook, zone: noc_room, url: 'https://desk.example'}\n"
    assert loaded(tmp_path, inside + second).policy.placement_faults == ()


def test_levers_are_checked_for_every_zone_of_a_route(tmp_path):
    hall_c = "  hall_c:\n    it_load_kw: 10\n    units: {crac_9: {sensible_kw: 18}}\n    units_needed: 1\n  hall_b:"
    devices = "".join(
        f"  {name}:\n    profile: comet-t-modbus\n    address: 192.0.2.{n}\n    {where}\n"
        for n, name, where in ((71, "crac_9", "serves: hall_c.crac_9"), (72, "probes", "zone: hall_c"))
    )
    text = changed(
        ("  hall_b:", hall_c),
        ("edges:\n", f"{devices}edges:\n"),
        ("depends_on: [hall_a]", "depends_on: [hall_a, hall_c]"),
        ("{zone: noc_room}", "{zone: hall_c}"),
    )
    assert loaded(tmp_path, text).policy.placement_faults == (
        "the daemon stands in hall_c, the zone route outbound must be able to leave",
    )


def test_the_kinds_of_the_file_are_the_kinds_there_are():
    assert set(get_args(EdgeEntry.model_fields["kind"].annotation)) == set(ACTUATORS)
    assert set(get_args(PagerEntry.model_fields["kind"].annotation)) == set(PAGERS)


def test_the_reference_is_fresh():
    prints = [sys.executable, "-m", "envmon.config.reference"]
    printed = subprocess.run(prints, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert REFERENCE.read_text(encoding="utf-8") == printed, "run: python -m envmon.config.reference > that file"


def keys_of(schema: dict) -> set[str]:
    """Every key the JSON Schema knows, at any depth."""
    return {key for part in [schema, *schema["$defs"].values()] for key in part.get("properties", {})}


def test_schema_reference_and_example_name_every_key():
    schema = json.loads(schema_text())
    keys = keys_of(schema)
    reference = REFERENCE.read_text(encoding="utf-8")
    example = EXAMPLE.read_text(encoding="utf-8")
    assert len(keys) > 60
    assert [key for key in sorted(keys) if not re.search(rf"[`.]{key}`", reference)] == []
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}:", example)] == []
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"site", "daemon", "zones", "devices"}
    assert schema["$defs"]["DeviceEntry"]["properties"]["every"]["default"] == "5s"


def test_the_example_tells_editors_where_its_schema_is():
    assert EXAMPLE.read_text().splitlines()[0] == "# yaml-language-server: $schema=envmon.schema.json"


def test_check_reads_a_sound_file_back(capsys):
    assert check(EXAMPLE, schema=False) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == f"{EXAMPLE}: no fault found"
    assert "zone hall_a: 60 kW, 2 of 3 units needed, 5 devices over 4 paths" in out
    assert "route outbound: leaves hall_a for hall_b by edge_1, in 8min" in out
    assert "automatic would be refused" not in out


def test_check_notes_what_would_refuse_automatic(tmp_path, capsys):
    path = tmp_path / "envmon.yaml"
    path.write_text(EXAMPLE.read_text().replace("zone: noc_room             #", "zone: hall_a #", 1))
    assert check(path, schema=False) == 0
    out, _ = capsys.readouterr()
    assert "note: automatic would be refused: the daemon stands in hall_a, the zone route outbound must" in out


def test_check_tells_faults_on_standard_error(tmp_path, capsys):
    path = tmp_path / "envmon.yaml"
    path.write_text("site: dallas\n")
    assert check(path, schema=False) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"{path}:1:1: daemon: is missing: where this daemon stands and keeps its state"


def test_check_prints_the_schema(capsys):
    assert check(Path("does-not-exist"), schema=True) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "envmon configuration"


FRONTS = """  wib:
    profile: apc-inrow-rc
    address: 192.0.2.31
    zone: noc_room
    fronts: {"1.1": hall_a.crac_1, "1.2": hall_b.bcrac_1}
    commissioned: true
    snmp: {community: credential:snmp}
"""
GATEWAY = changed(
    (
        """  crac_1:
    profile: apc-inrow-rc
    address: 192.0.2.31
    serves: hall_a.crac_1
    snmp: {community: credential:snmp}
""",
        FRONTS,
    ),
    (
        """  bcrac_1:
    profile: apc-inrow-sc-modbus
    address: 192.0.2.41
    serves: hall_b.bcrac_1
""",
        "",
    ),
)


def test_one_device_may_front_units_of_several_zones(tmp_path):
    devices = {device.id: device for device in loaded(tmp_path, GATEWAY).devices}
    assert devices["wib"].fronts == (("1.1", "hall_a", "crac_1"), ("1.2", "hall_b", "bcrac_1"))
    assert (devices["wib"].zone, devices["wib"].commissioned) == ("noc_room", True)
    assert not devices["crac_2"].commissioned


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"1.2": hall_b.bcrac_1', '"1.2": hall_b.bcrac_9', "has no unit bcrac_9; did you mean bcrac_1?"),
        ('"1.2": hall_b.bcrac_1', '"1.2": hall_a.crac_1', "is served by wib already"),
        ('"1.2": hall_b.bcrac_1', '"1.2": hall_b', "a name is lower-case letters"),
        (', "1.2": hall_b.bcrac_1', "", "no device serves this unit; add serves: hall_b.bcrac_1"),
        ("zone: noc_room\n    fronts", "serves: hall_a.crac_1\n    fronts", "serves names one unit already"),
        ("    zone: noc_room\n    fronts", "    fronts", "says neither what it serves"),
        ("commissioned: true", "commissioned: 1", "commissioned"),
    ],
)
def test_faults_of_a_device_that_fronts_units(tmp_path, old, new, said):
    found = faults_of(tmp_path, changed((old, new), text=GATEWAY))
    assert any(said in f"{fault}" for fault in found), found


def test_roles_the_site_gives_are_read_and_count_as_evidence(tmp_path):
    plain = "    serves: hall_a.crac_1\n"
    named = f"{plain}    roles: {{probe_1_temp: rack_inlet_temp}}\n"
    devices = {device.id: device for device in loaded(tmp_path, changed((plain, named))).devices}
    assert devices["crac_1"].roles == (("probe_1_temp", Role.RACK_INLET_TEMP),)
    blind = kinds(apc_inrow_rc=ALL[1:], apc_inrow_sc_modbus=ALL[1:])
    said = [fault.text for fault in faults_of(tmp_path, changed(), blind) if fault.path == "zones.hall_a"]
    assert any("0 rack inlet sensors" in text for text in said)
    said = [fault.text for fault in faults_of(tmp_path, changed((plain, named)), blind) if fault.path == "zones.hall_a"]
    assert not any("rack inlet sensors" in text for text in said)
    (fault,) = faults_of(tmp_path, changed((plain, named.replace("rack_inlet_temp", "inlet"))))
    assert fault.path == "devices.crac_1.roles.probe_1_temp"


def test_every_role_can_be_given():
    from typing import get_args

    from envmon.config.shape_devices import RoleWord

    assert set(get_args(RoleWord)) == set(Role)


def test_a_shape_is_compiled_when_it_is_first_used():
    """A compiled shape holds those inside it once more; all of them, compiled as they load, were megabytes."""

    class Leaf(Entry):
        key: int

    assert not Leaf.__pydantic_complete__
    assert Leaf.model_validate({"key": 1}).key == 1
    assert Leaf.__pydantic_complete__
