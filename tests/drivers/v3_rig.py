"""A foreign SNMPv3 agent (pysnmp's) whose boots and clock a test sets, with values in named contexts."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from driver_rig import BASE, PASSWORDS, free_port
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto.rfc1902 import Integer32
from pysnmp.proto.rfc1905 import noSuchInstance
from pysnmp.smi.instrum import AbstractMibInstrumController

AUTH = {"sha": config.USM_AUTH_HMAC96_SHA, "sha256": config.USM_AUTH_HMAC192_SHA256, "": config.USM_AUTH_NONE}
PRIVACY = {
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
    "": config.USM_PRIV_NONE,
}
LEVEL = ("noAuthNoPriv", "authNoPriv", "authPriv")


@dataclass
class Time:
    """The agent's seconds since its last boot."""

    seconds: int = 100_000

    def clone(self, *_: object) -> Any:
        """Return the time as the library's own clock does."""
        return Integer32(self.seconds)


@dataclass
class Values(AbstractMibInstrumController):  # type: ignore[misc]  # the library has no types
    """Numbers by the number of their object; everything else is no such instance."""

    numbers: Mapping[int, int]
    asked: int = 0

    def read_variables(self, *variables: Any, **_: object) -> list[Any]:
        self.asked += 1
        return [(name, self._value(str(name))) for name, _ in variables]

    def _value(self, name: str) -> Any:
        number = int(name.split(".")[-2])
        known = name.startswith(f"{BASE}.") and number in self.numbers
        return Integer32(self.numbers[number]) if known else noSuchInstance


@dataclass
class PysnmpAgent:
    """Serves ``contexts`` ("" is the default one) to the user envmon."""

    auth: str = "sha256"
    privacy: str = "aes128"
    time: Time = field(default_factory=Time)
    contexts: Mapping[str, Mapping[int, int]] = field(default_factory=lambda: {"": {1: 215, 2: 1, 4: -5}})
    port: int = field(default_factory=free_port)
    values: dict[str, Values] = field(default_factory=dict)
    _boots: Any = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["PysnmpAgent"]:
        engine = self._engine()
        transport = udp.UdpAsyncioTransport().open_server_mode(("127.0.0.1", self.port))
        await transport._lport
        config.add_transport(engine, udp.DOMAIN_NAME, transport)
        level = LEVEL[bool(self.auth) + bool(self.privacy)]
        keys = PASSWORDS["auth"] if self.auth else None, PASSWORDS["privacy"] if self.privacy else None
        config.add_v3_user(engine, "envmon", AUTH[self.auth], keys[0], PRIVACY[self.privacy], keys[1])
        served = context.SnmpContext(engine)
        served.unregister_context_name(b"")
        for name, numbers in self.contexts.items():
            self.values[name] = Values(numbers)
            config.add_vacm_user(engine, 3, "envmon", level, (1, 3, 6), contextName=name.encode())
            served.register_context_name(name.encode(), self.values[name])
        cmdrsp.GetCommandResponder(engine, served)
        try:
            yield self
        finally:
            engine.close_dispatcher()

    def reboot(self, boots: int, seconds: int) -> None:
        """Believe this from now on."""
        self._boots.syntax = self._boots.syntax.clone(boots)
        self.time.seconds = seconds

    def _engine(self) -> SnmpEngine:
        engine = SnmpEngine()
        builder = engine.get_mib_builder()
        names = ("snmpEngineID", "snmpEngineBoots", "snmpEngineTime")
        identifier, boots, seconds = builder.import_symbols("__SNMP-FRAMEWORK-MIB", *names)
        identifier.syntax = identifier.syntax.clone(bytes.fromhex("80004fb804") + b"a foreign agent")
        seconds.syntax = self.time
        self._boots = boots
        self.reboot(5, self.time.seconds)
        engine.snmpEngineID = identifier.syntax
        return engine
