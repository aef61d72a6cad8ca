"""How a change of a zone's verdict is told: one row a verdict."""

from envmon.core.world import ZoneState
from envmon.model.effect import Decision
from envmon.model.policy import ZonePolicy
from envmon.model.verdict import Verdict

ZONE_RULES: dict[Verdict, tuple[str, str]] = {
    Verdict.OK: ("Z10", "The cooling is good."),
    Verdict.DEGRADED: ("Z20", "The cooling is degraded: warm, or without redundancy."),
    Verdict.CRITICAL: ("Z30", "The cooling is being lost."),
    Verdict.UNKNOWN: ("Z40", "The cooling is unknown: not enough good readings to say."),
}


def tell_zone(zone: ZonePolicy, before: ZoneState, after: ZoneState) -> Decision:
    """The journal line of a verdict change."""
    now = after.judgement
    rule, sentence = ZONE_RULES[now.verdict]
    limit = now.time_to_limit
    return Decision(
        rule=rule,
        subject=f"zone:{zone.id}",
        sentence=sentence,
        why=now.why,
        facts=(
            ("was", before.judgement.verdict),
            ("verdict", now.verdict),
            ("basis", now.basis),
            ("phase", after.phase),
            ("temperature_c", "none" if now.temperature is None else f"{now.temperature:.2f}"),
            ("time_to_limit_s", limit.sight if limit.lower is None else f"{limit.lower:.0f}"),
            ("margin_kw", f"{now.margin_kw:g}"),
            ("votes", ",".join(vote.kind for vote in now.votes) or "none"),
        ),
    )
