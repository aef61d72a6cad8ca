"""Publishes the newest state of every unit and of the loop to an MQTT broker, retained (MQTT 3.1.1 or 5).

Rules
  - A message counts as sent when the broker acknowledged it without a failure code (QoS 0: when it left the socket).
  - State is kept here, not messages: a topic waits at most once and its text is written when it is sent.
  - Every connection starts with ``online``, then the whole fresh picture; a broker that lost its store gets it back.
  - A state nobody renewed for ``EXPIRY_S`` is not sent again; a version 5 broker forgets it by itself.
  - The lag of a state counts from the newest answer in it, once: what the broker had acknowledged before a
    reconnection is not late because it is sent again.
  - The client id stays the same for the life of the process: a broker that wakes up ends our old connection, with
    whatever it still held, before it accepts the new one.

Theory of operation
  ``offer_*`` notes the state and puts the topic's name into the outbox. ``run`` connects, sends up to the link's window
  of messages ahead of their answers, and sleeps until an offer, an answer, a loss or the one-second pulse wakes it.
  At QoS 0 it lingers a moment first, so that the polls of one slot leave in one write.
"""

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from envmon.config.secret import SecretError
from envmon.config.settings import MqttSettings
from envmon.model.event import DeviceBatch
from envmon.model.readings import Sheet, columns
from envmon.publishers.documents import Part, Poll, encode, loop_document, loop_key, parts_of, rfc3339, unit_document
from envmon.publishers.mqtt_link import EXPIRY_S, Link, LinkError, Listener, connect
from envmon.publishers.outbox import Outbox

LINGER_S = 0.01
REFRESH_S = 10.0  # how often the loop's moving numbers are renewed
BACKOFF_S = (0.5, 15.0)

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class MqttCounts:
    """What happened so far. ``sent`` + ``refused`` is what the broker answered; ``dropped`` never left."""

    connected: bool = False
    sent: int = 0
    refused: int = 0
    dropped: int = 0
    replaced: int = 0
    connects: int = 0
    waiting: int = 0
    failure: str = ""  # why there is no connection, "" while there is one

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connects - 1)


@dataclass(slots=True)
class _Unit:
    """The last poll of every device that serves one unit; ``answered_ns`` is the newest answer in them, 0: none yet."""

    offered: float
    polls: dict[str, Poll] = field(default_factory=dict)
    answered_ns: int = 0
    shown_ns: int = 0  # the newest answer the broker has acknowledged


