"""Asking at the install gate: a fair queue before a few places."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome, InstallWaiter
from lifecycle.queueing import SCOPES, GateLimits, Keys, retry_after_seconds
from lifecycle.services.gate import gate_limits, look_at_gate
from lifecycle.services.removed import unknown_when_removed
from lifecycle.services.standing import (
    Holder,
    Standing,
    find_standing,
    keys_of,
    read_holders,
)
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
    """The machine waits at `place` of the queue (1 is next). `locked_by`: a holder's raw query.

    `queue` names the rack or asset server whose limit is reached; "" for the site's.
    """

    locked_by: str
    place: int
    retry_after_seconds: int
    queue: str = ""


def denied(standing: Standing, limits: GateLimits) -> Denied:
    """The answer to a machine that stands so."""
    wait = retry_after_seconds(place=standing.place, patience=limits.patience)
    return Denied(standing.locked_by, standing.place, wait, standing.queue)


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

    A holder that asks again is granted again: the same attempt, its deadline pushed. A free place
    at its site, in its rack and at its asset server is kept for the first in the queue who could
    use it.
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
    holders = read_holders(gate)
    mine = next((held for held in holders if held.machine_id == ask.machine.pk), None)
    if mine:
        return _grant_again(mine, ask)
    waiter_id, keys = _keep_place(gate, ask)
    standing = find_standing(
        gate=gate,
        keys=keys,
        waiter_id=waiter_id,
        holders=holders,
        settings=ask.limits,
        now=ask.now,
    )
    return denied(standing, ask.limits) if standing.door else _grant(gate, ask, keys)


def _grant(gate: InstallGate, ask: _Ask, keys: Keys) -> Granted | None:
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
                **keys._asdict(),
            )
            InstallWaiter.objects.filter(machine=ask.machine).delete()
    except IntegrityError:  # the same machine asked twice at once, and the other one was first
        return None
    return granted


def _grant_again(held: Holder, ask: _Ask) -> Granted | None:
    deadline = ask.now + ask.limits.deadline
    still_open = InstallAttempt.objects.filter(pk=held.attempt_pk, outcome=InstallOutcome.OPEN)
    mine = still_open.first()
    if mine is None or not still_open.update(
        last_asked_at=ask.now, deadline_at=deadline, source=ask.source
    ):
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


def _keep_place(gate: InstallGate, ask: _Ask) -> tuple[int, Keys]:
    """Say that the machine still waits; it goes to the end if it is new or had dropped out.

    Its place in the queue, and where its install would load the network.
    """
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
            **keys_of(ask.machine)._asdict(),
        )
        InstallWaiter.objects.bulk_create([waiter], ignore_conflicts=True)
    # No row: a twin of this request was granted just now, and the compare-and-swap will tell.
    found = mine.values_list("pk", *SCOPES).first()
    return (found[0], Keys(*found[1:])) if found else (0, keys_of(ask.machine))


def _show_state(machine: Machine, answer: Granted | Denied) -> None:
    is_granted = isinstance(answer, Granted)
    to = State.INSTALL_GRANTED if is_granted else State.INSTALL_DENIED
    if machine.state != to:
        reason = "got a place at the install gate" if is_granted else "waits at the install gate"
        transition_machine(machine=machine, to=to, reason=reason)
