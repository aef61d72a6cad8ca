"""How an agent is logged in to: from what the configuration says to who asks it.

Rules
  - Passwords and communities are read when a session opens and are not kept by us; no error names them. The keys of
    passwords are kept: to make one blocks the loop for a millisecond or two, and a site has few.
  - What the configuration lacks or has wrong is one ``DeviceError``, refused, that says what to change.

User-based security after RFC 3414 (MD5, SHA, DES), RFC 3826 (AES-128) and RFC 7860 (SHA-2); AES-256 with the
Blumenthal key expansion that net-snmp and most agents use.
"""

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from envmon.config.secret import Secret, SecretError
from envmon.config.settings import SnmpSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_community import CommunityPeer
from envmon.drivers.snmp_socket import SnmpSocket
from envmon.model.reading import Reason
from envmon.wire.snmp import Version
from envmon.wire.snmp_community import Community

if TYPE_CHECKING:
    from envmon.drivers.snmp_user import UserPeer
    from envmon.wire.snmp_keys import Login

_VERSIONS: Final = {"1": Version.V1, "2c": Version.V2C}
_AUTH: Final = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
_PRIVACY: Final = ("des", "aes128", "aes256")
_MIN_PASSWORD: Final = 8  # RFC 3414 section 11.2

_SALT = os.urandom(hashlib.blake2b.SALT_SIZE)
_MASTER_KEYS: dict[tuple[str, bytes], bytes] = {}


def peer(address: str, port: int, settings: SnmpSettings, where: str) -> "CommunityPeer | UserPeer":
    """Prepare to ask one agent; ``where`` names it in errors. Raises DeviceError and OSError."""
    if settings.version == "3":
        return _user(address, port, settings, where)
    if settings.version not in _VERSIONS:
        raise DeviceError(Reason.REFUSED, f'{where}: SNMP version "{settings.version}" is not "1", "2c" or "3"')
    if settings.community is None:
        raise DeviceError(Reason.REFUSED, f"{where}: SNMP version {settings.version} needs a community")
    name = _reveal(settings.community, where).encode()
    return CommunityPeer(SnmpSocket(address, port), Community(_VERSIONS[settings.version], name))


def _user(address: str, port: int, settings: SnmpSettings, where: str) -> "UserPeer":
    from envmon.drivers.snmp_user import UserPeer  # noqa: PLC0415 - 8 MB of ciphers, for v3 alone

    login = _login(settings, where)
    return UserPeer(SnmpSocket(address, port), login, settings.context.encode())


def _login(settings: SnmpSettings, where: str) -> "Login":
    from envmon.wire.snmp_keys import Login  # noqa: PLC0415 - as above

    if not settings.user:
        raise DeviceError(Reason.REFUSED, f"{where}: SNMP version 3 needs a user")
    login = Login(settings.user.encode())
    if settings.auth_password is None:
        if settings.privacy_password is not None:
            raise DeviceError(Reason.REFUSED, f"{where}: privacy_password needs an auth_password too (RFC 3414)")
        return login
    auth = _chosen(_AUTH, settings.auth_protocol, "auth_protocol", where)
    key = _key(auth, _password(settings.auth_password, "auth_password", where))
    login = replace(login, auth=auth, auth_key=key)
    if settings.privacy_password is None:
        return login
    privacy = _chosen(_PRIVACY, settings.privacy_protocol, "privacy_protocol", where)
    key = _key(auth, _password(settings.privacy_password, "privacy_password", where))
    return replace(login, privacy=privacy, privacy_key=key)


def _key(auth: str, password: bytes) -> bytes:
    """Make a key of a password, known by its salted digest (RFC 3414 A.2: a password hashed a million bytes long)."""
    from envmon.wire.snmp_keys import master_key  # noqa: PLC0415 - as above

    known = (auth, hashlib.blake2b(password, salt=_SALT).digest())
    if known not in _MASTER_KEYS:
        _MASTER_KEYS[known] = master_key(auth, password)
    return _MASTER_KEYS[known]


def _chosen(known: tuple[str, ...], name: str, field: str, where: str) -> str:
    if name not in known:
        raise DeviceError(Reason.REFUSED, f'{where}: {field} "{name}" is none of {", ".join(known)}')
    return name


def _password(secret: Secret, field: str, where: str) -> bytes:
    password = _reveal(secret, where).encode()
    if len(password) < _MIN_PASSWORD:
        raise DeviceError(Reason.REFUSED, f"{where}: {field} is shorter than {_MIN_PASSWORD} characters (RFC 3414)")
    return password


def _reveal(secret: Secret, where: str) -> str:
    try:
        return secret.reveal()
    except SecretError as error:
        raise DeviceError(Reason.REFUSED, f"{where}: {error}") from None