class MqttPublisher:
    """A ``Publisher``. ``on_seen`` is told, for every state the broker acknowledged, when (ns) a device answered it."""

    def __init__(self, settings: MqttSettings, site: str, on_seen: Callable[[int], None] = lambda _: None) -> None:
        self._settings = settings
        self._site = site
        self._on_seen = on_seen
        self._counts = MqttCounts()
        self._outbox = Outbox(settings.queue)
        self._units: dict[str, _Unit] = {}
        self._known: dict[str, tuple[Sheet, tuple[Part, ...]]] = {}  # by device
        self._status_topic = f"{settings.prefix}/{site}/status"
        self._loop_topic = f"{settings.prefix}/{site}/state"
        self._loop: Mapping[str, Any] = {}
        self._loop_key = ""
        self._loop_offered = 0.0
        self._refused_topics: set[str] = set()
        self._wake = asyncio.Event()
        self._attempt = 0
        nonce = f"{random.getrandbits(32):08x}"
        self._client_id = settings.client_id or f"envmon-{site}-{socket.gethostname()}-{nonce}"

    @property
    def counts(self) -> MqttCounts:
        """The counters as they stand."""
        self._counts.dropped = self._outbox.dropped
        self._counts.replaced = self._outbox.replaced
        self._counts.waiting = len(self._outbox) + self._outbox.in_flight
        return self._counts

    def offer_batch(self, batch: DeviceBatch) -> None:
        """Note the newest state of every unit this device serves."""
        now = time.monotonic()
        readings = columns(batch.readings)
        for part in self._parts(batch.device, readings.sheet):
            unit = self._units.get(part.topic)
            if unit is None:
                unit = self._units[part.topic] = _Unit(now)
            unit.offered = now
            unit.polls[batch.device] = Poll(batch.at.wall, readings, part)
            if not batch.error:
                unit.answered_ns = batch.at.mono_ns
            self._outbox.offer(part.topic, unit.answered_ns)
        self._wake.set()

    def _parts(self, device: str, sheet: Sheet) -> tuple[Part, ...]:
        known = self._known.get(device)
        if known is None or known[0] is not sheet:
            known = self._known[device] = (sheet, parts_of(sheet, self._settings.prefix, self._site))
        return known[1]

    def offer_status(self, status: Mapping[str, Any]) -> None:
        """Note the loop's status: sent at once when it changed (see ``loop_key``), else every REFRESH_S."""
        now = time.monotonic()
        key = loop_key(status)
        if key == self._loop_key and now - self._loop_offered < REFRESH_S:
            return
        self._loop, self._loop_key, self._loop_offered = loop_document(status), key, now
        self._outbox.offer(self._loop_topic)
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; then say ``offline`` and leave."""
        pulse = asyncio.create_task(self._pulse())
        try:
            while True:
                try:
                    await self._session()
                except Exception as error:  # noqa: BLE001  a listener heals from anything, and says what it was
                    self._note_loss(error)
                await asyncio.sleep(self._pause())
        finally:
            pulse.cancel()

    async def _session(self) -> None:
        will = (self._status_topic, encode({"state": "offline", "reason": "connection lost"}))
        listener = Listener(self._note_answer, self._wake.set)
        async with connect(self._settings, self._client_id, will, listener) as link:
            try:
                self._begin(link)
                await self._deliver(link)
            except asyncio.CancelledError:
                with contextlib.suppress(LinkError):
                    self._say(link, "offline", "stopped")
                raise
            finally:
                self._counts.connected = False

    def _begin(self, link: Link) -> None:
        self._counts.connected = True
        self._counts.connects += 1
        if self._counts.connects == 1 or self._counts.failure:
            _LOG.info("mqtt: connected to %s:%d", self._settings.host, self._settings.port)
        self._counts.failure = ""
        oldest = time.monotonic() - EXPIRY_S
        self._units = {topic: unit for topic, unit in self._units.items() if unit.offered > oldest}
        loop = [(self._loop_topic, 0)] if self._loop_offered > oldest and self._loop else []
        self._outbox.restart([*loop, *((topic, unit.answered_ns) for topic, unit in self._units.items())])
        self._say(link, "online", "")

    def _say(self, link: Link, state: str, reason: str) -> None:
        document = {"state": state, "reason": reason, "time": rfc3339(time.time())}
        link.send(self._status_topic, encode({key: value for key, value in document.items() if value}), expires=False)
        link.flush()

    async def _deliver(self, link: Link) -> None:
        while True:
            self._wake.clear()
            link.check()
            while self._outbox.in_flight < link.window and (topic := self._outbox.take()):
                link.send(topic, self._text(topic), expires=True)
            link.flush()
            await self._wake.wait()
            if not self._settings.qos:
                await asyncio.sleep(LINGER_S)

    def _text(self, topic: str) -> str:
        return encode(self._loop) if topic == self._loop_topic else unit_document(self._units[topic].polls.values())

    def _note_answer(self, topic: str, refusal: str) -> None:
        answered_ns = self._outbox.settle(topic)
        self._attempt = 0
        if refusal:
            self._counts.refused += 1
            if topic not in self._refused_topics:
                self._refused_topics.add(topic)
                _LOG.warning("mqtt: the broker refuses %s: %s; check its ACL", topic, refusal)
        else:
            self._counts.sent += 1
            self._refused_topics.discard(topic)
            if answered_ns and answered_ns != self._units[topic].shown_ns:
                self._units[topic].shown_ns = answered_ns
                self._on_seen(answered_ns)
        self._wake.set()

    def _note_loss(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if reason != self._counts.failure:
            known = isinstance(error, LinkError | OSError | SecretError)
            _LOG.warning(
                "mqtt: %s:%d: %s", self._settings.host, self._settings.port, reason, exc_info=None if known else error
            )
        self._counts.failure = reason

    def _pause(self) -> float:
        """Seconds before the next attempt: doubling, with jitter, from the first answer on."""
        self._attempt += 1
        shortest, longest = BACKOFF_S
        return random.uniform(shortest, min(longest, shortest * 2 ** min(self._attempt, 10)))  # noqa: S311  jitter, no secret

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._wake.set()
