"""What the configuration's tests share: the profiles they know, the smallest sound site, and a way to load text."""

from pathlib import Path

from envmon.config import ConfigError, Fault, load
from envmon.config.settings import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "config" / "envmon.example.yaml"
PROFILES = {
    "apc-inrow-rc": "snmp",
    "apc-inrow-sc-modbus": "modbus",
    "comet-t-modbus": "modbus",
    "rfc1628-ups": "snmp",
}
SOUND = """\
site: dallas
daemon: {zone: noc_room}
places: [noc_room, outside]
zones:
  hall_a:
    it_load_kw: 60
    units:
      crac_1: {sensible_kw: 36}
      crac_2: {sensible_kw: 36}
    units_needed: 2
  hall_b:
    at: backup
    it_load_kw: 15
    units: {bcrac_1: {sensible_kw: 18}}
    units_needed: 1
backup: {site: houston}
devices:
  crac_1:
    profile: apc-inrow-rc
    address: 192.0.2.31
    serves: hall_a.crac_1
    snmp: {community: credential:snmp}
  crac_2:
    profile: apc-inrow-sc-modbus
    address: 192.0.2.32
    serves: hall_a.crac_2
  bcrac_1:
    profile: apc-inrow-sc-modbus
    address: 192.0.2.41
    serves: hall_b.bcrac_1
edges:
  edge_1:
    kind: kamailio
    zone: noc_room
    url: http://192.0.2.20:5060
    sip: 192.0.2.20
    token: credential:edge
routes:
  outbound:
    edges: [edge_1]
    depends_on: [hall_a]
    backup: [hall_b]
publish:
  mqtt:
    host: 192.0.2.60
    zone: noc_room
    username: envmon
    password: credential:mqtt
pagers:
  oncall:
    kind: webhook
    zone: outside
    url: https://pager.example/v1/envmon
    token: credential:pager
"""


def changed(*changes: tuple[str, str], text: str = SOUND) -> str:
    """The sound site with each first text replaced by the second, once."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def loaded(directory: Path, text: str | bytes, profiles=PROFILES) -> Settings:
    path = directory / "envmon.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return load(path, profiles=profiles)


def faults_of(directory: Path, text: str | bytes, profiles=PROFILES) -> tuple[Fault, ...]:
    """Every fault of a text; none when it is sound."""
    try:
        loaded(directory, text, profiles)
    except ConfigError as error:
        return error.faults or (Fault("", 0, 0, "", "an error without a fault"),)
    return ()
