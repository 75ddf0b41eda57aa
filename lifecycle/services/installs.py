"""Install reports: what a machine says about its install, and whether that counts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from lifecycle.models import InstallAttempt, InstallOutcome, InstallReport
from lifecycle.services.removed import unknown_when_removed
from machines.models import Machine
from machines.services import mark_installed, record_event, transition_machine
from machines.states import State

EVENT_SPACING = timedelta(minutes=1)
"""Unconfirmed reports reach the timeline of a machine no faster than this."""


@dataclass(frozen=True, slots=True)
class _Sent:
    machine: Machine
    success: bool
    source: str | None
    now: datetime

    @property
    def outcome(self) -> InstallOutcome:
        return InstallOutcome.SUCCEEDED if self.success else InstallOutcome.FAILED


def report_install(
    *,
    machine: Machine,
    success: bool,
    attempt_id: uuid.UUID | None,
    source: str | None,
    now: datetime | None = None,
) -> bool:
    """Keep a machine's report on its install; returns whether it counts.

    It counts with the id of the machine's newest attempt, or from the source address that asked
    for the still open one. Then the attempt is ended and, on success, the machine is marked
    installed. A report that does not count is only written down.
    """
    sent = _Sent(machine, success, source, now or timezone.now())
    with unknown_when_removed(machine.pk), transaction.atomic():
        attempt = _attempt_behind(machine, attempt_id, source)
        if attempt:
            _count(attempt, sent)
        _write_down(attempt, sent)
    return attempt is not None


def _attempt_behind(
    machine: Machine, attempt_id: uuid.UUID | None, source: str | None
) -> InstallAttempt | None:
    newest = machine.install_attempts.order_by("-pk").first()
    if newest is None:
        return None
    is_same_source = source is not None and newest.source == source
    is_open = newest.outcome == InstallOutcome.OPEN
    if newest.attempt_id == attempt_id or (is_same_source and is_open):
        return newest
    return None


def _count(attempt: InstallAttempt, sent: _Sent) -> None:
    """End the attempt with the report's outcome; the same report sent again changes nothing."""
    is_news = InstallAttempt.objects.filter(~Q(outcome=sent.outcome), pk=attempt.pk)
    if not is_news.update(outcome=sent.outcome, ended_at=sent.now):
        return
    to = State.INSTALL_SUCCEEDED if sent.success else State.INSTALL_FAILED
    said = "its install report said " + ("success" if sent.success else "fail")
    if sent.success:
        _mark_installed(attempt, sent)
    if sent.machine.state != to:
        transition_machine(machine=sent.machine, to=to, reason=said)
    if not sent.success:
        record_event(kind="install_failed", level="warning", message=said, machine=sent.machine)


def _mark_installed(attempt: InstallAttempt, sent: _Sent) -> None:
    """On success; but a reinstall asked for after this install began stays asked for."""
    if not mark_installed(machine=sent.machine, at=sent.now, started_at=attempt.last_asked_at):
        record_event(
            kind="install_before_reinstall",
            message="It finished an install that began before the reinstall request, which stays.",
            machine=sent.machine,
        )


def _write_down(attempt: InstallAttempt | None, sent: _Sent) -> None:
    before = InstallReport.objects.filter(pk=sent.machine.pk).first()
    # A repetition without the grant says nothing against the confirmed report.
    is_repetition = before and before.is_confirmed and before.success == sent.success
    is_confirmed = attempt is not None or bool(is_repetition)
    row = InstallReport(
        machine=sent.machine,
        success=sent.success,
        is_confirmed=is_confirmed,
        attempt=attempt or (before.attempt if before and is_repetition else None),
        source=sent.source,
        created_at=sent.now,
        updated_at=sent.now,
    )
    InstallReport.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["machine"],
        update_fields=["success", "is_confirmed", "attempt", "source", "updated_at"],
    )
    is_recent = before and not before.is_confirmed and sent.now - before.updated_at < EVENT_SPACING
    if not is_confirmed and not is_recent:
        record_event(
            kind="install_unconfirmed",
            level="warning",
            message=f"an install report ({sent.outcome.value}) came from {sent.source} without "
            "the grant behind it; it does not count",
            machine=sent.machine,
        )
