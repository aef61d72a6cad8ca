"""SRV records of a zone, changed by signed dynamic updates with compare-and-swap.

Rules
  - An update carries what we read as its prerequisite (RFC 2136 section 2.4): another hand in between makes it fail.
  - The fence is in the zone: a TXT record beside the records, changed in the same update, or the update fails.
  - Questions and answers are signed (TSIG, RFC 8945): what is not from the server is not believed.
  - The zone's primary server is asked, never a resolver; what it holds, not what callers still have in a cache.

Theory of operation
  0 percent is the primary site at priority 10 and the backup at 20, so that a caller whose primary is dead falls over
  by itself (RFC 2782); 100 is the reverse; between them both stand at priority 10, weighted. Anything else in the
  record set is another hand's: an error, never guessed. ``_envmon-EDGE.ZONE`` holds ``fence=N`` and ``ROUTE=EPOCH``.
  No call is seen by a name server: nothing is counted, probe calls prove a move, and callers follow when their TTL
  has passed.
"""

import asyncio
import binascii
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV

from envmon.actuators.contract import EdgeError
from envmon.actuators.told import Voice
from envmon.config.edge_settings import DnsRecord, DnsSettings, EdgeSettings
from envmon.model.event import EdgeStatus

FIRST, SECOND = 10, 20  # priorities
_CONFLICTS = frozenset({dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN})
_RCODES = {
    dns.rcode.REFUSED: "it refused (REFUSED): its update-policy must let our key change these names",
    dns.rcode.NOTAUTH: "it is not the primary server of the zone, or does not know our key (NOTAUTH)",
}


@dataclass(frozen=True, slots=True)
class _Zone:
    """What the zone holds now: the fence's record set, and the record set of every route."""

    fence: int
    epochs: Mapping[str, int]
    txt: dns.rrset.RRset | None
    srv: Mapping[str, dns.rrset.RRset]


