"""``envmon edge check`` of a Kamailio edge: the include is in place, its memory lasts, its fence has no way round.

Rules
  - Nothing here moves a call: what is written is older than the edge's fence and, for a route, the percent it has.
  - What must be refused is tried: no token, a wrong one, an older epoch, every usual path of an RPC.
  - What HTTP cannot show (which routes the script calls) is read from the script where it is given, else unknown.

Theory of operation
  An RPC that answers can set the share by ``htable.sets`` or end the proxy: the fence, which only the include asks, is
  then a fence beside an open gate. It is asked for ``core.version``, which changes nothing. After a restart the first
  answer counts: a moment later a daemon would have written again what the edge forgot.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from yarl import URL

from envmon.actuators.checks import Check, read_back, unseen
from envmon.actuators.contract import EdgeError
from envmon.actuators.http_link import HttpLink
from envmon.actuators.kamailio_script_check import check_script
from envmon.actuators.told import Voice, statuses
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

RPC_PATHS = ("/RPC", "/RPC2", "/rpc", "/jsonrpc", "/http_rpc", "/", "/envmon/v1/rpc")
_ASKED = json.dumps({"jsonrpc": "2.0", "method": "core.version", "params": [], "id": 1}).encode()
_ASKED_XML = b'<?xml version="1.0"?><methodCall><methodName>core.version</methodName></methodCall>'
_LOOK_S = 0.1  # between two looks at an edge that restarts


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator lets the check do: read ``script``, wait ``restart_s`` seconds for a restart (0: do not).

    ``waiting`` is called when the edge is to be restarted.
    """

    routes: Sequence[str]
    script: Path | None = None
    restart_s: float = 0.0
    waiting: Callable[[], None] = lambda: None


class KamailioCheck:
    """Checks one edge; an async context manager."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._root = URL(settings.url)
        self._voice = Voice(settings.id, settings.url)
        self._link = HttpLink(self._voice, settings.deadline_s)

    async def run(self, wish: Wish) -> list[Check]:
        """Every finding, in the order in which to mend them. Never raises for an edge's fault."""
        await self._link.open()
        try:
            try:
                answer, found = await self._status()
            except EdgeError as error:
                text = "include envmon.cfg in its script, and see that url, token and ENVMON_SOURCES fit"
                return [Check("include", False, str(error), text)]
            checks = [Check("include", True, "it answers as envmon.cfg does"), read_back(found, wish.routes)]
            checks += [await self._token(), await self._old_epoch(found), await self._no_way_round()]
            checks += [_cap(answer), *_of_script(wish, found, answer)]
            checks.append(await self._memory(wish, found))
            return [*checks, *self._in_clear()]
        finally:
            await self._link.close()

    async def _status(self) -> tuple[Mapping[str, Any], tuple[EdgeStatus, ...]]:
        code, answer = await self._ask("GET", "/envmon/v1/status", token=True)
        if code != 200:
            raise self._voice.error(f"it answered {code} to /envmon/v1/status")
        try:
            return answer, statuses(self._settings.id, answer, counts_needed=True)
        except ValueError as error:
            raise self._voice.error(f"its status is not what envmon.cfg reports: {error}") from None

    async def _ask(self, method: str, path: str, *, token: bool | str, body: bytes | None = None) -> tuple[int, Any]:
        """One request of its own deadline, with our token, with another text in its place, or with none."""
        headers = {"Content-Type": "application/json"} if body else {}
        if token:
            given = await self._voice.secret(self._settings.token, "token") if token is True else token
            headers["Authorization"] = f"Bearer {given}"
        async with self._link.guarded():
            return await self._link.request(method, self._root.joinpath(path.lstrip("/")), headers, body)

    async def _token(self) -> Check:
        """Nothing is told to somebody without the token."""
        try:
            for given, words in ((False, "no token"), ("wrong", "a wrong token")):
                code, _ = await self._ask("GET", "/envmon/v1/status", token=given)
                if code != 401:
                    text = f"with {words} it answered {code}, not 401"
                    return Check("token", False, text, "use envmon.cfg as it is shipped, with ENVMON_TOKEN_SHA256")
        except EdgeError as error:
            return Check("token", None, str(error), "check again")
        return Check("token", True, "without our token it answered 401")

    async def _old_epoch(self, found: Sequence[EdgeStatus]) -> Check:
        """An older epoch is answered with 409, for the fence and for every route, and changes nothing."""
        fence = found[0].fence
        if fence == 0:
            return unseen()
        writes = [f"/envmon/v1/fence/{fence - 1}"]
        writes += [f"/envmon/v1/routes/{each.route}/{fence - 1}/{each.percent}" for each in found]
        try:
            for write in writes:
                code, _ = await self._ask("PUT", write, token=True)
                if code != 409:
                    text = f"{write} was answered with {code}, not 409, after it had seen {fence}"
                    return Check("old-epoch", False, text, "use envmon.cfg as it is shipped: it is changed here")
            _, after = await self._status()
        except EdgeError as error:
            return Check("old-epoch", None, str(error), "check again")
        if any(now.fence < fence or now.set_epoch < was.set_epoch for was, now in zip(found, after, strict=True)):
            return Check("old-epoch", False, "it answered 409, and took the old epoch all the same", "see envmon.cfg")
        return Check("old-epoch", True, f"epoch {fence - 1} was answered with 409: it has seen {fence}")

    async def _no_way_round(self) -> Check:
        """No RPC of the proxy is reached over HTTP, with our token or without."""
        taken: list[str] = []
        try:
            for path, body, token in product(RPC_PATHS, (_ASKED, _ASKED_XML), (True, False)):
                code, answer = await self._ask("POST", path, token=token, body=body)
                if _speaks_rpc(answer):
                    with_token = "with" if token else "without"
                    text = (
                        f"an RPC answers to POST {path} {with_token} the token: whoever reaches it passes the fence by"
                    )
                    return Check("no-way-round", False, text, "close it: envmon.cfg needs no RPC, nor does envmon")
                if code == 200:
                    taken.append(path)
        except EdgeError as error:
            return Check("no-way-round", None, str(error), "check again")
        if taken:
            text = f"something answers 200 to POST {', '.join(dict.fromkeys(taken))}"
            return Check("no-way-round", None, text, "see what it is; if it is an RPC, close it")
        return Check("no-way-round", True, f"no RPC answers at {', '.join(RPC_PATHS)}")

    async def _memory(self, wish: Wish, before: Sequence[EdgeStatus]) -> Check:
        """The position and the fence outlive a restart."""
        do = "check again with --restart, and restart Kamailio while it waits"
        if not wish.restart_s:
            return Check("memory", None, "whether it outlives a restart was not tried", do)
        if before[0].fence == 0:
            return Check("memory", None, "it has seen no epoch yet: there is nothing to keep", do)
        try:
            _, before = await self._status()
            wish.waiting()
            async with asyncio.timeout(wish.restart_s):
                after = await self._after_restart(before)
        except TimeoutError:
            text = f"it was not restarted within {wish.restart_s:g} s, or did not come back"
            return Check("memory", None, text, do)
        except EdgeError as error:
            return Check("memory", None, str(error), do)
        kept = {each.route: (each.percent, each.set_epoch, each.fence) for each in before}
        now = {each.route: (each.percent, each.set_epoch, each.fence) for each in after}
        if now == kept:
            return Check("memory", True, "it came back with the position, the epochs and the fence it had")
        if all(route in now and now[route][1:] >= each[1:] for route, each in kept.items()):
            return Check("memory", None, "it was commanded while it restarted", "check again when nothing moves")
        text = f"it came back with (percent, epoch, fence) {now}, and had {kept}"
        return Check("memory", False, text, "ENVMON_DB must be a file on a disk that outlives it, and writable for it")

    async def _after_restart(self, before: Sequence[EdgeStatus]) -> tuple[EdgeStatus, ...]:
        while True:
            try:
                _, found = await self._status()
                if found[0].up_since > before[0].up_since:
                    return found
            except EdgeError:
                pass  # it is down, as it should be
            await asyncio.sleep(_LOOK_S)

    def _in_clear(self) -> list[Check]:
        local = self._root.host in ("127.0.0.1", "::1", "localhost")
        if self._root.scheme == "https" or local:
            return []
        text = "the token crosses the network in clear: whoever reads it can move calls"
        return [Check("in-clear", None, text, "use Kamailio's TLS port, or a management network, and ENVMON_SOURCES")]


