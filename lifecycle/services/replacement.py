"""Guided replacement of a control-plane member, step by step.

Every step is done by whoever looks first (beat, a command, a request), by compare-and-swap on the
row: killed anywhere, the next look goes on. A step that cannot be done yet says what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from enjoliver.common.errors import Conflict, EngineError, InvalidInput
from lifecycle.models import Replacement, ReplacementState, ReplacementStep
from lifecycle.replacing import (
    Judgement,
    judge_replacement,
    why_not_installed,
    why_not_reporting,
)
from lifecycle.services.members import membership_of, read_members, read_newcomer
from lifecycle.services.retiring import retire_machine
from machines.locations import locations_of
from machines.models import Machine
from machines.services import record_event, request_reinstall
from machines.text import one_line
from machines.topology import UNKNOWN
from scheduling.models import Assignment
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import (
    SwapPlan,
    plan_swap,
    swap_member,
)
from scheduling.spread import score_of, score_spread

_BEFORE_SWAP = (ReplacementStep.CHECK, ReplacementStep.CHOOSE, ReplacementStep.ASSIGN)
_MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class ReplacementPlan:
    """What would happen; shown before anything does."""

    swap: SwapPlan
    judgement: Judgement


class _Overtaken(Exception):
    """Somebody else advanced the replacement first."""


def plan_replacement(*, machine: Machine, now: datetime | None = None) -> ReplacementPlan:
    """What replacing `machine` would mean now; Conflict when it is no control-plane member."""
    swap = plan_swap(machine=machine)
    now = now or timezone.now()
    judgement = judge_replacement(read_members(swap.cluster_id, now), machine.pk, now)
    return ReplacementPlan(swap, judgement)


def start_replacement(
    *,
    machine: Machine,
    actor: str,
    reason: str,
    spare: Machine | None = None,
    now: datetime | None = None,
) -> Replacement:
    """Begin to replace the control-plane member `machine`, by `spare` or by the best one.

    Without a free machine it begins, and waits for one. Raises InvalidInput without a reason, and
    Conflict when it is no member, another replacement runs, or the quorum would be lost.
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    now = now or timezone.now()
    plan = plan_replacement(machine=machine, now=now)
    if plan.judgement.obstacles:
        raise Conflict(plan.judgement.obstacle, kind="quorum")
    if spare is not None:
        _check_spare(plan.swap, spare)
    try:
        with transaction.atomic():
            row = Replacement.objects.create(
                cluster_id=plan.swap.cluster_id,
                leaving=machine,
                leaving_mac=machine.boot_mac,
                joining=spare,
                is_joining_chosen_by_operator=spare is not None,
                reason=one_line(reason, 200),
                started_by=one_line(actor, 150),
                started_at=now,
                step_at=now,
                score_before=plan.swap.score_before,
            )
            message = f"Replacement began: {row.reason}"
            record_event(kind="replacement_began", message=message, machine=machine, actor=actor)
    except IntegrityError as error:
        raise Conflict(
            "another replacement runs in this cluster: one at a time", kind="replacement_running"
        ) from error
    return advance_replacement(replacement=row, now=now)


def advance_replacement(*, replacement: Replacement, now: datetime | None = None) -> Replacement:
    """Do what can be done now; safe to call at any time, from several places at once."""
    now = now or timezone.now()
    for _ in range(_MOST_STEPS):
        row = Replacement.objects.select_related("leaving", "joining").get(pk=replacement.pk)
        if row.state != ReplacementState.RUNNING:
            return row
        try:
            if not _advance_once(row, now):
                break
        except _Overtaken:
            continue
    return Replacement.objects.get(pk=replacement.pk)


def advance_replacements(*, now: datetime | None = None) -> None:
    """Advance all that run: what beat calls."""
    for row in Replacement.objects.filter(state=ReplacementState.RUNNING):
        advance_replacement(replacement=row, now=now)


