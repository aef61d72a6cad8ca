"""Turns what happened into lines of the journal. Pure.

Rules
  - Orders, decisions, verdict, mode and lease changes, traffic effects, their results and policies have lines;
    readings and ticks have none.
  - Every traffic effect is permitted by exactly one line: the decision that names it, or a line of its own.
  - ``state_hash`` is the SHA-256 of the snapshot written with the line, the state the decision left behind.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from envmon.journal.record import Entry, Record
from envmon.model.effect import Decision, SetPercent, StampEpoch, TrafficEffect
from envmon.model.event import EffectReport, Event, LeaseReport, OrderReceived, PolicyLoaded, Stamp

EXECUTE_WITHIN_S = 30.0  # an effect not started by then is not executed any more
US = "envmon"

_ENTRIES = {"mode": Entry.MODE, "lease": Entry.LEASE, "zone": Entry.VERDICT}


def lines(event: Event, traffic: Sequence[TrafficEffect], decisions: Sequence[Decision]) -> list[Record]:
    """Every line of one step, in the order: what came in, what was decided, what else it permits."""
    permits = {effect.id: effect for effect in traffic}
    records = [came_in] if (came_in := _of_event(event)) else []
    for decision in decisions:
        named = [permits.pop(effect) for effect in decision.effects if effect in permits]
        record = _of_decision(event.at, decision)
        records.append(_permit(record, named[0]) if named else record)
        records.extend(_of_effect(event.at, effect, decision.rule) for effect in named[1:])
    records.extend(_of_effect(event.at, effect) for effect in permits.values())
    return records


def with_state(records: Sequence[Record], state_hash: str) -> list[Record]:
    """Return the lines bound to the snapshot they are written with."""
    return [replace(record, state_hash=state_hash) for record in records]


def start(at: Stamp, version: str) -> Record:
    """Return the first line of a daemon's life."""
    return _record(Entry.START, at, "daemon", f"envmon {version} starts", extra={"version": version})


def stop(at: Stamp, why: str) -> Record:
    """Return the last line of a daemon's life."""
    return _record(Entry.STOP, at, "daemon", f"envmon stops: {why}; calls stay where they are")


def effect_json(effect: TrafficEffect) -> str:
    """Return the effect as the line keeps it: its fields, and its kind under ``do``."""
    kind = "set_percent" if isinstance(effect, SetPercent) else "stamp_epoch"
    return json.dumps({"do": kind, **asdict(effect)}, sort_keys=True, separators=(",", ":"))


def _of_event(event: Event) -> Record | None:
    match event:
        case OrderReceived(at=at, order=order):
            subject = f"route:{order.route}" if order.route else "mode"
            text = f"order: {order.command} {order.route or order.target}".rstrip() + f" ({order.reason})"
            line = _record(Entry.ORDER, at, subject, text, who=order.who)
            return replace(line, order=order.id, approvals=order.approvals)
        case EffectReport(at=at, effect=effect, edge=edge, outcome=outcome, detail=detail):
            text = f"{edge}: {outcome}" + (f", {detail}" if detail else "")
            told = {"effect": effect, "outcome": str(outcome)}
            return _record(Entry.RESULT, at, f"edge:{edge}", text, extra=told)
        case LeaseReport(at=at, held=held, epoch=epoch, detail=detail):
            text = f"the lease is held, epoch {epoch}" if held else f"the lease is not held: {detail}"
            return replace(_record(Entry.LEASE, at, "lease", text), epoch=epoch)
        case PolicyLoaded(at=at, digest=digest, who=who, text=text):
            told = {"sha256": digest, "text": text}
            return _record(Entry.POLICY, at, "policy", "a policy is loaded", who=who, extra=told)
        case _:
            return None


def _of_decision(at: Stamp, decision: Decision) -> Record:
    entry = _ENTRIES.get(decision.subject.partition(":")[0], Entry.DECISION)
    extra = {"why": decision.why} | ({"refused": "yes"} if decision.refused else {})
    record = _record(entry, at, decision.subject, decision.sentence, extra=extra)
    return replace(
        record,
        rule=decision.rule,
        facts=decision.facts,
        order=decision.order,
        approvals=decision.approvals,
        episode=decision.episode,
    )


def _of_effect(at: Stamp, effect: TrafficEffect, rule: str = "") -> Record:
    edges = ", ".join(effect.edges)
    match effect:
        case SetPercent(route=route, percent=percent):
            record = _record(Entry.DECISION, at, f"route:{route}", f"{percent} % of new calls to the backup at {edges}")
        case StampEpoch(epoch=epoch):
            record = _record(Entry.LEASE, at, "lease", f"epoch {epoch} is shown to {edges}")
    return _permit(replace(record, rule=rule), effect)


def _permit(record: Record, effect: TrafficEffect) -> Record:
    deadline = record.wall + EXECUTE_WITHIN_S
    return replace(record, effect=effect_json(effect), epoch=effect.epoch, deadline=deadline)


def _record(
    entry: Entry, at: Stamp, subject: str, text: str, *, who: str = US, extra: Mapping[str, Any] | None = None
) -> Record:
    return Record(entry, at.mono_ns, at.wall, at.boot_id, subject, who, text, extra=dict(extra or {}))
