"""Slots of policies: taken only with leave, watched as leases, never freed by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from enjoliver.common.errors import Conflict
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import (
    LockGroup,
    MachineStrategy,
    Rollout,
    RolloutMachine,
    Slot,
)
from lifecycle.rules.phases import CHECKING, DRAINING, LOST, Holder, phase_of
from lifecycle.rules.states import ACTIVE_STATES, FAILED, OPEN, SKIPPED, UPDATING
from lifecycle.services.clocks import taking_slots
from lifecycle.services.leave import read_policy_leave
from lifecycle.services.membership import policy_of
from machines.models import Machine
from machines.services import record_event
from machines.states import State
from scheduling.models import Cluster


def take_policy_slot(
    *, group: LockGroup, identity: ClientIdentity, machine: Machine | None, now: datetime
) -> bool:
    """Take a slot of a policy's group; False when a race was lost and it must be tried again.

    Here a machine begins to be away, so its leave is asked again while no other slot of the
    cluster is taken and no rollout goes on. Raises Conflict: `not_now` with the reason, or
    `failed_lock_semaphore_full`.
    """
    policy = group.policy
    if policy is None:  # it went away since the group was read
        return False
    try:
        with taking_slots(policy.cluster_id):
            held = group.held.filter(holder=identity.id)
            if held.update(last_seen_at=now):
                return True
            strategy = _check_leave(group, machine, now)
            _check_room(group)
            assert machine is not None  # noqa: S101 - `_check_leave` saw to it
            _store(group, identity.id, machine, strategy, now)
    except IntegrityError:  # the machine was removed in between
        return False
    return True


def _check_leave(group: LockGroup, machine: Machine | None, now: datetime) -> str:
    """The machine's strategy; raises Conflict without leave to change now with this group."""
    if machine is None:
        raise _not_now(f"group {group.name} is for the machines of policy {group.policy}")
    policy = policy_of(machine)
    if policy is None or policy.pk != group.policy_id:
        raise _not_now(f"{machine} does not belong to policy {group.policy}")
    own = MachineStrategy.objects.filter(pk=machine.pk).first()
    leave = read_policy_leave(machine=machine, policy=policy, own=own, now=now)
    if leave.refusal:
        raise _not_now(leave.refusal)
    if leave.group != group.name:
        raise _not_now(f"its slot is one of group {leave.group}")
    return leave.strategy


def _not_now(reason: str) -> Conflict:
    return Conflict(reason, kind="not_now")


def _check_room(group: LockGroup) -> None:
    """The rule of `lifecycle.semaphore` for a new holder, counted: there may be hundreds."""
    slots = LockGroup.objects.values_list("slots", flat=True).get(pk=group.pk)
    if group.held.count() >= slots:
        raise full(group)


def full(group: LockGroup) -> Conflict:
    """The protocol's answer when all slots are held, naming the first holders."""
    held = [
        f"{slot.holder} since {slot.acquired_at:%Y-%m-%dT%H:%M:%SZ}"
        for slot in group.held.all()[:3]
    ]
    return Conflict(
        "semaphore currently full, all slots are locked already"
        + (f" (by {', '.join(held)})" if held else ""),
        kind="failed_lock_semaphore_full",
    )


def _store(group: LockGroup, holder: str, machine: Machine, strategy: str, now: datetime) -> None:
    assert group.policy is not None  # noqa: S101 - the caller saw to it
    deadline = now + timedelta(seconds=group.policy.return_seconds)
    Slot.objects.create(
        group=group,
        holder=holder,
        machine=machine,
        acquired_at=now,
        last_seen_at=now,
        phase=DRAINING,
        strategy=strategy,
        deadline_at=deadline,
    )
    places = _active_places(machine).filter(state__in=(OPEN, UPDATING))
    places.update(
        state=UPDATING, updating_at=now, returned_at=None, ready_at=None, deadline_at=deadline
    )
    record_event(
        kind="slot_taken",
        message=f"{holder} took a slot of the group {group.name}",
        machine=machine,
    )


def _active_places(machine: Machine) -> QuerySet[RolloutMachine]:
    return RolloutMachine.objects.filter(machine=machine, rollout__state__in=ACTIVE_STATES)


