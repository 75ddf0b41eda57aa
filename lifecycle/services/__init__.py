"""The only writers of lifecycle's rows."""

from lifecycle.services.advance import advance_cluster, advance_rollout, advance_rollouts
from lifecycle.services.asking import Denied, Granted, ask_to_install
from lifecycle.services.freezes import add_freeze, freezes_in_force, lift_freeze
from lifecycle.services.gate import (
    end_stalled_installs,
    gate_limits,
    prune_attempts,
    release_install,
)
from lifecycle.services.gates import GateVerdict, read_gates
from lifecycle.services.healthchecks import Checked, check_due_gates, check_gates_now
from lifecycle.services.healthgates import remove_health_gate, set_health_gate
from lifecycle.services.holding import read_standing, renew_grant
from lifecycle.services.installs import report_install
from lifecycle.services.limits import remove_limit, set_limit
from lifecycle.services.maintenance import (
    end_expired_maintenance,
    end_maintenance,
    maintenance_machine_ids,
    maintenance_refusal,
    start_maintenance,
)
from lifecycle.services.making import ensure_rollouts
from lifecycle.services.members import read_members, reinstall_harm
from lifecycle.services.membership import policy_of, refresh_members
from lifecycle.services.moves import active_rollout
from lifecycle.services.policies import (
    Applied,
    apply_policy,
    default_document,
    delete_policy,
    policy_document,
)
from lifecycle.services.progress import record_progress
from lifecycle.services.replacement import (
    ReplacementPlan,
    advance_replacement,
    advance_replacements,
    cancel_replacement,
    choose_again,
    plan_replacement,
    start_replacement,
)
from lifecycle.services.reports import Verdict, follow_desired, submit_report
from lifecycle.services.retiring import retire_machine
from lifecycle.services.rollouts import (
    abort_rollout,
    confirm_stage,
    pause_rollout,
    prune_rollouts,
    resume_rollout,
    roll_back_rollout,
    skip_machine,
    start_rollout,
)
from lifecycle.services.slots import holder_id, lock_slot, release_slot, unlock_slot
from lifecycle.services.strategies import (
    Leave,
    add_refusal,
    disable_strategy,
    drop_strategy,
    read_leave,
    remove_refusal,
    set_strategy,
)

__all__ = [
    "Applied",
    "Checked",
    "Denied",
    "GateVerdict",
    "Granted",
    "Leave",
    "ReplacementPlan",
    "Verdict",
    "abort_rollout",
    "active_rollout",
    "add_freeze",
    "add_refusal",
    "advance_cluster",
    "advance_replacement",
    "advance_replacements",
    "advance_rollout",
    "advance_rollouts",
    "apply_policy",
    "ask_to_install",
    "cancel_replacement",
    "check_due_gates",
    "check_gates_now",
    "choose_again",
    "confirm_stage",
    "default_document",
    "delete_policy",
    "disable_strategy",
    "drop_strategy",
    "end_expired_maintenance",
    "end_maintenance",
    "end_stalled_installs",
    "ensure_rollouts",
    "follow_desired",
    "freezes_in_force",
    "gate_limits",
    "holder_id",
    "lift_freeze",
    "lock_slot",
    "maintenance_machine_ids",
    "maintenance_refusal",
    "pause_rollout",
    "plan_replacement",
    "policy_document",
    "policy_of",
    "prune_attempts",
    "prune_rollouts",
    "read_gates",
    "read_leave",
    "read_members",
    "read_standing",
    "record_progress",
    "refresh_members",
    "reinstall_harm",
    "release_install",
    "release_slot",
    "remove_health_gate",
    "remove_limit",
    "remove_refusal",
    "renew_grant",
    "report_install",
    "resume_rollout",
    "retire_machine",
    "roll_back_rollout",
    "set_health_gate",
    "set_limit",
    "set_strategy",
    "skip_machine",
    "start_maintenance",
    "start_replacement",
    "start_rollout",
    "submit_report",
    "unlock_slot",
]
