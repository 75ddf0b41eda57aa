"""What operators allow one machine to do when it is outdated, and whether it may do it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from lifecycle.models import MachineStrategy, RollingPolicy, StrategyName
from lifecycle.rules.selector import choose_policy
from lifecycle.services.freezes import freeze_reason
from lifecycle.services.leave import read_policy_leave
from lifecycle.services.membership import enabled_policies, placed_machines
from lifecycle.services.removed import unknown_when_removed
from machines.models import Machine
from machines.services import record_event

DEFAULT_GROUP = "default"
Refusal = Callable[[Machine], str | None]
_refusals: list[Refusal] = []


@dataclass(frozen=True, slots=True)
class Leave:
    """A machine's leave to apply its config: `strategy` while granted, else the `refusal`.

    `group` is the FleetLock group that the machine takes its slot in.
    """

    strategy: str | None
    refusal: str = ""
    group: str = DEFAULT_GROUP


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


def read_leave(*, machine: Machine, now: datetime | None = None) -> Leave | None:
    """What `machine` may do now; None when no policy is for it and no operator ever set a strategy.

    With a policy its rollout decides; the machine's own row replaces the policy's strategy, or
    blocks the machine. Without one the row decides alone. A global freeze stops both.
    """
    now = now or timezone.now()
    row = MachineStrategy.objects.filter(pk=machine.pk).first()
    placed = next(iter(placed_machines(machine_ids=[machine.pk])), None)
    ranked = enabled_policies(placed.cluster_id) if placed else []
    chosen = choose_policy(ranked, placed.subject) if placed else None
    if chosen:
        return _by_policy(machine, chosen.policy, row, now)
    if row is None:
        return None
    if not row.is_enabled:
        return Leave(None, "the strategy of this machine is disabled")
    cluster_id = placed.cluster_id if placed else None
    refused = freeze_reason(cluster_id=cluster_id, policy_id=None, now=now) or _ask(machine)
    return Leave(None, refused) if refused else Leave(row.strategy)


def _by_policy(
    machine: Machine, policy: RollingPolicy, row: MachineStrategy | None, now: datetime
) -> Leave:
    leave = read_policy_leave(machine=machine, policy=policy, own=row, now=now)
    refused = leave.refusal or _ask(machine)
    if refused:
        return Leave(None, refused, leave.group)
    return Leave(leave.strategy, group=leave.group)


def _ask(machine: Machine) -> str:
    """The first objection of those who asked to be heard; "" when nobody objects."""
    reasons = (refusal(machine) for refusal in _refusals)
    return next((reason for reason in reasons if reason), "")


def set_strategy(
    *, machine: Machine, strategy: StrategyName, actor: str, is_enabled: bool = True
) -> MachineStrategy:
    """Allow `machine` to apply its config by `strategy` (not enabled: only keep the name)."""
    return _write(machine, actor, is_enabled=is_enabled, strategy=strategy)


def disable_strategy(*, machine: Machine, actor: str) -> MachineStrategy:
    """Take the leave away. The strategy's name is kept for the next time; safe to repeat."""
    return _write(machine, actor, is_enabled=False)


def drop_strategy(*, machine: Machine, actor: str) -> bool:
    """Leave `machine` to its policy again; without one nobody allows it anything.

    True when it had a strategy of its own, enabled or not; safe to repeat.
    """
    with unknown_when_removed(machine.pk), transaction.atomic():
        deleted, _ = MachineStrategy.objects.filter(pk=machine.pk).delete()
        if deleted:
            message = "Strategy: none of its own any more."
            record_event(kind="strategy", message=message, machine=machine, actor=actor)
    return bool(deleted)


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
