"""Guided replacement of a control-plane member, step by step.

Every step is done by whoever looks first (beat, a command, a request), by compare-and-swap on the
row: killed anywhere, the next look goes on. A step that cannot be done yet says what it waits for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from enjoliver.common.errors import Conflict, EngineError, InvalidInput
from enjoliver.common.passes import Pieces
from lifecycle.models import Replacement, ReplacementState, ReplacementStep
from lifecycle.replacing import Judgement, judge_replacement
from lifecycle.services.members import read_members
from lifecycle.services.replacementsteps import (
    STEPS,
    Overtaken,
    check_spare,
    move,
    note,
    swap_again,
    write,
)
from machines.models import Machine
from machines.services import record_event
from machines.text import one_line
from scheduling.models import Assignment
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import SwapPlan, plan_swap

_BEFORE_SWAP = (ReplacementStep.CHECK, ReplacementStep.CHOOSE, ReplacementStep.ASSIGN)
_MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class ReplacementPlan:
    """What would happen; shown before anything does."""

    swap: SwapPlan
    judgement: Judgement


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
        check_spare(plan.swap, spare)
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
        except Overtaken:
            continue
    return Replacement.objects.get(pk=replacement.pk)


def advance_replacements(*, now: datetime | None = None) -> None:
    """Advance all that run: what beat calls. One that fails stops no other, and is raised after."""
    pieces = Pieces()
    for row in Replacement.objects.filter(state=ReplacementState.RUNNING).order_by("pk"):
        with pieces.piece():
            advance_replacement(replacement=row, now=now)
    pieces.finish()


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
        note(row, "replacement_cancelled", f"Replacement {text}", actor)
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
    try:
        with transaction.atomic():
            if row.step in _BEFORE_SWAP:
                _choose_before_swap(row, spare, now)
            else:
                swap_again(row, spare, actor, now)
    except (Overtaken, Machine.DoesNotExist) as error:
        raise Conflict(
            "this replacement went on at the same moment: look at it, and choose again if need be",
            kind="changed_meanwhile",
        ) from error
    return advance_replacement(replacement=row, now=now)


def replacement_refusal(machine: Machine) -> str | None:
    """Why a member of the control plane gets no leave to change while another one is replaced, for
    `add_refusal`; None for others. The new member itself may bring itself up to date."""
    mine = Assignment.objects.filter(machine=machine, profile=PROFILE_CONTROL_PLANE)
    running = Replacement.objects.filter(
        cluster__in=mine.values("cluster"), state=ReplacementState.RUNNING
    )
    row = running.exclude(Q(joining=machine) | Q(leaving=machine)).first()
    if row is None:
        return None
    return f"{row.leaving_mac} is being replaced, and one member changes at a time"


def _choose_before_swap(row: Replacement, spare: Machine | None, now: datetime) -> None:
    if spare is not None and row.leaving is not None:
        check_spare(plan_swap(machine=row.leaving), spare)
    is_given = spare is not None
    move(row, now, ReplacementStep.CHECK, joining=spare, chosen_by_operator=is_given)


def _advance_once(row: Replacement, now: datetime) -> bool:
    """One step; False when it waits. What it waits for is written when it changed."""
    try:
        with transaction.atomic():
            waits_for = STEPS[ReplacementStep(row.step)](row, now)
    except EngineError as error:
        waits_for = error.value
    except Machine.DoesNotExist as error:  # forgotten between two reads
        raise Overtaken from error
    if not waits_for:
        return True
    if waits_for[:300] != row.waits_for:
        write(row, waits_for=waits_for[:300])
    return False
