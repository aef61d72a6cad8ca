"""The policy: what the site is and what envmon may do, compiled from configuration. Plain numbers, SI and degC."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Zone temperatures in degC. ``service`` is where equipment shuts down; ``deadband`` in K returns an alarm."""

    recommended: float = 27.0  # ASHRAE TC 9.9 2021, recommended envelope
    allowable: float = 32.0  # ASHRAE TC 9.9 2021, class A1
    service: float = 40.0
    deadband: float = 2.0


@dataclass(frozen=True, slots=True)
class UnitPolicy:
    """One piece of cooling plant and its sensible capacity in kW.

    ``chilled``: it cools with the water of the zone's plant and is worth nothing without it. ``restart_s``: how long it
    takes from a stop to full output when it restarts by itself (minimum off time and ramp); 0 takes the zone's.
    """

    id: str
    sensible_kw: float
    chilled: bool = False
    restart_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ZonePolicy:
    """A thermal area: what heats it, what cools it, and what it can bear.

    ``heat_capacity`` is kJ per K per kW of IT load (10-133 in published incidents); until the room's own rate is
    measured it bounds how fast the room can warm. ``slew`` (K/s) ages a silent sensor towards the worst case.
    ``plant`` are the chillers that feed the zone's chilled units, with the share of their capacity it may count on.
    """

    id: str
    here: bool  # False: a zone of the backup site
    it_load_kw: float
    limits: Limits
    units: tuple[UnitPolicy, ...]
    needed: int
    heat_capacity: float = 30.0
    slew: float = 0.033
    restart_s: float = 240.0
    min_inlets: int = 1
    plant: tuple[UnitPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """A class of calls: its edges, the zones it depends on here and at the backup, and its times in seconds.

    ``proofs`` names the readiness items that somebody else reports (call capacity, list parity, the carrier's route);
    a report older than ``proof_stands_s`` is no proof. ``early_s``: how much earlier than it must the route moves once
    the cooling is lost for good.
    ``stages`` are the percentages of new calls it moves by, the last of them 100; one step where its edges can only
    move all or nothing. ``quiet`` is the window for drills in minutes of the day (UTC), which may pass midnight.
    ``learns`` says that its calls are real: what a move took tells how long an evacuation takes.
    """

    id: str
    edges: tuple[str, ...]
    zones: tuple[str, ...]
    backup_zones: tuple[str, ...]
    max_call_s: float = 300.0
    verify_s: float = 60.0
    margin_s: float = 120.0
    soak_s: float = 1800.0
    proof_calls: int = 20
    proofs: tuple[str, ...] = ()
    proof_stands_s: float = 120.0
    early_s: float = 1200.0
    stages: tuple[int, ...] = (10, 50, 100)
    dwell_s: float = 300.0
    drain_floor_s: float = 120.0
    quiet: tuple[int, int] | None = None
    learns: bool = True
    capacity_margin: float = 1.2  # spare calls at the backup, per call in progress at the primary

    @property
    def evacuate_s(self) -> float:
        """Time to evacuate before anything was learnt: drain, verification and a margin, in seconds."""
        return self.max_call_s + self.verify_s + self.margin_s


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """A weather service and the seconds between two askings."""

    id: str
    every_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything the core may know of the configuration.

    ``pagers``, ``groups`` and ``certified`` say who is paged and who gives orders, a text each: the core only compares
    them with those of the policy in force. A pager's begins with its name; without ``groups`` everybody gives orders.
    """

    site: str
    zones: tuple[ZonePolicy, ...]
    routes: tuple[RoutePolicy, ...]
    devices: tuple[str, ...]
    stale_s: float = 30.0  # a reading older than this no longer votes
    quorum_kinds: int = 2
    quorum_paths: int = 2
    quorum_stands_s: float = 600.0
    probe_stands_s: float = 60.0
    edge_stands_s: float = 15.0
    start_automatic: bool = False
    placement_faults: tuple[str, ...] = ()
    hold_s: float = 28_800.0  # how long a hold lasts that was ordered without an end
    feeds: tuple[FeedPolicy, ...] = ()
    pagers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    certified: tuple[str, ...] = ()
