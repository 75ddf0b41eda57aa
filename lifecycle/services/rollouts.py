"""What operators say about rollouts: start, pause, go on, leave out, give up, go back."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput, NotFound
from lifecycle.models import RollingPolicy, Rollout, RolloutMachine, Slot
from lifecycle.rules.states import (
    ABORTED,
    ACTIVE_STATES,
    FAILED,
    OPEN,
    PAUSED,
    READY,
    RUNNING,
    SKIPPED,
    UPDATING,
    WAITING,
)
from lifecycle.services.clocks import taking_slots
from lifecycle.services.leases import renew_leases
from lifecycle.services.making import BATCH, make_rollout, members_behind, read_behind
from lifecycle.services.moves import active_rollout, leave_out, move_rollout, send_back
from machines.models import Machine
from machines.services import record_event
from matchbox_sync.models import Revision
from matchbox_sync.services import previous_content, roll_back


def start_rollout(*, policy: RollingPolicy, actor: str, now: datetime | None = None) -> Rollout:
    """Start the policy's rollout that is ready, or make one over every machine that is behind, also
    those that an earlier one left out or gave up.

    Raises Conflict while another one is active, or when no machine is behind.
    """
    now = now or timezone.now()
    active = active_rollout(policy)
    if active:
        if active.state != READY:
            raise Conflict(f"{active} is {active.state} already", kind="active_rollout")
        return move_rollout(active, (READY,), RUNNING, actor, "", now, started_at=now)
    newest = (
        Revision.objects.filter(cluster=policy.cluster, completed_at__isnull=False)
        .order_by("-number")
        .first()
    )
    rows = members_behind().filter(policy=policy)
    behind = [one for one in read_behind(rows) if not one.is_free]
    if newest is None or not behind:
        raise Conflict(f"no machine of policy {policy} is behind", kind="nothing_to_do")
    made = make_rollout(policy, newest, behind, actor, now, starts=True)
    if made is None:
        raise Conflict(f"another rollout of policy {policy} was made at this moment")
    return made


def pause_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Rollout:
    """Stop at once: no machine that has not taken its slot may begin. Raises InvalidInput without a
    reason, Conflict unless it is running."""
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    text = f"by {actor}: {reason.strip()}"
    return move_rollout(rollout, (RUNNING,), PAUSED, actor, text, now)


def resume_rollout(*, rollout: Rollout, actor: str, now: datetime | None = None) -> Rollout:
    """Let a paused rollout go on; machines that failed get another try, and as much time again.

    A rollout that is ready begins; one that waits for a confirmation of its next stage has it.
    Raises Conflict when there is nothing to resume.
    """
    now = now or timezone.now()
    rollout.refresh_from_db()
    if rollout.state == READY:
        return move_rollout(rollout, (READY,), RUNNING, actor, "", now, started_at=now)
    if rollout.state == RUNNING:
        return confirm_stage(rollout=rollout, actor=actor, now=now)
    with taking_slots(rollout.cluster_id):
        moved = move_rollout(
            rollout, (PAUSED,), RUNNING, actor, "", now, details="", gates_failing_since=None
        )
        _retry_failed(moved, now)
    return moved


def _retry_failed(rollout: Rollout, now: datetime) -> None:
    failed = rollout.machines.filter(state=FAILED)
    ids = list(failed.values_list("machine_id", flat=True))
    holders = set(Slot.objects.filter(machine_id__in=ids).values_list("machine_id", flat=True))
    renew_leases(rollout, sorted(holders), now)  # slots are locked before places
    blank = {"reason": "", "returned_at": None, "ready_at": None, "finished_at": None}
    failed.filter(machine_id__in=holders).update(state=UPDATING, updating_at=now, **blank)
    failed.exclude(machine_id__in=holders).update(
        state=OPEN, opened_at=now, updating_at=None, deadline_at=None, **blank
    )


def confirm_stage(*, rollout: Rollout, actor: str, now: datetime | None = None) -> Rollout:
    """Let the next stage begin that asks for it. Raises Conflict when none does."""
    now = now or timezone.now()
    following = rollout.stage + 1
    asks = following < len(rollout.stages) and rollout.stages[following]["needs_confirmation"]
    if not asks or rollout.confirmed_stage >= following:
        raise Conflict(f"{rollout} waits for no confirmation", kind="nothing_to_do")
    moved = move_rollout(rollout, (RUNNING,), RUNNING, actor, "", now, confirmed_stage=following)
    record_event(
        kind="rollout_confirmed",
        message=f"Stage {following + 1} of {rollout} may begin",
        actor=actor,
    )
    return moved


def skip_machine(
    *,
    rollout: Rollout,
    machine: Machine,
    actor: str,
    reason: str,
    now: datetime | None = None,
) -> RolloutMachine:
    """Leave a machine out. If it has not begun, its desired config goes back to what it was.

    Raises InvalidInput without a reason, NotFound when it has no place, Conflict when it is done.
    """
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    with taking_slots(rollout.cluster_id):
        place = rollout.machines.filter(machine=machine).first()
        if place is None:
            raise NotFound(f"{machine} has no place in {rollout}")
        active = Rollout.objects.filter(pk=rollout.pk, state__in=ACTIVE_STATES)
        is_left = place.state in (WAITING, OPEN, UPDATING, FAILED)
        if not is_left or not active.update(version=F("version") + 1):
            raise Conflict(f"{machine} is {place.state} in {rollout}")
        text = f"left out by {actor}: {reason.strip()}"[:500]
        changes = {"state": SKIPPED, "reason": text, "finished_at": now, "deadline_at": None}
        rollout.machines.filter(pk=place.pk).update(**changes)
        if place.state != WAITING:
            send_back(rollout, [place], actor)
        record_event(kind="rollout_skipped", message=f"{rollout}: {text}", machine=machine)
    for name, value in changes.items():
        setattr(place, name, value)
    return place


def abort_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Rollout:
    """Give a rollout up: machines that have not begun keep what they have, those that are at it
    finish. Raises InvalidInput without a reason, Conflict when it has ended."""
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    with taking_slots(rollout.cluster_id):
        text = f"by {actor}: {reason.strip()}"
        moved = move_rollout(rollout, ACTIVE_STATES, ABORTED, actor, text, now, ended_at=now)
        leave_out(moved, "the rollout was aborted", actor, now)
    return moved


def roll_back_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Revision:
    """Make the content that the rollout came from the newest revision again; it goes through the
    machines under the same policies. Gives an active rollout up first.

    Raises InvalidInput without a reason, Conflict when there is nothing to go back to.
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    earlier = Revision.objects.filter(
        cluster=rollout.cluster, number=rollout.from_number
    ).first() or (previous_content(rollout.revision) if rollout.revision else None)
    if earlier is None or earlier.number >= rollout.revision_number:
        raise Conflict(f"{rollout} has nothing to go back to", kind="nothing_to_do")
    made = roll_back(cluster=rollout.cluster, revision=earlier, actor=actor, reason=reason)
    if Rollout.objects.filter(pk=rollout.pk, state__in=ACTIVE_STATES).exists():
        text = f"rolled back: {reason}"
        abort_rollout(rollout=rollout, actor=actor, reason=text, now=now)
    return made


def prune_rollouts(*, before: datetime) -> int:
    """Forget rollouts that ended before `before`; returns how many."""
    ended = Rollout.objects.filter(ended_at__lt=before)
    ids = list(ended.values_list("pk", flat=True)[:BATCH])
    Rollout.objects.filter(pk__in=ids).delete()
    return len(ids)