def cancel_replacement(*, replacement: Replacement, actor: str, reason: str) -> Replacement:
    """Stop. Before the spare took the place nothing has changed; afterwards the new member stays,
    and the old one stays released. Raises Conflict when it ended already."""
    with transaction.atomic():
        running = Replacement.objects.filter(pk=replacement.pk, state=ReplacementState.RUNNING)
        text = one_line(f"cancelled: {reason or 'no reason given'}", 300)
        if not running.update(
            state=ReplacementState.CANCELLED,
            ended_at=timezone.now(),
            waits_for=text,
            version=F("version") + 1,
        ):
            raise Conflict("this replacement ended already", kind="replacement_ended")
        row = Replacement.objects.select_related("leaving").get(pk=replacement.pk)
        _note(row, "replacement_cancelled", f"Replacement {text}", actor)
    return row


def choose_again(
    *,
    replacement: Replacement,
    actor: str,
    spare: Machine | None = None,
    now: datetime | None = None,
) -> Replacement:
    """Take another spare: the one chosen does not install. It is released and left alone.

    Raises Conflict when the replacement ended, the new member runs already, no other machine is
    free, or the quorum would be lost.
    """
    now = now or timezone.now()
    row = Replacement.objects.select_related("leaving", "joining").get(pk=replacement.pk)
    if row.state != ReplacementState.RUNNING:
        raise Conflict("this replacement ended already", kind="replacement_ended")
    with transaction.atomic():
        if row.step in _BEFORE_SWAP:
            is_given = spare is not None
            _move(row, now, ReplacementStep.CHECK, joining=spare, chosen_by_operator=is_given)
        else:
            _swap_again(row, spare, actor, now)
    return advance_replacement(replacement=row, now=now)


# --- steps -----------------------------------------------------------------------------------


def _advance_once(row: Replacement, now: datetime) -> bool:
    """One step; False when it waits. What it waits for is written when it changed."""
    try:
        with transaction.atomic():
            waits_for = _STEPS[ReplacementStep(row.step)](row, now)
    except EngineError as error:
        waits_for = error.value
    if not waits_for:
        return True
    if waits_for[:300] != row.waits_for:
        _write(row, waits_for=waits_for[:300])
    return False


def _check(row: Replacement, now: datetime) -> str:
    if row.leaving is None or membership_of(row.leaving) is None:
        return "the old member has no place any more: cancel this replacement"
    judgement = judge_replacement(read_members(row.cluster_id, now), row.leaving.pk, now)
    if judgement.obstacles:
        return judgement.obstacle
    _move(row, now, ReplacementStep.CHOOSE, joining=row.joining)
    return ""


def _choose(row: Replacement, now: datetime) -> str:
    if row.leaving is None:
        return "the old member was forgotten: cancel this replacement"
    plan = plan_swap(machine=row.leaving)
    spare = row.joining if row.is_joining_chosen_by_operator else None
    if spare is not None:
        _check_spare(plan, spare)
    elif not plan.spares:
        return plan.lack
    else:
        spare = Machine.objects.get(pk=plan.spares[0].machine_id)
    _move(row, now, ReplacementStep.ASSIGN, joining=spare)
    return ""


def _assign(row: Replacement, now: datetime) -> str:
    """The swap. The quorum is looked at once more, for time may have passed."""
    if row.leaving is None or row.joining is None:
        return "a machine was forgotten: cancel this replacement"
    judgement = judge_replacement(read_members(row.cluster_id, now), row.leaving.pk, now)
    if judgement.obstacles:
        return judgement.obstacle
    try:
        with transaction.atomic():
            _move(row, now, ReplacementStep.INSTALL, joining=row.joining)
            _hand_over(row.leaving, row.joining, row.reason, row.started_by)
    except Conflict:
        # The spare got a role or lost its address since it was chosen: choose again.
        if row.is_joining_chosen_by_operator:
            raise
        _move(row, now, ReplacementStep.CHOOSE, joining=None)
    else:
        message = f"Takes the place of {row.leaving_mac} in the control plane."
        record_event(kind="replacement", message=message, machine=row.joining)
    return ""


def _install(row: Replacement, now: datetime) -> str:
    if row.joining is None:
        return "the new member was forgotten: choose another spare"
    waits_for = why_not_installed(read_newcomer(row.joining, row.step_at))
    if not waits_for:
        _move(row, now, ReplacementStep.REPORT, joining=row.joining)
    return waits_for


def _report(row: Replacement, now: datetime) -> str:
    if row.joining is None:
        return "the new member was forgotten: choose another spare"
    waits_for = why_not_reporting(read_newcomer(row.joining, row.step_at), row.started_at)
    if not waits_for:
        _move(row, now, ReplacementStep.RETIRE, joining=row.joining)
    return waits_for


