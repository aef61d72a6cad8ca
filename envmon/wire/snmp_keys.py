"""The keys of SNMPv3's user-based security model, and what is done with them: digests and ciphers.

Rules
  - Pure bytes in and out; salts and times come from the caller.
  - Keys are not printed.

Sources: RFC 3414 (MD5, SHA, DES), RFC 3826 (AES-128), RFC 7860 (SHA-2), and draft-blumenthal-aes-usm-04 section 3.1.2.1
(keys longer than their digest, for AES-256).
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from envmon.wire.frame import FrameError

_MEGABYTE: Final = 1 << 20
DIGESTS: Final = {
    "md5": ("md5", 12),
    "sha": ("sha1", 12),
    "sha224": ("sha224", 16),
    "sha256": ("sha256", 24),
    "sha384": ("sha384", 32),
    "sha512": ("sha512", 48),
}
"""Name of the digest, bytes of it that are sent (RFC 3414 sections 6 and 7, RFC 7860 section 4.1)."""
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
            private += hashlib.new(DIGESTS[self.auth][0], private).digest()
        return Login(self.user, self.auth, auth, self.privacy, private[: _KEY_BYTES.get(self.privacy, 0)])


@dataclass(frozen=True, slots=True)
class Engine:
    """The agent's identifier, its boots, and its seconds since the last of them."""

    identifier: bytes = b""
    boots: int = 0
    seconds: int = 0


def master_key(auth: str, password: bytes) -> bytes:
    """Hash a password as long as a megabyte (RFC 3414 section A.2); milliseconds."""
    whole = password * (_MEGABYTE // len(password) + 1)
    return hashlib.new(DIGESTS[auth][0], whole[:_MEGABYTE]).digest()


def _localized(auth: str, master: bytes, engine: bytes) -> bytes:
    return hashlib.new(DIGESTS[auth][0], master + engine + master).digest()


def sign(login: Login, whole: bytes) -> bytes:
    """Return what proves who made a message (RFC 3414 section 6.3.1)."""
    name, size = DIGESTS[login.auth]
    keyed = _keyed(name, login.auth_key).copy()
    keyed.update(whole)
    return keyed.digest()[:size]


@lru_cache(maxsize=1 << 12)
def _keyed(name: str, key: bytes) -> hmac.HMAC:
    """Return a digest that has taken in the key."""
    return hmac.new(key, digestmod=name)


def encrypt(login: Login, engine: Engine, salt: bytes, scoped: bytes) -> bytes:
    """Make the secret of what is said; ``salt`` is eight bytes never used before with the key."""
    if login.privacy == "des":
        scoped += bytes(-len(scoped) % _DES_BLOCK)
    return _run(_cipher(login, engine, salt).encryptor(), scoped)


def decrypt(login: Login, engine: Engine, salt: bytes, secret: bytes) -> bytes:
    """Read the secret. Raises FrameError for one that cannot be."""
    if len(salt) != 8 or (login.privacy == "des" and len(secret) % _DES_BLOCK):
        raise FrameError("an encrypted message of the wrong size")
    return _run(_cipher(login, engine, salt).decryptor(), secret)


def _cipher(login: Login, engine: Engine, salt: bytes) -> Cipher[CBC] | Cipher[CFB]:
    key = login.privacy_key
    if login.privacy == "des":  # RFC 3414 section 8.1.1.1
        begin = bytes(one ^ other for one, other in zip(key[_DES_BLOCK:], salt, strict=True))
        return Cipher(TripleDES(key[:_DES_BLOCK] * 3), CBC(begin))
    return Cipher(AES(key), CFB(vector(engine, salt)))


def blocks(login: Login) -> CipherContext:
    """Return what encrypts single blocks: the part of CFB that takes a key (NIST SP 800-38A section 6.3)."""
    return Cipher(AES(login.privacy_key), ECB()).encryptor()  # noqa: S305 - not a mode here, but the part of one


def vector(engine: Engine, salt: bytes) -> bytes:
    """Return where AES begins (RFC 3826 section 3.1.2.1)."""
    return engine.boots.to_bytes(4, "big") + engine.seconds.to_bytes(4, "big") + salt


def _run(context: CipherContext, data: bytes) -> bytes:
    return context.update(data) + context.finalize()
