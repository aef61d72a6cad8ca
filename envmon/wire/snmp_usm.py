"""SNMPv3 messages of the user-based security model, both ways, for the PDUs that read.

Rules
  - Pure bytes in and out; time, identifiers and salts come from the caller.
  - What is opened was made by who knows the user's key, where the user has one: anything else raises ``FrameError``.
    Only a Report may come without: an agent that does not know us has no key to sign it with.
  - Keys are not printed.

Sources: RFC 3412 section 6 (message), RFC 3414 (model, MD5, SHA, DES), RFC 3826 (AES-128), RFC 7860 (SHA-2), and
draft-blumenthal-aes-usm-04 section 3.1.2.1 (keys longer than their digest, for AES-256).
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from envmon.wire import ber
from envmon.wire.ber import Oid, Reader
from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag

REPORT: Final = 0xA8

_SEQUENCE: Final = 0x30
_V3: Final = 3
_USER_BASED: Final = 3
_INT32: Final = (0, 2**31 - 1)
_ANY_INT32: Final = (-(2**31), 2**31 - 1)
_LARGEST: Final = 65_507  # bytes of a UDP datagram
_AUTHENTIC, _PRIVATE, _REPORTABLE = 1, 2, 4
_MEGABYTE: Final = 1 << 20
_DIGESTS: Final = {  # name of the digest, bytes of it that are sent (RFC 3414 6, 7; RFC 7860 4.1)
    "md5": ("md5", 12),
    "sha": ("sha1", 12),
    "sha224": ("sha224", 16),
    "sha256": ("sha256", 24),
    "sha384": ("sha384", 32),
    "sha512": ("sha512", 48),
}
_KEY_BYTES: Final = {"des": 16, "aes128": 16, "aes256": 32}
_DES_BLOCK: Final = 8


@dataclass(frozen=True, slots=True)
class Login:
    """A user, and what the passwords became by ``master_key``; "" for a protocol that is not used."""

    user: bytes
    auth: str = ""
    auth_key: bytes = field(default=b"", repr=False)
    privacy: str = ""
    privacy_key: bytes = field(default=b"", repr=False)

    def at(self, engine: bytes) -> "Login":
        """Return the login with the keys that hold for one engine (RFC 3414 section 2.6)."""
        if not self.auth:
            return self
        auth = _localized(self.auth, self.auth_key, engine)
        private = _localized(self.auth, self.privacy_key, engine) if self.privacy else b""
        while self.privacy and len(private) < _KEY_BYTES[self.privacy]:
            private += hashlib.new(_DIGESTS[self.auth][0], private).digest()
        return Login(self.user, self.auth, auth, self.privacy, private[: _KEY_BYTES.get(self.privacy, 0)])


@dataclass(frozen=True, slots=True)
class Engine:
    """The agent's identifier, its boots, and its seconds since the last of them."""

    identifier: bytes = b""
    boots: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Pdu:
    """What is asked or answered. ``kind`` is a ``PduType`` or ``REPORT``; the numbers are those of ``snmp.Message``."""

    kind: int
    number: int
    variables: tuple[tuple[Oid, int, bytes], ...]
    error_status: int = 0
    error_index: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was opened. ``authentic``: it bears the user's digest."""

    number: int
    engine: Engine
    authentic: bool
    context: bytes
    pdu: Pdu


