"""The only writers of lifecycle's rows."""

from lifecycle.services.asking import Denied, Granted, ask_to_install
from lifecycle.services.gate import (
    end_stalled_installs,
    gate_limits,
    prune_attempts,
    release_install,
)
from lifecycle.services.holding import read_standing, renew_grant
from lifecycle.services.installs import report_install
from lifecycle.services.maintenance import (
    end_expired_maintenance,
    end_maintenance,
    maintenance_machine_ids,
    maintenance_refusal,
    start_maintenance,
)
from lifecycle.services.members import read_members, reinstall_harm
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
from lifecycle.services.slots import holder_id, lock_slot, release_slot, unlock_slot
from lifecycle.services.strategies import (
    Leave,
    add_refusal,
    disable_strategy,
    read_leave,
    remove_refusal,
    set_strategy,
)

__all__ = [
    "Denied",
    "Granted",
    "Leave",
    "ReplacementPlan",
    "Verdict",
    "add_refusal",
    "advance_replacement",
    "advance_replacements",
    "ask_to_install",
    "cancel_replacement",
    "choose_again",
    "disable_strategy",
    "end_expired_maintenance",
    "end_maintenance",
    "end_stalled_installs",
    "follow_desired",
    "gate_limits",
    "holder_id",
    "lock_slot",
    "maintenance_machine_ids",
    "maintenance_refusal",
    "plan_replacement",
    "prune_attempts",
    "read_leave",
    "read_members",
    "read_standing",
    "record_progress",
    "reinstall_harm",
    "release_install",
    "release_slot",
    "remove_refusal",
    "renew_grant",
    "report_install",
    "retire_machine",
    "set_strategy",
    "start_maintenance",
    "start_replacement",
    "submit_report",
    "unlock_slot",
]
