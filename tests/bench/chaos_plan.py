"""What goes wrong in a run, drawn from its seed: pure, so that a seed means the same run everywhere.

Rules
- A new kind goes to the end of ``KINDS``; what a seed has meant changes all the same, and the state file says so.
- Times are seconds after the cooling is lost.
"""

import random
from dataclasses import dataclass

EDITION = 1  # of the plans: a state file of another one is not continued
WHO = ("holder", "holder", "standby")
KINDS = {
    "kill": 4, "stop": 4, "frozen write": 4, "part": 6, "edge": 3, "leader": 3, "member": 1, "order": 4,
    "stale order": 3, "reload": 2, "pager": 2, "disk": 2, "clock": 2,
}  # fmt: skip
PARTS = ("etcd", "etcd", "edges", "pager", "devices", "members")
ORDERS = ("shift", "hold", "resume", "restore", "override")


@dataclass(frozen=True, slots=True)
class Fault:
    """``who`` is holder, standby, or the name of an edge; ``what`` tells the kind's own choice."""

    at: float
    kind: str
    who: str
    lasts: float
    what: str = ""

    def __str__(self) -> str:
        """For people."""
        words = filter(None, (self.kind, self.what, self.who))
        return f"{self.at:.1f} s: {' '.join(words)}, {self.lasts:.1f} s"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    stages: tuple[int, ...]
    loses_room: bool
    resumes: bool  # an operator resumes what is held, once all is healed
    faults: tuple[Fault, ...]


def plan(seed: int) -> Plan:
    """The run of a seed."""
    chance = random.Random(f"envmon chaos {EDITION} {seed}")
    stages = chance.choice(((100,), (100,), (50, 100)))
    faults = [_fault(chance) for _ in range(chance.randint(1, 4))]
    return Plan(
        seed=seed,
        stages=stages,
        loses_room=chance.random() < 0.9,
        resumes=chance.random() < 0.5,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def _fault(chance: random.Random) -> Fault:
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    at, who = chance.uniform(-1.0, 8.0), chance.choice(WHO)
    match kind:
        case "kill":
            what = "with pages waiting" if int(at * 1000) % 2 else ""
            return Fault(at, kind, who, chance.uniform(0.2, 8.0), what)
        case "stop":
            return Fault(at, kind, who, chance.choice((1.0, 2.0, 5.0, 9.0)))
        case "frozen write":
            at = chance.uniform(-1.0, 0.3)
            return Fault(at, kind, "holder", 14.0, "delayed" if int(at * 1000) % 2 else "")
        case "part":
            what = chance.choice(PARTS)
            way = chance.choice(("", "", " out", " in")) if what != "pager" else ""
            return Fault(at, kind, who, chance.uniform(1.0, 9.0), what + way)
        case "edge":
            return Fault(
                at, kind, chance.choice(("edge0", "edge1")), chance.uniform(0.0, 3.0), chance.choice(("TERM", "KILL"))
            )
        case "leader" | "member":
            return Fault(at, kind, "", chance.uniform(1.0, 8.0), chance.choice(("freeze", "kill")))
        case "order":
            return Fault(at, kind, who, 0.0, chance.choice(ORDERS))
        case "stale order":
            return Fault(at, kind, who, chance.uniform(3.0, 8.0), chance.choice(("shift", "hold")))
        case "pager":
            return Fault(at, kind, "", chance.uniform(1.0, 8.0), chance.choice(("deaf", "refuses")))
        case "clock":
            return Fault(at, kind, who, 0.0, chance.choice(("+3600", "-3600", "+5", "-5", "+86400")))
        case _:
            return Fault(at, kind, who, chance.uniform(2.0, 8.0))
