"""The console's pages on derived configuration, on revisions, plans and what waits."""

from matchbox_sync.admin import derived
from matchbox_sync.admin.changes import PendingChangeAdmin
from matchbox_sync.admin.desired import DesiredConfigAdmin
from matchbox_sync.admin.plans import PlanRunAdmin
from matchbox_sync.admin.revisions import RevisionAdmin

__all__ = [
    "DesiredConfigAdmin",
    "PendingChangeAdmin",
    "PlanRunAdmin",
    "RevisionAdmin",
    "derived",
]
