"""One connection to an MQTT broker that says how the broker answered every single message.

Rules
  - This file alone knows aiomqtt and paho. aiomqtt drives the socket; publishing goes to the paho client below it,
    because aiomqtt ignores the reason code of a PUBACK and calls a refused message published.
  - MQTT 3.1.1 has no failure code in its PUBACK: a broker that refuses there does so in silence. Use version 5.
  - At QoS 0 what is sent between two ``flush`` leaves as one write: paho hands every message to the socket by itself,
    which costs four system calls and several times the time of encoding it. At QoS 1 every message is paho's own.
  - A broker that holds the connection but does not answer is left: after ``ANSWER_S`` when a message waits for its
    answer, else after at most two keepalives.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import DisconnectFlags, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from envmon.config.settings import MqttSettings
from envmon.config.tls import client_context
from envmon.host.threads import aside

WINDOW = 20  # messages ahead of their answers: the Receive Maximum a mosquitto grants by default (MQTT 5, 3.3.4)
BURST = 1_000  # messages at QoS 0 that may wait for one write; the broker grants nothing there
KEEPALIVE_S = 10
ANSWER_S = 5.0
EXPIRY_S = 300

LinkError = aiomqtt.MqttError

_PUBLISH = 0x30
_RETAINED = bytes((_PUBLISH | 0x01,))
_LASTS = b"\x00"  # no properties
_EXPIRES = b"\x05\x02" + EXPIRY_S.to_bytes(4, "big")  # Message Expiry Interval (MQTT 5, 3.3.2.3.3)

_WIRE = logging.getLogger(f"{__name__}.wire")
_WIRE.setLevel(logging.CRITICAL)  # paho logs what is raised here anyway; lower it to see every packet


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told: ``on_answer(topic, refusal or "")`` per message, ``on_lost()`` once when the connection ends."""

    on_answer: Callable[[str, str], None]
    on_lost: Callable[[], None]


