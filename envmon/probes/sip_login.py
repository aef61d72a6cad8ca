"""The probe's password: which challenges were met, and the headers that answer them (RFC 7616, RFC 3261 22).

Rules
  - A realm that asks again for what was just answered has refused the password, unless it says that only its nonce
    was too old (``stale``): a wrong password is tried once, never again and again.
  - The nonce is counted up with every request it is used for; the client nonce is new each time.
"""

import secrets

from envmon.config.edge_settings import SipSettings
from envmon.wire.sip import Headers, Response
from envmon.wire.sip_digest import Challenge, challenges, login


class Login:
    """One call's logins. Raises SecretError when the password cannot be read."""

    def __init__(self, way: SipSettings) -> None:
        self._user = way.username
        self._password = way.password.reveal() if way.password and way.username else ""
        self._met: dict[tuple[str, str], tuple[Challenge, int]] = {}
        self._answered: set[tuple[str, str]] = set()  # in the transaction at hand

    def begin(self) -> None:
        """Begin a request of its own: a server may want a login for each."""
        self._answered.clear()

    def refusal(self, answer: Response) -> str:
        """Take the challenge of a 401 or 407; why it cannot be answered, "" when it can. Raises SipError."""
        if not self._user:
            return "it wants a password; set probe.username and probe.password, or let the edge take probes without"
        asked = challenges(answer)
        if not asked:
            return "it wants a login of a kind other than Digest with MD5 or SHA-256"
        for challenge in asked:
            realm = (challenge.header, challenge.realm)
            if realm in self._answered and not challenge.stale:
                return "it refused the password of probe.username"
            self._answered.add(realm)
            self._met[realm] = (challenge, 0)
        return ""

    def headers(self, method: str, where: str) -> Headers:
        """The logins for one request to the Request-URI ``where``: none where nobody asked."""
        found: list[tuple[str, str]] = []
        for realm, (challenge, used) in self._met.items():
            self._met[realm] = (challenge, used + 1)
            cnonce = secrets.token_hex(8)
            found.append(login(challenge, (self._user, self._password), method, where, cnonce, used + 1))
        return tuple(found)

    def __repr__(self) -> str:
        return f"Login({self._user!r})"
