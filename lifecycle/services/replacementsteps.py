"""The steps of a replacement: each looks at what is there, and moves the row or says why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.db.models import F

from enjoliver.common.errors import Conflict
from lifecycle.models import Replacement, ReplacementState, ReplacementStep
from lifecycle.replacing import judge_replacement, why_not_installed, why_not_reporting
from lifecycle.services.clocks import taking_slots
from lifecycle.services.members import membership_of, read_members, read_newcomer
from lifecycle.services.retiring import retire_machine
from machines.locations import locations_of
from machines.models import Machine
from machines.services import record_event, request_reinstall
from machines.topology import UNKNOWN
from scheduling.models import Assignment
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import SwapPlan, plan_swap, swap_member
from scheduling.spread import score_of, score_spread

NO_PLACE = "the new member has no place any more: cancel this replacement"


class Overtaken(Exception):
    """Somebody else advanced the replacement first."""


def _check(row: Replacement, now: datetime) -> str:
    if row.leaving is None or membership_of(row.leaving) is None:
        return "the old member has no place any more: cancel this replacement"
    judgement = judge_replacement(read_members(row.cluster_id, now), row.leaving.pk, now)
    if judgement.obstacles:
        return judgement.obstacle
    move(row, now, ReplacementStep.CHOOSE, joining=row.joining)
    return ""


def _choose(row: Replacement, now: datetime) -> str:
    if row.leaving is None:
        return "the old member was forgotten: cancel this replacement"
    plan = plan_swap(machine=row.leaving)
    spare = row.joining if row.is_joining_chosen_by_operator else None
    if spare is not None:
        check_spare(plan, spare)
    elif not plan.spares:
        return plan.lack
    else:
        spare = Machine.objects.get(pk=plan.spares[0].machine_id)
    move(row, now, ReplacementStep.ASSIGN, joining=spare)
    return ""


def _assign(row: Replacement, now: datetime) -> str:
    """The swap, in which no slot is taken: quorum and spare are looked at once more, for time may
    have passed."""
    if row.leaving is None:
        return "the old member was forgotten: cancel this replacement"
    if row.joining is None:
        move(row, now, ReplacementStep.CHOOSE, joining=None)
        return ""
    with taking_slots(row.cluster_id):
        judgement = judge_replacement(read_members(row.cluster_id, now), row.leaving.pk, now)
        if judgement.obstacles:
            # While it waits nobody else has to: the check says for what, and locks nothing.
            by_hand = row.joining if row.is_joining_chosen_by_operator else None
            move(row, now, ReplacementStep.CHECK, joining=by_hand)
        else:
            _swap(row, row.leaving, row.joining, now)
    return ""


def _swap(row: Replacement, leaving: Machine, joining: Machine, now: datetime) -> None:
    try:
        with transaction.atomic():
            check_spare(plan_swap(machine=leaving), joining)
            move(row, now, ReplacementStep.INSTALL, joining=joining)
            hand_over(leaving, joining, row.reason, row.started_by, now)
    except Conflict:
        # The spare got a role, lost its address or does not suit any more: choose again.
        if row.is_joining_chosen_by_operator:
            raise
        move(row, now, ReplacementStep.CHOOSE, joining=None)
    else:
        message = f"Takes the place of {row.leaving_mac} in the control plane."
        record_event(kind="replacement", message=message, machine=joining)


def _install(row: Replacement, now: datetime) -> str:
    if row.joining is None or membership_of(row.joining) is None:
        return NO_PLACE
    waits_for = why_not_installed(read_newcomer(row.joining, row.step_at))
    if not waits_for:
        move(row, now, ReplacementStep.REPORT, joining=row.joining)
    return waits_for


def _report(row: Replacement, now: datetime) -> str:
    if row.joining is None or membership_of(row.joining) is None:
        return NO_PLACE
    newcomer = read_newcomer(row.joining, row.step_at)
    # Installed while it had the place, or the step would be another one.
    installed_at = row.joining.installed_at or row.started_at
    waits_for = why_not_reporting(newcomer, installed_at, now)
    if not waits_for:
        move(row, now, ReplacementStep.RETIRE, joining=row.joining)
    return waits_for


def _retire(row: Replacement, now: datetime) -> str:
    # An operator may have given it another role meanwhile: then it is left alone.
    if row.leaving is not None and not Assignment.objects.filter(machine=row.leaving).exists():
        retire_machine(
            machine=row.leaving, actor=row.started_by, reason=f"replaced: {row.reason}", now=now
        )
    write(
        row,
        step=ReplacementStep.DONE,
        state=ReplacementState.COMPLETED,
        waits_for="",
        ended_at=now,
        step_at=now,
        score_after=_present_score(row),
    )
    note(row, "replacement_completed", "Replacement completed.", row.started_by)
    return ""


STEPS: dict[ReplacementStep, Callable[[Replacement, datetime], str]] = {
    ReplacementStep.CHECK: _check,
    ReplacementStep.CHOOSE: _choose,
    ReplacementStep.ASSIGN: _assign,
    ReplacementStep.INSTALL: _install,
    ReplacementStep.REPORT: _report,
    ReplacementStep.RETIRE: _retire,
}


# --- what steps share --------------------------------------------------------------------------


def hand_over(leaving: Machine, joining: Machine, reason: str, actor: str, now: datetime) -> None:
    swap_member(leaving=leaving, joining=joining, actor=actor, reason=reason)
    if joining.installed_at is not None:
        # What it has on its disk is from a former life.
        text = f"it takes the place of {leaving.boot_mac}"
        request_reinstall(machine=joining, actor=actor, reason=text, is_forced=True, now=now)


def swap_again(row: Replacement, spare: Machine | None, actor: str, now: datetime) -> None:
    if row.joining is None or membership_of(row.joining) is None:
        raise Conflict(NO_PLACE)
    newcomer = read_newcomer(row.joining, row.step_at)
    if row.step != ReplacementStep.INSTALL or not why_not_installed(newcomer):
        raise Conflict(
            "the new member is installed already: if it does not work, cancel this replacement and "
            "replace the new member",
            kind="replacement_runs",
        )
    judgement = judge_replacement(read_members(row.cluster_id, now), row.joining.pk, now)
    if judgement.obstacles:
        raise Conflict(judgement.obstacle, kind="quorum")
    plan = plan_swap(machine=row.joining)
    if spare is not None:
        check_spare(plan, spare)
    elif not plan.spares:
        raise Conflict(plan.lack, kind="no_spare")
    else:
        spare = Machine.objects.get(pk=plan.spares[0].machine_id)
    move(row, now, ReplacementStep.INSTALL, joining=spare)
    hand_over(row.joining, spare, "another spare was chosen", actor, now)
    # It may be in the middle of its install, and must not come up as the member that it is not.
    text = "another spare was chosen: it boots into discovery and waits there"
    request_reinstall(machine=row.joining, actor=actor, reason=text, is_forced=True, now=now)


def check_spare(plan: SwapPlan, spare: Machine) -> None:
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


def move(
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
    write(row, **changes)


def write(row: Replacement, **changes: object) -> None:
    """Compare-and-swap; whoever lost looks again."""
    same = Replacement.objects.filter(
        pk=row.pk, version=row.version, state=ReplacementState.RUNNING
    )
    if not same.update(version=F("version") + 1, **changes):
        raise Overtaken


def note(row: Replacement, kind: str, message: str, actor: str) -> None:
    record_event(kind=kind, message=message, machine=row.leaving, actor=actor)
