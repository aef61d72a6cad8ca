"""Pages as an HTTP POST of one JSON object: what a paging service's own endpoint, or a small relay, takes.

Rules
  - 2xx is delivered. 408, 429, 5xx, no answer in time and no connection: nobody took it, it is tried again soon.
  - 410 (Gone) is the one answer for "never again"; any other refusal (a token that has expired, another URL) may be
    mended, and is tried again slowly.
  - A page that got no answer in time is taken back from the network: it must not arrive behind its own resolve.
  - TLS certificates are verified, redirects are not followed: the token goes to the host that was configured.
  - The token and the URL's path (which may be a secret) appear in no error and no log.

The object: ``site``, ``dedup_key`` (<= 255 characters), ``event_action`` (``trigger`` or ``resolve``),
``severity`` (``critical``, ``error``, ``warning``, ``info``), ``summary`` (<= 1024 characters), ``detail``,
``time`` (RFC 3339, UTC), ``number`` (the same over retries: a receiver may drop a repetition). Names and limits
are those of the PagerDuty Events API v2, so that a relay has nothing to translate.
"""

import hashlib
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from envmon.config.secret import SecretError
from envmon.config.settings import PagerSettings
from envmon.host.http_socket import Revocable
from envmon.host.threads import aside
from envmon.model.texts import line
from envmon.pagers.contract import Again, Envelope, PagerError

KEY = 255  # characters
SUMMARY = 1024
DETAIL = 100_000  # the service takes 512 KB for the whole body
ANSWER = 200  # characters of a refusal's text that help to understand it
BUSY = frozenset({408, 429})
GONE = 410


class WebhookPager:
    """One URL that takes pages. Every ``send`` ends within the configured deadline."""

    def __init__(self, settings: PagerSettings) -> None:
        self._settings = settings
        self._host = urlsplit(settings.url).netloc.rpartition("@")[2]
        self._session: aiohttp.ClientSession | None = None
        self._sockets = Revocable()

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._settings.deadline_s)
        connector = aiohttp.TCPConnector(socket_factory=self._sockets)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, envelope: Envelope) -> None:
        """Deliver once. Raises PagerError."""
        if self._session is None:
            raise PagerError(f"{self._host}: the pager is closed")
        token = await self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with self._sockets.answered_or_taken_back():
                async with self._session.post(
                    self._settings.url, json=body(envelope), headers=headers, allow_redirects=False
                ) as response:
                    status = response.status
                    text = await _start_of(response) if status >= 300 else ""
        except TimeoutError:
            raise PagerError(f"{self._host}: no answer in {self._settings.deadline_s:g} s") from None
        except aiohttp.InvalidURL:
            raise PagerError(f"{self._host}: the configured URL is not one", Again.SLOWLY) from None
        except (aiohttp.ClientError, OSError) as error:
            raise PagerError(f"{self._host}: {_reason(error)}") from None
        if status >= 300:
            raise self._refusal(status, text, token)

    async def _token(self) -> str:
        """Read anew for every page, so that a changed credential needs no restart. Raises PagerError."""
        if self._settings.token is None:
            return ""
        try:
            token = await aside(self._settings.token.reveal)
        except SecretError as error:
            raise PagerError(str(error)) from None
        if not (token and token.isascii() and token.isprintable()):
            text = f"{self._settings.token.reference}: not a token: it is empty or holds characters a header cannot"
            raise PagerError(text)
        return token

    def _refusal(self, status: int, answer: str, token: str) -> PagerError:
        if token:
            answer = answer.replace(token, "<secret>")
        text = f"{self._host} answered {status}" + (f": {answer}" if answer else "")
        if 300 <= status < 400:
            text = f"{self._host} answered {status}: it wants another URL; configure that one"
        if status == GONE:
            return PagerError(text, Again.NEVER)
        return PagerError(text, Again.SOON if status in BUSY or status >= 500 else Again.SLOWLY)


def body(envelope: Envelope) -> dict[str, str | int]:
    """The JSON object for one page."""
    page = envelope.page
    return {
        "site": envelope.site,
        "dedup_key": dedup_key(page.key),
        "event_action": "trigger" if page.raised else "resolve",
        "severity": page.urgency.value,
        "summary": _at_most(page.summary, SUMMARY),
        "detail": _at_most(page.detail, DETAIL),
        "time": datetime.fromtimestamp(envelope.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "number": envelope.number,
    }


def dedup_key(key: str) -> str:
    """The page's key; one too long is cut, and told apart from its like by a hash."""
    if len(key) <= KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return f"{key[: KEY - 33]}~{digest}"


def _at_most(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


async def _start_of(response: aiohttp.ClientResponse) -> str:
    """The beginning of a refusal's text, on one line; a large answer is not read to its end."""
    start = await response.content.read(4 * ANSWER)
    return line(start.decode("utf-8", "replace"), ANSWER)


def _reason(error: Exception) -> str:
    """Why no connection, without the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError(os_error=cause):
            return f"no connection: {cause.strerror or cause}"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return "closed the connection without an answer"
        case _:
            return f"no connection: {type(error).__name__}"
