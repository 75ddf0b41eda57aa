"""Signals that the sync sends; receivers only enqueue or write their own rows."""

from django.dispatch import Signal

desired_changed = Signal()
"""Sent after a commit that changed desired configs, with `machine_ids: list[int]`."""

revision_completed = Signal()
"""Sent after the commit that completed a revision, with `cluster_id` and `revision_id`.

All machines that it changes have been rendered; those that a release policy holds back have a
`newest` config that differs from the desired one. A hint: a killed worker sends nothing.
"""

content_decided = Signal()
"""Sent after a commit that changed which content shall be in force, with `cluster_id`."""
