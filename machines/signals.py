"""What machines tell the apps above: facts, conflicts or labels of a machine changed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.dispatch import Signal

facts_changed = Signal()
"""Sent after the commit with `machine_id`. Receivers only enqueue work; beat finds the rest."""


def announce(machine_ids: Iterable[int]) -> None:
    """Send `facts_changed` for each machine once the transaction commits; a receiver that fails
    is logged and stops nobody else."""
    for machine_id in sorted(set(machine_ids)):
        transaction.on_commit(
            partial(facts_changed.send_robust, sender=None, machine_id=machine_id)
        )
