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
from lifecycle.services.progress import record_progress
from lifecycle.services.reports import Verdict, follow_desired, submit_report
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
    "Verdict",
    "add_refusal",
    "ask_to_install",
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
    "prune_attempts",
    "read_leave",
    "read_standing",
    "record_progress",
    "release_install",
    "release_slot",
    "remove_refusal",
    "renew_grant",
    "report_install",
    "set_strategy",
    "start_maintenance",
    "submit_report",
    "unlock_slot",
]
