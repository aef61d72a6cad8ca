"""etcd's JSON gateway: one request at a time, to the first member that answers.

Rules
  - A member that is silent, refuses the connection or has no leader is passed over for the next; the one that answered
    last is asked first.
  - What etcd itself refuses (permission, a bad request) no other member would grant: that ends the request.
  - A login is renewed once when its token is no longer taken; the password is read when it is needed.
  - No redirect is followed and no proxy of the environment is used. Secrets stand in no error.

Source: etcd 3.4, ``Documentation/dev-guide/api_grpc_gateway.md``: keys and values in base64, 64-bit numbers as text.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from yarl import URL

from envmon.config.secret import SecretError
from envmon.config.settings import LeaseMember, LeaseSettings
from envmon.host.http_body import whole
from envmon.host.threads import aside

_MAX_ANSWER = 2_000_000  # bytes; ours are a few hundred, and a memory of a few thousand
_UNAUTHENTICATED = 16  # gRPC status codes
_PASSING = frozenset({4, 8, 13, 14})  # deadline exceeded, resource exhausted, internal, unavailable (no leader)


class GatewayError(Exception):
    """No member did it; the text says why, member by member, or what etcd refused."""


class _TokenError(Exception):
    """The login is no longer taken."""


class Gateway:
    """A connection to the members of one cluster. ``close`` it when done."""

    def __init__(self, settings: LeaseSettings) -> None:
        self._settings = settings
        self._members: Sequence[LeaseMember] = settings.members
        self._session: aiohttp.ClientSession | None = None
        self._token = ""

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, path: str, body: Mapping[str, Any], each_s: float) -> dict[str, Any]:
        """Post ``body`` to ``/v3/path``; each member has ``each_s`` seconds. Raises GatewayError."""
        session = await self._open()
        faults: list[str] = []
        for member in tuple(self._members):
            try:
                async with asyncio.timeout(each_s):
                    answer = await self._logged_in(session, member, path, body)
            except TimeoutError:
                faults.append(f"{member.id} has not answered within {each_s:g} s")
            except aiohttp.ClientConnectorCertificateError as error:
                faults.append(f"{member.id} shows a certificate that is not trusted: {error.certificate_error}")
            except aiohttp.ClientConnectorError as error:
                faults.append(f"{member.id}: {error.os_error.strerror or error.os_error}")
            except (aiohttp.ClientError, OSError, ValueError) as error:
                faults.append(f"{member.id}: {str(error) or type(error).__name__}")
            else:
                self._prefer(member)
                return answer
        raise GatewayError("; ".join(faults))

    async def _logged_in(
        self, session: aiohttp.ClientSession, member: LeaseMember, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        if not self._settings.user:
            return await self._post(session, member, path, body)
        if not self._token:
            await self._log_in(session, member)
        try:
            return await self._post(session, member, path, body)
        except _TokenError:
            await self._log_in(session, member)
            return await self._post(session, member, path, body)

    async def _log_in(self, session: aiohttp.ClientSession, member: LeaseMember) -> None:
        """Exchange user and password for a token. etcd sends the token between members itself."""
        self._token = ""
        try:
            password = await aside(self._settings.password.reveal) if self._settings.password else ""
        except SecretError as error:
            raise GatewayError(str(error)) from None
        answer = await self._post(
            session, member, "auth/authenticate", {"name": self._settings.user, "password": password}
        )
        self._token = _text(answer, "token")

    async def _post(
        self, session: aiohttp.ClientSession, member: LeaseMember, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        headers = {"Authorization": self._token} if self._token else {}
        url = URL(member.url) / "v3" / path
        async with session.post(url, json=body, headers=headers, allow_redirects=False) as response:
            text = await whole(response, _MAX_ANSWER)
        if text is None:
            raise ValueError(f"its answer is longer than {_MAX_ANSWER} bytes: is this etcd's client URL?")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ValueError(  # noqa: TRY004 - the peer is wrong, not our call
                f"it answered {response.status} without JSON: is this etcd's client URL?"
            )
        if response.status == 200 and "error" not in answer:
            return answer
        raise self._refusal(response.status, answer)

    def _refusal(self, status: int, answer: Mapping[str, Any]) -> Exception:
        told = answer["error"] if isinstance(answer.get("error"), dict) else answer
        code = told.get("code", told.get("grpc_code"))
        said = str(told.get("message") or told.get("error") or f"status {status}")[:200]
        if code == _UNAUTHENTICATED and self._token:
            return _TokenError(said)
        if code in _PASSING:
            return ValueError(said)
        return GatewayError(f"etcd refused: {said!r}")

    def _prefer(self, member: LeaseMember) -> None:
        if self._members[0] is not member:
            at = self._members.index(member)
            self._members = (*self._members[at:], *self._members[:at])

    async def _open(self) -> aiohttp.ClientSession:
        """Connect lazily: a TLS file that is not there yet is an error now and none later."""
        if self._session is None:
            try:
                context = await aside(_tls, self._settings)
            except (OSError, ssl.SSLError) as error:
                raise GatewayError(str(error)) from None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise ValueError(f"its answer holds no {name}")  # noqa: TRY004 - the answer is wrong, not our call
    return value


def _tls(settings: LeaseSettings) -> ssl.SSLContext:
    """Build what https members are checked with. Raises OSError with the key to correct."""
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:
        raise OSError(f"lease.tls.ca: cannot use {settings.tls_ca}: {error}") from None
    if settings.tls_cert:
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except OSError as error:
            raise OSError(f"lease.tls.cert: cannot use {settings.tls_cert}, {settings.tls_key}: {error}") from None
    return context
