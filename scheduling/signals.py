"""What scheduling tells the apps above: the intent of a cluster changed."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

intent_changed = Signal()
"""Sent after the commit with `cluster_id`. Receivers only enqueue work; beat finds the rest."""


def announce_intent(cluster_id: int) -> None:
    """Send `intent_changed` once the transaction commits; a receiver that fails stops nobody."""
    transaction.on_commit(partial(intent_changed.send_robust, sender=None, cluster_id=cluster_id))
