"""The lease of a daemon with a standby: a key in etcd that dies with its holder, and an epoch that outlives both.

Rules
  - ``held`` asks nobody: it is our own clock, and the last time the majority showed us our own key.
  - Who finds the key gone and takes it waits until its former holder must have noticed, unless that one left by itself.
  - The epoch is written together with the holder's key, in one transaction, or not at all; it never repeats.
  - Losing the lease writes nothing to an edge; the next holder's epoch is what stops us there. What is lost stays lost.
  - A memory is written in one transaction that asks for our own key: who has lost the lease cannot write it.

Theory of operation
  Keys under ``/envmon/v1/SITE``: ``holder`` hangs on an etcd lease of TTL seconds and is created only where it
  does not exist (create revision 0); ``epoch`` and ``left``, the epoch whose holder gave the lease back, stay. So do
  ``memory`` and ``under``, the epoch it is of. Who takes the lease while the two epochs agree moves both: a holder that
  dies before it has kept or done anything leaves the memory as it was, and it is still the last word.
  A renewal keeps etcd's lease alive and then reads our key (by its create revision) with the majority's word. It
  covers ``COVER`` TTL from the moment it was sent. So if the key vanishes at V, we hold until V + COVER TTL at most,
  and a successor holds from V + WAIT TTL at the earliest: for never two, it does not matter why it vanished.
  That is needed: an etcd leader which was frozen and thawed revokes leases that its successor has renewed (seen with
  3.4.23), and somebody may delete the key. kill -9 to takeover: TTL + WAIT TTL + the time to notice, below 2 TTL.
  The clock is CLOCK_BOOTTIME, which goes on while the host sleeps. A clock that stands still (a paused guest) can
  outlive the lease; then the edges' fence is what remains.
"""

import asyncio
import os
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from envmon.config.settings import LeaseSettings
from envmon.leases.contract import Kept, LeaseError, TakenError
from envmon.leases.etcd_gateway import Gateway, GatewayError

KEYS = ("holder", "epoch", "left", "under", "memory")
END = 2**31  # epochs stay below: an edge keeps them in a signed 32-bit integer
COVER = 0.6  # of the TTL, how long a renewal lasts
WAIT = 0.65  # of the TTL; more than COVER, so that clocks may differ in speed by 8 %
RENEWALS = 5  # per TTL
BRISK = 0.1  # of the TTL, for one member to answer what needs no disk
KEEP = 0.2  # of the TTL, for one member to store a memory
TAKE_S = 1.0  # for one member to answer what needs its disk
LIMIT = 700_000  # bytes of a memory; etcd takes requests of 1.5 MB, in base64 it is 933 kB
ACQUIRE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Stored:
    """What etcd holds: revisions are 0 and texts "" where the key is not there."""

    holder: str = ""
    created: int = 0
    lease: int = 0
    epoch: str = ""
    modified: int = 0
    left: str = ""
    under: str = ""
    memory: str = ""
    written: int = 0  # the revision at which the memory was


