"""The only writers of derived configuration."""

from matchbox_sync.documents import load_document
from matchbox_sync.services.gate import record_template, renew_gate
from matchbox_sync.services.revisions import assign_revision, prune_revisions, set_release_policy
from matchbox_sync.services.run import SyncResult, sync_cluster

__all__ = [
    "SyncResult",
    "assign_revision",
    "load_document",
    "prune_revisions",
    "record_template",
    "renew_gate",
    "set_release_policy",
    "sync_cluster",
]