def note_return(slot: Slot, now: datetime) -> None:
    """Its holder gave the slot back: the machine's next report decides. In the caller's
    transaction."""
    if slot.machine is not None:
        _active_places(slot.machine).filter(state=UPDATING).update(returned_at=now)


def note_release(slot: Slot, actor: str, reason: str, now: datetime) -> None:
    """An operator released the slot: nobody waits for the machine any more. In the caller's
    transaction."""
    if slot.machine is not None:
        _active_places(slot.machine).filter(state__in=(UPDATING, FAILED)).update(
            state=SKIPPED,
            reason=f"its slot was released by {actor}: {reason}"[:500],
            finished_at=now,
            deadline_at=None,
        )


# --- watching ------------------------------------------------------------------------------------


def watch_leases(*, cluster: Cluster, now: datetime) -> list[Slot]:
    """Bring the phases of all held slots of the cluster's policies up to what can be seen; returns
    those whose holder is newly lost, each with an alert in the timeline.

    One query, and a write for each phase that changed.
    """
    lost = []
    for slot in _watched(cluster):
        phase = _phase(slot, now)
        heard_at = max(slot.last_seen_at, _heard_at(slot) or slot.last_seen_at)
        if phase == slot.phase and heard_at == slot.last_seen_at:
            continue
        if _mark(slot, phase, heard_at, now):
            lost.append(slot)
    return lost


def _watched(cluster: Cluster) -> list[Slot]:
    slots = Slot.objects.filter(
        group__policy__cluster=cluster, deadline_at__isnull=False, machine__isnull=False
    )
    return list(
        slots.select_related("group", "machine__ignition_report", "machine__desired").defer(
            "machine__facts"
        )
    )


def _heard_at(slot: Slot) -> datetime | None:
    report = getattr(slot.machine, "ignition_report", None)
    return report.reported_at if report else None


def _phase(slot: Slot, now: datetime) -> str:
    machine = slot.machine
    assert machine is not None  # noqa: S101 - `_watched` saw to it
    report = getattr(machine, "ignition_report", None)
    has_booted = machine.state == State.BOOTING and machine.state_at > slot.acquired_at
    holder = Holder(
        acquired_at=slot.acquired_at,
        reported_at=report.reported_at if report else None,
        is_up_to_date=bool(report and report.is_up_to_date),
        has_booted=has_booted,
        strategy=slot.strategy,
        deadline_at=slot.deadline_at,
    )
    phase = phase_of(holder, now)
    # A holder that was lost stays so while it is only seen: it gives its slot back, or is released.
    return LOST if slot.lost_at and phase != CHECKING else phase


def _mark(slot: Slot, phase: str, heard_at: datetime, now: datetime) -> bool:
    """Store a phase; True when the holder is lost from now on."""
    is_newly_lost = phase == LOST and slot.lost_at is None
    changes = {"phase": phase, "last_seen_at": heard_at}
    with transaction.atomic():
        same = Slot.objects.filter(pk=slot.pk, lost_at=slot.lost_at)
        if not same.update(**changes, **({"lost_at": now} if is_newly_lost else {})):
            return False
        if is_newly_lost:
            record_event(
                kind="slot_lost",
                level="error",
                message=f"{slot.holder} holds a slot of the group {slot.group.name} since "
                f"{slot.acquired_at:%Y-%m-%d %H:%M:%S} UTC and did not come back; it stays counted",
                machine=slot.machine,
            )
    return is_newly_lost


def mark_lost(machine_ids: list[int], now: datetime) -> None:
    """Slots of machines whose rollout found them too late; in the caller's transaction."""
    slots = Slot.objects.filter(machine_id__in=machine_ids, lost_at=None, deadline_at__isnull=False)
    for slot in slots.select_related("group", "machine"):
        _mark(slot, LOST, slot.last_seen_at, now)


def renew_leases(rollout: Rollout, machine_ids: list[int], now: datetime) -> None:
    """An operator lets a rollout go on: lost holders get as much time again."""
    if rollout.policy is None or not machine_ids:
        return
    deadline = now + timedelta(seconds=rollout.policy.return_seconds)
    Slot.objects.filter(machine_id__in=machine_ids, deadline_at__isnull=False).update(
        deadline_at=deadline, lost_at=None, phase=DRAINING
    )