def _retire(row: Replacement, now: datetime) -> str:
    # An operator may have given it another role meanwhile: then it is left alone.
    if row.leaving is not None and not Assignment.objects.filter(machine=row.leaving).exists():
        retire_machine(machine=row.leaving, actor=row.started_by, reason=f"replaced: {row.reason}")
    _write(
        row,
        step=ReplacementStep.DONE,
        state=ReplacementState.COMPLETED,
        waits_for="",
        ended_at=now,
        step_at=now,
        score_after=_present_score(row),
    )
    _note(row, "replacement_completed", "Replacement completed.", row.started_by)
    return ""


_STEPS: dict[ReplacementStep, Callable[[Replacement, datetime], str]] = {
    ReplacementStep.CHECK: _check,
    ReplacementStep.CHOOSE: _choose,
    ReplacementStep.ASSIGN: _assign,
    ReplacementStep.INSTALL: _install,
    ReplacementStep.REPORT: _report,
    ReplacementStep.RETIRE: _retire,
}


# --- what steps share --------------------------------------------------------------------------


def _hand_over(leaving: Machine, joining: Machine, reason: str, actor: str) -> None:
    swap_member(leaving=leaving, joining=joining, actor=actor, reason=reason)
    if joining.installed_at is not None:
        # What it has on its disk is from a former life.
        text = f"it takes the place of {leaving.boot_mac}"
        request_reinstall(machine=joining, actor=actor, reason=text, is_forced=True)


def _swap_again(row: Replacement, spare: Machine | None, actor: str, now: datetime) -> None:
    if row.joining is None or membership_of(row.joining) is None:
        raise Conflict("the new member has no place any more: cancel this replacement")
    newcomer = read_newcomer(row.joining, row.step_at)
    if row.step != ReplacementStep.INSTALL or not why_not_installed(newcomer):
        raise Conflict("the new member is installed already", kind="replacement_runs")
    judgement = judge_replacement(read_members(row.cluster_id, now), row.joining.pk, now)
    if judgement.obstacles:
        raise Conflict(judgement.obstacle, kind="quorum")
    plan = plan_swap(machine=row.joining)
    if spare is not None:
        _check_spare(plan, spare)
    elif not plan.spares:
        raise Conflict(plan.lack, kind="no_spare")
    else:
        spare = Machine.objects.get(pk=plan.spares[0].machine_id)
    _move(row, now, ReplacementStep.INSTALL, joining=spare)
    _hand_over(row.joining, spare, "another spare was chosen", actor)


def _check_spare(plan: SwapPlan, spare: Machine) -> None:
    if spare.pk not in {choice.machine_id for choice in plan.spares}:
        raise Conflict(
            f"{spare} cannot take the place: it has a role, was released, lacks what the role "
            "asks for, or shares a failure domain that it must not",
            kind="no_spare",
        )


def _present_score(row: Replacement) -> int:
    rows = Assignment.objects.filter(cluster=row.cluster_id, profile=PROFILE_CONTROL_PLANE)
    ids = list(rows.values_list("machine_id", flat=True))
    places = locations_of(ids)
    return score_of(score_spread([places.get(pk, UNKNOWN) for pk in ids]), row.cluster.spread_level)


def _move(
    row: Replacement,
    now: datetime,
    step: ReplacementStep,
    *,
    joining: Machine | None,
    chosen_by_operator: bool | None = None,
) -> None:
    changes = {"step": step, "step_at": now, "joining": joining, "waits_for": ""}
    if chosen_by_operator is not None:
        changes["is_joining_chosen_by_operator"] = chosen_by_operator
    _write(row, **changes)


def _write(row: Replacement, **changes: object) -> None:
    """Compare-and-swap; whoever lost looks again."""
    same = Replacement.objects.filter(
        pk=row.pk, version=row.version, state=ReplacementState.RUNNING
    )
    if not same.update(version=F("version") + 1, **changes):
        raise _Overtaken


def _note(row: Replacement, kind: str, message: str, actor: str) -> None:
    record_event(kind=kind, message=message, machine=row.leaving, actor=actor)
