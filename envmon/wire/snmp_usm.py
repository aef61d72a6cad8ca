"""SNMPv3 messages of the user-based security model around a PDU, both ways.

Rules
  - Pure bytes in and out; time, identifiers and salts come from the caller. What a PDU says is not read here.
  - What is opened was made by who knows the user's key, where the user has one: anything else raises ``FrameError``.
    Only a Report may come without: an agent that does not know us has no key to sign it with.

Sources: RFC 3412 section 6 (message), RFC 3414 (model). The ciphers and digests are in ``snmp_keys``.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from envmon.wire import ber
from envmon.wire.ber import Reader
from envmon.wire.frame import FrameError
from envmon.wire.snmp import Tag
from envmon.wire.snmp_keys import DIGESTS, Engine, Login, blocks, decrypt, encrypt, sign, vector
from envmon.wire.snmp_layout import Pattern
from envmon.wire.snmp_pdu import REPORT

_SEQUENCE: Final = 0x30
_OCTETS: Final = int(Tag.OCTET_STRING)
_VERSION: Final = b"\x02\x01\x03"
_USER_BASED: Final = 3
_INT32: Final = (0, 2**31 - 1)
_LARGEST: Final = 65_507  # bytes of a UDP datagram
_AUTHENTIC, _PRIVATE, _REPORTABLE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was opened. ``authentic``: it bears the user's digest. ``pdu`` is the element, unread."""

    number: int
    engine: Engine
    authentic: bool
    context: bytes
    pdu: bytes

    @property
    def is_report(self) -> bool:
        """Whether the agent's security model speaks, and not who answers."""
        return self.pdu[0] == REPORT