def master_key(auth: str, password: bytes) -> bytes:
    """Hash a password as long as a megabyte (RFC 3414 section A.2); milliseconds."""
    whole = password * (_MEGABYTE // len(password) + 1)
    return hashlib.new(_DIGESTS[auth][0], whole[:_MEGABYTE]).digest()


def seal(login: Login, engine: Engine, context: bytes, number: int, pdu: Pdu, salt: bytes) -> bytes:
    """Build the datagram. ``login`` holds for ``engine``; ``salt`` is eight bytes never used before with its key."""
    flags = _REPORTABLE | (_AUTHENTIC if login.auth else 0) | (_PRIVATE if login.privacy else 0)
    scoped = ber.encode(_SEQUENCE, _octets(engine.identifier) + _octets(context) + _encode(pdu))
    if login.privacy:
        scoped = _octets(_encrypt(login, engine, salt, scoped))
    size = _DIGESTS[login.auth][1] if login.auth else 0
    tail = _octets(salt if login.privacy else b"")
    numbers = ber.encode_integer(Tag.INTEGER, engine.boots) + ber.encode_integer(Tag.INTEGER, engine.seconds)
    parameters = _octets(engine.identifier) + numbers + _octets(login.user) + _octets(bytes(size)) + tail
    head = ber.encode_integer(Tag.INTEGER, number) + ber.encode_integer(Tag.INTEGER, _LARGEST)
    head += _octets(bytes((flags,))) + ber.encode_integer(Tag.INTEGER, _USER_BASED)
    message = ber.encode_integer(Tag.INTEGER, _V3) + ber.encode(_SEQUENCE, head)
    whole = ber.encode(_SEQUENCE, message + _octets(ber.encode(_SEQUENCE, parameters)) + scoped)
    if not login.auth:
        return whole
    at = len(whole) - len(scoped) - len(tail) - size
    return whole[:at] + _digest(login, whole) + whole[at + size :]


def open_(data: bytes, login: Login) -> Opened:
    """Read a datagram; ``login`` holds for the engine that was asked. Raises FrameError."""
    outer = Reader(data)
    message = Reader(outer.expect(_SEQUENCE))
    outer.end()
    if (version := ber.decode_integer(message.expect(Tag.INTEGER), *_INT32)) != _V3:
        raise FrameError(f"message version {version} is not SNMPv3")
    number, flags = _global(Reader(message.expect(_SEQUENCE)))
    parameters = Reader(Reader(message.expect(Tag.OCTET_STRING)).expect(_SEQUENCE))
    identifier = parameters.expect(Tag.OCTET_STRING)
    engine = Engine(identifier, *(ber.decode_integer(parameters.expect(Tag.INTEGER), *_INT32) for _ in range(2)))
    user, digest, salt = (parameters.expect(Tag.OCTET_STRING) for _ in range(3))
    parameters.end()
    authentic = bool(flags & _AUTHENTIC)
    if authentic:
        _verify(login, user, digest, data)
    scoped = message.next()
    message.end()
    if flags & _PRIVATE:
        if not (authentic and login.privacy and scoped[0] == Tag.OCTET_STRING):
            raise FrameError("an encrypted message that is not ours")
        scoped = Reader(_decrypt(login, engine, salt, scoped[1])).next()
    context, pdu = _scoped(*scoped)
    if pdu.kind != REPORT and (authentic, bool(flags & _PRIVATE)) != (bool(login.auth), bool(login.privacy)):
        raise FrameError("an answer of another security level than was asked")
    return Opened(number, engine, authentic, context, pdu)


def _global(header: Reader) -> tuple[int, int]:
    number = ber.decode_integer(header.expect(Tag.INTEGER), *_INT32)
    header.expect(Tag.INTEGER)
    flags = header.expect(Tag.OCTET_STRING)
    model = ber.decode_integer(header.expect(Tag.INTEGER), *_INT32)
    header.end()
    if len(flags) != 1 or model != _USER_BASED:
        raise FrameError(f"security model {model} with {len(flags)} bytes of flags is not the user-based one")
    return number, flags[0]


def _verify(login: Login, user: bytes, digest: bytes, data: bytes) -> None:
    size = _DIGESTS[login.auth][1] if login.auth else 0
    if not size or user != login.user or len(digest) != size:
        raise FrameError("a message of another user or another digest")
    at = data.index(digest)
    if not hmac.compare_digest(digest, _digest(login, data[:at] + bytes(size) + data[at + size :])):
        raise FrameError("a message that the user's key did not sign")


def _scoped(tag: int, content: bytes) -> tuple[bytes, Pdu]:
    if tag != _SEQUENCE:
        raise FrameError("what was decrypted is no message")
    scoped = Reader(content)
    scoped.expect(Tag.OCTET_STRING)
    context = scoped.expect(Tag.OCTET_STRING)
    kind, body = scoped.next()
    scoped.end()
    if kind not in {PduType.RESPONSE, REPORT}:
        raise FrameError(f"PDU type 0x{kind:02x} is no answer")
    pdu = Reader(body)
    numbers = [ber.decode_integer(pdu.expect(Tag.INTEGER), *_ANY_INT32) for _ in range(3)]
    found = _variables(Reader(pdu.expect(_SEQUENCE)))
    pdu.end()
    return context, Pdu(kind, numbers[0], found, numbers[1], numbers[2])


def _variables(reader: Reader) -> tuple[tuple[Oid, int, bytes], ...]:
    found = []
    while reader.more:
        pair = Reader(reader.expect(_SEQUENCE))
        found.append((ber.decode_oid(pair.expect(Tag.OBJECT_IDENTIFIER)), *pair.next()))
        pair.end()
    return tuple(found)


def _encode(pdu: Pdu) -> bytes:
    numbers = (pdu.number, pdu.error_status, pdu.error_index)
    variables = (
        ber.encode(_SEQUENCE, ber.encode_oid(Tag.OBJECT_IDENTIFIER, oid) + ber.encode(tag, content))
        for oid, tag, content in pdu.variables
    )
    body = b"".join(ber.encode_integer(Tag.INTEGER, number) for number in numbers)
    return ber.encode(PduType(pdu.kind), body + ber.encode(_SEQUENCE, b"".join(variables)))


def _octets(content: bytes) -> bytes:
    return ber.encode(Tag.OCTET_STRING, content)


def _localized(auth: str, master: bytes, engine: bytes) -> bytes:
    return hashlib.new(_DIGESTS[auth][0], master + engine + master).digest()


def _digest(login: Login, whole: bytes) -> bytes:
    name, size = _DIGESTS[login.auth]
    return hmac.digest(login.auth_key, whole, name)[:size]


def _encrypt(login: Login, engine: Engine, salt: bytes, scoped: bytes) -> bytes:
    if login.privacy == "des":
        scoped += bytes(-len(scoped) % _DES_BLOCK)
    return _run(_cipher(login, engine, salt).encryptor(), scoped)


def _decrypt(login: Login, engine: Engine, salt: bytes, secret: bytes) -> bytes:
    if len(salt) != 8 or (login.privacy == "des" and len(secret) % _DES_BLOCK):
        raise FrameError("an encrypted message of the wrong size")
    return _run(_cipher(login, engine, salt).decryptor(), secret)


def _cipher(login: Login, engine: Engine, salt: bytes) -> Cipher[CBC] | Cipher[CFB]:
    key = login.privacy_key
    if login.privacy == "des":  # RFC 3414 section 8.1.1.1
        vector = bytes(one ^ other for one, other in zip(key[_DES_BLOCK:], salt, strict=True))
        return Cipher(TripleDES(key[:_DES_BLOCK] * 3), CBC(vector))
    return Cipher(AES(key), CFB(engine.boots.to_bytes(4, "big") + engine.seconds.to_bytes(4, "big") + salt))


def _run(context: CipherContext, data: bytes) -> bytes:
    return context.update(data) + context.finalize()
