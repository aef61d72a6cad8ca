"""Where evidence comes from: an HTTP server, a program of the operator's, a topic of a broker; one JSON object each.

Rules
  - Nothing is followed, cached or kept: no redirects, no cookies, no session at the broker.
  - Every fault is one ``EvidenceError``, but for the deadline, which the caller sets: TimeoutError.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import aiomqtt

from envmon.config.secret import SecretError
from envmon.config.settings import MqttSettings, ProofSettings
from envmon.config.tls import client_context
from envmon.host.http_body import whole
from envmon.host.program import StartError, run
from envmon.host.threads import aside

LARGEST = 2 * 2**20  # bytes of an answer
DIAL_S = 5.0
KEEPALIVE_S = 10

_WIRE = logging.getLogger(f"{__name__}.wire")
_WIRE.setLevel(logging.CRITICAL)  # paho logs what is raised here anyway


class EvidenceError(Exception):
    """Nothing was learnt; the text says why."""


async def over_http(settings: ProofSettings) -> Mapping[str, Any]:
    """GET the URL."""
    try:
        token = await aside(settings.token.reveal) if settings.token else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(settings.url, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise EvidenceError(f"it answered {answer.status}")
            body = await whole(answer, LARGEST)
            if body is None:
                raise EvidenceError(f"its answer is longer than {LARGEST} bytes")
    except SecretError as error:
        raise EvidenceError(str(error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise EvidenceError(f"no answer: {type(error).__name__}") from None
    return read_object(body)


async def by_program(argv: tuple[str, ...], deadline_s: float, more: Mapping[str, str]) -> Mapping[str, Any]:
    """Run the program, with ``more`` in its environment. Raises TimeoutError as well."""
    try:
        ended = await run(argv, deadline_s=deadline_s, most=LARGEST, more=more)
    except StartError as error:
        raise EvidenceError(str(error)) from None
    if ended.code:
        raise EvidenceError(f"it ended with {ended.code}")
    if len(ended.answer) > LARGEST:
        raise EvidenceError(f"its answer is longer than {LARGEST} bytes")
    return read_object(ended.answer)


async def over_mqtt(broker: MqttSettings, topic: str) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Subscribe, and yield every message and whether the broker had kept it (retained)."""
    try:
        async with _connected(broker) as client:
            await client.subscribe(topic, qos=1)
            async for message in client.messages:
                body = bytes(message.payload)
                if len(body) > LARGEST:
                    raise EvidenceError(f"its message is longer than {LARGEST} bytes")
                yield body, bool(message.retain)
    except (SecretError, aiomqtt.MqttError, OSError, ValueError) as error:
        raise EvidenceError(f"the broker: {error}") from None


def read_object(body: bytes) -> Mapping[str, Any]:
    """Read one JSON object. Raises EvidenceError."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise EvidenceError("its answer is no JSON object")
    return told


@asynccontextmanager
async def _connected(broker: MqttSettings) -> AsyncIterator[aiomqtt.Client]:
    """Connect. paho dials in a thread that cannot be cancelled: who gives up leaves it to end by itself."""
    client = aiomqtt.Client(**await aside(_arguments, broker))
    client._client.connect_timeout = DIAL_S  # noqa: SLF001 - paho's own setting, which aiomqtt does not pass on
    entering = asyncio.create_task(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except BaseException:
        entering.add_done_callback(lambda task: _let_go(client, task))
        raise
    try:
        yield client
    finally:
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


def _let_go(client: aiomqtt.Client, entering: asyncio.Task[aiomqtt.Client]) -> None:
    if not entering.cancelled():
        entering.exception()
    client._client.disconnect()  # noqa: SLF001 - aiomqtt has no way to leave while it connects


def _arguments(broker: MqttSettings) -> dict[str, Any]:
    """What aiomqtt needs; reads the password and the TLS files, so it belongs into a thread."""
    five = broker.version == "5"
    encrypted = broker.tls or broker.tls_ca or broker.tls_cert
    return {
        "hostname": broker.host,
        "port": broker.port,
        "identifier": broker.client_id or None,
        "username": broker.username or None,
        "password": broker.password.reveal() if broker.password else None,
        "protocol": aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
        "clean_session": None if five else True,
        "tls_context": client_context("mqtt.tls", broker.tls_ca, broker.tls_cert, broker.tls_key)
        if encrypted
        else None,
        "timeout": DIAL_S,
        "keepalive": KEEPALIVE_S,
        "logger": _WIRE,
        "max_queued_incoming_messages": 100,
    }
