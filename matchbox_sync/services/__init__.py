"""The only writers of derived configuration."""

from matchbox_sync.documents import load_document
from matchbox_sync.services.assigning import assign_revision, assign_revisions
from matchbox_sync.services.gate import record_template, renew_gate
from matchbox_sync.services.pending import approve_change, reject_change, set_approval_rule
from matchbox_sync.services.plan import plan_change, plan_pending
from matchbox_sync.services.planruns import (
    find_revision,
    has_waiting_plans,
    make_plan,
    read_result,
    request_plan,
    run_next_plan,
)
from matchbox_sync.services.revisions import prune_revisions, set_release_policy
from matchbox_sync.services.rollback import previous_content, roll_back
from matchbox_sync.services.run import SyncResult, sync_cluster
from matchbox_sync.services.storedplan import compare_revisions, plan_revision

__all__ = [
    "SyncResult",
    "approve_change",
    "assign_revision",
    "assign_revisions",
    "compare_revisions",
    "find_revision",
    "has_waiting_plans",
    "load_document",
    "make_plan",
    "plan_change",
    "plan_pending",
    "plan_revision",
    "previous_content",
    "prune_revisions",
    "read_result",
    "record_template",
    "reject_change",
    "renew_gate",
    "request_plan",
    "roll_back",
    "run_next_plan",
    "set_approval_rule",
    "set_release_policy",
    "sync_cluster",
]
