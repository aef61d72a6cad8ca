"""One SNMP engine that receives notifications for devices with the same login, and answers informs.

Rules
  - Versions 1 and 2c are accepted with the devices' community, version 3 with their user at no less than its security
    level. Nothing is ever asked or set: the engine knows notifications and no other request.
  - Whatever the library makes of hostile bytes, an ``Outcome`` comes out.
  - Secrets are read when the engine is built, and no error names them.

Theory of operation
  The sender of a v3 trap is the authority for it (RFC 3414, 1.5.1): its key depends on its own engine identifier, which
  nobody configures. It is read from the datagram, and the user's key is made for it; only who knows the password can
  have made the same. An engine that has seen too much (identifiers, messages) is ``worn``: its owner builds a new one,
  because the library keeps a little of every message.

  For informs we are the authority. Our identifier stays the same for a site and our boots count the minutes since
  2020, so they rise over a restart without being kept anywhere: within a minute the clock alone differs, and by less
  than the window of 150 s (RFC 3414, 2.2.3).

The library checks no security level of a foreign engine's messages, so this file does.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pysnmp.carrier.asyncio.dgram.udp import SNMP_UDP_DOMAIN, UdpTransportAddress
from pysnmp.carrier.base import AbstractTransportDispatcher
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.ntfrcv import NotificationReceiver

from envmon.config.secret import Secret, SecretError
from envmon.config.settings import SnmpSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.trap_gate import Outcome
from envmon.model.reading import Reason
from envmon.wire.frame import FrameError
from envmon.wire.snmp_v3 import authority_of

Send = Callable[[bytes, tuple[Any, ...]], None]

_WORN_MESSAGES = 5000
_WORN_AUTHORITIES = 200
_EPOCH_S = 1_577_836_800  # 2020-01-01, from which boots are counted
_ENGINE = bytes.fromhex("80004fb804")  # RFC 3411 SnmpEngineID: pysnmp's enterprise, then text
_AUTH: Mapping[str, Any] = {
    "md5": config.USM_AUTH_HMAC96_MD5,
    "sha": config.USM_AUTH_HMAC96_SHA,
    "sha224": config.USM_AUTH_HMAC128_SHA224,
    "sha256": config.USM_AUTH_HMAC192_SHA256,
    "sha384": config.USM_AUTH_HMAC256_SHA384,
    "sha512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIVACY: Mapping[str, Any] = {
    "des": config.USM_PRIV_CBC56_DES,
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
_V3 = 3  # the user-based security model (RFC 3411 section 6.1)


class TrapEngine:
    """Receives for one login and the ``communities`` beside it; ``send`` takes an answer and where it goes.

    Raises DeviceError when a secret cannot be read.
    """

    def __init__(self, site: str, login: SnmpSettings, communities: tuple[Secret, ...], send: Send) -> None:
        self._login = login
        self._level = 1 + (login.auth_password is not None) + (login.privacy_password is not None)
        self._authorities: set[bytes] = set()
        self._messages = 0
        self._heard: list[tuple[int, int]] = []  # security model and level of what the message below was
        self._accepted = False
        self._engine = _engine(site)
        self._engine.register_transport_dispatcher(_Answers(send))
        self._engine.observer.register_observer(self._observe, "rfc3412.receiveMessage:request")
        NotificationReceiver(self._engine, self._notified)
        self._own = bytes(self._engine.snmpEngineID)
        self._master = _master_keys(login)
        for number, community in enumerate(dict.fromkeys(_communities(login, communities))):
            config.add_v1_system(self._engine, f"c{number}", community)
        self._learn(self._own)

    @property
    def worn(self) -> bool:
        """Whether it should be replaced by a new one."""
        return self._messages >= _WORN_MESSAGES or len(self._authorities) >= _WORN_AUTHORITIES

    def receive(self, data: bytes, sender: tuple[Any, ...]) -> Outcome:
        """Decode one datagram from ``sender``, answer an inform, and say what it was."""
        self._messages += 1
        self._accepted = False
        self._heard.clear()
        strangers, broken = self._stat("SNMP-USER-BASED-SM-MIB", "usmStatsUnknownEngineIDs"), self._broken()
        try:
            if (authority := authority_of(data)) is not None:
                self._learn(authority)
            self._engine.transport_dispatcher.handle_timer_tick(time.monotonic())
            self._engine.message_dispatcher.receive_message(
                self._engine, SNMP_UDP_DOMAIN, UdpTransportAddress(sender), data
            )
        except FrameError:
            return Outcome.MALFORMED
        except Exception:  # noqa: BLE001 - hostile bytes find every corner of a decoder; none of them is news
            return Outcome.MALFORMED
        if self._accepted:
            return Outcome.ACCEPTED
        if self._stat("SNMP-USER-BASED-SM-MIB", "usmStatsUnknownEngineIDs") != strangers:
            return Outcome.HANDSHAKE
        return Outcome.MALFORMED if self._broken() != broken else Outcome.REFUSED

    def _learn(self, authority: bytes) -> None:
        """Make the user's keys for one engine identifier."""
        login = self._login
        if login.version != "3" or authority in self._authorities or len(self._authorities) >= 2 * _WORN_AUTHORITIES:
            return
        auth, privacy = self._master
        config.add_v3_user(
            self._engine,
            login.user,
            _AUTH[login.auth_protocol] if auth else config.USM_AUTH_NONE,
            auth,
            _PRIVACY[login.privacy_protocol] if privacy else config.USM_PRIV_NONE,
            privacy,
            securityEngineId=authority,
            authKeyType=config.USM_KEY_TYPE_MASTER,
            privKeyType=config.USM_KEY_TYPE_MASTER,
        )
        self._authorities.add(authority)

    def _observe(self, _engine: Any, _point: Any, variables: Mapping[str, Any], _context: Any) -> None:
        self._heard.append((int(variables["securityModel"]), int(variables["securityLevel"])))

    def _notified(self, *_: Any) -> None:
        """Take note of a notification whose community or user is right (the library calls this)."""
        self._accepted = any(model != _V3 or level >= self._level for model, level in self._heard)

    def _broken(self) -> int:
        return self._stat("SNMPv2-MIB", "snmpInASNParseErrs")

    def _stat(self, module: str, name: str) -> int:
        (counter,) = self._engine.get_mib_builder().import_symbols(f"__{module}", name)
        return int(counter.syntax)


