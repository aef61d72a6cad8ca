"""Modbus lines and traps in the configuration: what the keys compile to."""

import pytest
from config_samples import changed, loaded

from envmon.config.secret import Secret
from envmon.config.settings import SerialSettings, TrapSettings

TWO = ("    address: 192.0.2.32\n", "    address: 192.0.2.41\n")


@pytest.mark.parametrize("address", ["/dev/ttyUSB0", "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"])
def test_a_serial_line(tmp_path, address):
    line = f"    address: {address}\n    transport: rtu\n    serial: {{baud: 9600, parity: none, stop_bits: 2}}\n"
    text = changed((TWO[0], line), (TWO[1], f"{line}    unit_id: 2\n"))
    first, second = loaded(tmp_path, text).devices[1:]
    assert (first.host, first.port, first.transport, first.path) == (address, 0, "rtu", address)
    assert first.serial == second.serial == SerialSettings(9600, "none", 2)
    assert (first.unit_id, second.unit_id) == (1, 2)


def test_a_serial_line_is_19200_even_unless_told_otherwise(tmp_path):
    text = changed((TWO[0], "    address: /dev/ttyS0\n    transport: rtu\n"))
    assert loaded(tmp_path, text).devices[1].serial == SerialSettings(19_200, "even", 1)


def test_devices_on_one_line_may_say_the_same_in_other_words(tmp_path):
    one = "    address: /dev/ttyS0\n    transport: rtu\n"
    same = f"{one}    unit_id: 2\n    serial: {{parity: even}}\n"
    assert len(loaded(tmp_path, changed((TWO[0], one), (TWO[1], same))).devices) == 3


def test_a_gateway_that_passes_rtu_on(tmp_path):
    text = changed((TWO[0], "    address: 192.0.2.32:4001\n    transport: rtu_over_tcp\n    unit_id: 17\n"))
    device = loaded(tmp_path, text).devices[1]
    assert (device.host, device.port, device.transport, device.unit_id) == ("192.0.2.32", 4001, "rtu_over_tcp", 17)


def test_modbus_tcp_unless_told_otherwise(tmp_path):
    assert {device.transport for device in loaded(tmp_path, changed()).devices} == {"tcp"}


def test_traps(tmp_path):
    assert loaded(tmp_path, changed()).traps is None
    text = changed() + "traps: {listen: '[::]:1162', community: credential:traps}\n"
    assert loaded(tmp_path, text).traps == TrapSettings("::", 1162, Secret("credential:traps"))
