"""What somebody else says of the backup: a readiness item by HTTP GET, from a broker, by SIP, or from a program.

Rules
  - An answer is one JSON object. A program's is new each time; one over HTTP or MQTT names its life (``boot``) and
    counts (``seq``), and says something only when it has advanced: what is repeated, cached or played back is no
    evidence. A message the broker had kept (retained) says how far its source had counted, and nothing else.
  - ``pass`` (true or false), ``why``, and for spare calls ``value``, say it plainly. Two more documents are understood:
    the status of the backup's own envmon, whose zones must all be good, and the digest of its do-not-record list, which
    must be the one in our file ``ours`` (``list_parity``).
  - A SIP address that is asked passes by a 2xx to OPTIONS. One that is called (a canary) must answer the call, and then
    a program, given its Call-ID, says what became of it.
  - Nothing is guessed: an answer without them is an error, and the item grows old.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from envmon.config.settings import MqttSettings, ProofSettings, SipAsked
from envmon.host.threads import aside
from envmon.model.texts import line
from envmon.probes.evidence_sources import EvidenceError, by_program, over_http, over_mqtt, read_object
from envmon.probes.list_parity import parity
from envmon.probes.sip import SipProbe

LIVES = 100  # of a source, of which it is known how far they had counted
CANARY_S = 2.0  # how long a canary call lasts: time for a recorder to begin
CALL_ID = "ENVMON_CALL_ID"
WHY = 500  # characters of a reason
BOOT = 200  # characters of the name of a life
CALLS = 1_000_000_000  # more than any telephone network carries


@dataclass(frozen=True, slots=True)
class Finding:
    """What was said of one item."""

    passed: bool
    why: str
    value: float | None = None


class Evidence:
    """One item of one route, asked for again and again."""

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self._lives: dict[str, int] = {}

    async def look(self) -> Finding | None:
        """Ask once; None when nothing new was said. Raises EvidenceError."""
        settings = self._settings
        if settings.sip is not None and not settings.sip.user:
            return await self._asked(settings.sip)
        try:
            async with asyncio.timeout(settings.deadline_s):
                if settings.sip is not None:
                    return await self._called(settings.sip)
                if settings.argv:
                    return await self._read(await by_program(settings.argv, settings.deadline_s, {}))
                if settings.broker is not None:
                    return await self._heard(settings.broker)
                told = await over_http(settings)
                return await self._read(told) if self._advanced(told) else None
        except TimeoutError:
            raise EvidenceError(f"nothing new was said within {settings.deadline_s:g} s") from None

    async def _asked(self, to: SipAsked) -> Finding:
        sign = await SipProbe(way=to.way).options(to.host, to.port, self._settings.deadline_s)
        return Finding(200 <= sign.status < 300, sign.detail)

    async def _called(self, to: SipAsked) -> Finding:
        """A canary: the call must be answered, then the program tells what became of it."""
        call = await SipProbe(hold_s=CANARY_S, way=to.way).call(to.host, to.port, to.user)
        if not call.answered:
            return Finding(False, f"the canary call failed: {call.detail}")
        settings, more = self._settings, {CALL_ID: call.call_id}
        return await self._read(await by_program(settings.argv, settings.deadline_s, more))

    async def _heard(self, broker: MqttSettings) -> Finding:
        """Wait for a message that its source sends now."""
        async with aclosing(over_mqtt(broker, self._settings.topic)) as messages:
            async for body, retained in messages:
                if retained:
                    with suppress(EvidenceError):
                        self._advanced(read_object(body))
                    continue
                told = read_object(body)
                if self._advanced(told):
                    return await self._read(told)
        raise EvidenceError("the broker ended the subscription")

    def _advanced(self, told: Mapping[str, Any]) -> bool:
        """Whether this answer is later than every one before it."""
        daemon = told.get("daemon")
        life = daemon if isinstance(daemon, dict) else told
        boot, seq = life.get("boot"), life.get("seq")
        if not isinstance(boot, str) or not isinstance(seq, int) or isinstance(seq, bool):
            raise EvidenceError("its answer has no boot (text) and seq (whole number): how old it is cannot be told")
        if len(boot) > BOOT:
            raise EvidenceError(f"its boot is {len(boot)} characters long, at most {BOOT} are taken")
        if seq <= self._lives.get(boot, -1):
            return False
        self._lives[boot] = seq
        if len(self._lives) > LIVES:
            del self._lives[next(iter(self._lives))]
        return True

    async def _read(self, told: Mapping[str, Any]) -> Finding:
        match told:
            case {"pass": bool(passed), "why": str(why)}:
                return Finding(passed, line(why, WHY), _calls(told.get("value")))
            case {"site": str(site), "zones": dict(zones)}:
                return _cooling(site, zones)
            case {"count": _, "sha256": _}:
                return Finding(*await aside(parity, told, self._settings.ours, self._settings.oldest_s))
        raise EvidenceError("its answer is neither pass and why, nor an envmon's status, nor a list's digest")


def _calls(value: object) -> float | None:
    """A number of calls, None for none. Raises EvidenceError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= CALLS:  # NaN is neither
        raise EvidenceError(f"its value is no number of calls from 0 to {CALLS}")
    return float(value)


def _cooling(site: str, zones: Mapping[str, Any]) -> Finding:
    """The backup's own envmon speaks of the zones it calls here."""
    here = {name: zone for name, zone in zones.items() if isinstance(zone, dict) and zone.get("here")}
    if not here:
        raise EvidenceError("that status has no zone of its own")
    told = {name: zone.get("verdict") for name, zone in here.items()}
    poor = [f"{name} is {word if isinstance(word, str) else 'unknown'}" for name, word in told.items() if word != "ok"]
    return Finding(not poor, line(f"{site}: {', '.join(poor) if poor else f'{len(here)} zones good'}", WHY))
