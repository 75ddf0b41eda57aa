"""Holding the install gate: saying "still at it" in the middle of an install, and just looking."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.utils import timezone

from enjoliver.common.errors import Conflict
from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome, InstallWaiter
from lifecycle.queueing import SCOPES, Keys, retry_after_seconds
from lifecycle.services.asking import Denied, Granted, denied
from lifecycle.services.gate import DEFAULT_SITE, gate_limits, look_at_gate
from lifecycle.services.standing import find_standing, keys_of, read_holders
from machines.models import Machine


def renew_grant(*, machine: Machine, attempt_id: uuid.UUID, now: datetime | None = None) -> Granted:
    """Push the deadline of a machine that is in the middle of the install `attempt_id`.

    It begins no install: `last_asked_at`, by which a reinstall request made in between is judged,
    stays. Raises Conflict when this grant is not open any more; then nothing is changed.
    """
    now, limits = now or timezone.now(), gate_limits()
    look_at_gate(now=now, limits=limits)
    mine = InstallAttempt.objects.filter(
        machine=machine, attempt_id=attempt_id, outcome=InstallOutcome.OPEN
    )
    if not mine.update(renewed_at=now, deadline_at=now + limits.deadline):
        raise Conflict(
            "this grant ended: it was reported, given on, or silent past its deadline",
            kind="grant_ended",
        )
    return Granted(attempt_id)


def read_standing(*, machine: Machine, now: datetime | None = None) -> Granted | Denied:
    """How a machine stands at the gate, without asking for it: nothing is written.

    Denied with the place that it has in the queue, or would get at its end. A free place is not
    promised to somebody who only looks.
    """
    now, limits = now or timezone.now(), gate_limits()
    is_open = {"outcome": InstallOutcome.OPEN, "deadline_at__gt": now}
    mine = InstallAttempt.objects.filter(machine=machine, **is_open).first()
    if mine:
        return Granted(mine.attempt_id)
    gate = InstallGate.objects.filter(site=DEFAULT_SITE).first()
    if gate is None:
        return Denied("nobody", 1, retry_after_seconds(place=1, patience=limits.patience))
    live = InstallWaiter.objects.filter(gate=gate, last_asked_at__gte=now - limits.patience)
    own = live.filter(machine=machine).values_list("pk", *SCOPES).first()
    standing = find_standing(
        gate=gate,
        keys=Keys(*own[1:]) if own else keys_of(machine),
        waiter_id=own[0] if own else None,
        holders=read_holders(gate, now),
        settings=limits,
        now=now,
    )
    return denied(standing, limits)
