"""envmon cannot write to a device: the code that could does not exist. Many devices have a register that stops them."""

import ast
import re
from pathlib import Path

import pytest

import envmon
from envmon.wire.modbus import Function
from envmon.wire.snmp import PduType
from envmon.wire.snmp_pdu import REPORT, Pdu, encode

PRODUCT = Path(envmon.__file__).parent
MODULES = sorted(PRODUCT.rglob("*.py"))
# MODBUS V1.1b3: write single coil, single register, multiple coils, multiple registers, mask write, read/write.
WRITE_FUNCTIONS = {5, 6, 15, 16, 22, 23}
SET_REQUEST = 0xA3  # RFC 3416 section 3
NAMES = re.compile(
    r"write_?(single|multiple|mask|coil|register|file)|set_?request|set_?pdu|snmp_?set\b|\bset_?cmd", re.IGNORECASE
)


def numbers(tree: ast.AST) -> set[int]:
    return {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_modbus_codec_knows_no_function_that_writes():
    assert {int(function) for function in Function} == {1, 2, 3, 4}
    for name in ("modbus.py", "modbus_rtu.py"):
        module = parsed(PRODUCT / "wire" / name)
        module.body = [node for node in module.body if getattr(node, "name", "") != "ExceptionCode"]
        assert not numbers(module) & WRITE_FUNCTIONS, name


def test_the_snmp_codec_knows_no_pdu_that_sets():
    assert SET_REQUEST not in set(PduType)
    for path in (PRODUCT / "wire").glob("*.py"):
        assert SET_REQUEST not in numbers(parsed(path)), path


def test_nothing_in_the_product_is_named_after_a_write():
    found = {
        f"{path.relative_to(PRODUCT)}: {word.group()}" for path in MODULES for word in NAMES.finditer(path.read_text())
    }
    assert not found


WRITERS = {"pymodbus", "pysnmp", "tmodbus", "easysnmp", "gufo"}
RECEIVER = PRODUCT / "drivers" / "trap_engine.py"


def test_no_library_that_can_write_is_imported():
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            writers = WRITERS - ({"pysnmp"} if path == RECEIVER else set())
            assert not {name.split(".")[0] for name in names} & writers, path


def test_the_receiver_of_notifications_takes_nothing_from_its_library_that_could_send_one():
    used = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(parsed(RECEIVER))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pysnmp")
        for alias in node.names
    }
    assert used == {
        "pysnmp.carrier.asyncio.dgram.udp.SNMP_UDP_DOMAIN",
        "pysnmp.carrier.asyncio.dgram.udp.UdpTransportAddress",
        "pysnmp.carrier.base.AbstractTransportDispatcher",
        "pysnmp.entity.config",
        "pysnmp.entity.engine.SnmpEngine",
        "pysnmp.entity.rfc3413.ntfrcv.NotificationReceiver",
    }


def test_the_drivers_ask_for_the_three_gets_and_for_nothing_else():
    used = {
        node.attr
        for path in (PRODUCT / "drivers").glob("snmp*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "PduType"
    }
    assert used == {"GET", "GET_NEXT", "GET_BULK"}


@pytest.mark.parametrize("kind", [SET_REQUEST, 0xA4, 0xA6, 0xA7, REPORT])
def test_no_pdu_but_those_that_read_can_be_written(kind: int):
    with pytest.raises(ValueError, match="is not a valid PduType"):
        encode(Pdu(kind, 1, ()))
