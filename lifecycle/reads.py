"""Counts for metrics and the console: a constant number of cheap queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils import timezone

from lifecycle.models import (
    IgnitionReport,
    InstallAttempt,
    InstallOutcome,
    InstallWaiter,
    LockGroup,
    Slot,
)
from machines.models import Machine


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """Of config reports. `silent`: installed machines without a report for a while."""

    up_to_date: int
    outdated: int
    silent: int
    oldest_report_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Of slots and installs."""

    slots: int
    slots_held: int
    oldest_slot_at: datetime | None
    installs_open: int
    installs_queued: int


def count_reports(*, silent_after: timedelta, now: datetime | None = None) -> ReportCounts:
    """Verdicts on the newest reports; silent: no report in `silent_after`, though
    installed and not in maintenance."""
    heard_since = (now or timezone.now()) - silent_after
    reports = IgnitionReport.objects.aggregate(
        up_to_date=Count("pk", filter=Q(is_up_to_date=True)),
        outdated=Count("pk", filter=Q(is_up_to_date=False)),
        oldest=Min("reported_at"),
    )
    installed = Machine.objects.filter(installed_at__lt=heard_since, maintenance=None)
    heard = Q(ignition_report__reported_at__gte=heard_since)
    return ReportCounts(
        up_to_date=reports["up_to_date"],
        outdated=reports["outdated"],
        silent=installed.exclude(heard).count(),
        oldest_report_at=reports["oldest"],
    )


def count_changes() -> ChangeCounts:
    """Slots and their holders, installs under way and waiting."""
    held = Slot.objects.aggregate(number=Count("pk"), oldest=Min("acquired_at"))
    return ChangeCounts(
        slots=LockGroup.objects.aggregate(total=Sum("slots"))["total"] or 0,
        slots_held=held["number"],
        oldest_slot_at=held["oldest"],
        installs_open=InstallAttempt.objects.filter(outcome=InstallOutcome.OPEN).count(),
        installs_queued=InstallWaiter.objects.count(),
    )


def unruled_reports() -> QuerySet[IgnitionReport]:
    """Of outdated machines that nothing lets change: no policy selects them, and no operator gave
    them a strategy or took it away."""
    return IgnitionReport.objects.filter(
        is_up_to_date=False, machine__policy_member=None, machine__strategy=None
    )
