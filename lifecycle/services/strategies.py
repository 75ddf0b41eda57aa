"""What operators allow one machine to do when it is outdated, and whether it may do it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from lifecycle.models import MachineStrategy, StrategyName
from lifecycle.services.removed import unknown_when_removed
from machines.models import Machine
from machines.services import record_event

Refusal = Callable[[Machine], str | None]
_refusals: list[Refusal] = []


@dataclass(frozen=True, slots=True)
class Leave:
    """A machine's leave to apply its config: `strategy` while granted, else the `refusal`."""

    strategy: str | None
    refusal: str = ""


def add_refusal(refusal: Refusal) -> None:
    """Let a policy say "not now": `refusal(machine)` returns the reason, or None for no objection.

    It is asked at each strategy request of a machine whose strategy is enabled, so it should
    cost a look-up at most. Adding one twice is adding it once.
    """
    if refusal not in _refusals:
        _refusals.append(refusal)


def remove_refusal(refusal: Refusal) -> None:
    """Take a policy out again."""
    _refusals.remove(refusal)


def read_leave(*, machine: Machine) -> Leave | None:
    """What `machine` may do now; None when no operator ever set a strategy for it."""
    row = MachineStrategy.objects.filter(pk=machine.pk).first()
    if row is None:
        return None
    if not row.is_enabled:
        return Leave(None, "the strategy of this machine is disabled")
    reasons = (refusal(machine) for refusal in _refusals)
    refused = next((reason for reason in reasons if reason), None)
    return Leave(None, refused) if refused else Leave(row.strategy)


def set_strategy(
    *, machine: Machine, strategy: StrategyName, actor: str, is_enabled: bool = True
) -> MachineStrategy:
    """Allow `machine` to apply its config by `strategy` (not enabled: only keep the name)."""
    return _write(machine, actor, is_enabled=is_enabled, strategy=strategy)


def disable_strategy(*, machine: Machine, actor: str) -> MachineStrategy:
    """Take the leave away. The strategy's name is kept for the next time; safe to repeat."""
    return _write(machine, actor, is_enabled=False)


def _write(machine: Machine, actor: str, **wanted: Any) -> MachineStrategy:
    before = MachineStrategy.objects.filter(pk=machine.pk).first()
    now = timezone.now()
    changes = {**wanted, "set_by": actor, "updated_at": now if before else None}
    with unknown_when_removed(machine.pk), transaction.atomic():
        MachineStrategy.objects.bulk_create(
            [MachineStrategy(machine=machine, created_at=now, **changes)],
            update_conflicts=True,
            unique_fields=["machine"],
            update_fields=list(changes),
        )
        after = MachineStrategy.objects.get(pk=machine.pk)
        if before is None or str(before) != str(after):
            record_event(
                kind="strategy", message=f"Strategy: {after}.", machine=machine, actor=actor
            )
    return after
