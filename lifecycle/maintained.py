"""Who is in maintenance: read in one query, for whoever must leave such machines alone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from lifecycle.models import Maintenance
from machines.models import Machine

MANY = 5000
"""So many ids are not sent to the database: reading all rows is cheaper."""


def maintenance_machine_ids(
    machine_ids: Collection[int] | None = None, now: datetime | None = None
) -> set[int]:
    """Who of `machine_ids` (default: of all) is in maintenance at `now`; one query."""
    rows = present_maintenance(now or timezone.now()).order_by()
    if machine_ids is not None and len(machine_ids) <= MANY:
        rows = rows.filter(pk__in=machine_ids)
    found = set(rows.values_list("pk", flat=True))
    return found if machine_ids is None else found.intersection(machine_ids)


def maintenance_refusal(machine: Machine) -> str | None:
    """Why a machine in maintenance gets no leave to change, for `add_refusal`; None for others."""
    row = present_maintenance(timezone.now()).filter(pk=machine.pk).first()
    return f"in maintenance by {row.started_by}: {row.reason}" if row else None


def present_maintenance(now: datetime) -> QuerySet[Maintenance]:
    """Maintenance that is in force at `now`."""
    return Maintenance.objects.filter(Q(until_at=None) | Q(until_at__gt=now))


def is_muted(machine_id: int) -> bool:
    """Whether warnings about the machine are to be kept as plain events, for `add_mute`."""
    return bool(maintenance_machine_ids([machine_id]))


def maintenance_reasons() -> dict[int, str]:
    """Why machines in maintenance get no role now, for scheduling's `add_kept_back`."""
    rows = present_maintenance(timezone.now()).order_by()
    return {row.pk: f"in maintenance by {row.started_by}: {row.reason}" for row in rows}
