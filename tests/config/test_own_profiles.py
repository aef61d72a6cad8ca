"""An operator's own profiles: directories the configuration names, read before the devices that use them."""

import pytest
from config_samples import PROFILES, changed, faults_of

from envmon.cli.check import check
from envmon.cli.configured import configured
from envmon.config import ConfigError

PROBE = """\
profile: {name}
vendor: Acme
kind: sensor
protocol: modbus
evidence: document
sources: [{{document: Acme probe manual, revision: "3.1"}}]
points:
  - {{name: rack_inlet_temp, function: 3, address: 48, type: {type}, role: rack_inlet_temp, unit: degC, scale: 0.1}}
"""
DEVICE = "  probe: {profile: acme-probe, address: 192.0.2.77, zone: hall_a}\nedges:"


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "profiles"
    directory.mkdir()
    return directory


def site(tmp_path, *directories):
    config = tmp_path / "envmon.yaml"
    named = ", ".join(map(str, directories))
    config.write_text(changed(("places:", f"profiles: [{named}]\nplaces:"), ("edges:", DEVICE)))
    return config


def faults(config):
    with pytest.raises(ConfigError) as caught:
        configured(config)
    return [fault for fault in caught.value.faults if fault.path.startswith("profiles")]


def test_a_device_may_name_an_own_profile(tmp_path, shelf, capsys):
    (shelf / "acme.yaml").write_text(PROBE.format(name="acme-probe", type="int16"))
    (shelf / "notes.txt").write_text("not a profile")
    site_file = site(tmp_path, shelf)
    read = configured(site_file)
    assert read.profiles["acme-probe"].points[0].name == "rack_inlet_temp"
    assert "apc-inrow-rc" in read.profiles
    assert "probe" in [device.id for device in read.settings.devices]
    assert check(site_file, schema=False) == 0
    assert "no fault found" in capsys.readouterr().out


def test_every_fault_of_a_profile_is_told_beside_the_directory_that_holds_it(tmp_path, shelf):
    (shelf / "acme.yaml").write_text(PROBE.format(name="acme-probe", type="int61"))
    (fault,) = faults(site(tmp_path, shelf))
    assert (fault.line, fault.path) == (3, "profiles.0")
    assert fault.text.startswith(f"{shelf}/acme.yaml:8:")
    assert "int61" in fault.text


def test_no_profile_replaces_another(tmp_path, shelf):
    other = tmp_path / "other"
    other.mkdir()
    (shelf / "a.yaml").write_text(PROBE.format(name="acme-probe", type="int16"))
    (shelf / "b.yaml").write_text(PROBE.format(name="acme-probe", type="int16"))
    (other / "c.yaml").write_text(PROBE.format(name="acme-probe", type="int16"))
    (other / "d.yaml").write_text(PROBE.format(name="apc-inrow-rc", type="int16"))
    assert [(fault.path, fault.text) for fault in faults(site(tmp_path, shelf, other))] == [
        ("profiles.0", f"{shelf}/b.yaml: another file of this directory has a profile acme-probe; rename one"),
        ("profiles.1", "a profile is called acme-probe already; rename yours"),
        ("profiles.1", "a profile is called apc-inrow-rc already; rename yours"),
    ]


def test_a_directory_that_is_none_is_a_fault(tmp_path, shelf):
    plain = tmp_path / "file"
    plain.write_text("")
    told = [fault.text for fault in faults(site(tmp_path, tmp_path / "gone", plain))]
    assert told == [
        f"{tmp_path}/gone: cannot be read: No such file or directory",
        f"{plain}: cannot be read: Not a directory",
    ]


def test_a_relative_directory_is_told_once_and_not_read(tmp_path):
    (fault,) = [fault for fault in faults(site(tmp_path, "profiles")) if fault.path == "profiles.0"]
    assert fault.text == "must be an absolute path, such as /var/lib/envmon"


def test_who_reads_no_own_profiles_says_so(tmp_path):
    text = changed(("places:", "profiles: [/etc/envmon/profiles]\nplaces:"))
    (fault,) = faults_of(tmp_path, text, profiles=PROFILES)
    assert fault.text == "/etc/envmon/profiles: own profiles are not read here"
