"""Keeping the install gate: what time counts, ending silent installs, an operator's release."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome
from lifecycle.queueing import Correction, GateLimits, correct_time, judge_gap
from machines.services import record_event

DEFAULT_SITE = "default"


def gate_limits() -> GateLimits:
    """The gate's settings."""
    return GateLimits(
        concurrency=settings.INSTALL_CONCURRENCY,
        deadline=timedelta(seconds=settings.INSTALL_DEADLINE_SECONDS),
        patience=timedelta(seconds=settings.INSTALL_QUEUE_SECONDS),
    )


def find_gate() -> InstallGate:
    """The gate of the one site there is for now; made again if somebody removed it."""
    gate = InstallGate.objects.filter(site=DEFAULT_SITE).first()
    return gate or InstallGate.objects.get_or_create(site=DEFAULT_SITE)[0]


def look_at_gate(*, now: datetime, limits: GateLimits) -> InstallGate:
    """The gate as it stands now: stored times corrected, silent holders ended.

    The caller's compare-and-swap is against the `version` returned here, so it must read who
    holds a place after this call.
    """
    gate = find_gate()
    _correct_times(gate, now, limits)
    for attempt in gate.attempts.filter(outcome=InstallOutcome.OPEN, deadline_at__lte=now):
        _end_stalled(attempt, now)
    return gate


def _correct_times(gate: InstallGate, now: datetime, limits: GateLimits) -> None:
    correction = judge_gap(gate.checked_at, now)
    if correction is None:
        return
    with transaction.atomic():
        seen = InstallGate.objects.filter(pk=gate.pk, checked_at=gate.checked_at)
        if seen.update(checked_at=now) and (correction.shift or correction.clamp):
            _correct_deadlines(gate, correction, now, limits)
            _correct_signs_of_life(gate, correction, now)


def _correct_deadlines(
    gate: InstallGate, correction: Correction, now: datetime, limits: GateLimits
) -> None:
    for attempt in gate.attempts.filter(outcome=InstallOutcome.OPEN):
        deadline = correct_time(attempt.deadline_at, correction, now=now, longest=limits.deadline)
        gate.attempts.filter(pk=attempt.pk).update(deadline_at=deadline)


def _correct_signs_of_life(gate: InstallGate, correction: Correction, now: datetime) -> None:
    """Of the waiters: in two statements, for the queue may be as long as the fleet."""
    if correction.shift:
        gate.waiters.update(last_asked_at=F("last_asked_at") + correction.shift)
    gate.waiters.filter(last_asked_at__gt=now).update(last_asked_at=now)


def _end_stalled(attempt: InstallAttempt, now: datetime) -> None:
    unchanged = InstallAttempt.objects.filter(
        pk=attempt.pk, outcome=InstallOutcome.OPEN, deadline_at=attempt.deadline_at
    )
    with transaction.atomic():
        if unchanged.update(outcome=InstallOutcome.STALLED, ended_at=now):
            record_event(
                kind="install_stalled",
                level="warning",
                message="silent since it got its place at the install gate or asked again, at "
                f"{attempt.heard_at:%Y-%m-%d %H:%M:%S} UTC; its place is given on",
                machine=attempt.machine,
            )


def end_stalled_installs(*, now: datetime | None = None) -> None:
    """Give on the places of silent holders, and forget waiters that dropped out."""
    now, limits = now or timezone.now(), gate_limits()
    gate = look_at_gate(now=now, limits=limits)
    gate.waiters.filter(last_asked_at__lt=now - limits.patience).delete()


def release_install(*, attempt: InstallAttempt, actor: str, reason: str) -> None:
    """Give on the place of a machine that will not report any more.

    Raises InvalidInput without a reason and Conflict when the attempt ended already.
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    still_open = InstallAttempt.objects.filter(pk=attempt.pk, outcome=InstallOutcome.OPEN)
    with transaction.atomic():
        if not still_open.update(outcome=InstallOutcome.RELEASED, ended_at=timezone.now()):
            raise Conflict("this install ended already")
        record_event(
            kind="install_released",
            level="warning",
            message=f"its place at the install gate was given on: {reason.strip()}"[:500],
            machine=attempt.machine,
            actor=actor,
        )


def prune_attempts(*, before: datetime) -> int:
    """Forget attempts that ended before `before`; returns how many."""
    return InstallAttempt.objects.filter(ended_at__lt=before).delete()[0]