class _Answers(AbstractTransportDispatcher):  # type: ignore[misc]  # the library has no types
    """Where the engine's answers go; it opens nothing."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def send_message(self, outgoing: Any, _domain: Any, address: Any) -> None:
        self._send(bytes(outgoing), tuple(address))


def _engine(site: str) -> SnmpEngine:
    """Build an engine under our own identifier, set here because the library would keep its boots under /tmp."""
    engine = SnmpEngine()
    builder = engine.get_mib_builder()
    identifier, boots = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
    identifier.syntax = identifier.syntax.clone(_ENGINE + f"envmon {site}".encode()[:27])
    boots.syntax = boots.syntax.clone(max(1, int(time.time() - _EPOCH_S) // 60))
    engine.snmpEngineID = identifier.syntax
    return engine


def _master_keys(login: SnmpSettings) -> tuple[Any, Any]:
    """Return the keys that depend on the passwords alone; making them takes 10 ms each (RFC 3414 section A.2)."""
    if login.version != "3" or login.auth_password is None:
        return None, None
    auth = config.AUTH_SERVICES[_AUTH[login.auth_protocol]]
    key = auth.hash_passphrase(_reveal(login.auth_password))
    if login.privacy_password is None:
        return key, None
    privacy = config.PRIV_SERVICES[_PRIVACY[login.privacy_protocol]]
    return key, privacy.hash_passphrase(_AUTH[login.auth_protocol], _reveal(login.privacy_password))


def _communities(login: SnmpSettings, others: tuple[Secret, ...]) -> list[str]:
    own = [login.community] if login.version != "3" and login.community is not None else []
    return [_reveal(secret) for secret in (*own, *others)]


def _reveal(secret: Secret) -> str:
    try:
        return secret.reveal()
    except SecretError as error:
        raise DeviceError(Reason.REFUSED, str(error)) from None
