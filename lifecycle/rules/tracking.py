"""How far the machines came that a rollout let go: done, back too late, failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lifecycle.rules.rollout import Machine, Row, Rules
from lifecycle.rules.states import DONE, FAILED, OPEN, SKIPPED, UPDATING


@dataclass(frozen=True, slots=True)
class Tracked:
    """A place after a look at its machine. `is_lost`: it kept its slot past its deadline."""

    row: Row
    is_lost: bool = False


def track(row: Row, machine: Machine, rules: Rules, now: datetime) -> Tracked:
    """Judge one place that is open, updating or failed by what is known of its machine now."""
    row = _follow_slot(row, machine, rules, now)
    if machine.is_current and not machine.has_slot:
        return Tracked(_settle(row, rules, now))
    row = replace(row, ready_at=None) if row.ready_at else row
    if row.state == FAILED:
        return Tracked(row)
    if not machine.is_member and row.state == OPEN:
        return Tracked(_end(row, SKIPPED, "it does not belong to the policy any more", now))
    return _find_failure(row, machine, now)


def _follow_slot(row: Row, machine: Machine, rules: Rules, now: datetime) -> Row:
    """Open machines that took a slot are updating; updating ones that freed it came back."""
    if machine.has_slot and row.state == OPEN:
        deadline = now + rules.return_time
        return replace(row, state=UPDATING, updating_at=now, deadline_at=deadline)
    if machine.has_slot and row.returned_at:
        return replace(row, returned_at=None)
    if not machine.has_slot and row.state == UPDATING and row.returned_at is None:
        return replace(row, returned_at=now)
    return row


def _settle(row: Row, rules: Rules, now: datetime) -> Row:
    """It runs the config and holds no slot: done once it stayed so for the settling time."""
    ready_at = row.ready_at or now
    if now - ready_at < rules.settle_time:
        return replace(row, ready_at=ready_at, deadline_at=None)
    reason = "came back late" if row.state == FAILED else ""
    return _end(replace(row, ready_at=ready_at), DONE, reason, now)


def _find_failure(row: Row, machine: Machine, now: datetime) -> Tracked:
    if machine.is_slot_lost:
        return Tracked(_end(row, FAILED, _not_back(row, machine), now), is_lost=True)
    if machine.install_failed:
        return Tracked(_end(row, FAILED, "its install failed", now))
    if machine.problem:
        return Tracked(_end(row, FAILED, f"its agent says: {machine.problem}", now))
    if _is_still_outdated(row, machine):
        reason = "it gave its slot back, and its report is still outdated"
        return Tracked(_end(row, FAILED, reason, now))
    if row.deadline_at and now >= row.deadline_at and not machine.may_be_off:
        is_lost = machine.has_slot
        reason = _not_back(row, machine) if row.updating_at else _not_begun(row, machine)
        return Tracked(_end(row, FAILED, reason, now), is_lost=is_lost)
    return Tracked(row)


def _is_still_outdated(row: Row, machine: Machine) -> bool:
    if row.state != UPDATING or row.returned_at is None or machine.has_slot:
        return False
    return machine.reported_at is not None and machine.reported_at > row.returned_at


def _not_back(row: Row, machine: Machine) -> str:
    since = f" since {_shown(row.updating_at)}" if row.updating_at else ""
    return f"it did not come back in time (away{since}, {_last_report(machine)})"


def _not_begun(row: Row, machine: Machine) -> str:
    return f"it did not begin in time (let go at {_shown(row.opened_at)}, {_last_report(machine)})"


def _last_report(machine: Machine) -> str:
    return f"last report {_shown(machine.reported_at)}" if machine.reported_at else "no report"


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"


def _end(row: Row, state: str, reason: str, now: datetime) -> Row:
    return replace(row, state=state, reason=reason, finished_at=now, deadline_at=None)
