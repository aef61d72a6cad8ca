"""Logging in to an SNMP agent: credentials, name resolution, v3 engine discovery, one GET or one walk at a time.

Rules
  - Passwords and communities are read when the session opens and are not kept by us; no error names them. The keys of
    passwords are kept: to make one blocks the loop for a millisecond or two, and a site has few.
  - Whatever the client library does with hostile bytes, only ``DeviceError`` comes out: its native code panics on
    some malformed answers, and a panic is no ``Exception``.

User-based security after RFC 3414 (MD5, SHA, DES), RFC 3826 (AES-128) and RFC 7860 (SHA-2); AES-256 with the
Blumenthal key expansion that net-snmp and most agents use.
"""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import TypeVar

from gufo.snmp import (
    Aes128Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpDecodeError,
    SnmpError,
    SnmpVersion,
    User,
    ValueType,
)
from gufo.snmp.user import KeyType

from envmon.config.secret import Secret, SecretError
from envmon.config.settings import SnmpSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_community import CommunitySocket
from envmon.drivers.snmp_socket import SnmpSocket
from envmon.model.reading import Reason

Key = TypeVar("Key", BaseAuthKey, BasePrivKey)

_SALT = os.urandom(hashlib.blake2b.SALT_SIZE)
_MASTER_KEYS: dict[tuple[type[BaseAuthKey], bytes], bytes] = {}
_MOST_ROWS = 4096
_MIN_PASSWORD = 8  # RFC 3414 section 11.2

_AUTH: Mapping[str, type[BaseAuthKey]] = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
_PRIVACY: Mapping[str, type[BasePrivKey]] = {"des": DesKey, "aes128": Aes128Key, "aes256": Aes256Key}
_COMMUNITY_VERSIONS = {"1": SnmpVersion.v1, "2c": SnmpVersion.v2c}


class TooBigError(Exception):
    """The agent, or our receive buffer, cannot carry the answer in one datagram."""


class Session:
    """A logged-in session with one agent. ``where`` names the device in every error."""

    def __init__(self, session: SnmpSocket, where: str) -> None:
        self._session = session
        self._where = where

    def close(self) -> None:
        """Let go of the socket."""
        self._session.close()

    async def get(self, oids: tuple[str, ...]) -> dict[str, ValueType]:
        """Read ``oids`` in one request; those the agent does not have are left out.

        Raises DeviceError, and TooBigError when fewer OIDs may succeed: the agent answered nothing at all, as it
        does with tooBig, or in v1 when a single object is missing (noSuchName, RFC 1157 section 4.1.2).
        """
        with _DeviceErrors(self._where):
            try:
                found: dict[str, ValueType] = await self._session.get_many(oids)
            except SnmpDecodeError:
                if len(oids) == 1:
                    raise
                raise TooBigError from None
        if not found and len(oids) > 1:
            raise TooBigError
        return found

    async def has_below(self, oid: str) -> bool:
        """Whether the agent has anything below ``oid``. Raises DeviceError."""
        with _DeviceErrors(self._where):
            try:
                await anext(self._session.getnext(oid))
            except StopAsyncIteration:
                return False
        return True

    def walk(self, column: str, max_repetitions: int) -> "Walk":
        """Prepare to find the rows of ``column``: by GETBULK, or by GETNEXT where ``max_repetitions`` is 0."""
        found = self._session.getbulk(column, max_repetitions) if max_repetitions else self._session.getnext(column)
        return Walk(found, column, self._where)


class Walk:
    """The indexes under one column. A walk that was cut off goes on where it stood.

    An agent whose identifiers do not increase would never come to an end: a repeated one ends the walk, and so do
    ``_MOST_ROWS``.
    """

    def __init__(self, found: AsyncIterator[tuple[str, ValueType]], column: str, where: str) -> None:
        self._found = found
        self._column = column
        self._where = where
        self._indexes: dict[str, None] = {}
        self._ended = False

    async def indexes(self) -> tuple[str, ...]:
        """Walk to the end. Raises DeviceError; waits as long as the caller lets it."""
        with _DeviceErrors(self._where):
            while not self._ended and len(self._indexes) < _MOST_ROWS:
                try:
                    oid, _ = await anext(self._found)
                except StopAsyncIteration:
                    break
                index = oid.removeprefix(f"{self._column}.")
                if index in self._indexes or index == oid:
                    break
                self._indexes[index] = None
        self._ended = True
        return tuple(self._indexes)


async def open_session(host: str, port: int, settings: SnmpSettings, where: str) -> Session:
    """Resolve the name, log in, and for v3 learn the agent's engine. Raises DeviceError."""
    address = await _resolve(host, port, where)
    with _DeviceErrors(where):
        session = _session(address, port, settings, where)
        try:
            await session.refresh()
        except BaseException:
            session.close()
            raise
    return Session(session, where)


