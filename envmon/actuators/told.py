"""What an edge has told about itself: read strictly, compared with what was ordered, and spoken of in one voice.

Rules
  - A status that is not complete is no status; only the four call counts may be missing, all together, and so may the
    seven that say how calls ended.
  - Every error is one sentence: which edge, where, what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from envmon.actuators.contract import EdgeError, Fenced
from envmon.config.secret import Secret, SecretError
from envmon.host.threads import aside
from envmon.model.event import EdgeStatus

EPOCH_LIMIT = 2**31
_ENDS = ("answered", "refused", "failed")
_COUNTS = ("calls_primary", "calls_backup", "active_primary", "active_backup")


@dataclass(slots=True)
class Voice:
    """Speaks of one edge. ``where`` is its URL, server or program."""

    edge: str
    where: str
    _sent: str = field(default="", init=False, repr=False)  # an answer that repeats it is quoted without it

    def error(self, text: str) -> EdgeError:
        """Build the error an adapter raises."""
        if self._sent:
            text = text.replace(self._sent, "<secret>")
        return EdgeError(f"edge {self.edge} at {self.where}: {text}")

    def fenced(self, epoch: int, fence: int) -> Fenced:
        """Build the refusal of an epoch older than ``fence``."""
        return Fenced(str(self.error(f"it has seen epoch {fence}, ours is {epoch}: somebody else may act")), fence)

    async def secret(self, secret: Secret | None, what: str) -> str:
        """Read a credential that goes into a header or a signature. Raises EdgeError."""
        if secret is None:
            raise self.error(f"no {what} is configured")
        try:
            text = await aside(secret.reveal)
        except SecretError as error:
            raise self.error(str(error)) from None
        if not text.isascii() or not text.isprintable() or not text or " " in text:
            raise self.error(f"the {what} is empty or holds a space, a control character or a letter beyond ASCII")
        self._sent = text
        return text

    def check(self, epoch: int, percent: int = 0) -> None:
        """Refuse numbers that no edge takes. Raises EdgeError."""
        if not 0 <= epoch < EPOCH_LIMIT:
            raise self.error(f"the epoch must be below 2^31 and not negative, not {epoch}")
        if not 0 <= percent <= 100:
            raise self.error(f"the percent must be 0 to 100, not {percent}")

    def must_show_fence(self, statuses: Sequence[EdgeStatus], epoch: int) -> None:
        """Check that the edge reports the epoch it took. Raises Fenced, EdgeError."""
        fence = statuses[0].fence
        if fence > epoch:
            raise self.fenced(epoch, fence)
        if fence < epoch:
            raise self.error(f"it took epoch {epoch}, but reports the fence {fence}")

    def must_show(self, statuses: Sequence[EdgeStatus], route: str, percent: int, epoch: int) -> None:
        """Check that the edge reports the percent it took, under our epoch. Raises EdgeError."""
        found = {status.route: status for status in statuses}.get(route)
        if found is None:
            raise self.error(f"it took {percent} % for route {route}, but does not report that route")
        if (found.percent, found.set_epoch) != (percent, epoch):
            raise self.error(
                f"it took {percent} % of epoch {epoch} for route {route}, "
                f"but reports {found.percent} % of epoch {found.set_epoch}"
            )


def statuses(edge: str, answer: Any, *, counts_needed: bool) -> tuple[EdgeStatus, ...]:
    """Read the JSON of a status. Raises ValueError with what is missing or no count."""
    if not isinstance(answer, dict) or not isinstance(answer.get("routes"), dict) or not answer["routes"]:
        raise ValueError("no routes in it")
    fence, up_since = _count(answer, "fence"), _count(answer, "up_since")
    return tuple(
        _route(edge, route, told, fence, up_since, counts_needed=counts_needed)
        for route, told in answer["routes"].items()
    )


def _route(edge: str, route: str, told: Any, fence: int, up_since: int, *, counts_needed: bool) -> EdgeStatus:
    counts = counts_needed or (isinstance(told, dict) and any(name in told for name in _COUNTS))
    ends = isinstance(told, dict) and ("retried" in told or any(f"{name}_backup" in told for name in _ENDS))
    names = [f"{name}_{site}" for name in _ENDS for site in ("primary", "backup")] if ends else []
    return EdgeStatus(
        edge=edge,
        route=route,
        percent=_count(told, "percent", 100),
        set_epoch=_count(told, "set_epoch"),
        fence=fence,
        up_since=up_since,
        calls_primary=_count(told, "calls_primary") if counts else 0,
        calls_backup=_count(told, "calls_backup") if counts else 0,
        active_primary=_count(told, "active_primary") if counts else 0,
        active_backup=_count(told, "active_backup") if counts else 0,
        counts=counts,
        ends=ends,
        retried=_count(told, "retried") if ends else 0,
        **{name: _count(told, name) for name in names},
    )


def _count(told: Any, name: str, top: int = 2**63) -> int:
    value = told.get(name) if isinstance(told, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= top:
        raise ValueError(f"{name} is {repr(value)[:100]}, not a count")
    return value
