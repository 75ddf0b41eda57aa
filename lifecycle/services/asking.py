"""Asking at the install gate: a fair queue before a few places."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome, InstallWaiter
from lifecycle.queueing import COUNTED_PLACES, GateLimits, may_enter, retry_after_seconds
from lifecycle.services.gate import gate_limits, look_at_gate
from lifecycle.services.removed import unknown_when_removed
from machines.models import Machine
from machines.services import record_event, transition_machine
from machines.states import State

_SPARE_TRIES = 10


@dataclass(frozen=True, slots=True)
class Granted:
    """The machine may install now; `attempt_id` goes with its report."""

    attempt_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Denied:
    """The machine waits at `place` of the queue (1 is next). `locked_by`: a holder's raw query."""

    locked_by: str
    place: int
    retry_after_seconds: int


@dataclass(frozen=True, slots=True)
class _Ask:
    machine: Machine
    raw_query: str
    source: str | None
    now: datetime
    limits: GateLimits


def ask_to_install(
    *, machine: Machine, raw_query: str, source: str | None, now: datetime | None = None
) -> Granted | Denied:
    """Grant `machine` a place at the gate, or keep its place in the queue.

    A holder that asks again is granted again: the same attempt, its deadline pushed. Among the
    machines that wait, the first in the queue that asks gets a free place.
    """
    ask = _Ask(machine, raw_query, source, now or timezone.now(), gate_limits())
    with unknown_when_removed(machine.pk):
        answer = _ask(ask)
        _show_state(machine, answer)
    return answer


def _ask(ask: _Ask) -> Granted | Denied:
    # Each lost compare-and-swap means that somebody else got a place: few can be lost.
    for _ in range(ask.limits.concurrency + _SPARE_TRIES):
        answer = _try(ask)
        if answer:
            return answer
    return Denied(locked_by="others that ask right now", place=1, retry_after_seconds=1)


def _try(ask: _Ask) -> Granted | Denied | None:
    """One try; None when it lost a race and must be made again."""
    gate = look_at_gate(now=ask.now, limits=ask.limits)
    holders = list(gate.attempts.filter(outcome=InstallOutcome.OPEN).order_by("pk"))
    mine = next((held for held in holders if held.machine_id == ask.machine.pk), None)
    if mine:
        return _grant_again(mine, ask)
    waiter_id = _keep_place(gate, ask)
    live = gate.waiters.filter(last_asked_at__gte=ask.now - ask.limits.patience).order_by("pk")
    live = live.exclude(machine_id__in=[held.machine_id for held in holders])
    ahead = live.filter(pk__lt=waiter_id)[:COUNTED_PLACES].count()
    if may_enter(ahead=ahead, holders=len(holders), concurrency=ask.limits.concurrency):
        return _grant(gate, ask)
    wait = retry_after_seconds(place=ahead + 1, patience=ask.limits.patience)
    first = holders[0] if holders else live.first()
    return Denied(name_of_holder(first, ask.limits), place=ahead + 1, retry_after_seconds=wait)


def _grant(gate: InstallGate, ask: _Ask) -> Granted | None:
    granted = Granted(uuid.uuid4())
    try:
        with transaction.atomic():
            seen = InstallGate.objects.filter(pk=gate.pk, version=gate.version)
            if not seen.update(version=F("version") + 1):
                return None
            InstallAttempt.objects.create(
                machine=ask.machine,
                gate=gate,
                attempt_id=granted.attempt_id,
                source=ask.source,
                raw_query=ask.raw_query,
                granted_at=ask.now,
                last_asked_at=ask.now,
                deadline_at=ask.now + ask.limits.deadline,
            )
            InstallWaiter.objects.filter(machine=ask.machine).delete()
    except IntegrityError:  # the same machine asked twice at once, and the other one was first
        return None
    return granted


def _grant_again(mine: InstallAttempt, ask: _Ask) -> Granted | None:
    deadline = ask.now + ask.limits.deadline
    still_open = InstallAttempt.objects.filter(pk=mine.pk, outcome=InstallOutcome.OPEN)
    if not still_open.update(last_asked_at=ask.now, deadline_at=deadline, source=ask.source):
        return None
    # A twin of the request that was granted may have queued just after it.
    InstallWaiter.objects.filter(machine=ask.machine).delete()
    if mine.source != ask.source:
        record_event(
            kind="install_source_changed",
            level="warning",
            message=f"asked for its install grant from {ask.source}, before from {mine.source}",
            machine=ask.machine,
        )
    return Granted(mine.attempt_id)


def _keep_place(gate: InstallGate, ask: _Ask) -> int:
    """Say that the machine still waits; it goes to the end if it is new or had dropped out."""
    mine = InstallWaiter.objects.filter(machine=ask.machine)
    alive_since = ask.now - ask.limits.patience
    if not mine.filter(last_asked_at__gte=alive_since).update(last_asked_at=ask.now):
        mine.filter(last_asked_at__lt=alive_since).delete()
        waiter = InstallWaiter(
            machine=ask.machine,
            gate=gate,
            raw_query=ask.raw_query,
            first_asked_at=ask.now,
            last_asked_at=ask.now,
        )
        InstallWaiter.objects.bulk_create([waiter], ignore_conflicts=True)
    # No row: a twin of this request was granted just now, and the compare-and-swap will tell.
    return mine.values_list("pk", flat=True).first() or 0


def name_of_holder(first: InstallAttempt | InstallWaiter | None, limits: GateLimits) -> str:
    """Who is in the way: `first` (a holder, else the head of the queue), or the setting."""
    if first is None or limits.concurrency < 1:
        return f"ENJOLIVER_INSTALL_CONCURRENCY={limits.concurrency}"
    return first.raw_query


def _show_state(machine: Machine, answer: Granted | Denied) -> None:
    is_granted = isinstance(answer, Granted)
    to = State.INSTALL_GRANTED if is_granted else State.INSTALL_DENIED
    if machine.state != to:
        reason = "got a place at the install gate" if is_granted else "waits at the install gate"
        transition_machine(machine=machine, to=to, reason=reason)
