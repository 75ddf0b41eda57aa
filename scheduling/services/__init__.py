"""The only writers of intent."""

from scheduling.services.clusters import (
    default_cluster,
    preview_values,
    set_values,
    update_cluster,
)
from scheduling.services.pins import approve_pins, check_pins, follow_facts, recheck_pins
from scheduling.services.roles import assign_roles, readmit_machine, release_machine
from scheduling.services.scheduler import PlacementResult, run_scheduler

__all__ = [
    "PlacementResult",
    "approve_pins",
    "assign_roles",
    "check_pins",
    "default_cluster",
    "follow_facts",
    "preview_values",
    "readmit_machine",
    "recheck_pins",
    "release_machine",
    "run_scheduler",
    "set_values",
    "update_cluster",
]