async def _resolve(host: str, port: int, where: str) -> str:
    """Resolve here: the library would do it on the event loop's own thread. IPv4 wins, which every card serves."""
    with suppress(ValueError):
        return str(ip_address(host))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise DeviceError(Reason.UNREACHABLE, f"{where}: cannot resolve the name: {error.strerror or error}") from None
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _session(address: str, port: int, settings: SnmpSettings, where: str) -> SnmpSocket:
    if settings.version == "3":
        user = _user(settings, where)
        if settings.context:
            return _with_context(address, port, settings, where)
        return SnmpSocket(address, port, user=user, version=SnmpVersion.v3)
    if settings.version not in _COMMUNITY_VERSIONS:
        raise DeviceError(Reason.REFUSED, f'{where}: SNMP version "{settings.version}" is not "1", "2c" or "3"')
    if settings.community is None:
        raise DeviceError(Reason.REFUSED, f"{where}: SNMP version {settings.version} needs a community")
    community = _reveal(settings.community, where)
    return CommunitySocket(address, port, community, _COMMUNITY_VERSIONS[settings.version])


def _user(settings: SnmpSettings, where: str) -> User:
    if not settings.user:
        raise DeviceError(Reason.REFUSED, f"{where}: SNMP version 3 needs a user")
    if settings.auth_password is None:
        if settings.privacy_password is not None:
            raise DeviceError(Reason.REFUSED, f"{where}: privacy_password needs an auth_password too (RFC 3414)")
        return User(settings.user)
    auth = _chosen(_AUTH, settings.auth_protocol, "auth_protocol", where)
    password = _password(settings.auth_password, "auth_password", where)
    if settings.privacy_password is None:
        return User(settings.user, auth_key=_key(auth, auth, password))
    privacy = _chosen(_PRIVACY, settings.privacy_protocol, "privacy_protocol", where)
    secret = _password(settings.privacy_password, "privacy_password", where)
    if privacy.KEY_LENGTH > auth.KEY_LENGTH:  # the library expands keys made of passwords only
        return User(settings.user, auth_key=auth(password), priv_key=privacy(secret))
    return User(settings.user, auth_key=_key(auth, auth, password), priv_key=_key(privacy, auth, secret))


def _key(kind: type[Key], auth: type[BaseAuthKey], password: bytes) -> Key:
    """Make a key of a password, known by its salted digest (RFC 3414 A.2: a password hashed a million bytes long)."""
    known = (auth, hashlib.blake2b(password, salt=_SALT).digest())
    if known not in _MASTER_KEYS:
        _MASTER_KEYS[known] = auth.get_master_key(password)
    return kind(_MASTER_KEYS[known], KeyType.Master)


def _with_context(address: str, port: int, settings: SnmpSettings, where: str) -> SnmpSocket:
    """Log in by our own codec, with what ``_user`` has found sound."""
    from envmon.drivers.snmp_context import ContextSocket  # noqa: PLC0415 - 8 MB of ciphers that few devices need
    from envmon.wire.snmp_usm import Login, master_key  # noqa: PLC0415 - as above

    login, auth = Login(settings.user.encode()), settings.auth_protocol
    if settings.auth_password is not None:
        key = master_key(auth, _password(settings.auth_password, "auth_password", where))
        login = replace(login, auth=auth, auth_key=key)
    if settings.privacy_password is not None:
        key = master_key(auth, _password(settings.privacy_password, "privacy_password", where))
        login = replace(login, privacy=settings.privacy_protocol, privacy_key=key)
    return ContextSocket(address, port, login, settings.context)


def _chosen(table: Mapping[str, type[Key]], name: str, field: str, where: str) -> type[Key]:
    if name not in table:
        raise DeviceError(Reason.REFUSED, f'{where}: {field} "{name}" is none of {", ".join(table)}')
    return table[name]


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


class _DeviceErrors:
    """A context in which whatever the client library raises becomes a DeviceError."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and (told := _told(error)) is not None:
            reason, text = told
            raise DeviceError(reason, f"{self._where}: {text}") from None


def _told(error: BaseException) -> tuple[Reason, str] | None:
    """Return what the library means, None where it is not the library that speaks."""
    match error:
        case SnmpAuthError():
            text = "the agent refused the login; check user, protocols, passwords and the agent's access list"
            return Reason.REFUSED, text
        case SnmpError() | RuntimeError() | ValueError():
            return Reason.GARBAGE, f"the answer is not SNMP: {error}"
        case TimeoutError():  # at once: the library reports a refused datagram (ICMP port unreachable) this way
            return Reason.UNREACHABLE, "nothing listens there"
        case OSError():
            return Reason.UNREACHABLE, f"cannot send: {error.strerror or error}"
        case _:  # pyo3's own type cannot be imported
            return (Reason.GARBAGE, "the answer is not SNMP") if type(error).__name__ == "PanicException" else None
