"""A decision's line as the core explains it. Pure."""

import json

from envmon.core.explain import Told
from envmon.journal.chain import Line


def told(line: Line) -> Told:
    """What a line tells of its decision."""
    record = line.record
    return Told(
        rule=record.rule,
        subject=record.subject,
        sentence=record.text,
        why=record.extra.get("why", ""),
        facts=record.facts,
        wall=record.wall,
        refused="refused" in record.extra,
        effect=_effect(record.effect),
    )


def _effect(permitted: str) -> str:
    if not permitted:
        return ""
    effect = json.loads(permitted)
    edges = ", ".join(effect.get("edges", ()))
    what = f"{effect['percent']} % of new calls to the backup" if "percent" in effect else "its epoch"
    return f"it permitted: {what} at {edges}, epoch {effect.get('epoch')}"