class Link(aiomqtt.Client):
    """A connection; made by ``connect``."""

    def __init__(self, settings: MqttSettings, arguments: Mapping[str, Any], listener: Listener) -> None:
        super().__init__(**arguments)
        self._client.connect_timeout = ANSWER_S
        self._qos = settings.qos
        self._listener = listener
        self._unanswered: dict[int, tuple[tuple[str, ...], float]] = {}
        self._dialled = False
        self._five = settings.version == "5"
        self._burst: list[tuple[str, bytes]] = []
        self._expiry: Properties | None = None
        if self._five:
            self._expiry = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            self._expiry.MessageExpiryInterval = EXPIRY_S

    @property
    def window(self) -> int:
        """How many messages may be ahead of their answers."""
        return WINDOW if self._qos else BURST

    def send(self, topic: str, text: str, *, expires: bool) -> None:
        """Send a retained message, at the latest with ``flush``; never waits.

        Raises LinkError when the connection is gone.
        """
        if not self._qos:
            self._burst.append((topic, _publish(topic, text, _EXPIRES if expires else _LASTS, five=self._five)))
            return
        properties = self._expiry if expires else None
        info = self._client.publish(topic, _payload(text), self._qos, retain=True, properties=properties)
        if info.rc:
            raise LinkError(f"the connection was lost: {info.rc!s}")
        self._unanswered[info.mid] = ((topic,), time.monotonic())

    def flush(self) -> None:
        """Hand what waits to the socket, as one packet of paho's queue: it tells us when that has left."""
        if not self._burst:
            return
        burst, self._burst = self._burst, []
        mid = self._client._mid_generate()  # noqa: SLF001  paho has no way to queue bytes
        self._unanswered[mid] = (tuple(topic for topic, _ in burst), time.monotonic())
        packet = b"".join(frame for _, frame in burst)
        self._client._packet_queue(_PUBLISH, packet, mid, 0, MQTTMessageInfo(mid))  # noqa: SLF001  as above

    def check(self) -> None:
        """Raise LinkError when the connection ended or the broker owes an answer for too long."""
        if self._disconnected.done():
            reason = self._disconnected.exception()
            raise LinkError(f"the connection was lost: {reason}" if reason else "the broker ended the connection")
        if self._unanswered:
            topics, sent = next(iter(self._unanswered.values()))
            if time.monotonic() - sent > ANSWER_S:
                raise LinkError(f"the broker did not answer a message on {topics[0]} within {ANSWER_S:g} s")

    def hang_up(self) -> None:
        """Let go of the socket, whatever state it is in."""
        self._client.disconnect()
        if self._disconnected.done():
            self._disconnected.exception()  # known by now; asyncio would log it once more

    async def abandon(self, entering: asyncio.Task[Self]) -> None:
        """Give up connecting. paho dials in a thread, which can be awaited, neither cancelled nor disturbed."""
        while not entering.done():
            if self._dialled:
                self.hang_up()
            await asyncio.wait({entering}, timeout=0.1)
        entering.exception()
        self.hang_up()

    async def lost(self) -> None:
        """Wait until the connection ends. Raises LinkError then."""
        async for _ in self.messages:
            pass

    def _client_connect(self) -> None:
        super()._client_connect()
        self._dialled = True

    def _on_socket_register_write(self, client: PahoClient, userdata: Any, sock: Any) -> None:
        """Do as aiomqtt does, but look again when it is done: by then the socket may be closed, or all written."""
        del userdata

        def write() -> None:
            try:
                client.loop_write()
            except OSError as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock.fileno() >= 0 and client.want_write():
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)

    def _on_disconnect(
        self, client: PahoClient, userdata: Any, flags: DisconnectFlags, reason_code: ReasonCode, *rest: Any
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait for the CONNACK of a connection that is gone
            self._connected.set_exception(
                LinkError(f"the broker ended the connection before accepting it: {reason_code}")
            )
            self._connected.exception()
        super()._on_disconnect(client, userdata, flags, reason_code, *rest)

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        del client, userdata, properties
        if mid in self._unanswered:
            topics, _ = self._unanswered.pop(mid)
            refusal = str(reason_code) if reason_code.is_failure else ""
            for topic in topics:
                self._listener.on_answer(topic, refusal)


def _publish(topic: str, text: str, properties: bytes, *, five: bool) -> bytes:
    """A retained PUBLISH at QoS 0 (MQTT 3.1.1 and 5, section 3.3); only version 5 has properties."""
    name, payload = topic.encode(), _payload(text)
    head = len(name).to_bytes(2, "big") + name + (properties if five else b"")
    length = len(head) + len(payload)
    remaining = bytearray()
    while length > 0x7F:  # section 2.2.3 / 1.5.5: seven bits a byte, lowest first
        remaining.append(length & 0x7F | 0x80)
        length >>= 7
    remaining.append(length)
    return b"".join((_RETAINED, remaining, head, payload))


def _payload(text: str) -> bytes:
    """JSON as UTF-8; half a surrogate pair is JSON's escape."""
    return text.encode("utf-8", "backslashreplace")


@contextlib.asynccontextmanager
async def connect(
    settings: MqttSettings, client_id: str, will: tuple[str, str], listener: Listener
) -> AsyncIterator[Link]:
    """Connect, with a retained will (topic, text).

    Raises LinkError (unreachable, refused, lost), OSError (a TLS file cannot be read or is not valid) and
    SecretError (the password cannot be read).
    """
    link = Link(settings, await aside(_arguments, settings, client_id, will), listener)
    entering = asyncio.create_task(link.__aenter__())
    try:
        await asyncio.shield(entering)
    except BaseException:
        await link.abandon(entering)
        raise
    lost = asyncio.create_task(link.lost())
    lost.add_done_callback(lambda _: listener.on_lost())
    try:
        yield link
    finally:
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        with contextlib.suppress(LinkError):
            await link.__aexit__(None, None, None)
        link.hang_up()


def _arguments(settings: MqttSettings, client_id: str, will: tuple[str, str]) -> dict[str, Any]:
    """What aiomqtt needs; reads the password and the TLS files, so it belongs into a thread."""
    topic, text = will
    five = settings.version == "5"
    return {
        "hostname": settings.host,
        "port": settings.port,
        "identifier": client_id,
        "username": settings.username or None,
        "password": settings.password.reveal() if settings.password else None,
        "protocol": aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
        "clean_session": None if five else True,
        "will": aiomqtt.Will(topic, text, qos=1, retain=True),
        "tls_context": _tls(settings),
        "timeout": ANSWER_S,
        "keepalive": KEEPALIVE_S,
        "logger": _WIRE,
        "max_inflight_messages": WINDOW,
        "max_queued_incoming_messages": 1,
    }


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not (settings.tls or settings.tls_ca or settings.tls_cert):
        return None
    return client_context("publish.mqtt.tls", settings.tls_ca, settings.tls_cert, settings.tls_key)