def seal(login: Login, engine: Engine, context: bytes, number: int, pdu: bytes, salt: bytes) -> bytes:
    """Build the datagram. ``login`` holds for ``engine``; ``salt`` is eight bytes never used before with its key."""
    scoped = ber.encode(_SEQUENCE, _name(engine.identifier) + _name(context) + pdu)
    if login.privacy:
        scoped = _octets(encrypt(login, engine, salt, scoped))
    salt = salt if login.privacy else b""
    numbers = [value.to_bytes(value.bit_length() // 8 + 1, "big") for value in (number, engine.boots, engine.seconds)]
    first, second, third = numbers
    sizes = (len(first), len(second), len(third), len(salt), len(scoped))
    heads = _heads(login.user, engine.identifier, login.auth, bool(login.privacy), sizes)
    size = DIGESTS[login.auth][1] if login.auth else 0
    tail = heads[4] + salt + scoped
    whole = b"".join((heads[0], first, heads[1], second, heads[2], third, heads[3], bytes(size), tail))
    if not login.auth:
        return whole
    at = len(whole) - len(tail) - size
    return whole[:at] + sign(login, whole) + tail


@lru_cache(maxsize=1 << 12)
def _heads(user: bytes, engine: bytes, auth: str, private: bool, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    """Return what stands before a message's number, boots, seconds, digest and salt, which are of these ``sizes``.

    The last size is that of what follows the salt.
    """
    number, boots, seconds, salt, rest = sizes
    level = _level(bool(auth), private)
    digest = _name(user) + bytes((_OCTETS, DIGESTS[auth][1] if auth else 0))
    inner = len(_name(engine)) + 2 + boots + 2 + seconds + len(digest) + digest[-1] + 2 + salt
    parameters = _head(_SEQUENCE, inner)
    parameters = _head(_OCTETS, len(parameters) + inner) + parameters
    header = _head(_SEQUENCE, 2 + number + len(level)) + bytes((Tag.INTEGER, number))
    outer = _head(_SEQUENCE, len(_VERSION + header + level + parameters) + number + inner + rest)
    before_boots = level + parameters + _name(engine) + bytes((Tag.INTEGER, boots))
    return outer + _VERSION + header, before_boots, bytes((Tag.INTEGER, seconds)), digest, bytes((_OCTETS, salt))


def _head(tag: int, size: int) -> bytes:
    """Return tag and length of an element."""
    return ber.encode(tag, bytes(size))[: -size or None]


@lru_cache(maxsize=8)
def _level(auth: bool, privacy: bool) -> bytes:
    """What the header says beside the message's number: how much we take, how it is protected, by which model."""
    flags = _REPORTABLE | (_AUTHENTIC if auth else 0) | (_PRIVATE if privacy else 0)
    model = ber.encode_integer(Tag.INTEGER, _USER_BASED)
    return ber.encode_integer(Tag.INTEGER, _LARGEST) + _octets(bytes((flags,))) + model


class Opener:
    """Opens what one engine sends to one login, which holds for it. Raises FrameError for everything else.

    All messages of an engine look alike but for a few fields; those that do are known by the one before them.
    """

    __slots__ = ("_blocks", "_context", "_engine", "_login", "_pattern", "_scope")

    def __init__(self, login: Login) -> None:
        self._login = login
        self._engine = self._context = self._scope = b""
        self._pattern: Pattern | None = None
        self._blocks = blocks(login) if login.privacy.startswith("aes") else None

    def open(self, data: bytes) -> Opened:
        """Read a datagram. Raises FrameError."""
        found = self._pattern.match(data) if self._pattern is not None else None
        if found is None:
            return self._slowly(data)
        number, boots, seconds, digest, salt, body = found
        engine = Engine(self._engine, _natural(boots), _natural(seconds))
        _verify(self._login, self._login.user, digest, data)
        scoped = self._decrypted(engine, salt, body)
        start = ber.inside(scoped, 0, _SEQUENCE)
        if start and scoped.startswith(self._scope, start):
            return Opened(_natural(number), engine, True, self._context, scoped[start + len(self._scope) :])
        return Opened(_natural(number), engine, True, *_scoped(*Reader(scoped).next()))

    def _decrypted(self, engine: Engine, salt: bytes, secret: bytes) -> bytes:
        """As ``decrypt``, with one cipher for all messages: in CFB every block but the first is known beforehand."""
        if self._blocks is None or len(salt) != 8:
            return decrypt(self._login, engine, salt, secret)
        size = len(secret)
        stream = self._blocks.update((vector(engine, salt) + secret)[: -(-size // 16) * 16])
        return (int.from_bytes(stream[:size], "big") ^ int.from_bytes(secret, "big")).to_bytes(size, "big")

    def _slowly(self, data: bytes) -> Opened:
        opened, parts = _open(data, self._login)
        places = _places(data, parts) if opened.authentic and parts.flags & _PRIVATE else None
        if places is not None and not opened.is_report:
            self._engine, self._pattern = opened.engine.identifier, Pattern(data, places)
            self._context, self._scope = opened.context, _name(self._engine) + _name(opened.context)
        return opened


class _Parts(NamedTuple):
    """The fields of a message as they stand in it, ``body`` in the last of its four parts."""

    flags: int
    number: bytes
    engine: bytes
    boots: bytes
    seconds: bytes
    user: bytes
    digest: bytes
    salt: bytes
    body: bytes


def open_(data: bytes, login: Login) -> Opened:
    """Read a datagram; ``login`` holds for the engine that was asked. Raises FrameError."""
    return _open(data, login)[0]


def _open(data: bytes, login: Login) -> tuple[Opened, _Parts]:
    match ber.elements(_sequence(data)):
        case [(0x02, b"\x03"), (0x30, header), (0x04, parameters), scoped]:
            parts = _parameters(_sequence(parameters), *_header(header), scoped[1])
        case [(0x02, version), *_] if version != b"\x03":
            raise FrameError(f"message version {version.hex()} is not SNMPv3")
        case _:
            raise FrameError("not the four parts of an SNMPv3 message")
    authentic, private = bool(parts.flags & _AUTHENTIC), bool(parts.flags & _PRIVATE)
    engine = Engine(parts.engine, _natural(parts.boots), _natural(parts.seconds))
    if authentic:
        _verify(login, parts.user, parts.digest, data)
    if private:
        if not (authentic and login.privacy and scoped[0] == _OCTETS):
            raise FrameError("an encrypted message that is not ours")
        scoped = Reader(decrypt(login, engine, parts.salt, parts.body)).next()
    context, pdu = _scoped(*scoped)
    if pdu[0] != REPORT and (authentic, private) != (bool(login.auth), bool(login.privacy)):
        raise FrameError("an answer of another security level than was asked")
    return Opened(_natural(parts.number), engine, authentic, context, pdu), parts


def _places(data: bytes, parts: _Parts) -> list[tuple[int, int, str]] | None:
    """Return where the fields stand that differ from message to message; None where that is not plain to see."""
    digest = data.index(parts.digest)
    seconds = digest - 4 - len(parts.user) - len(parts.seconds)
    boots = seconds - 2 - len(parts.boots)
    body = len(data) - len(parts.body)
    start = ber.inside(data, 0, _SEQUENCE) + 7  # behind the version and the heads of the header and of its number
    fields = [(start, parts.number), (boots, parts.boots), (seconds, parts.seconds), (digest, parts.digest)]
    fields += [(digest + len(parts.digest) + 2, parts.salt), (body, parts.body)]
    if any(data[at : at + len(content)] != content for at, content in fields):
        return None
    return [(at, at + len(content), f"{len(content)}s") for at, content in fields]


def _natural(content: bytes) -> int:
    return ber.decode_integer(content, *_INT32)


def _header(header: bytes) -> tuple[int, bytes]:
    """Return the flags of a message and its number."""
    match ber.elements(header):
        case [(0x02, number), (0x02, _), (0x04, flags), (0x02, b"\x03")] if len(flags) == 1:
            return flags[0], number
    raise FrameError("the header of a message is not that of the user-based security model")


def _parameters(content: bytes, flags: int, number: bytes, body: bytes) -> _Parts:
    """Put what the security parameters hold beside what was read around them."""
    match ber.elements(content):
        case [(0x04, engine), (0x02, boots), (0x02, seconds), (0x04, user), (0x04, digest), (0x04, salt)]:
            return _Parts(flags, number, engine, boots, seconds, user, digest, salt, body)
    raise FrameError("the security parameters of a message are not those of the user-based security model")


def _verify(login: Login, user: bytes, digest: bytes, data: bytes) -> None:
    size = DIGESTS[login.auth][1] if login.auth else 0
    if not size or user != login.user or len(digest) != size:
        raise FrameError("a message of another user or another digest")
    at = data.index(digest)
    if not hmac.compare_digest(digest, sign(login, data[:at] + bytes(size) + data[at + size :])):
        raise FrameError("a message that the user's key did not sign")


def _scoped(tag: int, content: bytes) -> tuple[bytes, bytes]:
    """Return the context's name and the PDU."""
    if tag == _SEQUENCE:
        scoped = Reader(content)
        scoped.expect(_OCTETS)
        context, start = scoped.expect(_OCTETS), scoped.position
        scoped.next()
        scoped.end()
        return context, content[start:]
    raise FrameError("what was decrypted is no message")


def _sequence(data: bytes) -> bytes:
    """Return the content of a sequence that is all there is."""
    start = ber.inside(data, 0, _SEQUENCE)
    if not start:
        raise FrameError(f"{len(data)} bytes that are not one whole sequence")
    return data[start:]


def _octets(content: bytes) -> bytes:
    return ber.encode(_OCTETS, content)


_name = lru_cache(maxsize=1 << 12)(_octets)  # of an engine, a user, a context: the same in every message