class DnsEdge:
    """The actuator of kind ``dns``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        if settings.dns is None:
            raise ValueError(f"edge {settings.id} has no DNS settings")
        self._settings = settings
        self._dns: DnsSettings = settings.dns
        self._zone = dns.name.from_text(self._dns.zone)
        self._txt = dns.name.from_text(f"_envmon-{settings.id}", self._zone)
        self._records = {record.route: record for record in self._dns.records}
        self._voice = Voice(settings.id, f"{self._dns.host} (DNS, zone {self._dns.zone})")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the zone holds now, one status per route. Raises EdgeError."""
        async with self._guarded():
            return self._statuses(await self._read())

    async def stamp(self, epoch: int) -> None:
        """Write our epoch into the zone; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        async with self._guarded():
            while not await self._swap(await self._read(), {}, epoch):
                continue
            self._voice.must_show_fence(self._statuses(await self._read()), epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._voice.check(epoch, percent)
        if route not in self._records:
            raise self._voice.error(f"no such route: {route}")
        async with self._guarded():
            before = await self._read()
            while not await self._swap(before, {route: percent}, epoch):
                then, before = before, await self._read()
                if before.srv[route] != then.srv[route] and before.txt == then.txt:
                    raise self._voice.error(f"another hand changed {self._records[route].name} while we wrote")
            found = self._statuses(await self._read())
        self._voice.must_show_fence(found, epoch)
        self._voice.must_show(found, route, percent, epoch)

    async def _swap(self, seen: _Zone, percents: Mapping[str, int], epoch: int) -> bool:
        """Write if the zone still holds what was seen; False when it does not. Raises Fenced, EdgeError."""
        if epoch < seen.fence:
            raise self._voice.fenced(epoch, seen.fence)
        update = dns.update.UpdateMessage(self._zone)
        self._replace(update, self._txt, seen.txt, self._fence_text(seen, percents, epoch))
        for route, percent in percents.items():
            update.present(seen.srv[route].name, *seen.srv[route])
            update.replace(seen.srv[route].name, self._srv(self._records[route], percent))
        answer = await self._send(update)
        if answer.rcode() in _CONFLICTS:
            return False
        if answer.rcode() != dns.rcode.NOERROR:
            raise self._refused(answer)
        return True

    def _replace(
        self, update: dns.update.UpdateMessage, name: dns.name.Name, old: dns.rrset.RRset | None, new: dns.rrset.RRset
    ) -> None:
        if old is None:
            update.absent(name, dns.rdatatype.TXT)
        else:
            update.present(name, *old)
        update.replace(name, new.to_rdataset())

    def _fence_text(self, seen: _Zone, percents: Mapping[str, int], epoch: int) -> dns.rrset.RRset:
        epochs = {**seen.epochs, **dict.fromkeys(percents, epoch)}
        words = [f"fence={epoch}", *(f"{route}={each}" for route, each in epochs.items())]
        text = " ".join(f'"{word}"' for word in words)
        return dns.rrset.from_text(self._txt, round(self._dns.ttl_s), dns.rdataclass.IN, dns.rdatatype.TXT, text)

    def _srv(self, record: DnsRecord, percent: int) -> dns.rdataset.Rdataset:
        primary, backup = (f"{port} {host}." for host, port in (record.primary, record.backup))
        match percent:
            case 0:
                texts = [f"{FIRST} 100 {primary}", f"{SECOND} 100 {backup}"]
            case 100:
                texts = [f"{SECOND} 100 {primary}", f"{FIRST} 100 {backup}"]
            case _:
                texts = [f"{FIRST} {100 - percent} {primary}", f"{FIRST} {percent} {backup}"]
        return dns.rdataset.from_text(dns.rdataclass.IN, dns.rdatatype.SRV, round(self._dns.ttl_s), *texts)

    async def _read(self) -> _Zone:
        txt = await self._ask(self._txt, dns.rdatatype.TXT)
        srv: dict[str, dns.rrset.RRset] = {}
        for route, record in self._records.items():
            found = await self._ask(dns.name.from_text(record.name), dns.rdatatype.SRV)
            if found is None:
                raise self._voice.error(f"{record.name} has no SRV records; add the primary site's once, by hand")
            srv[route] = found
        numbers = self._numbers(txt)
        return _Zone(numbers.pop("fence", 0), numbers, txt, srv)

    def _numbers(self, txt: dns.rrset.RRset | None) -> dict[str, int]:
        found: dict[str, int] = {}
        for rdata in txt or ():
            for word in rdata.strings if isinstance(rdata, TXT) else ():
                text = word.decode("ascii", errors="replace")
                name, _, number = text.partition("=")
                if not (number.isascii() and number.isdigit() and len(number) <= 10):
                    raise self._voice.error(f"{self._txt} holds {text[:40]!r}, not an epoch of ours")
                found[name] = int(number)
        return found

    def _statuses(self, zone: _Zone) -> tuple[EdgeStatus, ...]:
        return tuple(
            EdgeStatus(
                edge=self._settings.id,
                route=route,
                percent=self._percent(record, zone.srv[route]),
                set_epoch=zone.epochs.get(route, 0),
                fence=zone.fence,
                up_since=0,
                calls_primary=0,
                calls_backup=0,
                active_primary=0,
                active_backup=0,
                counts=False,
            )
            for route, record in self._records.items()
        )

    def _percent(self, record: DnsRecord, found: dns.rrset.RRset) -> int:
        """The share of new calls that the records send to the backup."""
        sites = {_target(each): (int(each.priority), int(each.weight)) for each in found if isinstance(each, SRV)}
        primary, backup = sites.get(record.primary), sites.get(record.backup)
        if set(sites) - {record.primary, record.backup} or len(found) != len(sites):
            raise self._voice.error(f"{record.name} sends calls to places we do not know: set by another hand")
        match primary, backup:
            case None, None:
                raise self._voice.error(f"{record.name} sends calls to places we do not know: set by another hand")
            case _, None:
                return 0
            case None, _:
                return 100
            case (first, _), (second, _) if first != second:
                return 0 if first < second else 100
            case (_, weight), (_, other) if weight + other > 0:
                return round(100 * other / (weight + other))
            case _:
                return 50

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """One record set as the primary server holds it; None where there is none. Raises EdgeError."""
        answer = await self._send(dns.message.make_query(name, kind))
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise self._refused(answer)
        if not answer.flags & dns.flags.AA:
            raise self._voice.error(f"it does not speak for {name}: name the zone's primary server")
        return answer.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, kind)

    async def _send(self, message: dns.message.Message) -> dns.message.Message:
        """Sign and send over TCP; the answer's signature is checked."""
        key = await self._voice.secret(self._settings.token, "TSIG key")
        try:
            secret = binascii.a2b_base64(key, strict_mode=True)
        except binascii.Error:
            raise self._voice.error("the TSIG key is not base64") from None
        message.use_tsig(dns.tsig.Key(self._dns.key, secret, f"{self._dns.algorithm}."))
        backend = dns.asyncbackend.get_backend("asyncio")
        host = await self._address()
        try:
            return await dns.asyncquery.tcp(message, host, port=self._dns.port, backend=backend)
        except dns.tsig.PeerError as error:
            reason = "the clocks differ by more than 5 min" if isinstance(error, dns.tsig.PeerBadTime) else "other key"
            raise self._voice.error(f"it refused our signature: {reason} ({type(error).__name__})") from None
        except dns.tsig.BadSignature:
            raise self._voice.error("its answer is signed with another key") from None

    async def _address(self) -> str:
        """Find the server's address; a name is looked up anew each time, and an address waits for no name."""
        with suppress(ValueError):
            return str(ip_address(self._dns.host))
        found = await asyncio.get_running_loop().getaddrinfo(self._dns.host, self._dns.port, type=socket.SOCK_STREAM)
        return str(found[0][4][0])

    def _refused(self, answer: dns.message.Message) -> EdgeError:
        code = answer.rcode()
        return self._voice.error(_RCODES.get(code, f"it answered {dns.rcode.to_text(code)}"))

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Everything one call does ends within the edge's deadline, and its faults are EdgeErrors."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                yield
        except TimeoutError:
            raise self._voice.error(f"no answer within {self._settings.deadline_s:g} s") from None
        except OSError as error:
            raise self._voice.error(f"cannot connect: {error.strerror or error}") from None
        except (dns.exception.DNSException, EOFError) as error:
            raise self._voice.error(f"its answer is not DNS: {str(error)[:200] or type(error).__name__}") from None


def _target(rdata: SRV) -> tuple[str, int]:
    return str(rdata.target.to_text(omit_final_dot=True)).lower(), int(rdata.port)
