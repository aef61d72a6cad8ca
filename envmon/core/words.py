"""What the finite facts of the rules mean, in words an engineer checks against the site.

Rules
  - One phrase a value; a fact or value without one is told by its name. Nothing is decided here.
"""

from collections.abc import Mapping
from enum import StrEnum

from envmon.core.aside_rules import ASIDE_RULES
from envmon.core.consent_rules import CONSENT_RULES
from envmon.core.door_rules import DOOR_RULES
from envmon.core.heir_rules import HEIR_RULES
from envmon.core.mode_rules import LEASE_RULES, MODE_RULES
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.storm_rules import STORM_RULES
from envmon.core.table import Row

PHRASES: Mapping[str, Mapping[str, str]] = {
    "mode": {
        "observe": "the mode is observe: nothing is written",
        "automatic": "the mode is automatic",
        "held": "the mode is held: automation is frozen",
    },
    "position": {
        "unread": "it was not known yet where new calls go",
        "primary": "new calls go to the primary",
        "shifting": "new calls are commanded to the backup, not proven",
        "backup": "new calls go to the backup",
        "restoring": "new calls are commanded home, not proven",
        "split": "new calls are divided between the sites by another hand",
    },
    "threat": {
        "none": "no zone of the route shows a cooling loss that two kinds of evidence agree on",
        "watch": "a cooling loss is evident, and waiting is not wrong yet",
        "act": "a cooling loss is evident, and its time to limit has come down to the bar at which calls move",
    },
    "ready": {
        "yes": "the backup is ready",
        "asked": "the backup is called once more, all else of its readiness passes",
        "no": "the backup is not ready",
    },
    "lease": {"yes": "the lease, the right to act, is held", "no": "the lease, the right to act, is not held"},
    "episode": {
        "none": "no episode is open",
        "open": "the episode's one automatic failover is unspent",
        "latched": "the episode's one automatic failover is spent",
    },
    "edges": {
        "agree": "the edges show what was commanded",
        "pending": "a write is on its way to an edge",
        "forgot": "an edge does not show what was commanded",
        "contested": "an edge shows what another hand has set",
        "unread": "no edge has answered lately",
    },
    "proof": {
        "idle": "there is nothing to prove",
        "waiting": "the move is not proven yet",
        "proven": "the move is proven by read-back, counters and probe calls",
        "overdue": "the move should have been proven by now",
        "contradicted": "calls are still counted at the wrong site",
        "faltering": "the site the calls go to fails them",
    },
    "stage": {"part": "a part of the calls is moved, more is to follow", "whole": "all of the calls are moved at once"},
    "pace": {
        "staged": "there is time to move in stages",
        "urgent": "there is no time for stages, or the edges move all or nothing",
    },
    "errand": {
        "rule": "the move is by rule",
        "order": "the move is by order",
        "drill": "the move is a drill",
    },
    "going": {"yes": "the move may go on", "no": "no move may go on by itself"},
    "back": {"yes": "going back is ours to do, and safe", "no": "going back is not ours to do, or not safe"},
    "spare": {
        "yes": "every zone has a unit to spare, or lost none",
        "no": "a zone has lost a unit and has none to spare",
    },
    "quiet": {"yes": "it is inside the window for drills", "no": "it is outside the window for drills"},
    "taken": {"yes": "an edge has confirmed the command", "no": "no edge has confirmed the command"},
    "whole": {"yes": "every edge of the route answers", "no": "an edge of the route is silent or in maintenance"},
    "soaked": {"yes": "its zones have been good for the soak time", "no": "its zones have not soaked"},
    "left": {
        "no": "calls may still be at the primary",
        "yes": "no call is left at the primary",
        "partial": "no call is left at the edges that answer",
    },
    "placement": {
        "yes": "losing a zone never loses the lever that leaves it",
        "no": "losing a zone would also lose the lever that leaves it",
    },
    "hand": {
        "none": "no other hand shows at the edges",
        "elsewhere": "the edges show a position another hand has set",
        "divided": "the edges differ among themselves",
        "newer": "an edge has seen a newer epoch than ours",
    },
    "held": {
        "none": "automation is not held",
        "rule": "automation is held by rule, until an operator resumes",
        "remind": "automation is held by rule, and nobody was told for an hour",
        "runs": "automation is held by order, for a while yet",
        "soon": "automation is held by order, and the end of the hold is near",
        "over": "the time of the hold by order is over",
    },
    "weather": {
        "clear": "no weather service warns, and none is silent",
        "warned": "a weather warning is near",
        "unknown": "a weather service has not answered",
    },
    "fence": {
        "low": "an edge has not seen the epoch of this lease yet",
        "level": "every edge that answers has seen the epoch of this lease",
    },
    "outbid": {"yes": "an edge has seen a newer epoch than ours", "no": "no edge has seen a newer epoch than ours"},
    "due": {"yes": "it was not stamped a moment ago", "no": "it was stamped a moment ago"},
    "order": {
        "shift": "shift was ordered",
        "restore": "restore was ordered",
        "drill": "drill was ordered",
        "hold": "hold was ordered",
        "resume": "resume was ordered",
        "arm": "arm was ordered",
        "disarm": "disarm was ordered",
        "maintenance": "maintenance was ordered",
        "maintenance_end": "the end of maintenance was ordered",
        "shelve": "the page was ordered to be shelved",
        "unshelve": "the page was ordered off the shelf",
    },
    "known": {
        "no": "nothing has this name",
        "one": "the name is of one thing",
        "many": "the name is of several things",
    },
    "lasts": {
        "well": "its end lies within what is allowed",
        "past": "its end is not in the future",
        "too_long": "its end lies further than is allowed",
    },
    "aside": {"yes": "it is set aside", "no": "it is not set aside"},
    "critical": {"yes": "the page is critical", "no": "the page is not critical"},
    "over": {"time": "its time is over", "worse": "it has grown more urgent"},
    "wide": {"yes": "it is a whole zone or the site", "no": "it is one unit or edge"},
    "deed": {"yes": "the page tells what somebody has done", "no": "the page tells of the plant or the calls"},
    "posture": {
        "calm": "the posture was calm",
        "storm": "the posture was storm",
        "unknown": "the posture was unknown: the weather had not been heard of",
    },
    "legacy": {
        "whole": "all that the other envmon had decided can be inherited",
        "lost": "something of what the other envmon had decided is wanting",
        "none": "no other envmon is followed",
    },
    "recent": {"yes": "there was a reason for a storm a moment ago", "no": "there has been no reason for a while"},
    "ruled": {"yes": "a policy is in force", "no": "no policy is in force yet"},
    "standby": {"yes": "another envmon holds the lease", "no": "no other envmon is known to hold the lease"},
    "aim": {
        "ours": "it is about this daemon's own policy",
        "known": "it is about the site, or a route there is",
        "unknown": "the policy has no route of this name",
    },
    "power": {"yes": "the mains do not feed the site", "no": "nothing says that the mains are away"},
}

TABLES: tuple[tuple[Row[StrEnum], ...], ...] = (  # type: ignore[type-arg, assignment, unused-ignore]
    ROUTE_RULES, MODE_RULES, HEIR_RULES, LEASE_RULES, CONSENT_RULES, STORM_RULES, ASIDE_RULES,
    DOOR_RULES,
)  # fmt: skip


def phrase(fact: str, value: str) -> str:
    """A fact in words."""
    return PHRASES.get(fact, {}).get(value) or f"{fact} is {value}"


def rule_of(rule: str) -> tuple[Row[StrEnum], tuple[Row[StrEnum], ...]] | None:
    """A row by its id, with its table; None for a verdict's, or one of another version."""
    for table in TABLES:
        for entry in table:
            if entry.id == rule:
                return entry, table
    return None
