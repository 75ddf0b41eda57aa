"""Maintenance: somebody works on a machine, so nothing moves it and nothing cries about it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput
from enjoliver.common.passes import Pieces
from lifecycle.maintained import maintenance_machine_ids, maintenance_refusal
from lifecycle.models import Maintenance
from lifecycle.services.members import loss_of_quorum
from lifecycle.services.removed import unknown_when_removed
from machines.models import Machine
from machines.services import record_event
from machines.text import one_line

__all__ = [
    "end_expired_maintenance",
    "end_maintenance",
    "maintenance_machine_ids",
    "maintenance_refusal",
    "start_maintenance",
]


def start_maintenance(
    *,
    machine: Machine,
    actor: str,
    reason: str,
    until_at: datetime | None = None,
    is_forced: bool = False,
    now: datetime | None = None,
) -> Maintenance:
    """Say that somebody works on `machine`, for a reason and perhaps until a time.

    Said again, the new reason and time count. The machine's slots and roles stay as they are.
    Raises InvalidInput without a reason, or for a time that has passed, and Conflict when too few
    members of a control plane would be left, unless forced.
    """
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    if until_at is not None and until_at <= now:
        raise InvalidInput("this time has passed", fields={"until": "a time to come"})
    loss = "" if is_forced else loss_of_quorum(machine, now)
    if loss:
        raise Conflict(f"{loss}; it can be forced", kind="quorum")
    row = Maintenance(
        machine=machine,
        reason=one_line(reason, 200),
        started_at=now,
        started_by=one_line(actor, 150),
        until_at=until_at,
    )
    with unknown_when_removed(machine.pk), transaction.atomic():
        Maintenance.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["machine"],
            update_fields=["reason", "until_at"],
        )
        until = f" until {until_at:%Y-%m-%d %H:%M} UTC" if until_at else ""
        message = f"Maintenance{until}: {row.reason}"
        record_event(kind="maintenance_on", message=message, machine=machine, actor=actor)
        # Here, where nobody can end it yet.
        return Maintenance.objects.get(pk=machine.pk)


def end_maintenance(*, machine: Machine, actor: str) -> bool:
    """Say that the work is done; False when the machine was not in maintenance."""
    with transaction.atomic():
        deleted, _ = Maintenance.objects.filter(pk=machine.pk).delete()
        if deleted:
            message = "Maintenance ended."
            record_event(kind="maintenance_off", message=message, machine=machine, actor=actor)
    return bool(deleted)


def end_expired_maintenance(*, now: datetime | None = None) -> int:
    """Remove the rows whose time has come, with an event each; returns how many. One that fails
    stops no other, and is raised at the end."""
    now = now or timezone.now()
    due = Maintenance.objects.filter(until_at__lte=now).select_related("machine")
    pieces, ended = Pieces(), 0
    for row in due:
        with pieces.piece():
            ended += _expire(row, now)
    pieces.finish()
    return ended


def _expire(row: Maintenance, now: datetime) -> bool:
    with transaction.atomic():
        same = Maintenance.objects.filter(pk=row.pk, until_at__lte=now)
        deleted, _ = same.delete()
        if deleted:
            message = "Maintenance ended: its time was over."
            record_event(kind="maintenance_off", message=message, machine=row.machine)
    return bool(deleted)
