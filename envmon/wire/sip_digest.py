"""Digest login in SIP (RFC 7616, RFC 8760): what a 401 or 407 asks for, and the header that answers it.

Rules
  - Pure: the client nonce and its count come from the caller; the password is not kept.
  - MD5 and SHA-256, with qop auth or with none; the strongest offer of each realm is answered, others are left.
  - What came is never trusted to be short or well formed: every fault is one ``SipError``.
"""

import hashlib
from dataclasses import dataclass

from envmon.wire.sip import Response
from envmon.wire.sip_values import TOKEN, SipError, short, split

_STRENGTH = {"MD5": 1, "SHA-256": 2}
_ASKS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
_SAFE = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one realm asks for. ``header`` carries the answer; ``stale``: the login was right, its nonce too old."""

    header: str
    realm: str
    nonce: str
    algorithm: str = "MD5"  # RFC 7616 3.3: where none is named
    opaque: str | None = None
    qop: bool = True
    stale: bool = False


def challenges(answer: Response) -> tuple[Challenge, ...]:
    """What a 401 or 407 asks for, the strongest we know of each realm; empty when we know none. Raises SipError."""
    asks = _SAFE.get(answer.status, "").lower()
    found: dict[str, Challenge] = {}
    for name, value in answer.headers:
        if name.lower() != asks:
            continue
        offer = _challenge(_ASKS[_SAFE[answer.status]], value)
        if offer is None:
            continue
        known = found.get(offer.realm)
        if known is None or _STRENGTH[offer.algorithm] > _STRENGTH[known.algorithm]:
            found[offer.realm] = offer
    return tuple(found.values())


def login(
    to: Challenge, credentials: tuple[str, str], method: str, where: str, cnonce: str, count: int
) -> tuple[str, str]:
    """The header that logs ``credentials`` (user, password) in to one request, RFC 7616 3.4.

    ``where`` is the Request-URI; ``count`` is how often this nonce was used, this time included.
    """
    user, password = credentials
    secret = _hash(to.algorithm, f"{user}:{to.realm}:{password}")
    request = _hash(to.algorithm, f"{method}:{where}")
    fields = [("username", _quoted(user)), ("realm", _quoted(to.realm)), ("nonce", _quoted(to.nonce))]
    fields += [("uri", _quoted(where)), ("algorithm", to.algorithm)]
    if to.qop:
        proof = _hash(to.algorithm, f"{secret}:{to.nonce}:{count:08x}:{cnonce}:auth:{request}")
        fields += [("qop", "auth"), ("nc", f"{count:08x}"), ("cnonce", _quoted(cnonce))]
    else:
        proof = _hash(to.algorithm, f"{secret}:{to.nonce}:{request}")
    fields.append(("response", _quoted(proof)))
    if to.opaque is not None:
        fields.append(("opaque", _quoted(to.opaque)))
    return to.header, "Digest " + ", ".join(f"{name}={value}" for name, value in fields)


def _challenge(header: str, text: str) -> Challenge | None:
    """Read one challenge; None when it is of a kind we cannot answer."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    told: dict[str, str] = {}
    for part in split(rest, ","):
        name, equals, value = part.strip().partition("=")
        name = name.strip().lower()
        if not equals or not TOKEN.fullmatch(name) or name in told:
            raise SipError(f"not a challenge: {short(text)}")
        told[name] = _plain(value.strip(), text)
    if "realm" not in told or not told.get("nonce"):
        raise SipError(f"a challenge without realm or nonce: {short(text)}")
    algorithm = told.get("algorithm", "MD5").upper()
    qops = [each.strip().lower() for each in told["qop"].split(",")] if "qop" in told else []
    if algorithm not in _STRENGTH or (qops and "auth" not in qops):
        return None
    stale = told.get("stale", "").lower() == "true"
    return Challenge(header, told["realm"], told["nonce"], algorithm, told.get("opaque"), bool(qops), stale)


def _plain(value: str, text: str) -> str:
    """The text of a token or of a quoted string."""
    if not value.startswith('"'):
        return value
    plain, escaped = "", False
    for letter in value[1:-1]:
        if escaped or letter not in '\\"':
            plain, escaped = plain + letter, False
        elif letter == "\\":
            escaped = True
        else:
            raise SipError(f"not a challenge: {short(text)}")
    if escaped or len(value) < 2 or not value.endswith('"'):
        raise SipError(f"not a challenge: {short(text)}")
    return plain


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _hash(algorithm: str, text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
