"""Why is nothing happening? One answer for every machine and every rollout, never an empty one.

Only reads. `why_machine` is in `lifecycle.whymachine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from enjoliver.common.words import counted
from lifecycle.answers import Answer
from lifecycle.models import RollingPolicy, Rollout
from lifecycle.rules.rollout import Decision, Row, Snapshot
from lifecycle.rules.states import ACTIVE_STATES, OPEN, PAUSED, READY, RUNNING, UPDATING, WAITING
from lifecycle.services.away import read_away
from lifecycle.services.snapshot import look_ahead
from lifecycle.whymachine import why_machine
from machines.models import Machine

__all__ = ["Answer", "why_machine", "why_rollout"]
_SHOWN = 5


def why_rollout(rollout: Rollout, *, now: datetime | None = None) -> Answer:
    """Why a rollout stands where it stands."""
    now = now or timezone.now()
    counts = _counts(rollout)
    details = [f"Machines: {counts}." if counts else "It has no machines."]
    if rollout.details:
        details += rollout.details.splitlines()
    if rollout.state not in ACTIVE_STATES:
        reason = f": {rollout.reason}" if rollout.reason else ""
        return Answer(f"It has ended: {rollout.get_state_display()}{reason}.", details)
    if rollout.policy is None:
        return Answer("Its policy is gone: abort it.", details)
    if rollout.state == READY:
        return Answer("It waits for an operator to start it.", details)
    if rollout.state == PAUSED:
        advice = "Resume it, skip machines, abort it, or roll it back."
        return Answer(f"It is paused: {rollout.reason}.", [advice, *details])
    seen, decision = look_ahead(rollout, rollout.policy, now)
    found = [*_open_questions(seen, decision), *_unavailable(rollout, rollout.policy, now)]
    return Answer(_running(seen, decision), [*found, *details])


def _counts(rollout: Rollout) -> str:
    states = rollout.machines.order_by().values_list("state", flat=True)
    found: dict[str, int] = {}
    for state in states:
        found[state] = found.get(state, 0) + 1
    return ", ".join(f"{number} {state}" for state, number in sorted(found.items()))


def _running(seen: Snapshot, decision: Decision) -> str:
    """The main sentence of a rollout that is running."""
    if decision.state != RUNNING:
        reason = f": {decision.reason}" if decision.reason else ""
        return f"It is about to be {decision.state}{reason}."
    if decision.hold:
        return f"Nothing may move now: {decision.hold}."
    rows = {row.machine_id: decision.rows.get(row.machine_id, row) for row in seen.rows}
    moving = [row for row in rows.values() if row.state in (OPEN, UPDATING)]
    if moving:
        said = counted(len(moving), "machine is", "machines are")
        return f"{said} changing: {_names(seen, moving)}."
    waiting = [row for row in rows.values() if row.state == WAITING]
    refused = [row for row in waiting if row.machine_id in decision.refused]
    holding_up = [row for row in refused if _holds_up_its_stage(seen, decision, row)]
    if decision.stage_hold and not holding_up:
        return f"It waits: {decision.stage_hold}."
    for row in [*holding_up, *refused][:1]:
        name, reason = seen.machines[row.machine_id].name, decision.refused[row.machine_id]
        more = f" ({len(waiting)} machines wait)" if len(waiting) > 1 else ""
        return f"The next machine, {name}, waits: {reason}{more}."
    return "Its next step is due at any moment."


def _holds_up_its_stage(seen: Snapshot, decision: Decision, row: Row) -> bool:
    """True when the stage that has begun waits for this machine: then why *it* waits is the answer.
    Nobody but a canary's stage waits for one that cannot change."""
    is_canary = row.stage < len(seen.stages) and seen.stages[row.stage].is_canary
    can_change = is_canary or not seen.machines[row.machine_id].why_not
    return row.stage <= decision.stage and can_change


def _names(seen: Snapshot, rows: list[Row]) -> str:
    names = [seen.machines[row.machine_id].name for row in rows[:_SHOWN]]
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return ", ".join(names) + more


def _open_questions(seen: Snapshot, decision: Decision) -> Iterator[str]:
    """Each reason why machines wait, once, with how many it concerns."""
    reasons: dict[str, list[str]] = {}
    for row in seen.rows:
        if decision.rows.get(row.machine_id, row).state == WAITING:
            reason = decision.refused.get(row.machine_id, "")
            if reason:
                reasons.setdefault(reason, []).append(seen.machines[row.machine_id].name)
    for reason, names in list(reasons.items())[:20]:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{', '.join(names[:3])}{more}: {reason}"


def _unavailable(rollout: Rollout, policy: RollingPolicy, now: datetime) -> Iterator[str]:
    """Machines that are away for other reasons than this rollout, the first few by name."""
    away = read_away(policy, now, except_rollout=rollout.pk)
    rows = Machine.objects.filter(pk__in=sorted(away)[:_SHOWN]).order_by("pk")
    for pk, fqdn, mac in rows.values_list("pk", "assignment__fqdn", "boot_mac"):
        yield f"Unavailable: {fqdn or mac}: {away[pk].reason}"
    if len(away) > _SHOWN:
        yield f"Unavailable: {len(away) - _SHOWN} more"