class EtcdLease:
    """A lease for ``site``, over every host that names the same etcd cluster."""

    def __init__(self, settings: LeaseSettings, site: str) -> None:
        self._name = f"/envmon/v1/{site}"
        self._gateway = Gateway(settings)
        self.ttl_s = settings.ttl_s
        self._me = f"{socket.gethostname()}, process {os.getpid()}"
        self._id = 0  # etcd's lease; to be revoked before another is asked for
        self._created = 0
        self._epoch = 0  # of our last hold
        self.former = 0
        self.kept = Kept()
        self._written = 0  # the revision of the memory we last read
        self._born: float | None = None  # it was not there yet then
        self._looked: float | None = None
        self._from = self._until = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.ttl_s):
                await self._release()
        await self._gateway.close()

    async def held(self) -> bool:
        """Whether the last renewal still covers this moment."""
        return self._from <= _now() < self._until

    async def acquire(self, above: int) -> int:
        """Take the lease; a holder that asks again gets a new epoch. Raises LeaseError."""
        try:
            async with asyncio.timeout(ACQUIRE_S):
                return await self._acquire(above)
        except GatewayError as error:
            raise LeaseError(f"etcd: {error}") from None
        except TimeoutError:
            raise LeaseError(f"etcd: the lease could not be taken within {ACQUIRE_S:g} s") from None

    async def _acquire(self, above: int) -> int:
        if not await self.held():
            await self._release()
        stored = await self._look()
        if stored.created != self._created:
            await self._release()
            raise self._taken(stored, "nobody any more: it was deleted")
        try:
            epoch = self._next(above, stored.epoch)
        except LeaseError:
            await self._release()
            raise
        asked = _now()
        if not self._created:
            self._id = await self._grant()
        await self._write(epoch, stored)
        if self._renewing is None:
            self._from = _now() + (0 if self._gone(stored) else WAIT * self.ttl_s)
            self._until = asked + COVER * self.ttl_s
            self._renewing = asyncio.create_task(self._renew(), name="lease")
        await asyncio.sleep(self._from - _now())
        if not await self.held():
            raise LeaseError(f"etcd: the lease {self._name} ran out while it was taken")
        self._epoch, self.former = epoch, int(stored.epoch or 0)
        return epoch

    async def keep(self, epoch: int, text: str) -> None:
        """Replace the memory under our own lease. Raises LeaseError: then it may or may not be replaced."""
        if epoch != self._epoch or not self._created:
            raise LeaseError(f"the lease {self._name} is not ours under epoch {epoch}")
        if (size := len(text.encode())) > LIMIT:
            raise LeaseError(f"etcd: a memory of {size} bytes is too much, {LIMIT} are allowed")
        ours = [{"key": self._key("holder"), "target": "CREATE", "create_revision": str(self._created)}]
        puts = [
            {"request_put": {"key": self._key("memory"), "value": _base64(text)}},
            {"request_put": {"key": self._key("under"), "value": _base64(str(epoch))}},
        ]
        try:
            answer = await self._gateway.ask("kv/txn", {"compare": ours, "success": puts}, KEEP * self.ttl_s)
        except GatewayError as error:
            raise LeaseError(f"etcd: {error}") from None
        if answer.get("succeeded") is not True:
            raise LeaseError(f"the lease {self._name} is not ours any more")

    async def _look(self) -> _Stored:
        """Read everything, and date the memory: what a look of a moment ago did not see is younger than that look."""
        asked = _now()
        stored = await self._read(TAKE_S)
        if stored.written != self._written:
            lately = self._looked is not None and asked - self._looked <= self.ttl_s
            self._written, self._born = stored.written, self._looked if lately else None
        self._looked = asked
        age_s = None if self._born is None else _now() - self._born
        self.kept = Kept(stored.memory, _epoch(stored.under), _epoch(stored.epoch), age_s)
        return stored

    def _taken(self, stored: _Stored, nobody: str) -> LeaseError:
        text = f"the lease {self._name} is held by {stored.holder or nobody}"
        return TakenError(text, stored.holder) if stored.holder else LeaseError(text)

    def _key(self, name: str) -> str:
        return _base64(f"{self._name}/{name}")

    def _gone(self, stored: _Stored) -> bool:
        """Whether the former holder does not hold any more: there was none, it left, or it was us."""
        return stored.epoch in ("", stored.left, str(self._epoch))

    def _next(self, above: int, text: str) -> int:
        if text and not (text.isascii() and text.isdigit() and len(text) <= 10):
            where = f"etcd: the key {self._name}/epoch"
            raise LeaseError(f"{where} holds {text[:40]!r}, not an epoch; put the greatest epoch any edge shows")
        epoch = max(above, int(text or 0), 0) + 1
        if epoch >= END:
            raise LeaseError(f"no epoch is left above {epoch - 1}: an edge or {self._name}/epoch holds a wrong number")
        return epoch

    async def _grant(self) -> int:
        answer = await self._gateway.ask("lease/grant", {"TTL": str(round(self.ttl_s))}, TAKE_S)
        return _number(answer, "ID")

    async def _write(self, epoch: int, seen: _Stored) -> None:
        """Write the epoch, and our key with it when it is not there yet. Raises LeaseError when another was faster.

        A transaction whose answer was lost is sent again to the next member and then fails: what it left is ours.
        """
        holder, number = self._key("holder"), self._key("epoch")
        puts = [{"request_put": {"key": number, "value": _base64(str(epoch))}}]
        if seen.under and seen.under == seen.epoch:
            puts.append({"request_put": {"key": self._key("under"), "value": _base64(str(epoch))}})
        if not self._created:
            puts.append({"request_put": {"key": holder, "value": _base64(self._me), "lease": str(self._id)}})
        unchanged = [
            {"key": holder, "target": "CREATE", "create_revision": str(self._created)},
            {"key": number, "target": "MOD", "mod_revision": str(seen.modified)},
        ]
        await self._gateway.ask("kv/txn", {"compare": unchanged, "success": puts}, TAKE_S)
        now = await self._read(TAKE_S, ("holder", "epoch"))
        if now.lease != self._id or now.epoch != str(epoch):
            await self._release()
            raise self._taken(now, "nobody any more")
        self._created = now.created

    async def _read(self, each_s: float, keys: Sequence[str] = KEYS) -> _Stored:
        """These keys, as the majority has them now (a transaction of reads is linearizable)."""
        ranges = [{"request_range": {"key": self._key(key)}} for key in keys]
        answer = await self._gateway.ask("kv/txn", {"success": ranges}, each_s)
        try:
            found = [each["response_range"].get("kvs", [{}])[0] for each in answer["responses"]]
            at: dict[str, Mapping[str, Any]] = {key: {} for key in KEYS} | dict(zip(keys, found, strict=True))
            text = {key: b64decode(each.get("value", "")).decode(errors="replace") for key, each in at.items()}
            return _Stored(
                **text,
                created=int(at["holder"].get("create_revision", 0)),
                lease=int(at["holder"].get("lease", 0)),
                modified=int(at["epoch"].get("mod_revision", 0)),
                written=int(at["memory"].get("mod_revision", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
            raise GatewayError("an answer is not what etcd answers to a transaction") from None

    async def _renew(self) -> None:
        """Keep the lease until it is lost."""
        while _now() < self._until:
            await asyncio.sleep(self.ttl_s / RENEWALS)
            asked = _now()
            try:
                ours = await self._is_ours()
            except GatewayError:
                continue
            if not ours:
                self._until = 0.0
            elif _now() < self._until:
                self._until = asked + COVER * self.ttl_s

    async def _is_ours(self) -> bool:
        """Renew etcd's lease, then look whether the key that hangs on it is still there."""
        answer = await self._gateway.ask("lease/keepalive", {"ID": str(self._id)}, self.ttl_s * BRISK)
        renewed = answer.get("result")
        if not isinstance(renewed, dict):
            raise GatewayError("an answer is not what etcd answers to a renewal")
        if _number(renewed, "TTL") <= 0:
            return False
        stored = await self._read(self.ttl_s * BRISK, ("holder",))
        return (stored.created, stored.lease) == (self._created, self._id)

    async def _release(self) -> None:
        """Give the lease back and say so, or let it run out where etcd does not hear us."""
        created = self._created if _now() >= self._from else 0  # not while another may still hold
        self._created, self._from, self._until = 0, 0.0, 0.0
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))
            self._renewing = None
        with suppress(GatewayError):
            if created:
                holder, left = self._key("holder"), self._key("left")
                ours = [{"key": holder, "target": "CREATE", "create_revision": str(created)}]
                puts = [
                    {"request_put": {"key": left, "value": _base64(str(self._epoch))}},
                    {"request_delete_range": {"key": holder}},
                ]
                await self._gateway.ask("kv/txn", {"compare": ours, "success": puts}, TAKE_S)
            if self._id:
                await self._gateway.ask("lease/revoke", {"ID": str(self._id)}, TAKE_S)
        self._id = 0


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _epoch(text: str) -> int:
    """An epoch as stored, 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _number(answer: Mapping[str, Any], name: str) -> int:
    """Read a 64-bit number, which JSON carries as text; a missing one is 0. Raises GatewayError."""
    try:
        return int(answer.get(name, 0))
    except (TypeError, ValueError, OverflowError):
        raise GatewayError(f"an answer of etcd holds no number {name}") from None
