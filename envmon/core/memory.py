"""What an heir must know: the part of the world that is kept under the lease, as text and back.

Rules
  - Kept is what was decided and why (mode, positions, latches, orders, what is set aside, what moves took, which pages
    are open), never what was measured: an heir reads devices, edges and probe calls itself. ``OWN`` names the rest.
  - The text is canonical (see ``snapshot``) and carries the hash of the policy it was decided under. The hash is over
    the compiled policy without what the place of the daemon itself changes: two hosts have two configurations. Who is
    paged and who gives orders there is no business of the other's; a looser policy that waits here and changes these,
    too, is not the one that was accepted there.
  - Text that is not a memory, whatever it holds, is a ValueError that says so; nothing of it is used.
  - A moment is never younger here than it was there. On the same boot it is the same moment. Elsewhere the memory is
    as old as our own clock can tell from having looked before, else as old as the wall clocks say.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from envmon.core.aside import SetAside
from envmon.core.snapshot import canonical, typed
from envmon.core.world import NEVER, SECOND, Hold, Notice, Request, RouteState, World
from envmon.model.event import Bequest, Stamp
from envmon.model.policy import Policy
from envmon.model.verdict import Mode

FORMAT = 1
OWN = frozenset({
    "now", "policy", "digest", "proposal", "zones", "devices", "silent_ns", "lease", "last_epoch", "bequest", "faster",
    "effects", "sky",
})  # fields of the world that every daemon has for itself  # fmt: skip


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept; the fields are those of ``World``, but for ``policy``: the hash of the one in force."""

    format: int
    now: Stamp
    policy: str
    decided: int
    mode: Mode
    mode_rule: str
    mode_why: str
    hold: Hold | None
    followed: int
    routes: Mapping[str, RouteState]
    raised: Mapping[str, str]
    aside: SetAside
    requests: Mapping[str, Request]
    notices: Mapping[str, Notice]


@dataclass(frozen=True, slots=True)
class Will:
    """A memory to be kept under ``epoch``. Two are equal when an heir would not know the difference."""

    epoch: int
    memory: Memory
    at: Stamp = field(compare=False)

    @property
    def text(self) -> str:
        """What is stored. Raises ValueError for a number that is not finite."""
        return canonical(replace(self.memory, now=self.at))


def standing_by(world: World) -> bool:
    """Whether another envmon is known to hold the lease."""
    return not world.lease.held and world.lease.holder != ""


def will(world: World) -> Will | None:
    """What must be kept now; None where nothing is ours to keep."""
    if not world.lease.held or world.policy is None or world.bequest is not None:
        return None
    memory = Memory(
        format=FORMAT,
        now=NEVER,
        policy=policy_hash(world.policy),
        routes={name: _decided(state) for name, state in world.routes.items()},
        **{name: getattr(world, name) for name in _AS_THEY_ARE},
    )
    return Will(world.lease.epoch, memory, world.now)


@lru_cache(maxsize=4)
def policy_hash(policy: Policy) -> str:
    """The SHA-256 of a policy, the same on every host whose configuration says the same of the site."""
    alike = replace(policy, placement_faults=(), start_automatic=False, pagers=(), groups=(), certified=())
    return sha256(canonical(alike).encode()).hexdigest()


@lru_cache(maxsize=4)
def read(bequest: Bequest) -> Memory:
    """The memory in a text, on the clock of whoever looked. Raises ValueError when it is none of this envmon's."""
    try:
        plain = json.loads(bequest.text)
        then = typed(Stamp, plain["now"])
        memory: Memory = typed(Memory, plain, _later_by(then, bequest))
        canonical(memory)  # every number is finite
        _check(memory)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}"[:300]) from None
    return memory


def wanting(world: World, policy: Policy, latest: int) -> str:
    """Why what lies under the lease cannot be inherited from the holder of the epoch ``latest``; "" when it can."""
    bequest = world.bequest
    if bequest is None or not bequest.text:
        return "nothing is kept under the lease"
    if bequest.epoch != latest:
        return f"what is kept under the lease is of epoch {bequest.epoch}, not of {latest}"
    try:
        memory = read(bequest)
    except ValueError as error:
        return f"what is kept under the lease cannot be read: {error}"
    if memory.policy not in (policy_hash(policy), proposed(world)):
        return f"it was decided under the policy {memory.policy[:12]}, here {policy_hash(policy)[:12]} is in force"
    if missing := sorted({route.id for route in policy.routes} ^ set(memory.routes)):
        return f"what is kept under the lease differs from the policy in the routes {', '.join(missing)}"
    return ""


def proposed(world: World) -> str:
    """The hash of the looser policy that waits here and could have been accepted elsewhere; "" where none does."""
    if world.policy is None or world.proposal is None:
        return ""
    old, new = world.policy, world.proposal.policy
    own = (old.pagers, old.groups, old.certified) == (new.pagers, new.groups, new.certified)
    return policy_hash(new) if own else ""


def found(world: World) -> Memory | None:
    """What lies under the lease, if it can be read."""
    try:
        return read(world.bequest) if world.bequest is not None and world.bequest.text else None
    except ValueError:
        return None


def kept_since(world: World) -> bool:
    """Whether our own memory under the lease knows more than we do: the disk had failed when we last wrote it."""
    bequest, memory = world.bequest, found(world)
    if bequest is None or memory is None:
        return False
    return bequest.epoch == bequest.latest == world.last_epoch and memory.decided > world.decided


def _decided(state: RouteState) -> RouteState:
    """A route without what each daemon sees for itself."""
    return replace(state, edges={}, probes={}, reports={}, asked_ns=0, standing="")


def _later_by(then: Stamp, bequest: Bequest) -> int:
    """How much later a moment is on our clock, in nanoseconds."""
    at = bequest.at
    if then.boot_id == at.boot_id:
        return 0
    age_s = max(0.0, at.wall - then.wall) if bequest.age_s is None else bequest.age_s
    return at.mono_ns - then.mono_ns - int(age_s * SECOND)


def _check(memory: Memory) -> None:
    """Refuse what no envmon writes. Raises ValueError."""
    if memory.format != FORMAT:
        raise ValueError(f"its format is {memory.format}, this envmon reads {FORMAT}")
    for name, state in memory.routes.items():
        if state.commanded is not None and not 0 <= state.commanded <= 100:
            raise ValueError(f"route {name} is commanded to {state.commanded} %")
        if state.attempts < 0 or state.asserts < 0:
            raise ValueError(f"route {name} counts below 0")


_AS_THEY_ARE: tuple[Any, ...] = tuple(
    name for name in Memory.__dataclass_fields__ if name not in ("format", "now", "policy", "routes")
)