def _speaks_rpc(answer: Any) -> bool:
    """Whether an answer is JSON-RPC's, a result or an error of its own."""
    return isinstance(answer, dict) and ("result" in answer or "jsonrpc" in answer)


def _cap(answer: Mapping[str, Any]) -> Check:
    """The backup is not given more calls than it can bear."""
    caps = {route: told.get("cap") for route, told in answer["routes"].items()}
    if none := [route for route, cap in caps.items() if not isinstance(cap, int) or cap < 1]:
        text = f"no cap on the calls of {', '.join(none)} at the backup: beyond its capacity it would fail all of them"
        return Check("cap-503", False, text, "set ENVMON_BACKUP_CAP to what the backup can take through this edge")
    told = ", ".join(f"{route} {cap}" for route, cap in caps.items())
    return Check("cap-503", True, f"calls beyond this many at the backup are answered 503: {told}")


def _of_script(wish: Wish, found: Sequence[EdgeStatus], answer: Mapping[str, Any]) -> list[Check]:
    """What the script shows, or what the counters let one guess without it."""
    if wish.script is not None:
        return check_script(wish.script)
    counted = sum(each.calls_primary + each.calls_backup for each in found)
    retried = sum(int(told.get("retried", 0)) for told in answer["routes"].values())
    do = "check again with --script /etc/kamailio/kamailio.cfg, where it can be read"
    pick = Check("pick", True, f"it has counted {counted} calls: the script asks ENVMON_PICK") if counted else Check(
        "pick", None, "it has counted no call since it started: whether the script asks ENVMON_PICK is not known", do
    )  # fmt: skip
    if retried:
        return [pick, Check("retry", True, f"{retried} calls were tried again at the backup since it started")]
    return [pick, Check("retry", None, "no call was tried again at the backup since it started", do)]
