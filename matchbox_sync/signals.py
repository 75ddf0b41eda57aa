"""Signals that the sync sends; receivers only enqueue or write their own rows."""

from django.dispatch import Signal

desired_changed = Signal()
"""Sent after a commit that changed desired configs, with `machine_ids: list[int]`."""
