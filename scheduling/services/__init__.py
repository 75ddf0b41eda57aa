"""The only writers of intent."""

from scheduling.services.clusters import (
    default_cluster,
    preview_values,
    set_values,
    update_cluster,
)
from scheduling.services.pins import approve_pins, check_pins, follow_facts, recheck_pins
from scheduling.services.roles import (
    assign_roles,
    readmit_machine,
    release_machine,
    retire_machine,
)
from scheduling.services.rules import (
    add_kept_back,
    read_requirements,
    remove_kept_back,
    set_requirements,
)
from scheduling.services.scheduler import PlacementResult, run_scheduler
from scheduling.services.swaps import SpareChoice, SwapPlan, plan_swap, swap_member

__all__ = [
    "PlacementResult",
    "SpareChoice",
    "SwapPlan",
    "add_kept_back",
    "approve_pins",
    "assign_roles",
    "check_pins",
    "default_cluster",
    "follow_facts",
    "plan_swap",
    "preview_values",
    "read_requirements",
    "readmit_machine",
    "recheck_pins",
    "release_machine",
    "remove_kept_back",
    "retire_machine",
    "run_scheduler",
    "set_requirements",
    "set_values",
    "swap_member",
    "update_cluster",
]
