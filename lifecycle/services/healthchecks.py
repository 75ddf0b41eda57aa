"""Checking health gates: which are due, by which worker, and what became of it.

Several workers may do so at once: each gate is claimed for one check by compare-and-swap, and a
result is stored only by who claimed it. Checks run in threads, which never see the database.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from enjoliver.common.passes import Pieces
from lifecycle.health import Ask, Result, check_health
from lifecycle.models import HealthGate, HealthGateKind, HealthGateState
from lifecycle.rules.health import HEALTHY, UNHEALTHY, Health, after_result, is_due
from lifecycle.services.expectednodes import expected_nodes
from lifecycle.services.gates import health_of, last_done, watched_policies
from machines.services import record_event

MAX_THREADS = 16
_CLAIM_SPARE = timedelta(seconds=15)
"""On top of twice a check's time: after that the gate is free, whatever became of its worker."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check that was made: its result, and where the gate stands (None: it was changed, or
    checked by somebody else, meanwhile)."""

    gate: HealthGate
    result: Result
    health: Health | None


@dataclass(frozen=True, slots=True)
class _Claim:
    gate: HealthGate
    version: int
    before: Health


def check_due_gates(*, now: datetime | None = None) -> list[Checked]:
    """Check the gates that are due: those of policies with an active rollout, each at its interval
    and again when a machine of the policy was done. Nothing else is ever asked by itself."""
    moment = now or timezone.now()
    gates = _watched()
    done = last_done({gate.policy_id for gate in gates}) if gates else {}
    due = [
        gate
        for gate in gates
        if is_due(health_of(gate), gate.pace, moment, done.get(gate.policy_id))
    ]
    return _check(due, moment, is_forced=False)


def check_gates_now(gates: Collection[HealthGate], *, now: datetime | None = None) -> list[Checked]:
    """Check these gates whether they are due or not; the results count like any other."""
    return _check(gates, now or timezone.now(), is_forced=True)


def _watched() -> list[HealthGate]:
    gates = HealthGate.objects.filter(is_enabled=True, policy__in=watched_policies())
    return list(gates.select_related("policy", "result").order_by("pk"))


def _check(gates: Iterable[HealthGate], now: datetime, *, is_forced: bool) -> list[Checked]:
    """One that cannot be checked stops no other and has no new result; it is raised at the end."""
    pieces, asks = Pieces(), list[tuple[_Claim, Ask]]()
    for gate in gates:
        with pieces.piece():
            claim = _claim(gate, now, is_forced=is_forced)
            if claim:
                asks.append((claim, _ask(gate, now)))
    checked = []
    for claim, result, seconds in _run(asks):
        with pieces.piece():
            checked.append(Checked(claim.gate, result, _store(claim, result, now, seconds)))
    pieces.finish()
    return checked


def _claim(gate: HealthGate, now: datetime, *, is_forced: bool) -> _Claim | None:
    """The right to check the gate; None when another worker is at it, or the gate has gone."""
    try:
        row, _ = HealthGateState.objects.get_or_create(gate=gate)
    except IntegrityError:
        return None
    until = now + timedelta(seconds=2 * gate.timeout_seconds) + _CLAIM_SPARE
    # A claim that reaches further than one can was made before the clock stepped back.
    is_free = row.claimed_until is None or not now < row.claimed_until <= until
    if not is_free and not is_forced:
        return None
    mine = HealthGateState.objects.filter(pk=row.pk, version=row.version)
    if not mine.update(claimed_until=until, version=F("version") + 1):
        return None
    return _Claim(gate, row.version + 1, row.health)


def _ask(gate: HealthGate, now: datetime) -> Ask:
    is_about_nodes = gate.kind == HealthGateKind.KUBERNETES
    return Ask(
        policy=gate.policy.name,
        gate=gate.name,
        seconds=float(gate.timeout_seconds),
        files=settings.GATE_FILES,
        commands=Path(settings.GATE_COMMANDS) if settings.GATE_COMMANDS else None,
        nodes=expected_nodes(gate.policy_id, now) if is_about_nodes else (),
    )


def _run(asks: Sequence[tuple[_Claim, Ask]]) -> Iterator[tuple[_Claim, Result, float]]:
    """The results as they come, the quick ones first."""
    if not asks:
        return
    with ThreadPoolExecutor(min(MAX_THREADS, len(asks)), "health-gate") as pool:
        running = {pool.submit(_timed, claim.gate, ask): claim for claim, ask in asks}
        for finished in as_completed(running):
            yield running[finished], *finished.result()


def _timed(gate: HealthGate, ask: Ask) -> tuple[Result, float]:
    began = time.monotonic()
    result = check_health(gate.kind, gate.config, ask)
    return result, time.monotonic() - began


def _store(claim: _Claim, result: Result, now: datetime, seconds: float) -> Health | None:
    gate, before = claim.gate, claim.before
    after = after_result(
        before, gate.pace, is_good=result.is_good, message=result.message, checked_at=now
    )
    is_news = after.state != before.state and after.state in (HEALTHY, UNHEALTHY)
    changes = {"changed_at": now} if after.state != before.state else {}
    with transaction.atomic():
        mine = HealthGateState.objects.filter(pk=gate.pk, version=claim.version)
        if not mine.update(
            state=after.state,
            was_good=after.was_good,
            streak=after.streak,
            message=after.message,
            checked_at=now,
            took_milliseconds=round(seconds * 1000),
            claimed_until=None,
            version=F("version") + 1,
            **changes,
        ):
            return None
        if is_news:
            _record(gate, after)
    return after


def _record(gate: HealthGate, health: Health) -> None:
    record_event(
        kind="health_gate_changed",
        level="info" if health.state == HEALTHY else "warning",
        message=f"Health gate {gate} of policy {gate.policy} is {health.state}: {health.message}",
    )
